"""The label of a volume: which of how many it is (format §19). Never signed, never trusted."""

import json
from dataclasses import dataclass
from typing import Any, Final

from airgap.errors import CorruptError
from airgap.format import limits, names
from airgap.format.fields import Fields

__all__ = ["Label", "decode", "encode", "render_text"]

_KEYS = frozenset({"bundle", "count", "format", "number", "packs", "parity"})
_HINT: Final = "Go by what is written on the medium."


@dataclass(frozen=True, slots=True)
class Label:
    """What a volume says of itself. ``packs`` and ``parity`` count what each volume holds."""

    bundle: str
    number: int
    packs: tuple[int, ...]
    parity: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many volumes there are."""
        return len(self.packs)

    def volume_of(self, pack: int) -> int:
        """Return the number of the volume that should hold a pack of the manifest."""
        for number, held in enumerate(self.packs, 1):
            if pack < held:
                return number
            pack -= held
        return self.count

    def fits(self, bundle: str, packs: int) -> bool:
        """Tell whether the label can be one of this bundle's, which has so many packs."""
        return self.bundle == bundle and sum(self.packs) == packs


def encode(label: Label) -> bytes:
    """Encode a label in its one form."""
    value = {
        "bundle": label.bundle,
        "count": label.count,
        "format": 1,
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
        raise CorruptError(
            "The label is not ASCII JSON.", "Go by what is written on it."
        ) from error
    fields = Fields(value, _KEYS, "label of the volume")
    fields.expect("format", 1)
    count = fields.integer("count", 1, limits.VOLUMES)
    label = Label(
        fields.text("bundle"),
        fields.integer("number", 1, count),
        _counts(fields.array("packs", count), limits.PACKS),
        _counts(fields.array("parity", count), limits.PARITY_PACKS),
    )
    whole = names.is_bundle_id(label.bundle) and len(label.packs) == len(label.parity) == count
    if not whole or encode(label) != raw:
        raise fields.error("does not fit together, or is not in its one form")
    return label


def render_text(label: Label) -> bytes:
    """Say for people what a volume is, and what to do with it."""
    title = f"Volume {label.number} of {label.count} of an airgap bundle"
    lines = [
        title,
        "=" * len(title),
        "",
        f"bundle {label.bundle}",
        (
            f"This volume holds {label.packs[label.number - 1]} of {sum(label.packs)} packs"
            f" and {label.parity[label.number - 1]} of {sum(label.parity)} parity packs."
        ),
        "",
        "To install the bundle, give airgap each volume, in any order, one or several at a time:",
        "",
        "  airgap import THIS_FOLDER [ANOTHER_VOLUME...]",
        "",
        "It keeps what it has verified and says which volumes it still needs. To see whether this",
        "volume alone has survived the way:",
        "",
        "  airgap verify --partial THIS_FOLDER",
        "",
        "or with stock tools, for damage but not forgery, from this folder:",
        "",
        f"  sha256sum -c bundles/{label.bundle}/checksums.txt",
        "",
        "This text and the label are not signed. What is in the bundle, its signed manifest says.",
        "",
    ]
    return "\n".join(lines).encode()


def _counts(values: list[Any], limit: int) -> tuple[int, ...]:
    if any(type(one) is not int or not 0 <= one <= limit for one in values):
        raise CorruptError("The label counts wrongly.", _HINT)
    return tuple(values)
