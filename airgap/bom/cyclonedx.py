"""A bill of materials in CycloneDX 1.6 or 1.7, as JSON (format §30.1).

The same bundle gives the same bytes: nothing in a bill is from a clock or random.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from airgap.bom.bill import Bill, BilledItem
from airgap.bom.components import (
    dataset_ref,
    describe_dataset,
    describe_item,
    describe_wheels,
    make_properties,
    wheel_ref,
)
from airgap.format.kinds import BENTO, IMAGE, WHEELHOUSE
from airgap.format.wheelhouse import requirements_digest
from airgap.times import format_time
from airgap.version import __version__

__all__ = ["FORMATS", "SpecVersion", "encode_bill", "make_serial_number", "write_bill"]

SpecVersion = Literal["1.6", "1.7"]
FORMATS: Final[Mapping[str, SpecVersion]] = {"cyclonedx-1.6": "1.6", "cyclonedx-1.7": "1.7"}
_BUNDLE: Final = "airgap:bundle"


def write_bill(bill: Bill, version: SpecVersion, *, with_files: bool = True) -> dict[str, Any]:
    """Describe a bundle, or installed items; without files if it would be too long."""
    main = _find_main(bill)
    others = [billed for billed in bill.items if billed is not main]
    wheels = describe_wheels(bill.items)
    datasets = sorted({name for billed in bill.items for name in billed.facts.card.datasets})
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{version}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": version,
        "serialNumber": make_serial_number(bill),
        "version": 1,
        "metadata": _describe_metadata(bill, main, with_files=with_files),
        "components": [
            *(describe_item(billed, with_files=with_files) for billed in others),
            *wheels.values(),
            *map(describe_dataset, datasets),
        ],
        "dependencies": _list_dependencies(bill, main, wheels, datasets),
        "compositions": _list_compositions(bill, wheels, with_files=with_files),
    }


def encode_bill(document: Mapping[str, Any]) -> bytes:
    """Write a bill in ASCII, so that no text in it can do anything to a terminal."""
    return json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False).encode() + b"\n"


def make_serial_number(bill: Bill) -> str:
    """Return a UUID of version 8 that follows from the bundle id, or from the items' digests."""
    if bill.bundle:
        digest = bytes.fromhex(bill.bundle)
    else:
        digest = hashlib.sha256(b"".join(sorted(b.item.digest for b in bill.items))).digest()
    number = int.from_bytes(digest[:16])
    number = number & ~(0xF << 76) | 8 << 76
    text = f"{number & ~(0b11 << 62) | 0b10 << 62:032x}"
    parts = text[:8], text[8:12], text[12:16], text[16:20], text[20:]
    return f"urn:uuid:{'-'.join(parts)}"


def _find_main(bill: Bill) -> BilledItem | None:
    """Return the only Bento: then the bill is about it. None: it is about a bundle."""
    bentos = [billed for billed in bill.items if billed.item.kind == BENTO.name]
    return bentos[0] if len(bentos) == 1 else None


def _describe_metadata(bill: Bill, main: BilledItem | None, *, with_files: bool) -> dict[str, Any]:
    pairs = [("airgap:bundle", bill.bundle), ("airgap:channel", bill.channel)]
    pairs += [("airgap:sequence", str(bill.sequence or ""))]
    pairs += [("airgap:audience", site) for site in bill.audience]
    pairs += [(f"airgap:label:{name}", value) for name, value in sorted(bill.labels.items())]
    component = (
        describe_item(main, with_files=with_files)
        if main
        else {
            "type": "data",
            "bom-ref": _BUNDLE,
            "name": "bundle" if bill.bundle else "installed items",
            **({"version": bill.bundle} if bill.bundle else {}),
        }
    )
    return {
        "timestamp": format_time(bill.created_at),
        "lifecycles": [{"phase": "post-build"}],
        "tools": {
            "components": [{"type": "application", "name": "airgap", "version": __version__}]
        },
        "component": component,
        "properties": make_properties((name, value) for name, value in pairs if value),
    }


def _list_dependencies(
    bill: Bill,
    main: BilledItem | None,
    wheels: Mapping[str, Any],
    datasets: Sequence[str],
) -> list[dict[str, Any]]:
    """Say what depends on what; a component without dependencies says that too."""
    refs = {billed.ref for billed in bill.items}
    needs: dict[str, list[str]] = {}
    if main is None:
        needs[_BUNDLE] = [billed.ref for billed in bill.items]
    for billed in bill.items:
        needs[billed.ref] = sorted(
            set(_list_needs(billed, bill)) & {*refs, *wheels, *map(dataset_ref, datasets)}
        )
    needs |= {ref: [] for ref in (*wheels, *map(dataset_ref, datasets))}
    return [
        {"ref": ref, "dependsOn": others} if others else {"ref": ref}
        for ref, others in needs.items()
    ]


def _list_needs(billed: BilledItem, bill: Bill) -> list[str]:
    """Return the refs of what an item needs; some may not be in the bill."""
    facts = billed.facts
    if billed.item.kind == WHEELHOUSE.name:
        return [wheel_ref(package) for package in billed.packages]
    needs = [f"{model.kind}:{model.name}:{model.version}" for model in facts.references or ()]
    needs += map(dataset_ref, facts.card.datasets)
    return needs + [house.ref for house in _find_wheelhouses(billed, bill)]


def _find_wheelhouses(billed: BilledItem, bill: Bill) -> list[BilledItem]:
    """Return the wheelhouses with a Bento's packages (format §26)."""
    if billed.item.kind != BENTO.name:
        return []
    wanted = requirements_digest(billed.item.files)
    return [
        other
        for other in bill.items
        if other.facts.lock and other.facts.lock.requirements == wanted
    ]


def _list_compositions(
    bill: Bill, wheels: Mapping[str, Any], *, with_files: bool
) -> list[dict[str, Any]]:
    """Say what the bill has all of, and what it does not have or cannot know."""
    files = [billed.ref for billed in bill.items if billed.item.kind != IMAGE.name]
    images = [billed.ref for billed in bill.items if billed.item.kind == IMAGE.name]
    bentos = [billed for billed in bill.items if billed.item.kind == BENTO.name]
    with_packages = [
        b.ref for b in bentos if _find_wheelhouses(b, bill) and b.facts.references is not None
    ]
    compositions: list[dict[str, Any]] = [
        {"aggregate": "complete" if with_files else "incomplete", "assemblies": files},
        # The packages of an operating system in an image, and what a package holds, are not listed.
        {"aggregate": "incomplete", "assemblies": [*images, *wheels]},
        # Packages of the system, and without a wheelhouse those of Python.
        {
            "aggregate": "incomplete",
            "dependencies": [b.ref for b in bentos if b.ref not in with_packages],
        },
        {"aggregate": "incomplete_third_party_only", "dependencies": with_packages},
        # What a model was trained with is what its card says.
        {
            "aggregate": "unknown",
            "dependencies": [
                *(b.ref for b in bill.items if b not in bentos and b.item.kind != WHEELHOUSE.name),
                *wheels,
            ],
        },
    ]
    return [
        composition
        for composition in compositions
        if composition.get("assemblies") or composition.get("dependencies")
    ]
