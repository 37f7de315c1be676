"""Pipes that break: a sender that stops halfway, a reader that goes away."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import store_invariants
from tests.support.sides import Side, Site


def test_an_archive_that_is_cut_off_on_standard_input_installs_nothing_and_the_rest_finishes(
    small: Side, archive: Path, isolated: Side
) -> None:
    whole = archive.read_bytes()

    cut = isolated.process("import", "-", stdin=whole[: len(whole) // 2])

    assert cut.returncode == 10, cut.stderr
    assert b"ends too early" in cut.stderr
    assert b"Traceback" not in cut.stderr
    assert store_invariants.items(isolated) == {}
    assert isolated.process("import", "-", stdin=whole).returncode == 0
    assert store_invariants.items(isolated) == store_invariants.items(small)
    assert not store_invariants.left_over(isolated)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_ends_the_export_in_words(
    unbuffered: str, small: Side, site: Site, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    words = ("export", "shop:v1", "-o", "-", "--key", str(site.key()), "--tmpdir", str(spool))
    with subprocess.Popen(
        [sys.executable, "-m", "airgap", *words],
        env={**os.environ, **small.environment, "PYTHONUNBUFFERED": unbuffered},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(100)
        process.stdout.close()
        told = process.stderr.read().decode()

    assert process.returncode == 15, told
    assert "The reader of standard output stopped" in told
    assert "Traceback" not in told
    assert "Exception ignored" not in told
    assert not [*spool.iterdir()]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output_is_told_as_such(small: Side, site: Site) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "airgap", "export", "shop:v1", "-o", "-", "--key", site.key()],
            env={**os.environ, **small.environment},
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=120,
        )

    assert ran.returncode == 15, ran.stderr
    assert b"Standard output: No space left on device" in ran.stderr
    assert b"Traceback" not in ran.stderr
