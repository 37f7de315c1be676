"""Checks a delivered bundle: is it admitted, and has all of it arrived?"""

import os
from dataclasses import replace
from typing import Final

from airgap.errors import AirgapError
from airgap.flow.admission import policy
from airgap.flow.bundle import completeness
from airgap.flow.bundle.completeness import Completeness, CutOffError
from airgap.flow.location.location import ArchiveFile, LocalDepot
from airgap.server.intake import decisions
from airgap.server.intake.decisions import CandidateState, Incomplete, Postponed, Ready

__all__ = ["check_bundle"]

_IDENTITY: Final = "AIRGAP_IDENTITY"


def check_bundle(
    location: LocalDepot | ArchiveFile, expected: Completeness | None = None
) -> tuple[CandidateState, Completeness | None]:
    """Admit a bundle, unless ``expected`` shows that it was, and check which packs are missing."""
    try:
        expected = expected or completeness.look(location, _load_policy())
        missing = completeness.lacking(location.path, expected)
    except _PolicyError as error:
        return Postponed(error.cause), None
    except CutOffError:
        return Incomplete("it ends before its first pack"), None
    except AirgapError as error:
        return decisions.classify_error(error), None
    if missing is None:
        return Ready(expected), expected
    return Incomplete(missing, expected.bundle, expected.items), expected


class _PolicyError(Exception):
    """This machine cannot decide now (no root, damaged history): not the bundle's fault."""

    def __init__(self, cause: AirgapError) -> None:
        super().__init__(cause.message)
        self.cause = cause


def _list_identities() -> tuple[str, ...]:
    """Return the identity files that the commands use; descriptors are for those alone."""
    sources = os.environ.get(_IDENTITY, "").split()
    return tuple(source for source in sources if not source.startswith("fd:"))


def _load_policy() -> policy.AdmissionPolicy:
    try:
        return replace(policy.load(identities=_list_identities()), looks_only=True)
    except AirgapError as error:
        raise _PolicyError(error) from error
