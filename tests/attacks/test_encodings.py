"""Threat model, encodings: a signed manifest in another encoding is refused as corrupt."""

import struct
from collections.abc import Callable
from typing import Any

import pytest

from airgap.errors import CorruptError, PolicyError
from airgap.format import canonical, limits
from tests.support import forge, refusals
from tests.support.forge import Draft, Forge, Pairs, Verbatim
from tests.support.sides import Side

LATIN = Verbatim(b"\xa2\xc3\x28")  # a string that is not UTF-8
SURROGATE = Verbatim(b"\xa3\xed\xa0\x80")


def set_field(**fields: object) -> Callable[[Draft], None]:
    return lambda made: made.manifest.update(fields)


def as_pairs(change: Callable[[list[tuple[Any, Any]]], object]) -> Callable[[Draft], bytes]:
    """Encode the manifest's own map from a changed list of its keys and values."""

    def write(made: Draft) -> bytes:
        pairs: list[tuple[Any, Any]] = sorted(made.manifest.items())
        change(pairs)
        return forge.pack(Pairs(tuple(pairs)))

    return write


def entry_field(**fields: object) -> Callable[[Draft], None]:
    def change(made: Draft) -> None:
        made.entry("weights.bin").update(fields)
        made.digest_items()

    return change


FIELDS = {
    "an integer that is longer than it need be": set_field(sequence=Verbatim(b"\xcd\x00\x07")),
    "an integer in eight bytes": set_field(sequence=Verbatim(b"\xcf" + bytes(7) + b"\x07")),
    "a signed header for a positive integer": set_field(sequence=Verbatim(b"\xd0\x07")),
    "a negative integer": set_field(sequence=Verbatim(b"\xff")),
    "a negative integer of eight bytes": set_field(
        sequence=Verbatim(b"\xd3" + struct.pack(">q", -(2**63)))
    ),
    "an integer above 2^53": set_field(sequence=2**53),
    "the largest integer": set_field(sequence=2**64 - 1),
    "a string with a longer header": set_field(channel=Verbatim(b"\xd9\x07default")),
    "a string with the longest header": set_field(channel=Verbatim(b"\xdb\x00\x00\x00\x07default")),
    "bytes with a longer header": set_field(hash=Verbatim(b"\xda\x00\x06sha256")),
    "an array with a longer header": set_field(audience=Verbatim(b"\xdc\x00\x00")),
    "a map with a longer header": set_field(chunks=Verbatim(b"\xde\x00\x00")),
    "a boolean for an integer": set_field(sequence=True),
    "false for zero": set_field(sequence=False),
    "an integer for a boolean": entry_field(executable=0),
    "nil for an integer": set_field(created_at=None),
    "bytes for a string": set_field(channel=b"default"),
    "a string for bytes": entry_field(digest="0" * 32),
    "an array for a map": set_field(chunks=[]),
    "a map for an array": set_field(audience={}),
    "a number for a string": set_field(tool=1),
    "a NaN": set_field(sequence=Verbatim(b"\xcb" + struct.pack(">d", float("nan")))),
    "a float that is whole": set_field(sequence=Verbatim(b"\xcb" + struct.pack(">d", 7.0))),
    "a short float": set_field(sequence=Verbatim(b"\xca" + struct.pack(">f", 7.0))),
    "an infinite float": set_field(sequence=Verbatim(b"\xca" + struct.pack(">f", float("inf")))),
    "an extension type": set_field(tool=Verbatim(b"\xd4\x05\x00")),
    "an extension of no bytes": set_field(tool=Verbatim(b"\xc7\x00\x05")),
    "a timestamp of 32 bits": set_field(created_at=Verbatim(b"\xd6\xff\x00\x00\x00\x01")),
    "a timestamp of 64 bits": set_field(created_at=Verbatim(b"\xd7\xff" + bytes(8))),
    "a timestamp of 96 bits": set_field(created_at=Verbatim(b"\xc7\x0c\xff" + bytes(12))),
    "a timestamp of a length that there is not": set_field(
        created_at=Verbatim(b"\xd5\xff\x00\x00")
    ),
    "the byte that msgpack never uses": set_field(tool=Verbatim(b"\xc1")),
    "a string that is not UTF-8": set_field(tool=LATIN),
    "a string with a surrogate": set_field(tool=SURROGATE),
    "an overlong UTF-8 form": set_field(tool=Verbatim(b"\xa2\xc0\xaf")),
    "a string that is too long": set_field(tool="x" * 65),
    "a tool that writes to the terminal": set_field(tool="\x1b]0;airgap 9\x07"),
    "a string that declares 4 GiB": set_field(tool=Verbatim(b"\xdb\xff\xff\xff\xff")),
    "bytes that declare 4 GiB": set_field(tool=Verbatim(b"\xc6\xff\xff\xff\xff")),
    "an array that declares 2^32 elements": set_field(audience=Verbatim(b"\xdd\xff\xff\xff\xff")),
    "a map that declares 2^32 elements": set_field(audience=Verbatim(b"\xdf\xff\xff\xff\xff")),
    "an extension that declares 4 GiB": set_field(tool=Verbatim(b"\xc9\xff\xff\xff\xff\x05")),
    "an array that is as large as one may be": set_field(
        audience=Verbatim(b"\xdd" + struct.pack(">I", limits.ENTRIES))
    ),
    "arrays in arrays, 400 deep": set_field(audience=Verbatim(b"\x91" * 400 + b"\xc0")),
    "arrays in arrays, 1,000 deep": set_field(audience=Verbatim(b"\x91" * 1000 + b"\xc0")),
    "arrays in arrays, 100,000 deep": set_field(audience=Verbatim(b"\x91" * 100_000 + b"\xc0")),
    "maps in maps, 1,000 deep": set_field(audience=Verbatim(b"\x81\xa1a" * 1000 + b"\xc0")),
    "huge arrays in huge arrays": set_field(
        audience=Verbatim((b"\xdd" + struct.pack(">I", limits.ENTRIES)) * 1000)
    ),
    "a time after the year 9999": set_field(created_at=limits.TIME + 1),
    "a field that there is not": set_field(extra=1),
    "an entry of an unknown type": entry_field(type="device"),
    "an entry with a field more": entry_field(owner="root"),
    "a file of more than 2^44 bytes": entry_field(size=2**44 + 1),
    "an item of an unknown kind": lambda made: made.manifest["items"][0].update(kind="wheel"),
    "an item that is no map": set_field(items=[1]),
    "an audience that is not sorted": set_field(audience=["ward", "attic"]),
    "an audience twice": set_field(audience=["ward", "ward"]),
    "an audience of numbers": set_field(audience=[1]),
    "a channel that is no name": set_field(channel="../x"),
    "an older format": set_field(format=0),
}

MAPS: dict[str, Callable[[Draft], bytes]] = {
    "a key twice": as_pairs(lambda pairs: pairs.insert(0, pairs[0])),
    "a key twice with another value": as_pairs(
        lambda pairs: pairs.append(("tool", "a tool that nobody looked at"))
    ),
    "keys in the wrong order": as_pairs(lambda pairs: pairs.reverse()),
    "a key that is bytes": as_pairs(lambda pairs: pairs.insert(0, (b"audience", []))),
    "a key that is a number": as_pairs(lambda pairs: pairs.insert(0, (0, []))),
    "a key that is an array": as_pairs(lambda pairs: pairs.insert(0, ([], []))),
    "a key that is nil": as_pairs(lambda pairs: pairs.insert(0, (None, []))),
    "a missing key": as_pairs(lambda pairs: pairs.pop()),
    "something after the end": lambda made: made.raw() + b"\xc0",
    "nothing": lambda _: b"",
    "half": lambda made: made.raw()[: len(made.raw()) // 2],
    "a list": lambda made: forge.pack([made.manifest]),
    "nil": lambda _: b"\xc0",
    "JSON": lambda _: b'{"format": 1}',
}


def good() -> Draft:
    return forge.draft(forge.model({"weights.bin": b"w" * 100}))


def test_what_is_changed_below_is_good_before(forged: Forge, isolated: Side) -> None:
    made = good()
    assert made.raw() == canonical.encode(made.manifest)
    assert isolated.run("verify", forged.depot(made)).code == 0
    assert isolated.run("import", forged.depot(made)).code == 0


@pytest.mark.parametrize("name", FIELDS)
def test_a_signed_manifest_is_refused_for(name: str, forged: Forge, isolated: Side) -> None:
    made = good()
    FIELDS[name](made)

    refusals.expect_refusal(isolated, "import", forged.depot(made), error=CorruptError)


@pytest.mark.parametrize("name", MAPS)
def test_a_signed_manifest_is_refused_when_it_is(name: str, forged: Forge, isolated: Side) -> None:
    made = good()

    depot = forged.depot(MAPS[name](made), made.packs)

    refusals.expect_refusal(isolated, "import", depot, error=CorruptError)


@pytest.mark.parametrize("name", [*FIELDS, *MAPS])
def test_whoever_only_looks_is_refused_as_well(name: str, forged: Forge, isolated: Side) -> None:
    made = good()
    if name in FIELDS:
        FIELDS[name](made)
        depot = forged.depot(made)
    else:
        depot = forged.depot(MAPS[name](made), made.packs)

    refusals.expect_refusal(isolated, "inspect", depot, error=CorruptError)


@pytest.mark.parametrize("field", ["format", "reader"])
def test_a_newer_version_is_refused_by_its_number(
    field: str, forged: Forge, isolated: Side
) -> None:
    made = good()
    made.manifest[field] = 2

    ran = refusals.expect_refusal(isolated, "import", forged.depot(made), error=PolicyError)

    assert "version 2" in ran.json["error"]["message"]


@pytest.mark.parametrize("element", [b"\xc0", b"\x80", b"\x90", b"\xa0"])
def test_many_small_values_stop_at_a_limit(
    element: bytes, monkeypatch: pytest.MonkeyPatch, forged: Forge, isolated: Side
) -> None:
    # An empty map is one byte, and sixty-four when decoded: 128 MiB of them would be 8 GiB. To
    # inspect a bundle needs no signature.
    monkeypatch.setattr(limits, "CONTAINERS", 1000)
    monkeypatch.setattr(limits, "VALUES", 2000)
    rows = forge.pack([Verbatim(b"\xdc\x02\x00" + element * 512)] * 5)
    made = good()
    made.manifest["audience"] = Verbatim(rows)

    ran = refusals.expect_refusal(isolated, "inspect", forged.depot(made), error=CorruptError)

    assert "too many values" in ran.json["error"]["message"]
