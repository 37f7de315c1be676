"""Names of time stamps, their chains, and the index of digests (format §33)."""

import hashlib

import pytest

from airgap.errors import CorruptError
from airgap.format import layout, limits, tar
from airgap.format.attachment import parse_attachment_file
from airgap.format.stamp_files import (
    IndexLine,
    certificate_file,
    encode_index,
    find_chain,
    find_stamped,
    index_file,
    is_index_file,
    parse_certificate_file,
    parse_index,
    stamp_file,
)

KEY = "0a" * 32
BUNDLE = "0b" * 32
ENVELOPE = f"builder.{KEY}.dsse"


@pytest.mark.parametrize(
    ("stamped", "name"),
    [
        (ENVELOPE, f"builder.2.{KEY}.tsr"),
        (f"approver.abcdefghijk.{KEY}.dsse", f"approver.abcdefghijk.2.{KEY}.tsr"),
        (index_file(1, BUNDLE), f"index1.2.{BUNDLE}.tsr"),
    ],
)
def test_a_stamp_lies_beside_what_it_is_over(stamped: str, name: str) -> None:
    assert stamp_file(stamped, 2) == name
    assert parse_attachment_file(stamp_file(stamped, limits.STAMPS)) == "tsr"
    assert tar.parse_header(tar.make_header(f"bundles/{BUNDLE}/{stamp_file(stamped, 64)}", 1))
    assert layout.parse_envelope_file(stamped) or is_index_file(stamped)


def test_a_stamp_over_a_checkpoint_has_its_name() -> None:
    assert stamp_file("ledger.checkpoint", 1) == "ledger.checkpoint.1.tsr"


def test_a_certificate_is_named_by_its_digest() -> None:
    digest = hashlib.sha256(b"certificate").digest()

    assert parse_attachment_file(certificate_file(digest)) == "pem"
    assert parse_certificate_file(certificate_file(digest)) == digest
    assert parse_certificate_file(f"other.{KEY}.pem") is None


def test_a_chain_ends_before_the_number_that_is_missing() -> None:
    files = {stamp_file(ENVELOPE, number): b"stamp %d" % number for number in (1, 2, 4)}

    found = find_chain(ENVELOPE, b"envelope", files)

    assert [data for _, data in found.chain] == [b"stamp 1", b"stamp 2"]
    assert found.is_broken
    assert (found.last, found.next_file) == (b"stamp 2", stamp_file(ENVELOPE, 3))


def test_envelopes_and_indexes_are_stamped_and_nothing_else() -> None:
    index = index_file(1, BUNDLE)
    signed = {ENVELOPE: b"e", f"scanner.{KEY}.dsse": b"s", f"scanner.{KEY}.attestation": b"a"}
    attached = {index: b"i", f"x.{KEY}.findings": b"f", stamp_file(index, 1): b"t"}

    stamped = find_stamped(signed, attached)

    assert [one.file for one in stamped] == [ENVELOPE, index, f"scanner.{KEY}.dsse"]
    assert [len(one.chain) for one in stamped] == [0, 1, 0]
    assert stamped[0].last == b"e"


def line(name: str, data: bytes = b"x") -> IndexLine:
    digests = hashlib.sha512(data).digest(), hashlib.sha256(data).digest()
    return IndexLine(name, *digests, len(data))


def test_an_index_is_read_as_it_was_made() -> None:
    lines = [line("packs/0a/pack"), line("bundles/0b/manifest.msgpack", b"")]

    data = encode_index(iter(lines))

    assert parse_index(data, "index") == (lines[1], lines[0])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        encode_index(iter([line("b")])) + b"\n",
        encode_index(iter([line("b")])).rstrip(),
        encode_index(iter([line("b")])) + encode_index(iter([line("a")])),
        encode_index(iter([line("b")])).replace(b" 1 ", b" 01 "),
        encode_index(iter([line("b")])).upper(),
        b"\xff",
    ],
)
def test_another_form_of_an_index_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptError, match="is not an index"):
        parse_index(data, "index")
