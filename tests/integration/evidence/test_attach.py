"""``airgap attach``: a file of others travels with a bundle, byte for byte (format §24)."""

import hashlib
import shutil
from pathlib import Path

import pytest

from airgap.errors import ConflictError, UsageError
from tests.support import refusals, store_invariants, volumes
from tests.support.faults import Fault, Launcher
from tests.support.sides import Side, Site

SIGNATURE = b'{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}\n'
FILE = f"model.sig.{hashlib.sha256(SIGNATURE).hexdigest()}.findings"
FORMS = pytest.mark.parametrize("form", ["depot", "shop.airgap"])


@pytest.fixture
def location(depot: Path, archive: Path, form: str) -> Path:
    return {"depot": depot, "shop.airgap": archive}[form]


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    path = tmp_path / "model.sig"
    path.write_bytes(SIGNATURE)
    return path


def attachments(side: Side, location: Path | str) -> dict[str, str]:
    rows = side.run("inspect", location, "--json").json["attachments"]
    return {row["file"]: row["sha256"] for row in rows}


@FORMS
def test_a_file_is_carried_and_never_checked(
    small: Side, isolated: Side, location: Path, evidence: Path, tmp_path: Path
) -> None:
    ran = small.run("attach", location, evidence, "--json")

    assert ran.code == 0, ran.err
    assert ran.json["file"] == FILE
    assert "not checked by airgap" in small.run("attach", location, evidence).out
    assert small.run("copy", location, tmp_path / "copy").code == 0
    assert attachments(small, tmp_path / "copy") == {FILE: hashlib.sha256(SIGNATURE).hexdigest()}
    assert isolated.run("import", location).code == 0


@pytest.mark.parametrize("form", ["depot"])
def test_garbage_collection_keeps_it(small: Side, location: Path, evidence: Path) -> None:
    assert small.run("attach", location, evidence, "--name", "upstream").code == 0

    assert small.run("gc", location, "--older-than", "0").code == 0

    (file,) = attachments(small, location)
    assert file.startswith("upstream.")


def test_volumes_get_it_together_or_are_named(
    connected: Side, site: Site, evidence: Path, tmp_path: Path
) -> None:
    volumes.fill(connected)
    folders = volumes.burn(connected, site, tmp_path / "volumes", size="1400k").folders

    alone = connected.run("attach", folders[1], evidence)
    assert f"1 of the bundle's {len(folders)} volumes" in alone.err
    assert attachments(connected, folders[0]) == {}
    assert connected.run("join", *folders, "-o", tmp_path / "joined").code == 0
    assert list(attachments(connected, tmp_path / "joined")) == [FILE]
    together = connected.run("attach", *folders, evidence)

    assert (together.code, together.err.count("volumes")) == (0, 0)
    assert all(list(attachments(connected, folder)) == [FILE] for folder in folders)


@pytest.mark.parametrize("form", ["depot"])
def test_of_several_bundles_one_is_named(
    small: Side, site: Site, location: Path, evidence: Path
) -> None:
    words = ("export", "--model", "ranker:v1", "-o", location, "--key", site.key(), "--json")
    other = small.run(*words).json["bundle"]

    assert small.run("attach", location, evidence).code == 2
    assert small.run("attach", location, evidence, "--bundle", other).code == 0

    assert list(attachments(small, f"{location}#{other}")) == [FILE]


@FORMS
def test_a_kill_at_any_step_leaves_a_bundle_with_all_of_it_or_nothing(
    small: Side, isolated: Side, location: Path, evidence: Path, launcher: Launcher, tmp_path: Path
) -> None:
    kept, words = tmp_path / "kept", ("attach", location, evidence)
    copy = shutil.copytree if location.is_dir() else shutil.copyfile
    copy(location, kept)
    assert small.run(*words).code == 0
    after = store_invariants.content(location)
    step = 0
    while True:
        shutil.rmtree(location) if location.is_dir() else location.unlink()
        copy(kept, location)
        ended = launcher.run(small, *words, fault=Fault(at=step))
        if not ended.killed:
            break
        assert set(attachments(small, location)) in (set(), {FILE}), ended.last
        assert isolated.run("verify", location).code == 0, ended.last
        assert small.run(*words).code == 0, ended.last
        assert attachments(small, location) == {FILE: hashlib.sha256(SIGNATURE).hexdigest()}
        step += 1

    assert step > 2
    assert store_invariants.content(location) == after


def test_a_file_has_the_room_that_was_asked_for(small: Side, site: Site, tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    report.write_bytes(b"r" * 5_000_000)
    plain, roomy = tmp_path / "plain.airgap", tmp_path / "roomy.airgap"
    key = ("--key", site.key())
    made = small.run("export", "shop:v1", "-o", plain, *key)
    assert "room for later signatures and attachments: 65.5 kB (--room makes more)" in made.out
    told = refusals.expect_refusal(small, "attach", plain, report, error=ConflictError)
    assert f"airgap copy {plain} NEW.airgap --room SIZE" in told.json["error"]["hint"]

    made = small.run("export", "shop:v1", "-o", roomy, *key, "--room", "5M")
    assert made.code == 0, made.err
    assert small.run("attach", roomy, report).code == 0
    copied = tmp_path / "copied.airgap"
    assert small.run("copy", plain, copied, "--room", "5M").code == 0
    attached = small.run("attach", copied, report, "--json")
    assert attached.code == 0, attached.err
    assert attached.json["bundle"] == small.run("inspect", plain, "--json").json["bundle"]
    again = tmp_path / "again.airgap"
    assert small.run("copy", copied, again).code == 0  # what is attached needs no --room
    assert len(small.run("inspect", again, "--json").json["attachments"]) == 1

    for words in (
        ("copy", plain, tmp_path / "depot", "--room", "5M"),
        ("copy", plain, again, "--room", "65MiB"),
        ("export", "shop:v1", "-o", tmp_path / "depot", *key, "--room", "1M"),
    ):
        refusals.expect_refusal(small, *words, error=UsageError)
