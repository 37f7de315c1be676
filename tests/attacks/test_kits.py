"""Threat model: nothing of a kit is installed, or run, before it is what the builders signed."""

import hashlib
import importlib.util
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Any

import pytest

from airgap.flow.kit import install as installer
from airgap.flow.kit import wheelhouses
from airgap.version import __version__
from tests.support import kits, sides
from tests.support.package_index import PackageIndex, serve
from tests.support.sides import Side, Site

RAN = "open({!r}, 'w').write('ran')\n"


def pack_with(kit: Path, text: bytes) -> Path:
    """The pack in which a text is stored."""
    return next(path for path in sorted(kit.rglob("*.pack")) if text in path.read_bytes())


def replace(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    assert len(old) == len(new)
    path.write_bytes(data.replace(old, new))


def change_wheel(kit: Path, mark: Path) -> None:
    del mark
    replace(pack_with(kit, b"small-1.0.dist-info"), b"small-1.0.dist-info", b"smalk-1.0.dist-info")


def change_pip(kit: Path, mark: Path) -> None:
    pack = pack_with(kit, b'print("pip runs"')
    code = RAN.format(str(mark)).encode()
    raw = pack.read_bytes()
    start = raw.index(b"import pathlib")
    pack.write_bytes(raw[:start] + code + raw[start + len(code) :])


def change_lock(kit: Path, mark: Path) -> None:
    del mark
    replace(pack_with(kit, b"lock-version"), b'name = "small"', b'name = "evil0"')


def change_requirements(kit: Path, mark: Path) -> None:
    del mark
    pack = pack_with(kit, b"small==1.0 --hash=sha256:")
    replace(pack, b"small==1.0 --hash=sha256:", b"small==9.0 --hash=sha256:")


def remove_pack(kit: Path, mark: Path) -> None:
    del mark
    pack_with(kit, b"small-1.0.dist-info").unlink()


def change_manifest(kit: Path, mark: Path) -> None:
    del mark
    (manifest,) = kit.glob("bundles/*/manifest.msgpack")
    replace(manifest, b"small-1.0", b"small-2.0")


def remove_signature(kit: Path, mark: Path) -> None:
    del mark
    for path in kit.glob("bundles/*/builder.*.dsse"):
        path.unlink()


def change_verifier(kit: Path, mark: Path) -> None:
    text = (kit / "verify.py").read_text()
    (kit / "verify.py").write_text(RAN.format(str(mark)) + text)


def change_curves(kit: Path, mark: Path) -> None:
    text = (kit / "curves.py").read_text()
    (kit / "curves.py").write_text(RAN.format(str(mark)) + text)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (change_wheel, 10),
        (change_pip, 10),
        (change_lock, 10),
        (change_requirements, 10),
        (remove_pack, 13),
        (change_manifest, 10),
        (remove_signature, 11),
        (change_verifier, 10),
        (change_curves, 10),
    ],
)
def test_a_kit_that_was_changed_is_refused(
    change: Callable[[Path, Path], None], code: int, kit: Path, site: Site, tmp_path: Path
) -> None:
    mark = tmp_path / "m"
    change(kit, mark)
    path = str(tmp_path) if change is change_curves else ""  # they are read without openssl

    done = kits.install(kit, site.fingerprint, tmp_path / "airgap", path=path)

    assert done.returncode == code, done.stdout + done.stderr
    assert done.stderr.startswith("install.py: ")
    assert "  -> " in done.stderr
    assert not mark.exists()
    assert not (tmp_path / "airgap").exists()


def test_code_that_lies_beside_is_not_run(kit: Path, site: Site, tmp_path: Path) -> None:
    """Python looks for modules beside a program first, and for their compiled forms."""
    mark = tmp_path / "ran"
    for name in ("json", "re", "hashlib", "argparse", "venv", "sitecustomize", "encodings"):
        (kit / f"{name}.py").write_text(RAN.format(str(mark)))
    compiled = Path(importlib.util.cache_from_source(str(kit / "verify.py")))
    compiled.parent.mkdir()
    (kit / "evil.py").write_text(RAN.format(str(mark)))
    py_compile.compile(
        str(kit / "evil.py"), str(compiled), invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
    )

    done = kits.install(kit, site.fingerprint, tmp_path / "airgap")

    assert done.returncode == 0, done.stderr
    assert not mark.exists()


def test_the_second_verifier_runs_no_code_that_lies_beside(
    kit: Path, site: Site, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    for name in ("re", "struct", "tempfile"):
        (kit / f"{name}.py").write_text(RAN.format(str(mark)))

    done = subprocess.run(
        [
            *(sys.executable, kit / "verify.py", kit, "--root", site.root),
            *("--fingerprint", site.fingerprint),
        ],
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout
    assert not mark.exists()


def test_the_root_and_the_kit_of_another_site_are_refused(
    kit: Path, site: Site, tmp_path: Path
) -> None:
    other = sides.make_site(tmp_path / "other")

    theirs = kits.install(kit, other.fingerprint, tmp_path / "airgap")
    named = kits.install(kit, site.fingerprint, tmp_path / "airgap", "--root", other.root)
    signed = kits.install(kit, other.fingerprint, tmp_path / "airgap", "--root", other.root)

    assert [done.returncode for done in (theirs, named, signed)] == [11, 11, 11]
    assert "too few builders" in signed.stderr
    assert not (tmp_path / "airgap").exists()


def test_a_kit_beside_another_is_not_chosen_for_a_person(
    kit: Path, connected: Side, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older kit, of the same builder, is good as well: the bundle's id tells which is meant."""
    (mine,) = (path.parent.name for path in kit.glob("bundles/*/manifest.msgpack"))
    wheel = kits.own_wheel(tmp_path, __version__)
    made = PackageIndex({**kits.make_index().files, wheel.name: wheel.read_bytes()})
    monkeypatch.setattr(wheelhouses, "write_own_wheel", lambda _: None)  # as if it came from there
    with serve(made) as index:
        ran = kits.make(connected, site, index, tmp_path / "old")
    assert ran.code == 0, ran.err
    shutil.copytree(tmp_path / "old", kit, dirs_exist_ok=True)

    unnamed = kits.install(kit, site.fingerprint, tmp_path / "airgap")
    named = kits.install(kit, site.fingerprint, tmp_path / "airgap", "--bundle", mine)

    assert unnamed.returncode == 2
    assert "--bundle ID" in unnamed.stderr
    assert named.returncode == 0, named.stderr
    assert f"ACCEPTED {mine}" in named.stdout


def test_names_that_a_terminal_would_obey_are_escaped(kit: Path, tmp_path: Path) -> None:
    (kit / "roots" / "1\x1b[2J\n.root.msgpack").write_bytes(b"x")

    done = kits.install(kit, f"SHA256:{'0' * 64}", tmp_path / "airgap")

    assert done.returncode == 11
    assert "\x1b" not in done.stderr
    assert "1\\x1b[2J\\n.root.msgpack differs in 16 of 16 groups." in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_a_medium_that_changes_between_reads_gains_nothing(tmp_path: Path) -> None:
    content = b"wheel"
    entry = {"path": "wheels/x.whl", "chunks": [0], "digest": hashlib.sha256(content).digest()}
    manifest = {"chunks": {"lengths": [len(content)]}}
    packs = [(bytes(32), len(content), [(0, 0, len(content), range(1))])]

    def read(_name: str, _size: int) -> bytes:
        return b"WHEEL"

    with pytest.raises(installer.Failure, match="changed while it was read") as refused:
        installer.write_files(read, manifest, packs, {"entries": [entry]}, tmp_path)

    assert refused.value.code == 10


def test_only_wheels_and_their_list_are_written(tmp_path: Path) -> None:
    """The paths of a manifest are checked by verify.py; an installer needs few of them."""
    entries: list[dict[str, Any]] = [
        {"path": path, "chunks": [], "digest": b""}
        for path in ("../x", "wheels/../../x.whl", "/etc/x", "pylock.toml", "bin/python")
    ]

    installer.write_files(
        lambda _name, _size: b"", {"chunks": {"lengths": []}}, [], {"entries": entries}, tmp_path
    )

    assert list(tmp_path.iterdir()) == []
