"""People with keys, and roots that name them: made in memory, in microseconds."""

from dataclasses import dataclass
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from airgap.format import envelope as dsse
from airgap.format import root as roots
from airgap.format.envelope import Role
from airgap.format.root import RoleKeys, Root
from airgap.signing import trust
from airgap.signing.port import Signer
from airgap.signing.private_keys import FileSigner
from airgap.signing.trust import Verified


@cache
def person(name: str) -> Signer:
    """Somebody with a key of their own: the same name is the same person, in every run."""
    return FileSigner(Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b".")))


@dataclass(frozen=True)
class Team:
    """Whose signatures a role takes, by name, and how many it needs."""

    names: tuple[str, ...]
    threshold: int = 1


def team(names: str, threshold: int = 1) -> Team:
    return Team(tuple(names.split()), threshold)


def make_root(
    version: int = 1,
    *,
    site: str = "ward",
    not_after: int | None = None,
    revoked: str = "",
    revoked_bundles: tuple[bytes, ...] = (),
    root: Team | None = None,
    builder: Team | None = None,
    scanner: Team | None = None,
    approver: Team | None = None,
) -> Root:
    """Make a root; where no team is given, ``ann`` is the root's and ``bob`` the builder."""
    given: dict[Role, Team | None] = {
        "root": root or team("ann"),
        "builder": builder or team("bob"),
        "scanner": scanner,
        "approver": approver,
    }
    teams = {role: one for role, one in given.items() if one}
    keys = {person(name).key.id: person(name).key for one in teams.values() for name in one.names}
    roles = {
        role: RoleKeys(tuple(sorted(person(name).key.id for name in one.names)), one.threshold)
        for role, one in teams.items()
    }
    return Root(
        site=site,
        version=version,
        keys=tuple(keys[one] for one in sorted(keys)),
        roles=roles,
        channels={},
        revoked_keys=tuple(sorted(person(name).key.id for name in revoked.split())),
        revoked_bundles=revoked_bundles,
        not_after=not_after,
    )


def signatures(role: Role, raw: bytes, names: str) -> list[bytes]:
    """Return the envelopes of these people over these bytes."""
    return [dsse.encode(person(name).sign(role, raw)) for name in names.split()]


def accepted(root: Root, names: str = "ann") -> Verified[Root]:
    """Accept a root that these people signed."""
    raw = roots.encode(root)
    return trust.accept_root(raw, signatures("root", raw, names), roots.fingerprint(raw))
