"""The file system of a Debian with Python and nothing else, made from Debian's packages.

``AIRGAP_TEST_BASE`` names a tar that has it; else mmdebstrap makes one, which takes half a minute.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

PROGRAMS: Final = ("mmdebstrap", "tar")
SECONDS: Final = 600
MEMORY: Final = Path("/dev/shm")  # noqa: S108  (in memory: dpkg syncs each file, and tests need not)


def why_not() -> str:
    """Say what this host lacks for it; empty if it lacks nothing."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    return (
        f"needs root, and: {' '.join(missing) or 'nothing else'}" if missing or os.geteuid() else ""
    )


def make_tar(folder: Path) -> Path:
    """Make a tar of Debian's smallest set of packages, and python3."""
    prepared = Path(os.environ.get("AIRGAP_TEST_BASE", folder / "base.tar"))
    if not prepared.exists():
        subprocess.run(
            ["mmdebstrap", "--variant=minbase", "--include=python3", "bookworm", prepared],
            env={**os.environ, **({"TMPDIR": str(MEMORY)} if MEMORY.is_dir() else {})},
            check=True,
            capture_output=True,
            timeout=SECONDS,
        )
    return prepared


def unpack(base: Path, root: Path) -> Path:
    """Unpack it into a folder, which is made."""
    root.mkdir()
    subprocess.run(["tar", "-C", root, "-xf", base], check=True, timeout=SECONDS)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")  # as runtimes of containers do
    return root
