"""Which names may be uploaded, and how much."""

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.server.dropbox.upload_names import (
    Delivered,
    OpenUploads,
    Quota,
    Receiving,
    folder_problem,
    parse,
)

PACK = "packs/ab/ab" + "0" * 62 + ".pack"
BUNDLE = "bundles/" + "1" * 64
GOOD = {
    "x.airgap": "archive",
    "some/where/shop-v1.airgap": "archive",
    PACK: "named by content",
    f"team/{PACK}": "named by content",
    f"{BUNDLE}/manifest.msgpack": "named by content",
    f"{BUNDLE}/builder.{'2' * 64}.dsse": "signature",
    f"{BUNDLE}/approver.{'2' * 64}.attestation": "signature",
    f"{BUNDLE}/checksums.txt": "text",
    "README.txt": "text",
    "roots/3.root.msgpack": "signature",
}
BAD = [
    *("", ".", "..", "x", "x.zip", "x.airgap.exe", ".airgap", ".x.airgap", "a/.b/x.airgap"),
    *("../x.airgap", "a/../x.airgap", "/x.airgap", "a//x.airgap", "x.airgap.unfinished"),
    *("con.airgap", "a/nul/x.airgap", "x\0.airgap", "x\n.airgap", "x\x1b[2J.airgap"),
    *("x\u202e.airgap", "x .airgap/", "x:y.airgap", "a\\b.airgap", "x" * 260 + ".airgap"),
    *("d/" * 9 + "x.airgap", "é/x.airgap".replace("é", "e\u0301"), ".part", "x.part"),
    *("packs/ab/" + "0" * 64 + ".pack", PACK.upper(), f"packs/{PACK[9:]}"),
    *(f"{BUNDLE}/run.sh", "builder.x.dsse", f"bundles/{'1' * 63}/manifest.msgpack"),
]


@pytest.mark.parametrize("path", GOOD)
def test_what_a_bundle_is_made_of_may_be_uploaded(path: str) -> None:
    name = parse(path)

    assert name is not None
    assert name.kind == GOOD[path]
    assert not name.is_part
    assert name.stored == f"{path}.unfinished"


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.parametrize("ending", [".part", ".0123456789abcdef.part"])
def test_its_parts_may_too(path: str, ending: str) -> None:
    name = parse(path + ending)

    assert name is not None
    assert (name.final, name.is_part, name.stored) == (path, True, path + ending)


@pytest.mark.parametrize("path", BAD)
def test_nothing_else_may(path: str) -> None:
    assert parse(path) is None


@given(st.text())
def test_no_name_leads_out_of_a_home(path: str) -> None:
    name = parse(path)
    if name is not None:
        assert ".." not in name.stored.split("/")
        assert not name.stored.startswith("/")
        assert "\0" not in name.stored


def test_folders_have_plain_names() -> None:
    assert folder_problem("team/packs/ab") is None
    assert folder_problem("team/.ssh") == "has a hidden part"
    assert folder_problem("/".join("abcdefghij")) == "is too deep"
    assert folder_problem("aux")


def _full(work: object, *arguments: int) -> None:
    with pytest.raises(OSError, match="Quota") as told:
        work(*arguments)  # type: ignore[operator]
    assert told.value.errno == errno.EDQUOT


def test_a_quota_is_exact_to_the_byte() -> None:
    meter = Quota(100, 2)
    meter.grow(99, 1)
    _full(meter.grow, 2)
    meter.grow(1, 1)
    _full(meter.grow, 0, 1)

    assert meter.used == (100, 2)
    assert not meter.has_room()


def test_what_is_measured_replaces_what_was_counted(tmp_path: Path) -> None:
    meter = Quota(100, 10)
    meter.grow(60, 3)
    (tmp_path / "file").write_bytes(bytes(7))
    (tmp_path / "again").hardlink_to(tmp_path / "file")

    meter.measure([tmp_path])

    assert meter.used == (7, 2)


def test_what_grows_while_it_is_measured_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = Quota(100, 10)

    def slow(_: object) -> tuple[int, int]:
        meter.grow(5, 1)
        return 10, 1

    monkeypatch.setattr("airgap.server.dropbox.upload_names.usage", slow)
    meter.measure([tmp_path])

    assert meter.used == (15, 2)


def test_a_measurement_while_something_shrinks_is_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = Quota(100, 10)
    meter.grow(50, 5)

    def shrinking(_: object) -> tuple[int, int]:
        meter.grow(-10, -1)
        return 0, 0

    monkeypatch.setattr("airgap.server.dropbox.upload_names.usage", shrinking)
    meter.measure([tmp_path])

    assert meter.used == (40, 4)


def test_writing_over_what_is_there_does_not_count(tmp_path: Path) -> None:
    meter, desk, path = Quota(10, 1), OpenUploads(), tmp_path / "file"
    path.write_bytes(bytes(8))
    assert desk.begin(str(path))
    assert not desk.begin(str(path))
    with path.open("r+b", buffering=0) as stream:
        file = Receiving(str(path), stream, meter, desk)
        file.write(bytes(8))
        assert meter.used == (0, 0)
        file.seek(6)
        file.write(bytes(12))
        _full(file.write, b"x")  # type: ignore[arg-type]
        file.close()

    assert meter.used == (10, 0)
    assert path.stat().st_size == 18
    assert not desk.is_open(path)


def test_only_so_many_deliveries_are_remembered() -> None:
    delivered = Delivered()
    for number in range(10_001):
        delivered.add(f"{number}", number)

    assert delivered.size("0") is None
    assert delivered.size("10000") == 10_000
