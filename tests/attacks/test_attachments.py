"""Threat model: attachments are never trusted, and no defect of one does harm (format §24)."""

from pathlib import Path

import pytest

from airgap.format import limits, tar
from airgap.format.root import Root
from airgap.signing.trust import Verified
from tests.support import forge
from tests.support.forge import Forge
from tests.support.sides import Side

KEY = "0a" * 32
FILE = f"scanner.{KEY}.findings"


@pytest.fixture
def depot(forged: Forge) -> Path:
    return forged.depot(forge.draft(forge.model({"w.bin": b"w" * 99})))


def folder_of(depot: Path) -> Path:
    (folder,) = (depot / "bundles").iterdir()
    return folder


def attachments(side: Side, location: Path) -> list[str]:
    return [row["file"] for row in side.run("inspect", location, "--json").json["attachments"]]


def test_one_that_cannot_be_read_is_passed_over(
    depot: Path, root: Verified[Root], isolated: Side, tmp_path: Path
) -> None:
    folder = folder_of(depot)
    (tmp_path / "secret").write_bytes(forge.SECRET)
    (folder / FILE).symlink_to(tmp_path / "secret")
    (folder / f"a.{KEY}.findings").mkdir()
    (folder / f"b.{KEY}.findings").write_bytes(b"")
    (folder / f"c.{KEY}.tsr").write_bytes(bytes(limits.TIME_STAMP_BYTES + 1))
    (folder / f"d.{KEY}.tsr").write_bytes(b"a stamp")

    assert forge.verify_in_process(depot, root) > 0
    assert attachments(isolated, depot) == [f"d.{KEY}.tsr"]


def test_of_too_many_the_first_are_carried(
    depot: Path, root: Verified[Root], isolated: Side, tmp_path: Path
) -> None:
    for number in range(100):
        (folder_of(depot) / f"n{number:02}.{KEY}.tsr").write_bytes(b"t")

    assert forge.verify_in_process(depot, root) > 0
    copy = tmp_path / "copy.airgap"
    assert isolated.run("copy", depot, copy).code == 0
    assert attachments(isolated, copy) == [f"n{number:02}.{KEY}.tsr" for number in range(64)]


def test_what_is_attached_does_not_speak_for_the_bundle(depot: Path, isolated: Side) -> None:
    (folder_of(depot) / FILE).write_bytes(b"\x1b[2Jaccepted")

    ran = isolated.run("import", depot, "--json")

    assert ran.code == 0, ran.err
    assert FILE not in ran.out
    assert not list(isolated.top.rglob("*.findings"))


def padded(forged: Forge, path: Path, padding: bytes) -> Path:
    """Write the bundle as a file with this padding."""
    made = forge.draft(forge.model({"w.bin": b"w" * 99}))
    raw = made.raw()
    first, *rest = forge.members(raw, forge.sign(raw, forged.signer), made.packs)
    path.write_bytes(forge.tar([first, rest[0], ("padding", padding), *rest[1:]]))
    return path


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("good", [FILE]),
        ("no zeros", [FILE]),
        ("twice", [FILE]),
        ("what a crash left", [FILE]),
        ("garbage first", [FILE]),
        ("another bundle's", []),
        ("another file's name", []),
        ("too long", []),
        ("beyond the end", []),
        ("not followed by zeros", []),
        ("empty", []),
        ("a broken header", []),
    ],
)
def test_padding_that_lies_gives_no_attachment_and_harms_nobody(
    case: str,
    expected: list[str],
    depot: Path,
    forged: Forge,
    root: Verified[Root],
    isolated: Side,
    tmp_path: Path,
) -> None:
    name = f"bundles/{folder_of(depot).name}/{FILE}"
    good, zeros = forge.member(name, b"{}"), bytes(1024)
    padding = {
        "good": zeros + good,
        "no zeros": good,
        "twice": zeros + good + forge.member(name, b"another"),
        "garbage first": b"x" + bytes(511) + good,
        "what a crash left": zeros + b"data without a header".ljust(512, b"\0") + good,
        "another bundle's": zeros + forge.member(f"bundles/{'0' * 64}/{FILE}", b"{}"),
        "another file's name": zeros + forge.member(f"bundles/{folder_of(depot).name}/x", b"{}"),
        "too long": zeros + forge.header(name, limits.FINDINGS_BYTES + 1) + bytes(2 * 2**24),
        "beyond the end": zeros + forge.header(name, 513) + b"x" * 512,
        "not followed by zeros": zeros + good[:-1] + b"x",
        "empty": zeros + forge.member(name, b""),
        "a broken header": zeros + good[:200] + b"x" + good[201:],
    }[case]
    path = padded(forged, tmp_path / "padded.airgap", padding)

    assert forge.verify_in_process(path, root) > 0
    assert attachments(isolated, path) == expected
    assert isolated.run("copy", path, tmp_path / "copy").code == 0
    assert attachments(isolated, tmp_path / "copy") == expected
    assert len(padding) % tar.BLOCK == 0
