"""Names in files of a store that the system refuses to look for: a command says what it is."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.flow.doctor import diagnose
from airgap.flow.doctor import stores as store_checks
from tests.support import forge, stores
from tests.support.forge import Forge
from tests.support.sides import Ran, Side, Site

LONG = "a" * 300
COMMANDS = {
    "doctor": ("doctor",),
    "list": ("list",),
    "check": ("check",),
    "prune": ("prune", "--dry-run"),
    "remove": ("remove", "shop:v1", "--dry-run"),
    "export": ("export", "shop:v1", "-o", "out", "--key", "key"),
}


def name_model(side: Side) -> None:
    stores.add_bento(side, "shop:v1", {"a": b"a"}, models=[f"{LONG}:v1"])


def name_model_above(side: Side) -> None:
    stores.add_bento(side, "shop:v1", {"a": b"a"}, models=["../../../x:v1"])


def name_snapshot(side: Side) -> None:
    entry = stores.hugging_face_entry(f"org/{LONG}", "1" * 40)
    stores.add_bento(side, "shop:v1", {"a": b"a"}, models=[entry])


def name_commit(side: Side) -> None:
    entry = stores.hugging_face_entry("org/tiny", LONG)
    stores.add_bento(side, "shop:v1", {"a": b"a"}, models=[entry])


def point_latest(text: bytes) -> Callable[[Side], None]:
    def write(side: Side) -> None:
        bento = stores.add_bento(side, "shop:v1", {"a": b"a"})
        (bento.parent / "latest").write_bytes(text)

    return write


def make_latest_fifo(side: Side) -> None:
    bento = stores.add_bento(side, "shop:v1", {"a": b"a"})
    (bento.parent / "latest").unlink(missing_ok=True)
    os.mkfifo(bento.parent / "latest")


def link_item(side: Side) -> None:
    bento = stores.add_bento(side, "shop:v1", {"a": b"a"})
    (bento.parent / "v2").symlink_to(LONG)


def link_description(side: Side) -> None:
    stores.add_bento(side, "shop:v1", {"a": b"a"})
    bento = stores.add_bento(side, "shop:v2", {"a": b"a"})
    (bento / "bento.yaml").unlink()
    (bento / "bento.yaml").symlink_to(LONG)


def link_snapshot(side: Side) -> None:
    stores.add_bento(side, "shop:v1", {"a": b"a"})
    snapshots = stores.add_snapshot(side, "org/tiny", "1" * 40, {"a": b"a"}).parent
    (snapshots / ("2" * 40)).symlink_to(LONG)


SCENES = {
    "a model": name_model,
    "a model above the store": name_model_above,
    "a snapshot": name_snapshot,
    "a commit": name_commit,
    "latest is long": point_latest(LONG.encode()),
    "latest is huge": point_latest(b"v1" + b" " * 2_000_000),
    "latest is a path": point_latest(b"/etc"),
    "latest leads up": point_latest(b"../shop/v1"),
    "latest is empty": point_latest(b""),
    "latest is a FIFO": make_latest_fifo,
    "an item is a link": link_item,
    "a description is a link": link_description,
    "a snapshot is a link": link_snapshot,
}


def list_topics(side: Side) -> set[str]:
    """Return what the findings of the doctor are about."""
    return {finding["about"] for finding in side.run("doctor", "--json").json["findings"]}


def run(side: Side, command: str, top: Path, key: Path) -> Ran:
    paths = {"out": top / "out", "key": key}
    return side.run(*(paths.get(word, word) for word in COMMANDS[command]), "--json")


@pytest.mark.parametrize("scene", SCENES)
def test_no_name_in_a_store_ends_a_command_without_a_sentence(
    scene: str, isolated: Side, site: Site, tmp_path: Path
) -> None:
    before = list_topics(isolated)
    SCENES[scene](isolated)
    for command in COMMANDS:
        ran = run(isolated, command, tmp_path, site.key())
        assert "Traceback" not in ran.err, command
        assert ran.code in (0, 3, 10, 13), (command, ran.err)
    assert list_topics(isolated) >= before, "all checks ran"


@pytest.mark.parametrize("text", ["", "/etc", "../shop/v1", LONG, "v1" + " " * 2000])
def test_a_latest_that_names_no_version_is_a_problem(text: str, isolated: Side) -> None:
    point_latest(text.encode())(isolated)
    items = [
        finding
        for finding in isolated.run("doctor", "--json").json["findings"]
        if finding["about"] == "items"
    ]
    (finding,) = [finding for finding in items if "`latest`" in finding["message"]]

    assert finding["level"] == "problem"
    assert "names no version" in finding["message"]
    assert finding["hint"].endswith(str(isolated.bentoml / "bentos/shop/latest"))


def test_an_import_replaces_a_latest_that_names_no_version(isolated: Side, forged: Forge) -> None:
    point_latest(LONG.encode())(isolated)

    assert isolated.run("import", forged.depot(forge.draft(forge.bento({}, "shop:v2")))).code == 0
    assert (isolated.bentoml / "bentos/shop/latest").read_text() == "v2"


def test_a_setting_with_a_long_name_is_a_finding(isolated: Side) -> None:
    (isolated.state / "config.toml").write_text(f"[sign]\nkey = {json.dumps('/' + LONG)}\n")
    ran = isolated.run("doctor", "--json")

    (finding,) = [one for one in ran.json["findings"] if one["about"] == "keys"]
    assert finding["message"].endswith(f"names /{LONG}, which does not exist.")
    assert ran.code == 3


@pytest.mark.parametrize("error", [OSError(5, "Input/output error", "/x"), OSError(5, "Broken")])
def test_a_check_that_cannot_go_on_is_a_finding_and_the_next_one_runs(
    error: OSError, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error

    with isolated.here():
        last = [*diagnose.diagnose()][-1]
        monkeypatch.setattr(store_checks, "check_items", fail)
        findings = [*diagnose.diagnose()]

    (finding,) = [finding for finding in findings if finding.about == "items"]
    assert (finding.level, finding.message) == (
        "problem",
        f"{error.filename or 'A file'}: {error.strerror}.",
    )
    assert findings[-1] == last
