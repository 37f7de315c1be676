"""Targets: which wheels fit, and which fits best."""

import platform

import pytest
from packaging import tags

from airgap.errors import UsageError
from airgap.format.wheelhouse import Target
from airgap.wheels import targets
from airgap.wheels.targets import (
    choose_best,
    default_target,
    format_for_uv,
    rank_wheel,
    read_target,
)

GLIBC = read_target("cp311-manylinux_2_28_x86_64")
ARM = read_target("cp311-manylinux_2_28_aarch64")
MUSL = read_target("cp312-musllinux_1_2_aarch64")


@pytest.mark.parametrize(
    "text",
    [
        *("cp311", "cp311-linux_x86_64", "cp27-manylinux_2_28_x86_64", "../cp311", "py3-none-any"),
        *("cp311-manylinux2014_x86_64", "CP311-manylinux_2_28_x86_64"),
        *("cp311-manylinux_2_28_riscv64", "cp37-manylinux_2_28_x86_64"),
        *(
            "cp311-manylinux_2_12_x86_64",
            "cp311-manylinux_3_1_x86_64",
            "cp311-musllinux_1_0_x86_64",
        ),
    ],
)
def test_what_is_not_a_target_is_refused_with_one_that_is(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_target(text)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("target", "spelled"),
    [
        ("cp311-manylinux_2_28_x86_64", "x86_64-manylinux_2_28"),
        ("cp311-manylinux_2_30_aarch64", "aarch64-manylinux_2_28"),
        ("cp313-manylinux_2_50_x86_64", "x86_64-manylinux_2_40"),
        ("cp311-manylinux_2_17_x86_64", "x86_64-manylinux_2_17"),
        ("cp312-musllinux_1_2_aarch64", "aarch64-unknown-linux-musl"),
    ],
)
def test_uv_gets_the_newest_platform_that_the_target_has(target: str, spelled: str) -> None:
    assert format_for_uv(read_target(target)) == spelled


@pytest.mark.parametrize(
    ("target", "file", "fits"),
    [
        (GLIBC, "a-1-cp311-cp311-manylinux_2_28_x86_64.whl", True),
        (GLIBC, "a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
        (GLIBC, "a-1-cp38-abi3-manylinux1_x86_64.whl", True),
        (GLIBC, "a-1-py3-none-manylinux2010_x86_64.whl", True),
        (GLIBC, "a-1-py2.py3-none-any.whl", True),
        (GLIBC, "a-1-cp311-cp311-manylinux_2_31_x86_64.whl", False),
        (GLIBC, "a-1-cp312-cp312-manylinux_2_17_x86_64.whl", False),
        (GLIBC, "a-1-cp312-abi3-manylinux_2_17_x86_64.whl", False),
        (GLIBC, "a-1-cp311-cp311-musllinux_1_1_x86_64.whl", False),
        (GLIBC, "a-1-cp311-cp311-linux_x86_64.whl", False),
        (GLIBC, "a-1-cp311-cp311-win_amd64.whl", False),
        (ARM, "a-1-cp311-cp311-manylinux2014_aarch64.whl", True),
        (ARM, "a-1-cp311-cp311-manylinux2010_aarch64.whl", False),
        (MUSL, "a-1-cp312-cp312-musllinux_1_1_aarch64.whl", True),
        (MUSL, "a-1-cp312-cp312-musllinux_1_3_aarch64.whl", False),
        (MUSL, "a-1-cp312-cp312-manylinux_2_17_aarch64.whl", False),
        (GLIBC, "not a wheel", False),
        (GLIBC, "../a-1-py3-none-any.whl", False),
    ],
)
def test_a_wheel_fits_by_its_tags(target: Target, file: str, fits: bool) -> None:  # noqa: FBT001
    assert (rank_wheel(file, target) is not None) is fits


def test_the_best_wheel_is_the_most_specific_one() -> None:
    files = [
        "a-1-py3-none-any.whl",
        "a-1-cp38-abi3-manylinux_2_28_x86_64.whl",
        "a-1-cp311-cp311-manylinux_2_17_x86_64.whl",
        "a-1-cp311-cp311-manylinux_2_28_x86_64.whl",
        "a-1-cp311-cp311-manylinux_2_34_x86_64.whl",
    ]
    assert choose_best(files, GLIBC) == files[3]
    assert choose_best(files, MUSL) == files[0]
    assert choose_best(files[1:], MUSL) is None


def test_of_equal_wheels_the_last_build_is_the_best() -> None:
    files = [f"a-1-{build}-py3-none-any.whl" for build in (9, 10, "2a")]
    assert choose_best([*files, "a-1-py3-none-any.whl"], GLIBC) == "a-1-10-py3-none-any.whl"


def test_tags_are_those_of_packaging_for_this_machine() -> None:
    here = targets.this_machine()
    assert here is not None
    own = [tag for tag in tags.sys_tags() if not tag.platform.startswith("linux_")]
    assert set(targets._rank_tags(here)) == set(own)
    ranks = targets._rank_tags(here)
    assert sorted(own, key=lambda tag: ranks[tag]) == own


def test_the_default_is_the_python_of_the_bento_on_an_old_glibc(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert str(default_target("3.12", "shop:v1")) == "cp312-manylinux_2_28_aarch64"
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    with pytest.raises(UsageError, match="shop:v1 would run on s390x"):
        default_target("3.12", "shop:v1")


def test_a_bento_that_does_not_say_its_python_needs_a_target() -> None:
    with pytest.raises(UsageError, match="shop:v1 does not say which Python"):
        default_target("", "shop:v1")


def test_only_a_pure_wheel_is_for_any_platform() -> None:
    assert targets.is_for_any_platform("a-1-py3-none-any.whl")
    assert not targets.is_for_any_platform("a-1-cp311-cp311-any.whl")
    assert not targets.is_for_any_platform("a-1-py3-none-linux_x86_64.whl")
    assert not targets.is_for_any_platform("nothing")
