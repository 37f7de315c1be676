"""Threat model, medium: what lies where a file should be, and bytes that change between reads."""

import os
import shutil
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.errors import AirgapError, CorruptError, MissingError, StorageError
from tests.support import forge, refusals, stores
from tests.support.forge import Forge
from tests.support.sides import Side

PLACES = {
    "manifest": "bundles/*/manifest.msgpack",
    "envelope": "bundles/*/*.dsse",
    "pack": "packs/*/*.pack",
}
FOLDERS = ("bundles", "bundles/*", "packs", "packs/*")


def link_to_itself_elsewhere(path: Path) -> None:
    """The right bytes, but by way of a link: next time it may lead to others."""
    aside = path.with_name("aside")
    path.rename(aside)
    path.symlink_to(aside)


def link_to_a_secret(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def link_to_a_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def device(path: Path) -> None:
    path.unlink()
    try:
        os.mknod(path, 0o666 | 0o020000, os.makedev(1, 5))  # /dev/zero
        path.open("rb").close()
    except PermissionError:
        pytest.skip("devices cannot be made here")


def unix_socket(path: Path) -> None:
    path.unlink()
    here = Path.cwd()
    os.chdir(path.parent)  # its path may be longer than an address may be
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


REPLACED: list[Callable[[Path], None]] = [
    link_to_itself_elsewhere,
    link_to_a_secret,
    link_to_a_device,
    fifo,
    device,
    unix_socket,
    folder,
]


@pytest.fixture
def tiny(forged: Forge) -> Path:
    return forged.depot(forge.draft(forge.model({"weights.bin": stores.noise(300)})))


@pytest.mark.parametrize("replace", REPLACED, ids=lambda one: str(one.__name__))
@pytest.mark.parametrize("location", PLACES)
def test_nothing_but_a_regular_file_is_read(
    location: str, replace: Callable[[Path], None], tiny: Path, isolated: Side
) -> None:
    (path,) = tiny.glob(PLACES[location])
    replace(path)

    refusals.expect_refusal(isolated, "verify", tiny, error=CorruptError)
    refusals.expect_refusal(isolated, "import", tiny, error=CorruptError)


@pytest.mark.parametrize(
    ("location", "error"),
    [("manifest", MissingError), ("envelope", CorruptError), ("pack", CorruptError)],
)
def test_a_link_in_a_circle_is_refused(
    location: str, error: type[AirgapError], tiny: Path, isolated: Side
) -> None:
    (path,) = tiny.glob(PLACES[location])
    link_to_itself(path)

    refusals.expect_refusal(isolated, "import", tiny, error=error)


@pytest.mark.parametrize("name", FOLDERS)
def test_no_folder_on_the_way_is_a_link(
    name: str, tiny: Path, isolated: Side, tmp_path: Path
) -> None:
    (path,) = tiny.glob(name)
    shutil.move(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")

    refusals.expect_refusal(isolated, "verify", tiny, error=CorruptError)
    refusals.expect_refusal(isolated, "import", tiny, error=CorruptError)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_where_a_folder_should_be_is_no_bundle(
    name: str, tiny: Path, isolated: Side
) -> None:
    (path,) = tiny.glob(name)
    shutil.rmtree(path)
    path.write_bytes(b"")

    # `bundles` and `packs` have their own names; below them a file is none of the depot's.
    error = MissingError if name == "bundles/*" else CorruptError
    refusals.expect_refusal(isolated, "import", tiny, error=error)


@pytest.mark.parametrize("location", PLACES)
def test_a_file_of_a_tebibyte_is_not_read_to_its_end(
    location: str, tiny: Path, isolated: Side
) -> None:
    (path,) = tiny.glob(PLACES[location])
    try:
        os.truncate(path, 2**40)
    except OSError:
        pytest.skip("no sparse files here")

    refusals.expect_refusal(isolated, "import", tiny, error=CorruptError)


def test_a_single_file_of_a_tebibyte_of_zeros_is_refused(isolated: Side, tmp_path: Path) -> None:
    path = tmp_path / "x.airgap"
    path.touch()
    try:
        os.truncate(path, 2**40)
    except OSError:
        pytest.skip("no sparse files here")

    refusals.expect_refusal(isolated, "import", path, error=CorruptError)


def test_a_folder_of_very_many_names_is_not_listed_to_its_end(
    tiny: Path, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airgap.format.limits.FOLDER_NAMES", 20)
    for number in range(30):
        (tiny / "bundles" / str(number)).touch()

    refusals.expect_refusal(isolated, "import", tiny, error=CorruptError)


def test_more_signatures_than_there_may_be_are_refused(tiny: Path, isolated: Side) -> None:
    (envelope,) = tiny.glob(PLACES["envelope"])
    for number in range(64):
        envelope.with_name(f"builder.{number:064x}.dsse").write_bytes(envelope.read_bytes())

    refusals.expect_refusal(isolated, "import", tiny, error=CorruptError)


@pytest.mark.parametrize("name", ["n" * 300, "n" * 5000, "x/" * 3000])
def test_a_place_with_an_impossible_name_is_refused(name: str, isolated: Side) -> None:
    refusals.expect_refusal(isolated, "import", name, error=StorageError)


class Opens:
    """Counts what is opened by name, and lets a test act after each time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count: Counter[str] = Counter()
        self.after: Callable[[str], None] = lambda _: None
        real = os.open

        def counted(path: str | Path, flags: int, mode: int = 0o777, **kwargs: int | None) -> int:
            descriptor = real(path, flags, mode, **kwargs)
            name = Path(path).name
            self.count[name] += 1
            self.after(name)
            return descriptor

        monkeypatch.setattr(os, "open", counted)


@pytest.mark.parametrize("command", ["verify", "import"])
def test_each_file_of_a_bundle_is_opened_exactly_once(
    command: str, depot: Path, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens = Opens(monkeypatch)

    assert isolated.run(command, depot).code == 0

    files = [path.name for pattern in PLACES.values() for path in depot.glob(pattern)]
    assert len(files) == 4
    assert {name: opens.count[name] for name in files} == dict.fromkeys(files, 1)
    assert opens.count["checksums.txt"] == opens.count["README.txt"] == 0


@pytest.mark.parametrize("location", PLACES)
def test_a_medium_that_changes_between_reads_gains_nothing(
    location: str, tiny: Path, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = tiny.glob(PLACES[location])
    opens = Opens(monkeypatch)

    def swap(name: str) -> None:
        """Put another file there as soon as the right one was opened."""
        if name == path.name:
            opens.after = lambda _: None
            path.unlink()
            path.write_bytes(b"what the attacker wants to be read")

    opens.after = swap

    assert isolated.run("import", tiny).code == 0

    assert path.read_bytes().startswith(b"what the attacker")
    installed = isolated.bentoml / "models/ranker/v1/weights.bin"
    assert installed.read_bytes() == stores.noise(300)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_becomes_a_link_while_it_is_entered_is_not_followed(
    name: str, tiny: Path, isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder,) = tiny.glob(name)
    shutil.copytree(folder, tmp_path / "elsewhere")
    opens = Opens(monkeypatch)

    def swap(opened: str) -> None:
        """Put a link there as soon as the folder above was opened."""
        if opened == folder.parent.name:
            opens.after = lambda _: None
            shutil.rmtree(folder)
            folder.symlink_to(tmp_path / "elsewhere")

    opens.after = swap

    ran = isolated.run("import", tiny, "--json")

    assert folder.is_symlink()
    assert ran.json["error"]["kind"] == "corrupt"
    assert not isolated.bentoml.exists()


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_becomes_a_link_after_it_was_entered_gains_nothing(
    name: str, tiny: Path, isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder,) = tiny.glob(name)
    shutil.copytree(folder, tmp_path / "elsewhere")
    for path in tmp_path.glob("elsewhere/**/*.*"):
        path.write_bytes(b"what the attacker wants to be read")
    opens = Opens(monkeypatch)

    def swap(opened: str) -> None:
        if opened == folder.name:
            opens.after = lambda _: None
            folder.rename(tmp_path / "aside")
            folder.symlink_to(tmp_path / "elsewhere")

    opens.after = swap

    ran = isolated.run("import", tiny, "--json")

    assert folder.is_symlink()
    assert ran.code in (0, 10)
    for installed in isolated.bentoml.rglob("weights.bin"):
        assert installed.read_bytes() == stores.noise(300)


@pytest.mark.parametrize("location", PLACES)
def test_a_medium_that_changes_while_it_is_read_is_refused(
    location: str, tiny: Path, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = tiny.glob(PLACES[location])
    opens = Opens(monkeypatch)

    def overwrite(name: str) -> None:
        if name == path.name:
            raw = bytearray(path.read_bytes())
            raw[len(raw) // 2] ^= 1
            path.write_bytes(raw)

    opens.after = overwrite

    ran = isolated.run("import", tiny, "--json")

    assert ran.json["error"]["kind"] == ("not-trusted" if location == "envelope" else "corrupt")
    assert not isolated.bentoml.exists()


@pytest.mark.parametrize("location", PLACES)
def test_what_was_verified_is_verified_again_when_it_is_imported(
    location: str, tiny: Path, isolated: Side
) -> None:
    assert isolated.run("verify", tiny).code == 0
    (path,) = tiny.glob(PLACES[location])
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)

    ran = isolated.run("import", tiny, "--json")

    assert ran.json["error"]["kind"] == ("not-trusted" if location == "envelope" else "corrupt")
    assert not isolated.bentoml.exists()
