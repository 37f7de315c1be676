"""Whether this host lets programs run from a folder: mounts with ``noexec``, and fapolicyd."""

import os
import shlex
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from airgap.errors import StorageError

__all__ = ["has_fapolicyd", "is_noexec", "list_trust_commands", "refuse_noexec"]

_NOEXEC: Final = getattr(os, "ST_NOEXEC", 0)  # Linux has it
_PROCESSES: Final = Path("/proc")
_PID: Final = Path("/run/fapolicyd.pid")
_FIFO: Final = Path("/run/fapolicyd/fapolicyd.fifo")
_NAME: Final = "fapolicyd"
_TRUST_FILE: Final = "airgap"


def is_noexec(folder: Path) -> bool:
    """Tell whether a folder, or the nearest one above that exists, is mounted ``noexec``.

    From there the kernel starts no program, and maps no library.
    """
    with suppress(OSError):
        existing = next(above for above in (folder, *folder.parents) if above.exists())
        return bool(os.statvfs(existing).f_flag & _NOEXEC)
    return False


def refuse_noexec(folder: Path, hint: str) -> None:
    """Refuse a folder that programs shall run from.

    Raises:
        StorageError: it is mounted ``noexec``.
    """
    if is_noexec(folder):
        raise StorageError(
            f"{folder} is on a file system that is mounted noexec: no program can be started from"
            " there.",
            hint,
        )


def has_fapolicyd() -> bool:
    """Tell whether fapolicyd runs here.

    Where other users' processes are hidden, its FIFO tells, which it removes when it ends.
    """
    with suppress(OSError, ValueError):
        name = _PROCESSES / str(int(_PID.read_text())) / "comm"
        return name.read_text().strip() == _NAME
    return _FIFO.is_fifo()


def list_trust_commands(folders: Iterable[Path]) -> list[str]:
    """Return the commands with which root lets fapolicyd trust all files in folders."""
    quoted = (shlex.quote(f"{folder}/") for folder in folders)
    add = [f"fapolicyd-cli --file add {folder} --trust-file {_TRUST_FILE}" for folder in quoted]
    return [*add, "fapolicyd-cli --update"]
