"""What protects an archive in a folder of this machine: advisory, because root can change it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from airgap.disk.os_errors import translate_errors
from airgap.disk.protection import Protection, inspect_protection
from airgap.flow.doctor.finding import Finding, note, ok
from airgap.printable import count_text, series_text, size_text

__all__ = ["check_folder", "report_folder"]

_LOW_SPACE_BYTES: Final = 1_000_000_000
_SHOWN: Final = 3


def check_folder(top: Path) -> Iterator[Finding]:
    """Look at the file system and at every file of an archive.

    Raises:
        StorageError: it cannot be read.
    """
    with translate_errors(top):
        protection = inspect_protection(top)
    yield from report_folder(top, protection, os.geteuid())


def report_folder(top: Path, protection: Protection, user: int) -> Iterator[Finding]:
    """Report what protects the files of a folder; ``user`` is who runs airgap, by id."""
    yield from _report_flags(top, protection)
    if protection.writable_by_others:
        names = series_text([str(path) for path in protection.writable_by_others], _SHOWN)
        yield note(
            "folder",
            f"Other users can write to {count_text(len(protection.writable_by_others), 'file')} or"
            f" folders: {names}.",
            f"Run: chmod -R go-w {top}",
        )
    others = sorted(protection.owners - {user, 0})
    if others:
        yield note(
            "folder",
            f"Files in {top} belong to other users, by id: {', '.join(map(str, others))}.",
            "Their owners can change them: let one account keep the archive.",
        )
    if not protection.read_only and protection.free < _LOW_SPACE_BYTES:
        yield note(
            "folder",
            f"{top} has only {size_text(protection.free)} free.",
            "Records and results of checks need little; new bundles need more.",
        )
    if not protection.writable_by_others and not others:
        yield ok("folder", f"Only their owner can write to the files in {top}.")


def _report_flags(top: Path, protection: Protection) -> Iterator[Finding]:
    if protection.read_only:
        yield ok("folder", f"{top} is mounted read-only: nothing here can change it by mistake.")
        return
    if protection.files and protection.immutable == protection.files:
        yield ok(
            "folder",
            f"All {protection.files:,} files in {top} are immutable (chattr +i), for all but root.",
        )
        return
    yield note(
        "folder",
        f"{top} can be written: {protection.immutable:,} of {protection.files:,} files are"
        " immutable (chattr +i).",
        "A folder locks nothing: a person with root can change it. For a copy that stays,"
        " use a bucket with object lock, or media that are written once. Against mistakes:"
        f" find {top}/packs {top}/bundles {top}/archive -type f -exec chattr +i {{}} +",
    )
