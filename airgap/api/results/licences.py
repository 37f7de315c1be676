"""Licences of items, and what a policy says of them."""

from typing import Literal, TypedDict

__all__ = ["LicenceDecisionDict", "LicenceReportDict", "LicenceSourceDict", "LicenceTextDict"]


class LicenceSourceDict(TypedDict):
    """A licence that a file states."""

    source: str
    """The path of the file, and the field: ``README.md: license``."""
    raw: str
    """The text as written, at most 200 characters."""
    licence: str | None
    """The identifier of SPDX, or what the file calls it; None: it names none."""
    sha256: str | None
    """Of the file."""


class LicenceTextDict(TypedDict):
    """A file with the text of a licence or a notice."""

    path: str
    """The path in the item."""
    licence: str | None
    """The licence that it is by its own words; None: it is not known."""
    sha256: str | None
    """Of the file."""


class LicenceDecisionDict(TypedDict):
    """What a policy says of an item or a package."""

    item: str
    """``kind name:version``; of a package ``wheel name==version``."""
    licences: list[str]
    """The licences that it states."""
    sources: list[LicenceSourceDict]
    """Where."""
    texts: list[LicenceTextDict]
    """The licence texts in it."""
    verdict: Literal["allowed", "warning", "review", "refused"]
    """What follows."""
    reason: str
    """Why."""
    exception_until: str | None
    """The last day of the exception that allows it."""
    ended_exceptions: list[str]
    """The last days of exceptions for it that have ended."""


class LicenceReportDict(TypedDict):
    """What a policy says of a bundle, or of installed items."""

    policy: str
    """The digest of the policy file, ``sha256:`` and hex."""
    approved_by: list[str]
    """The keys of approvers that accept the bundle under the name ``licence``."""
    items: list[LicenceDecisionDict]
    """The decisions, in the order of the items."""
    passes: bool
    """Whether an import with this policy would go on."""
