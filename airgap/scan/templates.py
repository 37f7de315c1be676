"""Chat templates: programs in a language that is meant to reach nothing but the conversation."""

import re
from typing import Final

from airgap.scan.verdicts import Assessment, refused

__all__ = ["assess_template"]

_FORM: Final = "chat template"
_LARGEST: Final = 1_000_000
# Ways out of Jinja's sandbox, and to other files.
_REACHES: Final = (
    (re.compile(r"__|\\x5f|\\u005f", re.IGNORECASE), "it names attributes with two underscores"),
    (re.compile(r"\|\s*(?:attr|map\s*\(\s*attribute|format)\b"), "it looks up names it computes"),
    (re.compile(r"\{%[-+]?\s*(?:include|import|from|extends)\b"), "it takes in another file"),
    (re.compile(r"\b(?:lipsum|cycler|joiner|self|config|request|get_flashed_messages)\s*[.|\[]"),
     "it uses an object of its host"),
    (re.compile(r"\.\s*(?:format_map|format|gi_frame|cr_frame|f_globals|mro)\b"),
     "it uses a method that leads out of a template"),
)  # fmt: skip


def assess_template(text: str) -> Assessment:
    """Assess a chat template: it may use what is in the conversation, and nothing beyond."""
    if len(text) > _LARGEST:
        return refused(_FORM, f"it has {len(text):,} characters")
    reasons = tuple(why for pattern, why in _REACHES if pattern.search(text))
    return Assessment("refused" if reasons else "listed", _FORM, reasons)
