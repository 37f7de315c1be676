"""Real file systems for tests, made and mounted here: FAT32, exFAT, ISO 9660, squashfs, tmpfs.

All but tmpfs and squashfs go through FUSE: not every kernel has them.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1024 * 1024


def demand(*programs: str) -> None:
    """Skip the test unless it can mount, with these programs."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    missing = [one for one in programs if shutil.which(one) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def _run(*words: str | Path, why: str = "") -> str:
    """Run a program; skip the test if this machine does not allow what it does."""
    done = subprocess.run(
        list(map(str, words)), capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        pytest.skip(f"{why or words[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


@contextmanager
def fat32(image: Path, folder: Path, size: int = 64 * MIB) -> Iterator[Path]:
    """Mount a FAT32 image, which is made if it is not there."""
    demand("mkfs.vfat", "fusefat")
    if not image.exists():
        _blank(image, size)
        _run("mkfs.vfat", "-F", "32", image)
    with _mounted(folder, "fusefat", "-o", "rw+", image, folder):
        yield folder


@contextmanager
def exfat(image: Path, folder: Path, size: int = 64 * MIB) -> Iterator[Path]:
    """Mount an exFAT image, which is made if it is not there."""
    demand("mkfs.exfat", "mount.exfat-fuse", "losetup")
    if not image.exists():
        _blank(image, size)
        _run("mkfs.exfat", image)
    device = _run("losetup", "-f", "--show", image)
    try:
        with _mounted(folder, "mount.exfat-fuse", device, folder):
            yield folder
    finally:
        subprocess.run(["losetup", "-d", device], check=False, timeout=120)


def master(source: Path, image: Path) -> None:
    """Master a disc as the documentation says."""
    demand("genisoimage")
    _run("genisoimage", "-quiet", "-R", "-J", "-joliet-long", "-o", image, source)


@contextmanager
def iso(image: Path, folder: Path) -> Iterator[Path]:
    """Mount the image of a disc."""
    demand("fuseiso")
    with _mounted(folder, "fuseiso", image, folder):
        yield folder


@contextmanager
def read_only(source: Path, image: Path, folder: Path) -> Iterator[Path]:
    """Mount a copy of a folder on a file system that nobody can write to."""
    demand("mksquashfs", "mount")
    _run("mksquashfs", source, image, "-quiet", "-no-progress")
    with _mounted(folder, "mount", "-t", "squashfs", "-o", "loop,ro", image, folder):
        yield folder


@contextmanager
def tmpfs(folder: Path, size: int, *options: str) -> Iterator[Path]:
    """Mount a small file system in memory; ``noexec`` is an option."""
    demand("mount")
    text = ",".join([f"size={size}", *options])
    words = ("mount", "-t", "tmpfs", "-o", text, "airgap-test", folder)
    with _mounted(folder, *words):
        yield folder


def _blank(image: Path, size: int) -> None:
    image.touch()
    os.truncate(image, size)


@contextmanager
def _mounted(folder: Path, *words: str | Path) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    _run(*words, why=f"this machine does not mount with {words[0]}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=False, timeout=120)
