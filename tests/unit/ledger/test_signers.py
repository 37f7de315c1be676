"""What an entry says, strictly; entries of older formats are read as before (format §17.3)."""

from dataclasses import replace

import pytest

from airgap.errors import CorruptError
from airgap.format import canonical, limits
from airgap.format import ledger as ledger_format
from airgap.format.ledger import Entry, Replaced, Who, bound_signers

A, B = "aa" * 32, "bb" * 32
ENTRY = Entry("ward", "imported", 9, 5, 1, bytes(32), bytes(32), "nightly", 3)


def test_an_entry_comes_back_with_its_signers() -> None:
    entry = replace(ENTRY, signed_by={"builder": (A, B), "waiver": (A,)})

    assert ledger_format.decode_entry(ledger_format.encode_entry(entry)) == entry


LATER = {1: {"signed_by", "documents", "replaces", "who"}, 2: {"documents", "replaces", "who"}}


def change(**changes: object) -> bytes:
    """Return an entry of the newest format with other fields."""
    document = canonical.decode(
        ledger_format.encode_entry(ENTRY), limit=limits.LEDGER_ENTRY_BYTES, what="entry"
    )
    return canonical.encode({**document, **changes})


def make_old(version: int, **changes: object) -> bytes:
    """Return an entry of an older format."""
    document = canonical.decode(change(**changes), limit=limits.LEDGER_ENTRY_BYTES, what="entry")
    return canonical.encode(
        {name: value for name, value in document.items() if name not in LATER[version]}
        | {"format": version}
    )


@pytest.mark.parametrize("version", [1, 2])
def test_an_entry_of_an_older_format_is_read_and_written_as_it_was(version: int) -> None:
    old = make_old(version)

    entry = ledger_format.decode_entry(old)

    assert (entry.format, entry.signed_by, entry.documents, entry.who) == (version, {}, {}, Who())
    assert ledger_format.encode_entry(entry) == old


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_format_knows_no_later_event(version: int) -> None:
    with pytest.raises(CorruptError, match="unknown event"):
        ledger_format.decode_entry(make_old(version, event="exported"))


def test_an_entry_comes_back_with_its_documents_and_who_made_it() -> None:
    entry = replace(
        ENTRY,
        event="signed",
        documents={"envelope": bytes(32), f"attestation:{A}": b"\1" * 32},
        who=Who("anna", "builder-7", A),
        replaces=Replaced(7, b"\1" * 32, b"\2" * 32, b"\3" * 32),
    )

    assert ledger_format.decode_entry(ledger_format.encode_entry(entry)) == entry


WHO = {"user": "", "host": "", "key": None}
OLD = {"entries": 1, "first": bytes(32), "head": bytes(32), "root": bytes(32)}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"documents": {"A": bytes(32)}}, id="a document in capitals"),
        pytest.param({"documents": {"a" * 21: bytes(32)}}, id="a long name"),
        pytest.param({"documents": {"tsr:ab": bytes(32)}}, id="a short key id"),
        pytest.param({"documents": {"tsr": bytes(31)}}, id="a short digest"),
        pytest.param({"documents": {"tsr": "x" * 32}}, id="a digest that is text"),
        pytest.param({"documents": {f"a{n}": bytes(32) for n in range(65)}}, id="65 documents"),
        pytest.param({"documents": []}, id="documents that are not a map"),
        pytest.param({"who": None}, id="nobody"),
        pytest.param({"who": {**WHO, "user": "x" * 65}}, id="a long name of a user"),
        pytest.param({"who": {**WHO, "host": "a\nb"}}, id="a host of two lines"),
        pytest.param({"who": {**WHO, "key": bytes(31)}}, id="a key id of 31 bytes"),
        pytest.param({"who": {**WHO, "more": ""}}, id="more about who"),
        pytest.param({"replaces": {}}, id="an empty ledger before"),
        pytest.param({"replaces": {**OLD, "entries": 0}}, id="a ledger without entries"),
        pytest.param({"replaces": {**OLD, "root": bytes(31)}}, id="a root of 31 bytes"),
        pytest.param({"format": 4}, id="a newer format"),
        pytest.param({"format": True}, id="a format that is not a number"),
    ],
)
def test_other_fields_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(CorruptError):
        ledger_format.decode_entry(change(**changes))


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
    with pytest.raises(CorruptError):
        ledger_format.decode_entry(change(signed_by=signed_by))


def test_an_entry_with_all_that_it_may_have_fits_its_limit() -> None:
    many = [n.to_bytes(32, "big").hex() for n in range(1000)]
    signed_by = bound_signers({"waiver": many, "builder": many[:10]})
    entry = replace(
        ENTRY,
        site="s" * 63,
        channel="c" * 63,
        note="\U0001d11e" * 1000,
        signed_by=signed_by,
        documents={f"{'d' * 18}{n:02}:{A}": bytes(32) for n in range(limits.LEDGER_DOCUMENTS)},
        who=Who("\U0001d11e" * 64, "\U0001d11e" * 64, A),
        replaces=Replaced(2**53 - 1, bytes(32), bytes(32), bytes(32)),
    )

    assert (len(signed_by["builder"]), len(signed_by["waiver"])) == (10, 54)
    assert len(ledger_format.encode_entry(entry)) <= limits.LEDGER_ENTRY_BYTES
