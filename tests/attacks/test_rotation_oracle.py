"""Random rotations of a root, accepted and refused exactly as python-tuf does.

Kept out are the differences that are meant: python-tuf knows no revoked keys and no sites, ties
"now" to the wall clock, counts one key under two ids twice, and passes over a bad signature of a
known key, where airgap refuses the document.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Final

from securesystemslib.signer._crypto_signer import CryptoSigner
from tuf.api._payload import Role
from tuf.api._payload import Root as TufRoot
from tuf.api.exceptions import BadVersionNumberError, UnsignedMetadataError
from tuf.api.metadata import Metadata
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from tuf.ngclient.config import EnvelopeType

from airgap.errors import CorruptError, NotTrustedError, PolicyError
from airgap.format import root as roots
from airgap.signing import trust
from tests.support import signers as people
from tests.support.signers import Team, accepted, make_root, signatures

ROTATIONS: Final = 3000
PER_CHAIN: Final = 30
NAMES: Final = ("ann", "amy", "bea", "cat", "dot", "eva")
END: Final = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Step:
    """A root that somebody offers, and who signed it."""

    version: int
    team: Team
    signers: str


def test_rotations_are_judged_as_python_tuf_judges_them() -> None:
    chance = random.Random(20260102)  # noqa: S311  (the same rotations in every run)
    verdicts: Counter[tuple[str, str]] = Counter()

    for _ in range(ROTATIONS // PER_CHAIN):
        verdicts.update(judged(chance))

    assert sum(verdicts.values()) == ROTATIONS
    assert {ours for ours, theirs in verdicts} == {"accepted", "version", "signatures"}
    assert {(ours, theirs) for ours, theirs in verdicts if ours != theirs} == set()
    assert min(verdicts.values()) > ROTATIONS // 20


def judged(chance: random.Random) -> Iterator[tuple[str, str]]:
    """Offer one chain of roots to both; yield what each says of every step."""
    team = any_team(chance)
    first = Step(chance.randint(1, 3), team, " ".join(team.names))
    ours = accepted(make_root(first.version, root=team), first.signers)
    theirs = TrustedMetadataSet(tuf_bytes(first), EnvelopeType.METADATA)
    for _ in range(PER_CHAIN):
        step = any_step(chance, ours.value.version, team)
        raw = roots.encode(make_root(step.version, root=step.team))
        try:
            ours = trust.succeed(ours, raw, signatures("root", raw, step.signers), 0)
            verdict = "accepted"
        except PolicyError:
            verdict = "version"
        except (NotTrustedError, CorruptError):
            verdict = "signatures"
        yield verdict, tuf_verdict(theirs, step)
        if verdict == "accepted":
            team = step.team
        assert ours.value.version == theirs.root.version


def any_team(chance: random.Random) -> Team:
    names = chance.sample(NAMES, chance.randint(1, 4))
    return Team(tuple(names), chance.randint(1, len(names)))


def any_step(chance: random.Random, version: int, before: Team) -> Step:
    """Draw a step of which about a third is good, and most others fail by little."""
    team = before if chance.random() < 0.3 else any_team(chance)
    signers = {*before.names, *team.names}
    for _ in range(chance.choice((0, 0, 1, 2, 3))):
        signers.discard(chance.choice(NAMES))
    if chance.random() < 0.2:
        signers.add(chance.choice(NAMES))
    version += chance.choice((1, 1, 1, 1, 1, 0, 2, -1))
    return Step(max(version, 1), team, " ".join(sorted(signers)))


@cache
def tuf_signer(name: str) -> CryptoSigner:
    return CryptoSigner(people.private_key(name))


def tuf_bytes(step: Step) -> bytes:
    """Say the same in python-tuf's words, signed with the same keys."""
    keys = [tuf_signer(name).public_key for name in step.team.names]
    role = Role([key.keyid for key in keys], step.team.threshold)
    nobody = {name: Role([], 1) for name in ("snapshot", "targets", "timestamp")}
    signed = TufRoot(
        version=step.version,
        expires=END,
        keys={key.keyid: key for key in keys},
        roles={"root": role, **nobody},
    )
    document = Metadata(signed)
    for name in step.signers.split():
        document.sign(tuf_signer(name), append=True)
    return document.to_bytes()


def tuf_verdict(trusted: TrustedMetadataSet, step: Step) -> str:
    try:
        trusted.update_root(tuf_bytes(step))
    except BadVersionNumberError:
        return "version"
    except UnsignedMetadataError:
        return "signatures"
    return "accepted"
