"""Exports and imports."""

from typing import Literal, NotRequired, TypedDict

from airgap.api.results.bundles import (
    AttestationDict,
    BundleDict,
    ModelSignatureDict,
    RoleSignaturesDict,
    UsedWaiverDict,
)
from airgap.api.results.items import ItemDict, PlannedItemDict
from airgap.api.results.receipts import MadeReceiptDict, WitnessedDict
from airgap.api.results.space import DiskUsePeakDict

__all__ = [
    "ExportDict",
    "ExportPlanDict",
    "ImportDict",
    "ImportedItemDict",
    "PackageDict",
]


class ExportDict(BundleDict):
    """A bundle that was exported."""

    output: str
    """The absolute path or the URL of what was written."""
    packs_written: int
    """How many packs were written."""
    packs_there: int
    """How many packs were there already."""
    bytes_written: int
    """Those of the packs that were written."""
    signed_by: list[str]
    """The ids of the keys that signed."""
    volumes: list[str]
    """The folders of the volumes; empty: it is in one piece."""
    volume_sizes: list[int]
    """The bytes of the packs and parity packs of each volume."""
    survives_loss_of_a_volume: bool
    """Whether any one volume may be lost."""
    dry_run: Literal[False]
    """Always False."""
    disk_use: list[DiskUsePeakDict]
    """The space that was expected to be needed on each file system."""


class ExportPlanDict(TypedDict):
    """What an export would write."""

    dry_run: Literal[True]
    """Always True."""
    items: list[PlannedItemDict]
    """The items that the bundle would hold."""
    size: int
    """The bytes of their files."""
    stored_size: NotRequired[int]
    """The bytes of the packs; absent if that is not known beforehand."""
    estimated: NotRequired[bool]
    """Whether ``stored_size`` is an estimate."""
    output: str
    """The absolute path or the URL that would be written."""
    disk_use: list[DiskUsePeakDict]
    """The space that is needed on each file system."""


class ImportedItemDict(ItemDict):
    """An item, and what became of it."""

    outcome: Literal["installed", "replaced", "already there", "would install", "would replace"]
    """What became of it; the last two with ``dry_run``."""


class PackageDict(TypedDict):
    """The Python packages that an imported Bento names."""

    bento: str
    """Its tag."""
    packages: int
    """How many it names."""
    wheelhouses: list[str]
    """The wheelhouses here that have them."""
    problem: str | None
    """Why that is not known."""


class ImportDict(TypedDict):
    """What became of each item of a bundle, and whose signatures admitted it.

    The fields from ``site`` to ``waiver`` are absent if an archive of stock BentoML was imported
    that nobody has signed.
    """

    bundle: str | None
    """The bundle id; None: it was not signed."""
    signed_by: list[str]
    """The ids of the builders' keys that signed."""
    dry_run: bool
    """Whether nothing was written."""
    items: list[ImportedItemDict]
    """The items that it holds."""
    missing: list[str]
    """Models that a Bento needs and this machine lacks."""
    receipt: MadeReceiptDict | None
    """The receipt, if one was asked for."""
    witnessed: list[WitnessedDict]
    """The checkpoints of ledgers that came with the bundle."""
    packages: list[PackageDict]
    """The Python packages of the Bentos that are installed now."""
    disk_use: list[DiskUsePeakDict]
    """The space that was expected to be needed on each file system."""
    bytes_written: int
    """The bytes of the items that were installed."""
    site: NotRequired[str]
    """The site whose root admits it."""
    root_version: NotRequired[int]
    """The version of that root."""
    threshold: NotRequired[int]
    """How many builders must sign."""
    roles: NotRequired[dict[str, RoleSignaturesDict]]
    """The signatures of each role."""
    attestations: NotRequired[list[AttestationDict]]
    """The attestations that the root demands."""
    channel: NotRequired[str]
    """Its channel."""
    sequence: NotRequired[int]
    """Its number in the channel; 0: none."""
    labels: NotRequired[dict[str, str]]
    """Its labels, by name."""
    last_sequence: NotRequired[int]
    """The highest number of this channel that was imported here before; 0: none."""
    missing_numbers: NotRequired[list[int] | None]
    """The first and the last number of the channel that did not come; None: none is missing."""
    waived: NotRequired[list[str]]
    """The rules that only a waiver let it pass."""
    passed_over: NotRequired[list[str]]
    """Newer bundles of the depot that this machine would not import."""
    waiver: NotRequired[UsedWaiverDict]
    """The waiver, if one was needed."""
    model_signatures: NotRequired[list[ModelSignatureDict]]
    """With ``model_signatures``: the models' own signatures."""
    model_signature_commands: NotRequired[list[str]]
    """With ``model_signatures``: what checks them."""
