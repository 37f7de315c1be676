"""People with keys, and roots that name them: made in memory, in microseconds."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from airgap.format import envelope as dsse
from airgap.format import root as roots
from airgap.format.envelope import Purpose, Role
from airgap.format.root import RoleKeys, Root
from airgap.signing import trust
from airgap.signing.private_keys import FileSigner
from airgap.signing.signer import Signer
from airgap.signing.trust import Verified
from tests.support.sides import Side


@cache
def person(name: str) -> Signer:
    """Somebody with a key of their own: the same name is the same person, in every run."""
    return FileSigner(private_key(name))


def private_key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"."))


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
    recorder: Team | None = None,
) -> Root:
    """Make a root; where no team is given, ``ann`` is the root's and ``bob`` the builder."""
    given: dict[Role, Team | None] = {
        "root": root or team("ann"),
        "builder": builder or team("bob"),
        "scanner": scanner,
        "approver": approver,
        "recorder": recorder,
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


def signatures(purpose: Purpose, raw: bytes, names: str) -> list[bytes]:
    """Return the envelopes of these people over these bytes."""
    return [dsse.encode(person(name).sign(purpose, raw)) for name in names.split()]


def accepted(root: Root, names: str = "ann") -> Verified[Root]:
    """Accept a root that these people signed."""
    raw = roots.encode(root)
    return trust.accept_root(raw, signatures("root", raw, names), roots.fingerprint(raw))


def write_root(path: Path, root: Root, names: str) -> str:
    """Write a root and these people's signatures beside it; return its fingerprint."""
    raw = roots.encode(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
    write_signatures(path, names)
    return roots.fingerprint(raw)


def write_signatures(path: Path, names: str) -> None:
    """Write these people's signatures beside a root."""
    stem = path.name.split(".")[0]
    for name in names.split():
        (envelope,) = signatures("root", path.read_bytes(), name)
        (path.parent / f"{stem}.{person(name).key.id}.dsse").write_bytes(envelope)


def write_key(folder: Path, name: str) -> Path:
    """Write somebody's key pair; return the path of the private half."""
    folder.mkdir(parents=True, exist_ok=True)
    private = private_key(name)
    path = folder / f"{name}.key"
    path.touch(mode=0o600)
    path.write_bytes(
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
    path.with_suffix(".pub").write_bytes(
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return path


def pin(side: Side, root: Root, names: str = "ann") -> None:
    """Let a side trust a root that these people signed."""
    path = side.top.parent / f"pinned-{side.top.name}" / "root.msgpack"
    fingerprint = write_root(path, root, names)
    ran = side.run("trust", "init", path, "--fingerprint", fingerprint)
    assert ran.code == 0, ran.err
