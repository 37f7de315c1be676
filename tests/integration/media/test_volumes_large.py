"""Volumes of a model of more than a gigabyte: memory, and a kill in the middle of a volume."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from airgap.errors import CorruptError, MissingError
from tests.support import stores, volumes
from tests.support.sides import Side, Site
from tests.support.volumes import Discs

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
MEASURED = """
import atexit, sys
from airgap.cli.main import main
lines = lambda: [one for one in open("/proc/self/status") if one.startswith("VmHWM")]
atexit.register(lambda: sys.stderr.write(lines()[0]))  # what getrusage says is the parent's, too
main(sys.argv[1:])
"""
MOST = 300 * 10**6
"""Bytes of memory that a process may have at its peak."""


@pytest.fixture(scope="module")
def pressed(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Discs:
    """Seven volumes with 10 % of parity, exported in bounded memory."""
    side = Side(tmp_path_factory.mktemp("sender"))
    folder = stores.add_model(side, "large:v1", {})
    with (folder / "weights.bin").open("wb") as file:
        noise = random.Random(20260102)  # noqa: S311
        for _ in range(1400):
            file.write(noise.randbytes(MIB))
    output = tmp_path_factory.mktemp("pressed")
    words = ("export", "--model", "large:v1", "--key", site.key())
    options = ("-o", output, "--volume-size", "280M", "--parity", "10%")
    code, memory, err = measured(side, *words, *options)
    assert code == 0, err
    assert memory < MOST, err
    return volumes.found(output)


def measured(side: Side, *words: str | Path) -> tuple[int, int, str]:
    """Run a command; return its exit code, the bytes of memory it had at its peak, and errors."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, words)],
        env={**os.environ, **side.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=600,
    )
    err, _, peak = done.stderr.rpartition("VmHWM:")
    return done.returncode, int(peak.split()[0]) * 1024, err


def test_seven_volumes_of_which_one_is_damaged_are_imported_in_bounded_memory(
    pressed: Discs, isolated: Side
) -> None:
    order = list(pressed.folders)
    assert len(order) == 7
    random.Random(20260102).shuffle(order)  # noqa: S311
    bad = pressed.packs(4)[1]
    whole = bad.read_bytes()
    volumes.scratch(bad)
    try:
        codes = []
        for folder in [*order, *order]:
            code, memory, err = measured(isolated, "import", folder)
            assert memory < MOST, f"{memory} bytes; {err}"
            codes.append(code)
            if code == 0:
                break
    finally:
        bad.write_bytes(whole)

    assert codes.count(CorruptError.exit_code) == 1
    assert codes.count(MissingError.exit_code) == len(codes) - 2
    assert codes[-1] == 0
    assert volumes.installed(isolated) == ["large:v1"]


def test_a_kill_in_the_middle_of_a_volume_is_made_good_by_the_next_run(
    pressed: Discs, isolated: Side
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "airgap", "import", *map(str, pressed.folders[:3])],
        env={**os.environ, **isolated.environment},
        stderr=subprocess.DEVNULL,
    )
    staged = isolated.bentoml / ".airgap"
    while process.poll() is None and not list(staged.rglob("weights.bin")):
        pass
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL

    code, memory, err = measured(isolated, "import", *pressed.folders)

    assert code == 0, err
    assert memory < MOST, err
