"""The label of a volume: its number in the set (format §19). It is not signed and not trusted."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from airgap.errors import CorruptError
from airgap.format import labels, limits, names
from airgap.format.fields import Fields
from airgap.printable import count_text

__all__ = ["Label", "decode", "encode", "render_text"]

_KEYS = frozenset({"bundle", "count", "format", "number", "packs", "parity"})
_HINT: Final = "Use the number that is written on the medium."


@dataclass(frozen=True, slots=True)
class Label:
    """What a volume claims. ``packs`` and ``parity`` have the counts of each volume of the set.

    ``labels`` are those of the bundle's manifest (format §4.4).
    """

    bundle: str
    number: int
    packs: tuple[int, ...]
    parity: tuple[int, ...]
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """The number of volumes."""
        return len(self.packs)

    def volume_of(self, pack: int) -> int:
        """Return the number of the volume that should hold a pack of the manifest."""
        for number, count in enumerate(self.packs, 1):
            if pack < count:
                return number
            pack -= count
        return self.count

    def fits(self, bundle: str, packs: int) -> bool:
        """Tell whether the label can belong to this bundle, which has ``packs`` packs."""
        return self.bundle == bundle and sum(self.packs) == packs


def encode(label: Label) -> bytes:
    """Encode a label in its one form."""
    value = {
        "bundle": label.bundle,
        "count": label.count,
        "format": 1,
        **({"labels": label.labels} if label.labels else {}),
        "number": label.number,
        "packs": label.packs,
        "parity": label.parity,
    }
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def decode(raw: bytes) -> Label:
    """Decode a label.

    Raises:
        CorruptError: it breaks a rule of format §19.
    """
    try:
        value = json.loads(raw.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise CorruptError("The label of the volume is not ASCII JSON.", _HINT) from error
    has_labels = type(value) is dict and "labels" in value
    fields = Fields(value, _KEYS | {"labels"} if has_labels else _KEYS, "label of the volume")
    fields.expect("format", 1)
    count = fields.integer("count", 1, limits.VOLUMES)
    label = Label(
        fields.text("bundle"),
        fields.integer("number", 1, count),
        _counts(fields.array("packs", count), limits.PACKS),
        _counts(fields.array("parity", count), limits.PARITY_PACKS),
        labels.decode(fields, "labels") if has_labels else {},
    )
    valid = names.is_bundle_id(label.bundle) and len(label.packs) == len(label.parity) == count
    if not valid or encode(label) != raw:
        raise fields.error("is inconsistent, or not in its exact form")
    return label


def render_text(label: Label) -> bytes:
    """Return the text of ``VOLUME.txt``: what the volume is, and how to use it."""
    title = f"Volume {label.number} of {label.count} of an airgap bundle"
    lines = [
        title,
        "=" * len(title),
        "",
        f"bundle {label.bundle}",
        *(f"label {name}: {value}" for name, value in sorted(label.labels.items())),
        (
            f"This volume holds {label.packs[label.number - 1]:,} of"
            f" {count_text(sum(label.packs), 'pack')} and {label.parity[label.number - 1]:,} of"
            f" {count_text(sum(label.parity), 'parity pack')}."
        ),
        "",
        "To install the bundle, give airgap all volumes, in any order, one or several at a time:",
        "",
        "  airgap import THIS_FOLDER [ANOTHER_VOLUME...]",
        "",
        "It keeps what it has verified and tells which volumes it still needs. To check this",
        "volume by itself:",
        "",
        "  airgap verify --partial THIS_FOLDER",
        "",
        "or with standard tools, which find damage but not forgery, in this folder:",
        "",
        f"  sha256sum -c bundles/{label.bundle}/checksums.txt",
        "",
        "This text and the label are not signed; only the bundle's manifest is.",
        "",
    ]
    return "\n".join(lines).encode()


def _counts(values: list[Any], limit: int) -> tuple[int, ...]:
    if any(type(count) is not int or not 0 <= count <= limit for count in values):
        raise CorruptError("The label of the volume has invalid counts.", _HINT)
    return tuple(values)
