"""Archives with many small bundles, signed by a site's builder, without an export for each."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support import forge
from tests.support.recorded_site import RecordedSite
from tests.support.stores import noise

__all__ = [
    "PACK_BYTES",
    "find_packs",
    "flip",
    "kill_after",
    "list_files",
    "pack_of",
    "write_archive",
]

PACK_BYTES = 3000


def list_files(
    site: RecordedSite, bundles: int, shared: int = 0, size: int = PACK_BYTES
) -> dict[str, bytes]:
    """Return the files of an archive: each bundle has one pack.

    The first bundle and ``shared`` more need the same one.
    """
    signer, files = forge.load_signer(site.key("bob")), dict[str, bytes]()
    for number in range(bundles):
        content = 0 if number <= shared else number
        item = forge.model({"w.bin": noise(size, content)}, f"ranker:v{content}")
        made = forge.draft(item, tool=f"t{number}")
        raw = made.raw()
        files |= forge.members(raw, forge.sign(raw, signer), made.packs)
    return files


def write_archive(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write an archive into a folder."""
    return forge.write_depot(folder, files.items())


def find_packs(folder: Path) -> list[Path]:
    """Return the packs of an archive, sorted by their digests."""
    return sorted(folder.glob("packs/*/*.pack"), key=lambda path: path.name)


def flip(path: Path) -> bytes:
    """Change a byte in the middle of a file; return what it was."""
    data = path.read_bytes()
    at = len(data) // 2
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    return data


def pack_of(path: Path) -> bytes:
    """Return the digest in the name of a pack."""
    return bytes.fromhex(path.name.removesuffix(".pack"))


KILLED = """
import os, signal, sys
from airgap.cli import main
from airgap.state.check_runs import CheckRun

add, left = CheckRun.add, [int(sys.argv.pop(1))]

def add_and_die(self, pack):
    add(self, pack)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)

CheckRun.add = add_and_die
main.main(sys.argv[1:])
"""


def kill_after(
    site: RecordedSite, packs: int, *words: str | Path, variables: Mapping[str, str] | None = None
) -> None:
    """Run a command that is killed as it has read so many packs."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(packs), *map(str, words)],
        env={**os.environ, **site.environment, **(variables or {})},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
