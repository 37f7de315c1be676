"""The lock of a wheelhouse: one form, which others read as well (format §26)."""

import tomllib
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.errors import CorruptError
from airgap.format.wheelhouse import (
    BuiltPackage,
    LockedPackage,
    Target,
    Tool,
    Wheelhouse,
    decode,
    encode,
    format_requirements,
    is_wheel_of,
    parse_target,
)

DIGESTS = st.binary(min_size=32, max_size=32)
SIZES = st.integers(0, 2**44)
NAMES = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,2}", fullmatch=True)
VERSIONS = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}(\+[a-z0-9]{1,4})?", fullmatch=True)
TARGETS = st.builds(
    Target,
    st.integers(8, 30),
    st.sampled_from(["manylinux", "musllinux"]),
    st.tuples(st.integers(1, 2), st.integers(0, 60)),
    st.sampled_from(["x86_64", "aarch64"]),
)


def _make_package(name: str, version: str) -> LockedPackage:
    file = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    return LockedPackage(name, version, file, len(file), sha256(file.encode()).digest())


@st.composite
def wheelhouses(draw: st.DrawFn) -> Wheelhouse:
    names = sorted(draw(st.sets(NAMES, min_size=1, max_size=6)))
    packages = tuple(draw(st.builds(_make_package, st.just(name), VERSIONS)) for name in names)
    tool = Tool("pip-26.3-py3-none-any.whl", draw(SIZES), draw(DIGESTS))
    built = draw(st.sets(st.sampled_from(packages), max_size=2))
    return Wheelhouse(
        *(draw(TARGETS), draw(DIGESTS), packages, draw(st.sampled_from([(), (tool,)]))),
        tuple(
            BuiltPackage(package.name, package.version, draw(DIGESTS))
            for package in sorted(built, key=lambda package: package.name)
        ),
        tuple(sorted(draw(st.sets(st.sampled_from(["a.example", "b.example", "::1"]))))),
        draw(st.booleans()),
    )


@settings(max_examples=100, deadline=None)
@given(wheelhouses())
def test_what_is_written_is_read_as_it_was(wheelhouse: Wheelhouse) -> None:
    raw = encode(wheelhouse)
    assert decode(raw) == wheelhouse
    assert encode(decode(raw)) == raw


@settings(max_examples=30, deadline=None)
@given(wheelhouses())
def test_other_tools_read_the_lock(wheelhouse: Wheelhouse) -> None:
    pylock = pytest.importorskip("packaging.pylock")
    read = pylock.Pylock.from_dict(tomllib.loads(encode(wheelhouse).decode()))
    assert [package.name for package in read.packages] == [
        package.name for package in wheelhouse.packages
    ]
    assert [package.wheels[0].hashes["sha256"] for package in read.packages] == [
        package.sha256.hex() for package in wheelhouse.packages
    ]


@settings(max_examples=30, deadline=None)
@given(wheelhouses())
def test_there_is_one_line_and_one_hash_for_each_package(wheelhouse: Wheelhouse) -> None:
    lines = format_requirements(wheelhouse).decode().splitlines()
    assert lines == [
        f"{package.name}=={package.version} --hash=sha256:{package.sha256.hex()}"
        for package in wheelhouse.packages
    ]


@settings(max_examples=50, deadline=None)
@given(TARGETS)
def test_a_target_is_read_as_it_is_written(target: Target) -> None:
    assert parse_target(str(target)) == target


@pytest.mark.parametrize(
    "file", ["a-1-py3-none-any.whl", "A-1-1-py3-none-any.whl", "a-1+x-cp3-cp3-linux_x86_64.whl"]
)
def test_a_file_name_is_that_of_a_wheel(file: str) -> None:
    assert is_wheel_of(file, "a")


@pytest.mark.parametrize(
    "file",
    [
        *("", "..", "a.whl", "a-1.whl", "../a-1-py3-none-any.whl", "a-1-py3-none-any.zip"),
        *("b-1-py3-none-any.whl", "a/-1-py3-none-any.whl", "a-1-py3-none-any.whl\n"),
        "a-" + "1" * 250 + "-py3-none-any.whl",
    ],
)
def test_a_file_name_is_not_that_of_a_wheel(file: str) -> None:
    assert not is_wheel_of(file, "a")


@pytest.mark.parametrize("kind", ["packages", "built", "indexes"])
def test_nothing_stands_there_twice(kind: str) -> None:
    package = LockedPackage("a", "1", "a-1-py3-none-any.whl", 1, bytes(32))
    target = Target(11, "manylinux", (2, 28), "x86_64")
    twice = {
        "packages": ((package, package), (), ()),
        "built": ((package,), (BuiltPackage("a", "1", bytes(32)),) * 2, ()),
        "indexes": ((package,), (), ("x.example", "x.example")),
    }[kind]
    packages, built, indexes = twice
    raw = encode(Wheelhouse(target, bytes(32), packages, (), built, indexes))
    with pytest.raises(CorruptError):
        decode(raw)
