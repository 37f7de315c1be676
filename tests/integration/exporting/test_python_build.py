"""`export --python`: a build of Python travels as a folder of files, and is not run here."""

import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from airgap.errors import StorageError, UsageError
from tests.support import python_builds
from tests.support.python_builds import ELF_AARCH64, ELF_X86_64, PLAIN, archive
from tests.support.refusals import expect_refusal
from tests.support.sides import Side, Site


def test_it_arrives_as_it_was(small: Side, isolated: Side, site: Site, tmp_path: Path) -> None:
    """Also if the standard library has what looks like a password: others have published it."""
    file, depot = archive(tmp_path / "python.tar.gz", PLAIN), tmp_path / "depot"
    options = ("-o", depot, "--key", site.key(), "--json")

    first = small.run("export", "shop:v1", "--python", file, *options)
    again = small.run("export", "shop:v1", "--python", file, *options)

    assert first.code == 0, first.err
    assert first.json["bundle"] == again.json["bundle"]
    assert "Python 3.12 for x86_64 travels as python-3.12-x86_64." in first.err
    assert isolated.run("import", depot).code == 0
    (item,) = (isolated.bentoml / "files").glob("*/*")
    assert item.parent.name == "python-3.12-x86_64"
    content = item / "content"
    assert (content / "bin" / "python3.12").read_bytes() == ELF_X86_64
    assert os.access(content / "bin" / "python3.12", os.X_OK)
    assert (content / "bin" / "python3").readlink() == Path("python3.12")
    assert not os.access(content / "lib/python3.12/os.py", os.X_OK)
    assert not (content / "share/terminfo").exists()


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({"bin/python3.13": ELF_AARCH64}, "python-3.13-aarch64"),
        ({"python/install/bin/python3.11": ELF_X86_64}, "python-3.11-x86_64"),
    ],
)
def test_it_is_named_for_its_interpreter(
    members: Mapping[str, bytes], name: str, small: Side, site: Site, tmp_path: Path
) -> None:
    file = archive(tmp_path / "python.tar.gz", {**members, "bin/other": b"x"})

    ran = small.run(
        "export", "shop", "--python", file, "-o", tmp_path / "d", "--key", site.key(), "--json"
    )

    assert ran.code == 0, ran.err
    (found,) = [item["tag"] for item in ran.json["items"] if item["kind"] == "files"]
    assert found.partition(":")[0] == name


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"python/lib/os.py": b""}, "has no bin/python3.N"),
        ({"bin/python3.12": b"#!/bin/sh\n"}, "not a program for Linux"),
        ({"bin/python3.12": ELF_X86_64[:18] + b"\x99\x99"}, "not a program for Linux"),
        ({"bin/python3.12": ELF_X86_64, "bin/python3.13": ELF_X86_64}, "several versions"),
        ({"bin/python3.12": ELF_X86_64, "../evil": b""}, "outside of its folder"),
        ({"bin/python3.12": ELF_X86_64, "/opt/evil": b""}, "outside of its folder"),
        (
            {"bin/python3.12": ELF_X86_64, "lib": f"{python_builds.LINK}/opt", "lib/evil": b""},
            "outside of its folder",
        ),
    ],
)
def test_what_is_not_a_build_is_refused(
    members: Mapping[str, bytes | str], message: str, small: Side, site: Site, tmp_path: Path
) -> None:
    file = archive(tmp_path / "python.tar.gz", members)

    ran = expect_refusal(
        *(small, "export", "shop", "--python", file, "-o", tmp_path / "d", "--key", site.key()),
        error=UsageError,
    )

    assert message in ran.json["error"]["message"]


def test_a_file_that_is_not_an_archive_or_not_there_is_refused(
    small: Side, site: Site, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("text")
    options = ("-o", tmp_path / "d", "--key", site.key())

    for name, error in (("text", UsageError), ("absent", StorageError)):
        expect_refusal(small, "export", "shop", "--python", tmp_path / name, *options, error=error)


def test_a_device_in_the_archive_is_refused(small: Side, site: Site, tmp_path: Path) -> None:
    file = tmp_path / "python.tar"
    with tarfile.open(file, "w") as opened:
        member = tarfile.TarInfo("dev")
        member.type = tarfile.CHRTYPE
        opened.addfile(member)

    ran = expect_refusal(
        *(small, "export", "shop", "--python", file, "-o", tmp_path / "d", "--key", site.key()),
        error=UsageError,
    )

    assert "has a device" in ran.json["error"]["message"]
