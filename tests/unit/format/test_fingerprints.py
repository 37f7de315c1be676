"""Fingerprints as people write and type them."""

import pytest

from airgap.errors import UsageError
from airgap.format import fingerprints

DIGITS = "0123456789abcdef" * 4
FINGERPRINT = f"SHA256:{DIGITS}"


def test_digits_are_grouped_on_two_lines() -> None:
    first, second = fingerprints.group_digits(FINGERPRINT)

    assert first == second == "0123 4567 89ab cdef   0123 4567 89ab cdef"


@pytest.mark.parametrize(
    "typed",
    [
        FINGERPRINT,
        DIGITS,
        DIGITS.upper(),
        f"sha256: {DIGITS}",
        " ".join(fingerprints.group_digits(FINGERPRINT)),
    ],
)
def test_what_a_person_types_is_normalized(typed: str) -> None:
    assert fingerprints.normalize_digest(typed, "fingerprint", "it", bare=True) == FINGERPRINT


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("", "0 characters, not 64"),
        (DIGITS[1:], "63 characters, not 64"),
        (f"SHA256:{DIGITS}0", "65 characters, not 64"),
        (f"MD5:{DIGITS[4:]}", "other characters than 0 to 9 and a to f"),
        (DIGITS.replace("0", "o"), "other characters than 0 to 9 and a to f"),
    ],
)
def test_what_is_no_fingerprint_is_refused(typed: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        fingerprints.normalize_digest(typed, "fingerprint", "it", bare=True)


def test_a_digest_that_could_be_a_bundle_id_begins_with_its_algorithm() -> None:
    with pytest.raises(UsageError, match="does not begin with SHA256:"):
        fingerprints.normalize_digest(DIGITS, "digest of a waiver", "it")


def test_groups_that_differ_are_named_as_typed() -> None:
    typed = f"SHA256:f{DIGITS[1:-1]}0"

    error = fingerprints.refuse_fingerprint(typed, FINGERPRINT)

    assert "group 1 (f123), group 16 (cde0)" in error.message
    assert "0123" not in f"{error.message} {error.hint}"


def test_another_root_is_said_to_be_another() -> None:
    error = fingerprints.refuse_fingerprint(f"SHA256:{'0' * 64}", FINGERPRINT)

    assert "16 of the 16 groups" in error.message
