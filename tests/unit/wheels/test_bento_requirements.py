"""What a Bento says of its packages, in both of BentoML's layouts."""

from pathlib import Path

import pytest

from airgap.errors import MissingError
from airgap.wheels.bento_requirements import (
    BentoRequirements,
    read_folder,
    read_requirements,
    refuse_unsupported,
)
from tests.support.stores import write_files

LOCAL = "src/wheels/inhouse-1.2-py3-none-any.whl"
OWN = "env/python/wheels/inhouse-1.2-py3-none-any.whl"
ASKED = b"scikit-learn\n./wheels/inhouse-1.2-py3-none-any.whl\nbentoml==1.4.40\n"
ALL = b"""\
--index-url https://pypi.org/simple

bentoml==1.4.40
./wheels/inhouse-1.2-py3-none-any.whl
numpy==2.4.6
scikit-learn==1.9.1
"""


def read(files: dict[str, bytes], *paths: str, python: str = "") -> BentoRequirements:
    return read_requirements(
        {f"env/python/{name}": content for name, content in files.items()}, paths, python
    )


def test_a_bento_with_an_image_has_its_lock_in_requirements_txt() -> None:
    found = read(
        {"requirements.in": ASKED, "requirements.txt": ALL}, LOCAL, "src/a.py", python="3.11"
    )
    assert (found.python, found.locked, found.count) == ("3.11", True, 4)
    assert [package.name for package in found.asked] == ["scikit-learn", "inhouse", "bentoml"]
    assert str(found.packages[2].position) == "line 5 of env/python/requirements.txt"
    assert found.wheels == (LOCAL,)
    assert found.options.index == "https://pypi.org/simple"


def test_a_local_wheel_that_nothing_names_is_not_installed() -> None:
    found = read({"requirements.in": b"numpy\n", "requirements.txt": b"numpy==1\n"}, LOCAL)
    assert (found.wheels, found.count) == ((), 1)


@pytest.mark.parametrize("asked", [b"numpy>=2\nbentoml==1.4.40\n", b"bentoml==1.4.40\n"])
def test_a_bento_that_was_built_without_a_lock_says_so(asked: bytes) -> None:
    assert not read({"requirements.in": asked, "requirements.txt": asked}).locked


def test_the_older_layout_has_a_lock_of_its_own_and_installs_all_local_wheels() -> None:
    found = read(
        {
            "requirements.txt": b"numpy\nbentoml==1.4.40\n",
            "requirements.lock.txt": b"bentoml==1.4.40\nnumpy==2.4.6\n",
            "version.txt": b"3.12.7",
            "install.sh": b"set -e\nPIP_ARGS=(--extra-index-url 'https://a.example/s' --pre)\n",
        },
        OWN,
        "env/python/wheels/notes.txt",
        python="3.11",
    )
    assert (found.python, found.locked, found.count) == ("3.12", True, 3)
    assert [package.name for package in found.asked] == ["numpy", "bentoml"]
    assert found.wheels == (OWN,)
    assert found.options.extra == ("https://a.example/s",)
    assert found.options.prereleases


def test_the_older_layout_without_a_lock_is_not_locked() -> None:
    found = read({"requirements.txt": b"numpy\n", "version.txt": b"3.11.7"})
    assert (found.locked, found.count) == (False, 1)


def test_a_local_wheel_that_is_not_there_cannot_be_locked() -> None:
    found = read({"requirements.in": ASKED, "requirements.txt": ALL})
    with pytest.raises(MissingError) as refused:
        refuse_unsupported(found, "shop:v1")
    assert refused.value.message == (
        "'./wheels/inhouse-1.2-py3-none-any.whl', line 4 of env/python/requirements.txt in shop:v1,"
        " is a file that the Bento lacks."
    )
    refuse_unsupported(found, "shop:v1", given={"inhouse"})


def test_a_repository_is_refused_unless_its_wheel_is_given() -> None:
    lock = b"bentoml==1.4.40\ntools @ git+https://github.com/a/tools\n-e ./x\n"
    found = read({"requirements.in": b"tools\n", "requirements.txt": lock})
    assert found.count == 3
    with pytest.raises(MissingError) as refused:
        refuse_unsupported(found, "shop:v1")
    assert len(refused.value.details) == 2
    with pytest.raises(MissingError, match="editable"):
        refuse_unsupported(found, "shop:v1", given={"tools"})


@pytest.mark.parametrize("python", ["", "2.7", "3", "3.x", "../3.11", "3.1111"])
def test_what_is_not_a_version_of_python_is_none(python: str) -> None:
    assert read({}, python=python).python == ""


def test_a_bento_without_requirements_needs_nothing() -> None:
    found = read({})
    assert (found.count, found.packages, found.unsupported) == (0, (), ())


def test_a_folder_is_read(tmp_path: Path) -> None:
    files = {"env/python/requirements.in": ASKED, "env/python/requirements.txt": ALL, LOCAL: b""}
    write_files(tmp_path, {**files, "src/service.py": b""})
    assert read_folder(tmp_path, "3.11").wheels == (LOCAL,)
    assert read_folder(tmp_path / "none") == read_requirements({}, [])
