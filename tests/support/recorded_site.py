"""A side that trusts a root with a recorder: its keys, and what an auditor gets of it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from airgap.format import envelope as dsse
from airgap.format import root as roots
from airgap.format.root import Key, RoleKeys, Root
from airgap.signing import private_keys
from airgap.signing.private_keys import FileSigner
from tests.support.sides import Ran, Side

NAMES = ("rooty", "bob", "recorder", "other", "witness")


@dataclass(frozen=True)
class RecordedSite(Side):
    """A side that trusts ``ward``, whose recorder is the key of that name in ``keys``."""

    keys: Path

    def copy(self, top: Path) -> "RecordedSite":
        """Return a side with a copy of the state."""
        shutil.copytree(self.state, top / "airgap")
        return RecordedSite(top, self.keys)

    def key(self, name: str = "recorder") -> Path:
        return self.keys / f"{name}.key"

    def public(self, name: str = "recorder") -> Path:
        return self.keys / f"{name}.pub"

    def signer(self, name: str = "recorder") -> FileSigner:
        return private_keys.load(self.key(name), lambda _: b"")

    @property
    def folder(self) -> Path:
        """The folder of the ledger of imports."""
        return self.state / "sites/ward"

    def ledger(self, *words: str | Path) -> Ran:
        """Run ``airgap ledger``, which must succeed."""
        ran = self.run("ledger", *words)
        assert ran.code == 0, ran.err
        return ran

    def trust_root(self, version: int, *, revoked: str = "") -> None:
        """Let a root of this version be trusted; ``revoked`` is the name of a key."""
        path = write_root(self.keys, self.top / f"root{version}", version, revoked=revoked)
        words = ("trust", "update", path) if version > 1 else ("trust", "init", path)
        fingerprint = roots.fingerprint(path.read_bytes())
        ran = self.run(*words, *(("--fingerprint", fingerprint) if version == 1 else ()))
        assert ran.code == 0, ran.err


def make_recorded_site(top: Path) -> RecordedSite:
    """Make keys and a root of format 2, and let a side trust it."""
    keys = top / "keys"
    keys.mkdir()
    for name in NAMES:
        private_keys.generate(keys, name, "ed25519", None)
    site = RecordedSite(top / "ward", keys)
    site.top.mkdir()
    site.trust_root(1)
    return site


def write_root(keys: Path, folder: Path, version: int, *, revoked: str = "") -> Path:
    """Write a root and its envelope. What is revoked keeps a successor, so that it may be."""

    def load(name: str) -> FileSigner:
        return private_keys.load(keys / f"{name}.key", lambda _: b"")

    signers = {name: load(name) for name in NAMES}
    ids = {name: signer.key.id for name, signer in signers.items()}
    recorders = ["recorder", *(["other"] if revoked else [])]
    listed: list[Key] = [signers[name].key for name in ("rooty", "bob", *recorders)]
    root = Root(
        "ward",
        version,
        tuple(sorted(listed, key=lambda key: key.id)),
        {
            "root": RoleKeys((ids["rooty"],), 1),
            "builder": RoleKeys((ids["bob"],), 1),
            "recorder": RoleKeys(tuple(sorted(ids[name] for name in recorders)), 1),
        },
        {},
        revoked_keys=(ids[revoked],) if revoked else (),
        created_at=version,
    )
    raw = roots.encode(root)
    folder.mkdir(parents=True, exist_ok=True)
    envelope = signers["rooty"].sign("root", raw)
    (folder / f"root.{envelope.key_id}.dsse").write_bytes(dsse.encode(envelope))
    path = folder / "root.msgpack"
    path.write_bytes(raw)
    return path
