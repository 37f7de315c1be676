"""Where packages come from: several indexes, a keyring, other platforms, a git repository."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.errors import MissingError, TransportError
from tests.integration.exporting.test_wheelhouses import (
    GLIBC,
    add_bento,
    export,
    installed,
    names,
    no_caches,
)
from tests.support import stores
from tests.support.package_index import PackageIndex, make_wheel, serve
from tests.support.refusals import expect_refusal
from tests.support.sides import Side, Site

__all__ = ["no_caches"]  # a fixture of this module, too

ARM = "cp311-manylinux_2_28_aarch64"
MUSL = "cp311-musllinux_1_2_x86_64"
CPU, CPU_BYTES = make_wheel("bigtorch", "2.7.0+cpu", "cp311-cp311-manylinux_2_28_x86_64")
WHEELS = dict(
    [
        make_wheel("pip", "99.0"),
        make_wheel("bigtorch", "2.7.0", "cp311-cp311-manylinux_2_28_x86_64", ["gpudriver"]),
        make_wheel("gpudriver"),
        make_wheel("secret"),
        make_wheel("tools", "1.0", requires=["helper"]),
        make_wheel("helper"),
        make_wheel(
            "portable",
            requires=[
                'onarm; platform_machine == "aarch64"',
                'onintel; platform_machine == "x86_64" and sys_platform == "linux"',
                'onwindows; os_name == "nt"',
                "native",
            ],
        ),
        make_wheel("onarm"),
        make_wheel("onintel"),
        make_wheel("onwindows"),
        make_wheel("native", "1.0", "cp311-cp311-manylinux_2_17_x86_64"),
        make_wheel("native", "1.0", "cp311-cp311-manylinux_2_17_aarch64"),
        make_wheel("native", "1.0", "cp311-cp311-musllinux_1_1_x86_64"),
        make_wheel("glibconly", "1.7.2", "cp311-cp311-manylinux_2_17_x86_64"),
    ]
)


@pytest.fixture(scope="module")
def index() -> Iterator[PackageIndex]:
    with serve(PackageIndex(WHEELS, private=frozenset({"secret"}))) as served:
        yield served


@pytest.fixture(scope="module")
def cpu_index() -> Iterator[PackageIndex]:
    """An index of one package, as the one for PyTorch without a GPU."""
    with serve(PackageIndex({CPU: CPU_BYTES})) as served:
        yield served


def test_the_first_index_that_has_a_package_decides_its_form(
    connected: Side, site: Site, index: PackageIndex, cpu_index: PackageIndex, tmp_path: Path
) -> None:
    add_bento(connected, "shop:v1", b"bigtorch\n", b"bigtorch==2.7.0\ngpudriver==1.0\n")
    words = ("--target", GLIBC, "--index", f"cpu={cpu_index.url}", "--index", index.url)

    ran = export(connected, site, tmp_path / "depot", "shop:v1", *words)

    assert ran.code == 0, ran.err
    assert names(installed(connected, GLIBC)) == [CPU]
    assert [package.version for package in installed(connected, GLIBC).packages] == ["2.7.0+cpu"]


def test_one_bento_resolves_for_other_processors_and_for_musl(
    connected: Side, site: Site, index: PackageIndex, tmp_path: Path
) -> None:
    lock = b"portable==1.0\nonintel==1.0\nnative==1.0\n"
    add_bento(connected, "shop:v1", b"portable\n", lock, index=index.url)
    targets = [word for target in (GLIBC, ARM, MUSL) for word in ("--target", target)]

    ran = export(connected, site, tmp_path / "depot", "shop:v1", *targets)

    assert ran.code == 0, ran.err
    for target, tag, other in (
        (GLIBC, "manylinux_2_17_x86_64", "onintel"),
        (ARM, "manylinux_2_17_aarch64", "onarm"),
        (MUSL, "musllinux_1_1_x86_64", "onintel"),
    ):
        assert names(installed(connected, target)) == [
            f"native-1.0-cp311-cp311-{tag}.whl",
            f"{other}-1.0-py3-none-any.whl",
            "portable-1.0-py3-none-any.whl",
        ]


def test_a_package_without_a_wheel_for_musl_is_named(
    connected: Side, site: Site, index: PackageIndex, tmp_path: Path
) -> None:
    add_bento(connected, "shop:v1", b"glibconly\n", b"glibconly==1.7.2\n", index=index.url)
    words = ("export", "shop:v1", "--with-env", "--target", MUSL, "--key", site.key())

    ran = expect_refusal(connected, *words, "-o", tmp_path / "depot", error=MissingError)

    assert ran.json["error"]["message"] == f"glibconly 1.7.2 has no wheel for {MUSL}."
    assert "--wheel FILE" in ran.json["error"]["hint"]


def test_a_keyring_gives_the_password_of_an_index(
    connected: Side,
    site: Site,
    index: PackageIndex,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The program `keyring` is a stand-in, which answers as uv and as pip ask it."""
    program = tmp_path / "bin/keyring"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        f'credentials=\'{{"username": "joe", "password": "{index.password}"}}\'\n'
        'case "$*" in\n'
        '"--mode=creds --output=json get "*) echo "$credentials" ;;\n'
        f'"get "*" joe") echo {index.password} ;;\n'
        "*) exit 1 ;;\nesac\n"
    )
    program.chmod(0o755)
    add_bento(connected, "shop:v1", b"secret\n", b"secret==1.0\n")
    words = ("--target", GLIBC, "--index", f"team={index.url}")
    monkeypatch.setenv("UV_INDEX_TEAM_USERNAME", "joe")
    without = ("export", "shop:v1", "--with-env", *words, "--key", site.key(), "-o")
    expect_refusal(connected, *without, tmp_path / "depot", error=TransportError)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    for name in ("PIP_KEYRING_PROVIDER", "UV_KEYRING_PROVIDER"):
        monkeypatch.setenv(name, "subprocess")

    ran = export(connected, site, tmp_path / "depot", "shop:v1", *words)

    assert ran.code == 0, ran.err
    assert names(installed(connected, GLIBC)) == ["secret-1.0-py3-none-any.whl"]
    written = [*connected.top.rglob("*"), *(tmp_path / "depot").rglob("*")]
    secret = index.password.encode()
    assert not [path for path in written if path.is_file() and secret in path.read_bytes()]
    assert index.password not in ran.out + ran.err


def test_a_wheel_stands_for_a_package_from_git(
    connected: Side, site: Site, index: PackageIndex, tmp_path: Path
) -> None:
    asked = b"tools @ git+https://git.example/team/tools@v1\n"
    add_bento(connected, "shop:v1", asked, asked, index=index.url)
    file, data = make_wheel("tools", "1.0", requires=["helper"])
    stores.write_files(tmp_path, {file: data})
    words = ("--target", GLIBC, "--wheel", tmp_path / file)
    without = ("export", "shop:v1", "--with-env", "--key", site.key(), "-o", tmp_path / "depot")

    refused = expect_refusal(connected, *without, error=MissingError)
    ran = export(connected, site, tmp_path / "depot", "shop:v1", *words)

    assert "git+https://git.example/team/tools@v1" in refused.json["error"]["message"]
    assert refused.json["error"]["hint"] == "Build a wheel of it, and pass --wheel FILE."
    assert ran.code == 0, ran.err
    assert names(installed(connected, GLIBC)) == ["helper-1.0-py3-none-any.whl", file]
