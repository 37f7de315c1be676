"""A wheel has the documents; on demand, the site and the manual pages as well."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.support.sides import REPOSITORY, unmeasured_environment


def _build(folder: Path, variables: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=REPOSITORY,
        env={**unmeasured_environment(), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _list(folder: Path) -> set[str]:
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        return set(wheel.namelist())


def test_a_plain_wheel_has_the_pages_and_nothing_that_must_be_built(tmp_path: Path) -> None:
    ran = _build(tmp_path, {})

    names = _list(tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert {name for name in names if name.startswith("airgap/documents/")} == {
        f"airgap/documents/{path.name}" for path in REPOSITORY.glob("docs/*.md")
    }
    assert not [name for name in names if "/man1/" in name]


def test_a_wheel_has_the_site_and_the_manual_pages_of_a_folder(tmp_path: Path) -> None:
    documents, wheel = tmp_path / "documents", tmp_path / "wheel"
    for name in ("site/index.html", "site/docs/depot.html", "man/airgap.1"):
        (documents / name).parent.mkdir(parents=True, exist_ok=True)
        (documents / name).write_text(name)

    ran = _build(wheel, {"AIRGAP_WHEEL_DOCUMENTS": os.fspath(documents)})

    names = _list(wheel)
    assert ran.returncode == 0, ran.stderr
    assert "airgap/documents/site/docs/depot.html" in names
    assert [name for name in names if name.endswith(".data/data/share/man/man1/airgap.1")]


def test_a_wheel_without_what_was_asked_for_is_not_built(tmp_path: Path) -> None:
    ran = _build(tmp_path / "wheel", {"AIRGAP_WHEEL_DOCUMENTS": os.fspath(tmp_path)})

    assert ran.returncode != 0
    assert "run `make docs-site man` first" in ran.stderr
    assert not list(tmp_path.glob("wheel/*.whl"))
