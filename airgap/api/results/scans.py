"""Scans of bundles and of installed items."""

from typing import Literal, NotRequired, TypedDict

__all__ = ["ScanDict", "ScannedFileDict", "ScannedItemDict", "ScannerDict"]


class ScannedFileDict(TypedDict):
    """What a file is."""

    path: str
    """The path in the item."""
    sha256: str
    """In hex."""
    size: int
    """In bytes."""
    form: str
    """What the content is: ``safetensors``, ``pickle``."""
    verdict: Literal["inert", "code", "refused"]
    """What the gate and the scanners say of it (format §32.1)."""
    accepted: bool
    """Whether it may be there."""
    reasons: list[str]
    """Why the verdict is not ``inert``."""
    permitted: NotRequired[str]
    """The reason of the permission that covers it."""
    scanners: NotRequired[dict[str, str]]
    """What each scanner said, by its name."""


class ScannedItemDict(TypedDict):
    """An item and its files."""

    item: str
    """``kind name:version``."""
    files: list[ScannedFileDict]
    """In the order of their paths."""


class ScannerDict(TypedDict):
    """A scanner that was asked."""

    name: str
    """Its name in the policy."""
    command: list[str]
    """The program and its options."""
    version: str
    """What it says of its version; empty: nothing."""


class ScanDict(TypedDict):
    """The report of a scan (format §32.5)."""

    format: int
    """1."""
    type: Literal["airgap.scan"]
    """What the report is."""
    airgap: str
    """The version that made it."""
    bundle: str | None
    """The bundle's id; None: of installed items."""
    accepted: bool
    """Whether every file may be there."""
    statement: str
    """One sentence that says no more than was checked."""
    policy: str | None
    """The SHA-256 of the policy file, in hex; None: there was none."""
    scanners: list[ScannerDict]
    """The scanners that were asked."""
    verdicts: dict[str, int]
    """How many files have each verdict."""
    left_out: int
    """How many files are not listed: none."""
    items: list[ScannedItemDict]
    """All items."""
