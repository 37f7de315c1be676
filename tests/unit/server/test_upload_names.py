"""Which names may be uploaded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.server.dropbox.upload_names import (
    folder_problem,
    is_passing,
    is_reserved,
    parse_upload_name,
)

PACK = "packs/ab/ab" + "0" * 62 + ".pack"
BUNDLE = "bundles/" + "1" * 64
GOOD = {
    "x.airgap": "archive",
    "some/where/shop-v1.airgap": "archive",
    "SHOP.AIRGAP": "archive",
    PACK: "content-addressed",
    f"team/{PACK}": "content-addressed",
    f"{BUNDLE}/manifest.msgpack": "content-addressed",
    f"{BUNDLE}/builder.{'2' * 64}.dsse": "signature",
    f"{BUNDLE}/approver.{'2' * 64}.attestation": "signature",
    f"{BUNDLE}/scanner.{'2' * 64}.findings": "signature",
    f"{BUNDLE}/builder.1.{'2' * 64}.tsr": "signature",
    f"{BUNDLE}/builder.slsa.{'2' * 64}.intoto.json": "signature",
    f"{BUNDLE}/checksums.txt": "text",
    "README.txt": "text",
    "roots/3.root.msgpack": "signature",
}
BAD = [
    *(
        "",
        ".",
        "..",
        "x",
        "x.zip",
        "x.airgap.exe",
        ".airgap",
        ".AIRGAP",
        ".x.airgap",
        "a/.b/x.airgap",
    ),
    *("../x.airgap", "a/../x.airgap", "/x.airgap", "a//x.airgap", "x.airgap.unfinished"),
    *("con.airgap", "a/nul/x.airgap", "x\0.airgap", "x\n.airgap", "x\x1b[2J.airgap"),
    *("x\u202e.airgap", "x .airgap/", "x:y.airgap", "a\\b.airgap", "x" * 260 + ".airgap"),
    *("d/" * 9 + "x.airgap", "é/x.airgap".replace("é", "e\u0301"), ".part", "x.part"),
    *(".x.airgap.filepart", "a/.in.b/x.airgap", ".in..ssh", ".in.x.airgap.part", ".in./x.airgap"),
    *("x.filepart", "x.1a.partial", ".partial", ".filepart", "x.airgap.partial.part"),
    *("packs/ab/" + "0" * 64 + ".pack", PACK.upper(), f"packs/{PACK[9:]}"),
    *(f"{BUNDLE}/run.sh", "builder.x.dsse", f"bundles/{'1' * 63}/manifest.msgpack"),
]


@pytest.mark.parametrize("path", GOOD)
def test_files_of_bundles_may_be_uploaded(path: str) -> None:
    name = parse_upload_name(path)

    assert name is not None
    assert name.kind == GOOD[path]
    assert not name.is_part
    assert name.stored == f"{path}.unfinished"


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.parametrize(
    "ending", [".part", ".0123456789abcdef.part", ".1a2b3c4d.partial", ".filepart"]
)
def test_parts_of_them_may_be_uploaded(path: str, ending: str) -> None:
    name = parse_upload_name(path + ending)

    assert name is not None
    assert (name.final, name.is_part, name.stored) == (path, True, path + ending)
    assert is_passing(path + ending)
    assert not is_passing(path)


@pytest.mark.parametrize("path", GOOD)
def test_temporary_names_of_lftp_may_be_uploaded(path: str) -> None:
    folder, slash, last = path.rpartition("/")
    name = parse_upload_name(f"{folder}{slash}.in.{last}")

    assert name is not None
    assert (name.final, name.is_part) == (path, True)


@pytest.mark.parametrize("path", BAD)
def test_other_names_may_not_be_uploaded(path: str) -> None:
    assert parse_upload_name(path) is None


@given(st.text())
def test_no_name_leads_out_of_a_home(path: str) -> None:
    name = parse_upload_name(path)
    if name is not None:
        assert ".." not in name.stored.split("/")
        assert not name.stored.startswith("/")
        assert "\0" not in name.stored


def test_folders_have_plain_names() -> None:
    assert folder_problem("team/packs/ab") is None
    assert folder_problem("team/.ssh") == "has a hidden part"
    assert folder_problem("/".join("abcdefghij")) == "is too deep"
    assert folder_problem("aux")
    assert is_reserved("team/x.AIRGAP")
    assert not is_reserved("team/airgap")
