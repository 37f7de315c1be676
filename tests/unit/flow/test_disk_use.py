"""What is said beforehand of the file systems that a command writes to."""

from pathlib import Path

import pytest

from airgap.disk.mounts import Mount
from airgap.flow.disk_use import Peak, note_peaks
from airgap.flow.progress import Silent


class Notes(Silent):
    """Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def list_notes(folder: str, mounted_at: str | None) -> list[str]:
    mount = Mount(1, "8:1", mounted_at, "ext4", "/dev/sda1") if mounted_at else None
    notes = Notes()
    note_peaks([Peak(Path(folder), 10**9, {"writing packs": (5, 5)}, mount)], notes)
    return notes.texts[1:]


def test_a_stick_that_is_not_mounted_is_noted() -> None:
    assert list_notes("/media/usb/depot", "/") == [
        "NOTE: no medium is mounted at /media/usb/depot; it lies on the file system of /."
    ]


@pytest.mark.parametrize(
    ("folder", "mounted_at"),
    [
        ("/media/usb/depot", "/media/usb"),
        ("/mnt/depot", "/mnt"),
        ("/run/media/op/STICK/depot", "/run/media/op/STICK"),
        ("/srv/depot", "/"),
        ("/media/usb/depot", None),
    ],
)
def test_what_is_mounted_or_is_no_medium_is_not_noted(folder: str, mounted_at: str | None) -> None:
    assert list_notes(folder, mounted_at) == []
