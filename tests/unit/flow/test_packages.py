"""An export with packages that fails or is killed is continued, and leaves nothing half."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import CorruptError, StorageError
from airgap.flow.exporting import packages
from airgap.flow.exporting.packages import PackageOptions, find_or_make_wheelhouses
from airgap.flow.progress import Silent
from airgap.printable import size_text
from airgap.wheels import collect
from airgap.wheels.programs import Programs
from airgap.wheels.targets import read_target
from tests.support import stores
from tests.support.package_index import make_wheel
from tests.support.sides import Side, Site

TINY, TINY_BYTES = make_wheel("tiny")
PIP, PIP_BYTES = make_wheel("pip", "99.0")
OPTIONS = PackageOptions((read_target("cp311-manylinux_2_28_x86_64"),))


class Notes(Silent):
    """Progress that keeps its notes."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def write_program(path: Path, commands: str) -> tuple[str, ...]:
    path.write_text(f"#!/bin/sh\nset -e\n{commands}\n")
    path.chmod(0o755)
    return (str(path),)


@pytest.fixture
def doubles(tmp_path: Path) -> Programs:
    """A uv that locks one package, whichever is asked for, and a pip that brings both."""
    for file, data in ((TINY, TINY_BYTES), (PIP, PIP_BYTES)):
        name, version = file.split("-")[:2]
        wheel = f'{{ url = "https://x.example/{file}", size = {len(data)}, '
        wheel += f'hashes = {{ sha256 = "{hashlib.sha256(data).hexdigest()}" }} }}'
        lock = f'[[packages]]\nname = "{name}"\nversion = "{version}"\nwheels = [{wheel}]\n'
        stores.write_files(tmp_path, {f"lock-{name}": lock.encode(), file: data})
    uv = write_program(
        tmp_path / "uv", f"cp {tmp_path}/lock-$(head -c4 requirements.in | tr -d '\\n') pylock.toml"
    )
    pip = write_program(tmp_path / "pip", f"cp {tmp_path}/*.whl download/")
    return Programs(uv, pip)


@pytest.fixture
def side(connected: Side) -> Iterator[Side]:
    stores.add_bento(connected, "shop:v1", {"env/python/requirements.txt": b"tiny==1.0\n"})
    with connected.here():
        yield connected


def make(
    programs: Programs, patch: pytest.MonkeyPatch, options: PackageOptions = OPTIONS
) -> list[str]:
    patch.setattr(packages, "find_programs", lambda: programs)
    return find_or_make_wheelhouses(["shop:v1"], options, Silent())


def test_what_was_fetched_before_a_failure_is_not_fetched_again(
    side: Side, doubles: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(packages, "add_item", _refuse)
        with pytest.raises(StorageError):
            make(doubles, patch)
    assert not (side.bentoml / "wheelhouses").exists()
    kept = [path.name for path in side.bentoml.glob(".airgap/staging/**/*") if path.is_file()]
    assert sorted(kept) == [PIP, TINY]

    (tag,) = make(Programs(doubles.uv, ("false",)), monkeypatch)

    folder = side.bentoml / "wheelhouses" / tag.replace(":", "/")
    assert (folder / "wheels" / TINY).read_bytes() == TINY_BYTES
    assert (folder / "tools" / PIP).read_bytes() == PIP_BYTES
    assert not (side.bentoml / ".airgap").exists()


def _refuse(*_: object) -> None:
    raise OSError(28, "No space left on device", "somewhere")


def test_the_same_wheelhouse_is_found_and_no_program_is_needed(
    side: Side, doubles: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(doubles, monkeypatch)
    assert make(Programs(("false",), ("false",)), monkeypatch) == made
    assert [path.name for path in side.bentoml.glob("wheelhouses/*/*")] == [made[0].split(":")[1]]


def test_versions_are_chosen_anew_if_that_is_asked_for(
    side: Side, doubles: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    anew = replace(OPTIONS, upgrade=True)
    first = make(doubles, monkeypatch)
    same = make(doubles, monkeypatch, anew)
    lock = tmp_path / "lock-tiny"
    text = lock.read_text().replace('version = "1.0"', 'version = "2.0"')
    newer, data = make_wheel("tiny", "2.0")
    text = text.replace(TINY, newer).replace(f"size = {len(TINY_BYTES)}", f"size = {len(data)}")
    old, new = (hashlib.sha256(content).hexdigest() for content in (TINY_BYTES, data))
    lock.write_text(text.replace(old, new))
    stores.write_files(tmp_path, {newer: data})

    kept = make(doubles, monkeypatch)
    chosen = make(doubles, monkeypatch, anew)

    assert first == same == kept
    assert chosen != first
    assert make(doubles, monkeypatch) == chosen  # the newest is used from now on
    assert {path.name for path in side.bentoml.glob("wheelhouses/*/*/wheels/*")} == {TINY, newer}


def test_a_large_download_is_announced_with_its_size(
    side: Side, doubles: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes()
    monkeypatch.setattr(packages, "find_programs", lambda: doubles)
    size = len(TINY_BYTES) + len(PIP_BYTES)
    largest, content = max((TINY, TINY_BYTES), (PIP, PIP_BYTES), key=lambda file: len(file[1]))
    monkeypatch.setattr(collect, "LARGE_BYTES", size)

    find_or_make_wheelhouses(["shop:v1"], OPTIONS, notes)

    assert notes.texts[0] == (
        f"The packages of shop:v1 for {OPTIONS.targets[0]} have {size_text(size)}: 2 files, of"
        f" which {largest} has {size_text(len(content))}."
    )
    assert side.bentoml.exists()


def test_another_requirement_is_another_wheelhouse(
    side: Side, doubles: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(doubles, monkeypatch)
    lines = b"tiny==1.0 # changed\n"
    requirements = side.bentoml / "bentos/shop/v1/env/python/requirements.txt"
    requirements.write_bytes(lines)
    second = make(doubles, monkeypatch)
    assert first != second
    wheels = {path.stat().st_ino for path in side.bentoml.glob(f"wheelhouses/*/*/wheels/{TINY}")}
    assert len(wheels) == 1


def test_a_damaged_lock_is_made_again(
    side: Side, doubles: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tag,) = make(doubles, monkeypatch)
    lock = side.bentoml / "wheelhouses" / tag.replace(":", "/") / "pylock.toml"
    intact = lock.read_bytes()
    lock.write_bytes(intact.replace(b"1.0", b"1.1"))
    assert make(doubles, monkeypatch) == [tag]
    assert lock.read_bytes() == intact


def test_a_damaged_wheel_does_not_travel(
    side: Side, doubles: Programs, site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tag,) = make(doubles, monkeypatch)
    wheel = side.bentoml / "wheelhouses" / tag.replace(":", "/") / "wheels" / TINY
    wheel.write_bytes(TINY_BYTES[:-1] + b"?")
    ran = side.run(
        *("export", "shop:v1", "--with-env", "--target", str(OPTIONS.targets[0])),
        *("--key", site.key(), "-o", tmp_path / "depot", "--json"),
    )
    assert ran.code == CorruptError.exit_code
    assert f"The wheelhouse {tag} is not what" in ran.json["error"]["message"]
    assert not list((tmp_path / "depot").glob("bundles/*/manifest.msgpack"))
