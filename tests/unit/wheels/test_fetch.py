"""Getting wheels: what is on this machine is not fetched, and what is fetched is compared."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import CorruptError, StorageError, TransportError
from airgap.format.wheelhouse import NO_BENTO
from airgap.wheels import collect
from airgap.wheels.bento_requirements import read_requirements
from airgap.wheels.choose import ChosenFile
from airgap.wheels.collect import Collection, Reporter, clear
from airgap.wheels.fetch import Fetcher
from airgap.wheels.indexes import Indexes
from airgap.wheels.resolve import Distribution
from airgap.wheels.targets import read_target

TARGET = read_target("cp311-manylinux_2_28_x86_64")
FILE, DATA = "tiny-1.0-py3-none-any.whl", b"a wheel"
SHA256 = hashlib.sha256(DATA).digest()
NO_REQUIREMENTS = read_requirements({}, [])
URL = f"https://files.example/{FILE}"


def choose(location: str = URL, size: int = len(DATA)) -> ChosenFile:
    return ChosenFile("tiny", "1.0", Distribution(FILE, location, size, SHA256))


def make_pip(folder: Path, commands: str) -> tuple[str, ...]:
    """A pip that does what a shell script says."""
    script = folder / "pip"
    script.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {folder}/arguments\n{commands}\n")
    script.chmod(0o755)
    return (str(script),)


def make_fetcher(
    folder: Path, pip: tuple[str, ...] = ("false",), known: dict[bytes, Path] | None = None
) -> Fetcher:
    private = folder / "private"
    private.mkdir(exist_ok=True)
    return Fetcher(pip, {}, private, TARGET, known or {}, lambda _: None)


def test_a_wheel_of_another_wheelhouse_is_linked_and_not_fetched(tmp_path: Path) -> None:
    other = tmp_path / "other.whl"
    other.write_bytes(DATA)
    (wheel,) = make_fetcher(tmp_path, known={SHA256: other}).fetch([choose()])
    assert wheel.path.stat().st_ino == other.stat().st_ino
    assert (wheel.sha256, wheel.size, wheel.host) == (SHA256, len(DATA), "files.example")


def test_a_damaged_wheel_of_another_wheelhouse_is_not_taken(tmp_path: Path) -> None:
    other = tmp_path / "other.whl"
    other.write_bytes(b"another")
    with pytest.raises(TransportError):
        make_fetcher(tmp_path, known={SHA256: other}).fetch([choose()])
    assert other.read_bytes() == b"another"


def test_what_an_interrupted_export_has_fetched_is_kept(tmp_path: Path) -> None:
    fetcher = make_fetcher(tmp_path)
    kept = fetcher.folder / "wheels" / FILE
    kept.parent.mkdir()
    kept.write_bytes(DATA)
    (wheel,) = fetcher.fetch([choose()])
    assert wheel.path == kept


def test_what_was_cut_off_is_fetched_again(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA)
    pip = make_pip(tmp_path, f"cp {source} {tmp_path}/private/download/{FILE}")
    fetcher = make_fetcher(tmp_path, pip)
    (fetcher.folder / "wheels").mkdir()
    (fetcher.folder / "wheels" / FILE).write_bytes(DATA[:3])
    (wheel,) = fetcher.fetch([choose()])
    assert wheel.path.read_bytes() == DATA


def test_pip_gets_an_address_and_one_digest(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA)
    pip = make_pip(tmp_path, f"cp {source} {tmp_path}/private/download/{FILE}")
    fetcher = make_fetcher(tmp_path, pip)
    fetcher.fetch([choose()])
    assert (fetcher.folder / "fetch.txt").read_text() == (
        f"tiny @ {URL} --hash=sha256:{SHA256.hex()}\n"
    )
    arguments = (tmp_path / "arguments").read_text().split("\n")
    for option in ("--no-deps", "--require-hashes", "--only-binary", "manylinux2014_x86_64"):
        assert option in arguments
    assert not any("files.example" in argument for argument in arguments)


@pytest.mark.parametrize("commands", ["true", "echo other > private/download/x.whl"])
def test_a_file_that_pip_did_not_bring_is_missed(tmp_path: Path, commands: str) -> None:
    pip = make_pip(tmp_path, f"cd {tmp_path}; {commands}")
    with pytest.raises(CorruptError, match="is not what the index says"):
        make_fetcher(tmp_path, pip).fetch([choose()])


def test_progress_ends_at_what_was_announced(tmp_path: Path) -> None:
    """An index may give no size, and nobody gives that of a file on this machine."""
    source = tmp_path / FILE
    source.write_bytes(DATA)
    pip = make_pip(tmp_path, f"cp {source} {tmp_path}/private/download/{FILE}")
    total: list[int] = []
    for choice in (choose(), choose(size=0), choose(str(source), 0)):
        done: list[int] = []
        reporter = Reporter(print, total.append, done.append)
        fetcher = replace(make_fetcher(tmp_path, pip), advance=done.append)
        collection = Collection("a:v1", NO_REQUIREMENTS, NO_BENTO, tmp_path, TARGET, Indexes())

        collect._announce([choice], collection, tmp_path, reporter)
        (wheel,) = fetcher.fetch([choice])

        assert sum(done) == total[-1]
        wheel.path.unlink()
    assert total == [len(DATA), 0, len(DATA)]


def announce(size: int, folder: Path) -> list[str]:
    """Return what is said before so many bytes are fetched."""
    notes: list[str] = []
    reporter = Reporter(notes.append, lambda _: None, lambda _: None)
    collection = Collection("a:v1", NO_REQUIREMENTS, NO_BENTO, folder, TARGET, Indexes())
    collect._announce([choose(size=size)], collection, folder, reporter)
    return notes


def test_a_large_download_is_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "measure_free", lambda _: 10**12)
    assert announce(2**30 - 1, tmp_path) == []
    (note,) = announce(2**31, tmp_path)
    assert note.startswith(f"The packages of a:v1 for {TARGET} have 2.1 GB")


def test_a_download_that_has_no_room_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "measure_free", lambda _: 10)
    with pytest.raises(StorageError, match="needs 11 B "):
        announce(11, tmp_path)


@pytest.mark.parametrize("keep", [True, False])
def test_a_private_folder_is_cleared_but_for_wheels(tmp_path: Path, keep: bool) -> None:  # noqa: FBT001
    folder = tmp_path / "private"
    for path in ("wheels/a.whl", "tmp/deep/file", "pylock.toml"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"")
    clear(folder, keep_wheels=keep)
    assert [path.name for path in folder.rglob("*")] == (["wheels", "a.whl"] if keep else [])
    assert folder.exists() is keep
