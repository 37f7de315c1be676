"""Checks a delivered bundle: is it admitted, and has all of it arrived?"""

from collections.abc import Sequence
from dataclasses import replace

from airgap.errors import AirgapError
from airgap.flow.admission import policy
from airgap.flow.bundle import completeness
from airgap.flow.bundle.completeness import Completeness, CutOffError
from airgap.flow.location.location import ArchiveFile, LocalDepot
from airgap.sealing.age_keys import AgeIdentity
from airgap.server.intake import decisions
from airgap.server.intake.decisions import CandidateState, Incomplete, Postponed, Ready

__all__ = ["check_bundle"]


def check_bundle(
    location: LocalDepot | ArchiveFile,
    expected: Completeness | None = None,
    identities: Sequence[AgeIdentity] = (),
) -> tuple[CandidateState, Completeness | None]:
    """Admit a bundle, unless ``expected`` shows that it was, and check which packs are missing.

    The ``identities`` open sealed ones; without them, such a bundle has no number and no age.
    """
    try:
        expected = expected or completeness.look(location, _load_policy(identities))
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


def _load_policy(identities: Sequence[AgeIdentity]) -> policy.AdmissionPolicy:
    try:
        return replace(policy.load(), identities=tuple(identities), looks_only=True)
    except AirgapError as error:
        raise _PolicyError(error) from error
