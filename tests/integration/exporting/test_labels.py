"""Labels: signed with the bundle, and shown wherever it is (format §4.4)."""

import json
from pathlib import Path

import pytest

from airgap.format import volume
from tests.support import volumes
from tests.support.sides import Ran, Side, Site

LABELS = {"classification": "VS: nur für den Dienstgebrauch", "project": "ranker"}
OPTIONS = [word for name, value in LABELS.items() for word in ("--label", f"{name}={value}")]


@pytest.fixture
def labelled(small: Side, site: Site, tmp_path: Path) -> Path:
    folder = tmp_path / "labelled"
    ran = small.run("export", "shop:v1", "-o", folder, "--key", site.key(), *OPTIONS)
    assert ran.code == 0, ran.err
    assert has_lines(ran)
    return folder


def has_lines(ran: Ran) -> bool:
    text = " ".join((ran.out + ran.err).split())
    return all(f"label {name}: {value}" in text for name, value in LABELS.items())


@pytest.mark.parametrize("command", ["inspect", "verify", "import", "list"])
def test_every_command_shows_them(command: str, labelled: Path, isolated: Side) -> None:
    as_data = isolated.run(command, labelled, "--json").json
    as_text = isolated.run(command, labelled)

    data = as_data["bundles"][0] if command == "list" else as_data
    assert data["labels"] == LABELS
    assert has_lines(as_text)


def test_get_shows_them(labelled: Path, isolated: Side) -> None:
    assert isolated.run("get", "shop:v1", labelled, "--json").json["labels"] == LABELS
    assert has_lines(isolated.run("get", "shop:v1", labelled))


def test_every_volume_has_them(connected: Side, site: Site, tmp_path: Path, isolated: Side) -> None:
    volumes.fill(connected)
    folders = volumes.burn(connected, site, tmp_path / "discs", *OPTIONS).folders

    assert len(folders) > 1
    for folder in folders:
        text = (folder / "VOLUME.txt").read_text()
        assert all(f"label {name}: {value}" in text for name, value in LABELS.items())
        (raw,) = (path.read_bytes() for path in folder.glob("bundles/*/volume.json"))
        assert volume.decode(raw).labels == LABELS
        assert raw.isascii()
    assert isolated.run("import", *folders).code == 0


def test_the_config_file_has_them_too(small: Side, site: Site, tmp_path: Path) -> None:
    small.state.mkdir(exist_ok=True)
    (small.state / "config.toml").write_text('[export]\nlabel = ["project=ranker", "owner=ward"]\n')

    ran = small.run("export", "shop:v1", "-o", tmp_path / "x", "--key", site.key(), "--json")

    assert ran.json["labels"] == {"project": "ranker", "owner": "ward"}


def test_the_same_with_other_labels_is_another_bundle(
    small: Side, site: Site, tmp_path: Path
) -> None:
    words = ("push", "shop:v1", tmp_path / "shared", "--key", site.key(), "--json")
    plain = small.run(*words)
    again = small.run(*words)
    labelled = small.run(*words, *OPTIONS)

    assert labelled.json["labels"] == LABELS
    assert plain.json["bundle"] == again.json["bundle"] != labelled.json["bundle"]


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("classification", "is not a label"),
        ("Classification=open", "invalid name"),
        ("classification=", "1 to 128 characters"),
        ("classification=a\x1b[2J", "invisible"),
        ("classification=open ", "a space"),
    ],
)
def test_a_label_that_cannot_be_is_refused(
    label: str, why: str, small: Side, site: Site, tmp_path: Path
) -> None:
    ran = small.run(
        *("export", "shop:v1", "-o", tmp_path / "x", "--key", site.key(), "--json"),
        *("--label", label),
    )

    assert ran.code == 2
    assert why in ran.json["error"]["message"]
    assert "\x1b" not in json.dumps(ran.json, ensure_ascii=False)
    assert not (tmp_path / "x").exists()


def test_two_values_of_one_label_are_refused(small: Side, site: Site, tmp_path: Path) -> None:
    words = ("export", "shop:v1", "-o", tmp_path / "x", "--key", site.key())

    assert small.run(*words, "--label", "a=1", "--label", "a=2").code == 2
