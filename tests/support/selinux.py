"""SELinux for tests: its switch, and real labels on a kernel that does not use them.

Such a kernel keeps what root writes into the attribute, and gives nothing to new files.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.disk import labels

ATTRIBUTE = "security.selinux"
LABEL = "system_u:object_r:{}:s0"


def switch_on(patch: pytest.MonkeyPatch, folder: Path, mode: str = "1") -> None:
    """Let this kernel say that SELinux is in use."""
    (folder / "enforce").write_text(mode)
    patch.setattr(labels, "_SELINUX", folder / "enforce")


def demand_labels(folder: Path) -> None:
    """Skip the test unless labels can be written here."""
    if Path("/sys/fs/selinux/enforce").exists():
        pytest.skip("SELinux is in use: labels of tests would be refused")
    try:
        write(folder, "tmp_t")
        os.removexattr(folder, ATTRIBUTE)
    except OSError as error:
        pytest.skip(f"labels cannot be written: {error.strerror}")


def write(path: Path, name: str) -> None:
    """Give a file or a link a label with a type."""
    os.setxattr(path, ATTRIBUTE, f"{LABEL.format(name)}\0".encode(), follow_symlinks=False)


def read(path: Path) -> str:
    """Return the label of a file or a link; empty if it has none."""
    try:
        raw = os.getxattr(path, ATTRIBUTE, follow_symlinks=False)
    except OSError:
        return ""
    return raw.decode().rstrip("\0")


def walk(top: Path) -> Iterator[Path]:
    """Yield a folder, and all that is below."""
    yield top
    yield from top.rglob("*")
