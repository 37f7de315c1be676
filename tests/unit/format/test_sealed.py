"""The index and the seal of a sealed bundle (format §34)."""

from dataclasses import replace
from typing import Any

import pytest

from airgap.errors import CorruptError, PolicyError
from airgap.format import canonical, limits
from airgap.format import manifest as manifests
from airgap.format.manifest import Block, Manifest
from airgap.format.seal import SEAL_STEP, Seal, decode_seal, encode_seal, round_up
from tests.support.sealed_readers import make_index

SEAL = Seal(bytes(32), "AGE-SECRET-KEY-1", b"manifest", {f"builder.{'0' * 64}.dsse": b"signed"})


def decode_changed(**fields: object) -> Manifest:
    value = canonical.decode(manifests.encode(make_index()), limit=limits.MIB, what="index")
    return manifests.decode(canonical.encode(value | fields))


def test_an_index_is_read_as_it_was_written() -> None:
    index = make_index()
    decoded = manifests.decode(manifests.encode(index))
    assert decoded.sealed == index.sealed
    assert decoded.reader == 3
    assert [pack.digest for pack in decoded.packs] == [pack.digest for pack in index.packs]


def test_an_index_may_have_longer_packs() -> None:
    manifests.decode(manifests.encode(make_index((limits.SEALED_PACK_BYTES,))))
    with pytest.raises(CorruptError, match="too long"):
        manifests.decode(manifests.encode(make_index((limits.SEALED_PACK_BYTES + 1,))))


@pytest.mark.parametrize(
    "fields",
    [
        {"channel": "secret-project"},
        {"sequence": 1},
        {"expires_at": 1},
        {"labels": {"project": "secret"}},
        {"completes": bytes(32)},
    ],
)
def test_an_index_that_says_more_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(CorruptError, match="is sealed and has items, labels"):
        decode_changed(**fields)


@pytest.mark.parametrize(
    "sealed",
    [
        {},
        {"commitment": bytes(31), "recipients": 1, "seal": b""},
        {"commitment": bytes(32), "recipients": 0, "seal": b""},
        {"commitment": bytes(32), "recipients": 101, "seal": b""},
        {"commitment": bytes(32), "recipients": 1, "seal": ""},
        [],
    ],
)
def test_a_malformed_field_is_refused(sealed: object) -> None:
    with pytest.raises(CorruptError):
        decode_changed(sealed=sealed)


def test_a_reader_of_3_needs_a_seal_and_a_seal_a_reader_of_3() -> None:
    with pytest.raises(CorruptError, match="has 2 in 'reader'"):
        decode_changed(reader=2)
    value = canonical.decode(manifests.encode(make_index()), limit=limits.MIB, what="index")
    del value["sealed"]
    with pytest.raises(PolicyError, match="version 3"):
        manifests.decode(canonical.encode(value))


def test_packs_with_other_blocks_are_refused() -> None:
    index = make_index((2000, 2000))
    for block in (Block(1, 1024, 0, 0, 1), Block(0, 1000, 1, 0, 1), Block(0, 24, 1, 0, 2)):
        pack = replace(index.packs[0], blocks=[block])
        changed = replace(index, packs=(pack, index.packs[1]))
        with pytest.raises(CorruptError):
            manifests.decode(manifests.encode(changed))
    with pytest.raises(CorruptError, match="beyond one for each pack"):
        manifests.decode(manifests.encode(replace(index, packs=index.packs[:1])))


def test_a_seal_is_read_as_it_was_written() -> None:
    plain = encode_seal(SEAL)
    assert len(plain) == SEAL_STEP
    assert decode_seal(plain) == SEAL


def test_sizes_are_rounded_up_to_whole_steps_and_to_one_at_least() -> None:
    assert [round_up(size, 10) for size in (0, 1, 10, 11)] == [10, 10, 10, 20]


def change(plain: bytes, **fields: object) -> bytes:
    end = 4 + int.from_bytes(plain[:4], "big")
    value = canonical.decode(plain[4:end], limit=limits.MIB, what="seal")
    raw = canonical.encode(value | fields)
    return (len(raw).to_bytes(4, "big") + raw).ljust(SEAL_STEP, b"\0")


@pytest.mark.parametrize(
    "fields",
    [
        {"format": 2},
        {"salt": bytes(31)},
        {"epoch": "a" * 5000},
        {"manifest": None},
        {"files": {}},
        {"files": [{"data": b"", "name": "../manifest.msgpack"}]},
        {"files": [{"data": b"", "name": f"builder.{'0' * 64}.dsse"}] * 2},
        {"files": [{"data": "", "name": f"builder.{'0' * 64}.dsse"}]},
        {"more": 1},
    ],
)
def test_a_malformed_seal_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(CorruptError):
        decode_seal(change(encode_seal(SEAL), **fields))


def test_a_seal_with_other_padding_is_refused() -> None:
    plain = encode_seal(SEAL)
    for changed in (plain[:-1], plain + b"\0", plain[:-1] + b"x", b"", b"\xff" * SEAL_STEP):
        with pytest.raises(CorruptError):
            decode_seal(changed)


def test_a_seal_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEAL_BYTES", 100)
    with pytest.raises(CorruptError, match="at most 100"):
        encode_seal(SEAL)
