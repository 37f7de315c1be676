"""Attestations have one form (format §14)."""

from typing import Any

import pytest

from airgap.errors import CorruptError
from airgap.format import attestation, canonical
from airgap.format.attestation import Attestation

ONE = Attestation(b"\1" * 32, "scanner", "reject", 1_800_000_000, "virus in src/x", b"\2" * 32)


def test_what_is_encoded_is_what_is_decoded() -> None:
    assert attestation.decode(attestation.encode(ONE)) == ONE


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("bundle", b"\1" * 31),
        ("bundle", "01" * 32),
        ("decision", "maybe"),
        ("findings", b""),
        ("format", 2),
        ("hash", "sha1"),
        ("note", "two\nlines"),
        ("note", "\u202egnp.exe"),
        ("note", "x" * 1001),
        ("role", "builder"),
        ("time", True),
        ("time", 253_402_300_800),
        ("extra", 1),
    ],
)
def test_a_field_that_is_not_as_it_should_be_is_refused(key: str, value: Any) -> None:  # noqa: ANN401
    fields = canonical.decode(attestation.encode(ONE), limit=4096, what="attestation")
    fields[key] = value

    with pytest.raises(CorruptError):
        attestation.decode(canonical.encode(fields))


def test_a_missing_field_is_refused() -> None:
    fields = canonical.decode(attestation.encode(ONE), limit=4096, what="attestation")
    del fields["note"]

    with pytest.raises(CorruptError):
        attestation.decode(canonical.encode(fields))


def test_an_overlong_attestation_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(CorruptError, match="at most 4,096"):
        attestation.decode(attestation.encode(ONE) + bytes(4096))
