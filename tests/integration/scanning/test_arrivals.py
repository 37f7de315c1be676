"""What arrives by itself is scanned too: by a watched folder, and by the drop box."""

import shutil
from pathlib import Path

from airgap.flow.location.location import ArchiveFile
from airgap.ledger.check import read_entries
from airgap.server.intake.worker import Worker
from tests.support import stores
from tests.support.sides import Side


def test_a_watched_folder_imports_nothing_that_the_scan_refuses(
    archive: Path, isolated: Side, tmp_path: Path
) -> None:
    (isolated.state / "scan.toml").write_text("")
    before = stores.snapshot(isolated.bentoml, isolated.hugging_face)
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(archive, folder)

    ran = isolated.run("watch", folder, "--once", "--json")

    assert "The scan refused 2 of 9 files." in ran.out + ran.err
    assert stores.snapshot(isolated.bentoml, isolated.hugging_face) == before
    assert _list_events(isolated)[-1] == "refused"


def test_the_worker_of_the_drop_box_hands_on_the_refusal(archive: Path, isolated: Side) -> None:
    (isolated.state / "scan.toml").write_text("")
    with isolated.here():
        verdict = Worker(1, (), 60).run("import", ArchiveFile(archive))

    assert verdict.kind == "policy"
    assert "The scan refused 2 of 9 files." in verdict.message
    assert _list_events(isolated)[-1] == "refused"


def _list_events(side: Side) -> list[str]:
    (ledger,) = side.state.glob("sites/*/ledger")
    return [entry.event for entry, _ in read_entries(ledger.parent.name, ledger.read_bytes())]
