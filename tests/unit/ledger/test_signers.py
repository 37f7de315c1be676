"""Entries name their signers, and entries without them are read as before (format §17.3)."""

from dataclasses import replace

import pytest

from airgap.errors import CorruptError
from airgap.format import canonical, limits
from airgap.format import ledger as ledger_format
from airgap.format.ledger import Entry, bound_signers

A, B = "aa" * 32, "bb" * 32
ENTRY = Entry("ward", "imported", 9, 5, 1, bytes(32), bytes(32), "nightly", 3)


def test_an_entry_comes_back_with_its_signers() -> None:
    entry = replace(ENTRY, signed_by={"builder": (A, B), "waiver": (A,)})

    assert ledger_format.decode_entry(ledger_format.encode_entry(entry)) == entry


def test_an_entry_of_the_first_format_is_read_and_written_as_it_was() -> None:
    document = canonical.decode(
        ledger_format.encode_entry(ENTRY), limit=limits.LEDGER_ENTRY_BYTES, what="entry"
    )
    del document["signed_by"]
    old = canonical.encode({**document, "format": 1})

    entry = ledger_format.decode_entry(old)

    assert (entry.format, entry.signed_by) == (1, {})
    assert ledger_format.encode_entry(entry) == old


@pytest.mark.parametrize(
    "signed_by",
    [
        pytest.param({"builder": []}, id="a role without keys"),
        pytest.param({"stranger": [bytes(32)]}, id="another role"),
        pytest.param({"builder": [b"\2" * 32, b"\1" * 32]}, id="not sorted"),
        pytest.param({"builder": [bytes(32)] * 2}, id="twice"),
        pytest.param({"builder": [bytes(31)]}, id="too short"),
        pytest.param({"builder": ["aa" * 32]}, id="text"),
        pytest.param({"builder": bytes(32)}, id="not an array"),
        pytest.param({"builder": [n.to_bytes(32, "big") for n in range(65)]}, id="too many"),
        pytest.param([], id="not a map"),
    ],
)
def test_signers_in_any_other_form_are_refused(signed_by: object) -> None:
    document = canonical.decode(
        ledger_format.encode_entry(ENTRY), limit=limits.LEDGER_ENTRY_BYTES, what="entry"
    )
    raw = canonical.encode({**document, "signed_by": signed_by})

    with pytest.raises(CorruptError):
        ledger_format.decode_entry(raw)


def test_an_entry_with_all_that_it_may_have_fits_its_limit() -> None:
    many = [n.to_bytes(32, "big").hex() for n in range(1000)]
    signed_by = bound_signers({"waiver": many, "builder": many[:10]})
    entry = replace(
        ENTRY, site="s" * 63, channel="c" * 63, note="\U0001d11e" * 1000, signed_by=signed_by
    )

    assert (len(signed_by["builder"]), len(signed_by["waiver"])) == (10, 54)
    assert len(ledger_format.encode_entry(entry)) <= limits.LEDGER_ENTRY_BYTES
