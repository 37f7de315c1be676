"""What files say of an item's licence: the text as written, and the licence that it names (§30.2).

Nothing here decides. A claim is what somebody wrote; a policy says what follows from it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from airgap.bom.expression import parse_expression
from airgap.bom.spdx import find_spdx_id
from airgap.printable import make_printable

__all__ = [
    "MOST_CLAIMS",
    "LicenceClaim",
    "LicenceText",
    "Licences",
    "make_claim",
    "read_hub_licences",
]

MOST_CLAIMS: Final = 50
"""Of one file; a file with more is read as if it had no licence that is known."""
_MOST_CHARACTERS: Final = 200
_UNKNOWN: Final = frozenset({"unknown", "other", "none", "noassertion"})

Form = Literal["id", "expression", "name", "unknown"]


@dataclass(frozen=True, slots=True)
class LicenceClaim:
    """One licence that one file names.

    ``name`` is an identifier of SPDX, an expression of them, or what the file calls the licence;
    empty if it does not name one (``form`` is then ``unknown``). ``raw`` is the text as written, at
    most 200 characters of it, safe for a terminal.
    """

    raw: str
    name: str
    form: Form
    source: str
    """The path of the file, and the field: ``README.md: license``."""
    sha256: bytes | None = None
    """Of the file; None if it was not read whole."""
    link: str = ""

    @property
    def path(self) -> str:
        """The path of the file."""
        return self.source.rpartition(": ")[0] or self.source


@dataclass(frozen=True, slots=True)
class LicenceText:
    """A file with the text of a licence or a notice; ``name`` is the licence that it is, if known.

    ``name`` is an identifier of SPDX or of the Hugging Face hub.
    """

    path: str
    sha256: bytes | None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Licences:
    """All that an item says of its licence; no claims: it says nothing (NOASSERTION).

    ``unreadable`` has the files that may say more, each with the reason.
    """

    claims: tuple[LicenceClaim, ...] = ()
    texts: tuple[LicenceText, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The licences that are named, each once, in order."""
        return tuple(dict.fromkeys(claim.name for claim in self.claims if claim.name))


def make_claim(text: str, source: str, *, name: str = "", link: str = "") -> LicenceClaim:
    """Read one licence as a file names it; ``name`` and ``link`` say more about ``other``."""
    raw = _shorten(text)
    identifier = find_spdx_id(text)
    if identifier:
        return LicenceClaim(raw, identifier, "id", source)
    named = _shorten(name) if text.strip().lower() == "other" else raw
    if not named or named.lower() in _UNKNOWN or len(text) > _MOST_CHARACTERS:
        return LicenceClaim(raw, "", "unknown", source, link=_shorten(link))
    if find_spdx_id(named):
        return LicenceClaim(raw, find_spdx_id(named), "id", source, link=_shorten(link))
    if parse_expression(text):
        return LicenceClaim(raw, raw, "expression", source)
    return LicenceClaim(raw, named, "name", source, link=_shorten(link))


def read_hub_licences(
    texts: Iterable[str], source: str, *, name: str = "", link: str = ""
) -> tuple[LicenceClaim, ...]:
    """Read the licences of a model card or the like: one, or a list, in which all apply."""
    claims = [make_claim(text, source, name=name, link=link) for text in texts if text.strip()]
    if len(claims) > MOST_CLAIMS:
        return (LicenceClaim(f"{len(claims):,} licences", "", "unknown", source),)
    return tuple(dict.fromkeys(claims))


def with_digests(
    claims: Iterable[LicenceClaim], digests: Mapping[str, bytes]
) -> tuple[LicenceClaim, ...]:
    """Give each claim the digest of its file."""
    return tuple(replace(claim, sha256=digests.get(claim.path)) for claim in claims)


def _shorten(text: str) -> str:
    """Cut a text, and write what cannot be seen as escapes: it is printed and compared."""
    text = " ".join(text[: 2 * _MOST_CHARACTERS].split())
    printable = make_printable(text)
    return (
        printable if len(printable) <= _MOST_CHARACTERS else printable[: _MOST_CHARACTERS - 1] + "…"
    )
