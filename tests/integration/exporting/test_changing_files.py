"""Files of the store that change while they are exported: refused, and no manifest is written."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.errors import StorageError
from airgap.store.source_tree import read_stable, scan
from tests.support import interruptions, stores
from tests.support.faults import Fault, Launcher
from tests.support.sides import Side, Site


def _rewrite(path: Path) -> None:
    path.write_bytes(bytes(len(path.read_bytes())))


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def _shrink(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _add(path: Path) -> None:
    path.with_name("new.txt").write_bytes(b"")


CHANGES: list[Callable[[Path], None]] = [_rewrite, _grow, _shrink, _add, Path.unlink]


@pytest.mark.parametrize("change", CHANGES, ids=["changes", "grows", "shrinks", "appears", "goes"])
@pytest.mark.parametrize("item", ["bentos/shop/v1/src/x.py", "models/ranker/v1/weights.bin"])
@pytest.mark.parametrize("form", ["a.airgap", "depot"])
def test_a_file_that_is_not_as_it_was_scanned_ends_the_export(
    form: str,
    item: str,
    change: Callable[[Path], None],
    site: Site,
    launcher: Launcher,
    tmp_path: Path,
) -> None:
    sender, out = _sender(tmp_path, interruptions.fresh), tmp_path / "out"
    out.mkdir()
    # A .airgap is begun before any file is read; a depot's last pack when all of them are.
    stop = r"^open .*\.part$" if form == "a.airgap" else r"^rename .*\.pack$"
    child = launcher.start(
        sender,
        *("export", "shop:v1", "-o", out / form, "--key", site.key(), "--json"),
        fault=Fault(signal.SIGSTOP, before=stop, again=form == "depot"),
    ).stopped()
    if form == "depot":
        child.go_on().stopped()

    change(sender.bentoml / item)
    ended = child.go_on().end()

    assert ended.code == 15, ended.err
    assert json.loads(ended.out)["error"]["kind"] == "storage"
    assert not [*out.rglob("manifest.msgpack"), *out.glob("*.airgap")]
    if form == "depot":  # of a file, a part stays for the next run
        assert not [*out.rglob("*.part")]


@pytest.mark.parametrize("change", [_rewrite, _grow, _shrink, Path.unlink])
def test_a_snapshot_whose_blob_changes_after_it_was_read_ends_the_export(
    change: Callable[[Path], None], site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    sender, out = _sender(tmp_path, interruptions.snapshot), tmp_path / "out"
    child = launcher.start(
        sender,
        *("export", "reader:v1", "-o", out, "--key", site.key()),
        fault=Fault(signal.SIGSTOP, before=r"^rename .*\.pack$", again=True),
    )
    child.stopped().go_on().stopped()

    change(next(sender.hugging_face.rglob("model.bin")).resolve())
    ended = child.go_on().end()

    assert ended.code == 15, ended.err
    assert not [*out.rglob("manifest.msgpack")]


def test_a_file_that_changes_between_two_reads_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(stores.noise(3_000_000))
    (source,) = scan(tmp_path).files
    pieces = read_stable(source)
    next(pieces)
    with path.open("r+b") as file:
        file.write(b"x")

    with pytest.raises(StorageError, match="changed while it was being read"):
        list(pieces)


def test_a_file_that_became_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    (source,) = scan(tmp_path).files
    path.unlink()
    os.mkfifo(path)

    with pytest.raises(StorageError, match="changed while it was being read"):
        list(read_stable(source))


def _sender(top: Path, make: Callable[[Side, Side], object]) -> Side:
    sender = Side(top / "sender")
    sender.top.mkdir()
    make(sender, sender)
    return sender
