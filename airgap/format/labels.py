"""Labels: what a manifest says of a bundle for people and policies (format §4.4)."""

import unicodedata
from collections.abc import Mapping

from airgap.format import limits, names
from airgap.format.fields import Fields
from airgap.printable import quote

__all__ = ["decode", "label_problem"]


def label_problem(name: str, value: object) -> str | None:
    """Return why a label is not allowed, as the end of "The label …"; None if it is."""
    if not names.is_tag_part(name):
        return (
            f"{quote(name)} has an invalid name: use lower-case letters, digits, '-', '_', '.';"
            f" at most {limits.TAG_CHARACTERS}"
        )
    if type(value) is not str or not 1 <= len(value) <= limits.LABEL_CHARACTERS:
        return f"{name} must have a value of 1 to {limits.LABEL_CHARACTERS} characters"
    if names.has_invisible(value) or value.strip(" ") != value:
        return f"{name} has a value with invisible characters, or with a space at its end"
    if unicodedata.normalize("NFC", value) != value:
        return f"{name} has a value that is not in Unicode normal form C"
    return None


def decode(fields: Fields, key: str) -> Mapping[str, str]:
    """Return the labels in a manifest that has the key.

    Raises:
        CorruptError: they break a rule of format §4.4.
    """
    table = fields.table(key, limits.LABELS)
    if not table:
        raise fields.error("has an empty map of labels")
    for name, value in table.items():
        problem = label_problem(name, value)
        if problem:
            raise fields.error(f"has an invalid label: {problem}")
    return table
