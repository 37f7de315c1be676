"""Fingerprints of roots as people write, read and type them (format §7.1)."""

from typing import Final

from airgap.errors import NotTrustedError, UsageError
from airgap.format import names

__all__ = ["group_digits", "normalize_digest", "refuse_fingerprint"]

PREFIX: Final = "SHA256:"
GROUPS: Final = 16
_GROUP_DIGITS: Final = 4
_A_SLIP: Final = 3
"""Up to so many different groups, somebody misread or mistyped a few digits."""


def group_digits(fingerprint: str) -> tuple[str, str]:
    """Write 64 digits as two lines of eight groups of four, with a wider gap in the middle."""
    four = _split(fingerprint)
    first, second = (
        f"{' '.join(half[:4])}   {' '.join(half[4:])}" for half in (four[:8], four[8:])
    )
    return first, second


def normalize_digest(text: str, noun: str, command: str, *, bare: bool = False) -> str:
    """Return a digest that a person typed, without spaces and in lower case.

    Args:
        text: what was typed.
        noun: what it is, for the message.
        command: what printed it, for the hint.
        bare: whether ``SHA256:`` may be missing. It tells a digest from a bundle id.

    Raises:
        UsageError: it does not have 64 hex digits.
    """
    compact = "".join(text.split())
    has_prefix = compact[: len(PREFIX)].upper() == PREFIX
    digits = compact[len(PREFIX) if has_prefix else 0 :].lower()
    if not (has_prefix or bare):
        raise UsageError(
            f"{text!r} is not a {noun}: it does not begin with {PREFIX}",
            f"Type {PREFIX} and the 64 hex digits that {command} printed.",
        )
    if not names.is_bundle_id(digits):
        raise UsageError(
            f"{text!r} is not a {noun}: it has {len(digits)} characters, not 64 hex digits."
            if len(digits) != GROUPS * _GROUP_DIGITS
            else f"{text!r} is not a {noun}: it has other characters than 0 to 9 and a to f.",
            f"Type the 64 hex digits that {command} printed.",
        )
    return PREFIX + digits


def refuse_fingerprint(typed: str, actual: str) -> NotTrustedError:
    """Return the error for a root whose fingerprint is not the typed one.

    It names what was typed, and never the root's own fingerprint: a tired person would type that.
    """
    pairs = zip(_split(typed), _split(actual), strict=True)
    different = [(number, group) for number, (group, own) in enumerate(pairs, 1) if group != own]
    if len(different) > _A_SLIP:
        return NotTrustedError(
            f"This root does not have the fingerprint that was given: {len(different)} of the"
            f" {GROUPS} groups of four digits differ.",
            "It is another root than the one that the fingerprint is of. Ask the sender, by phone,"
            " which of the two is right.",
        )
    groups = ", ".join(f"group {number} ({group})" for number, group in different)
    return NotTrustedError(
        "This root does not have the fingerprint that was given. What differs, counted in groups of"
        f" four digits: {groups}.",
        "Compare that with the paper. If it was typed as it is written there, do not trust this"
        " root: ask the sender by phone.",
    )


def _split(fingerprint: str) -> list[str]:
    digits = fingerprint.removeprefix(PREFIX)
    return [digits[at : at + _GROUP_DIGITS] for at in range(0, len(digits), _GROUP_DIGITS)]
