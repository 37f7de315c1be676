"""What commands do not import: slow packages would be most of their time (bench/startup.py)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import signers, stores
from tests.support.sides import Side

MODULES_OF = """
import atexit, sys
atexit.register(lambda: print(*sys.modules, sep="\\n", file=sys.stderr))
from airgap.cli.main import main
main(sys.argv[1:])
"""
SLOW = {"bentoml", "numpy", "paramiko", "boto3", "huggingface_hub", "rich", "asyncio"}


def modules_of(side: Side, *words: str | Path) -> set[str]:
    """Run a command in a process of its own; return the names of all modules it imported."""
    done = subprocess.run(
        [sys.executable, "-c", MODULES_OF, *map(str, words)],
        env={**os.environ, **side.environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("words", [["--help"], ["verify", "--help"], ["export", "--help"]])
def test_help_imports_nothing_that_is_slow(words: list[str], connected: Side) -> None:
    modules = modules_of(connected, *words)

    assert "airgap.cli.main" in modules
    assert not modules & (SLOW | {"cryptography", "yaml", "msgpack", "zstandard"})


@pytest.mark.parametrize("command", ["verify", "import"])
def test_the_isolated_side_imports_no_bentoml(command: str, archive: Path, isolated: Side) -> None:
    modules = modules_of(isolated, command, archive, "--json")

    assert "airgap.flow.importing.use_case" in modules
    assert ("airgap.flow.importing.install_bundle" in modules) is (command == "import")
    assert not modules & (SLOW | {"tarfile", "airgap.carrier.remote_archive"})


def test_an_export_loads_only_what_it_needs(connected: Side, tmp_path: Path) -> None:
    """Half of the time of an export of what did not change is the program's own start."""
    stores.add_model(connected, "m:v1", {"weights.bin": b"1234"})
    signers.write_key(tmp_path, "bob")
    key, depot = tmp_path / "bob.key", tmp_path / "depot"

    modules = modules_of(connected, "export", "--model", "m:v1", "-o", depot, "--key", key)

    assert "airgap.flow.exporting.pack" in modules
    unused = {"wheels.collect", "oci.skopeo", "bom.bill", "bom.policy", "flow.exporting.images"}
    assert not modules & {f"airgap.{name}" for name in unused}
