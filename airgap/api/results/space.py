"""How much space a command needs."""

from typing import TypedDict

__all__ = [
    "DiskUsePeakDict",
    "DiskUseStepDict",
]


class DiskUseStepDict(TypedDict):
    """What one step of a command has on a file system."""

    step: str
    """What is done, for people."""
    bytes: int
    """Bytes."""
    at_most: int
    """Bytes that ``bytes``, if it is an estimate, cannot exceed."""


class DiskUsePeakDict(TypedDict):
    """The most that a command has on one file system at a time."""

    folder: str
    """The first folder there that is written to."""
    file_system: str | None
    """Its type, such as ``exfat``; None: the system does not say."""
    device: str | None
    """Such as ``/dev/sdb1``, or what a server exports; None: the system does not say."""
    mount_point: str | None
    """None: the system does not say."""
    free: int | None
    """Bytes that are free; None: the file system does not say."""
    peak: int
    """Bytes."""
    at_most: int
    """Bytes that ``peak``, if it is an estimate, cannot exceed."""
    steps: list[DiskUseStepDict]
    """The bytes of each step."""
