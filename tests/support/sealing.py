"""A site whose root names recipients, both sides of its gap, and a bundle sealed to it."""

from dataclasses import dataclass, replace
from pathlib import Path

from airgap.format.site_rules import Recipient, SiteRules
from airgap.sealing import identity_files
from tests.support import signers, stores
from tests.support.sides import Ran, Side

SECRETS = ("secret-ranker", "secret-shop", "weights.bin", "classified")
"""Names that a finder of a stick must not meet."""


@dataclass(frozen=True)
class SealedSite:
    """Two sides that trust one root, and the identities that open what is sealed to it."""

    top: Path
    connected: Side
    isolated: Side

    @property
    def key(self) -> Path:
        return self.top / "keys" / "bob.key"

    @property
    def identity(self) -> Path:
        return self.top / "keys" / "ward.identity"

    @property
    def escrow(self) -> Path:
        return self.top / "keys" / "escrow.identity"

    def export(self, *arguments: str | Path) -> Ran:
        """Export the Bento, sealed."""
        return self.connected.run(
            "export", "secret-shop:v1", *arguments, "--seal", "--key", self.key, "--json"
        )


def make_sealed_site(top: Path, *, escrow: bool = True, post_quantum: bool = True) -> SealedSite:
    """Make the keys and the root; let both sides trust it; put a Bento and a model on one."""
    made = SealedSite(top, Side(top / "connected"), Side(top / "isolated"))
    keys = top / "keys"
    for name in ("bob", "ray"):
        signers.write_key(keys, name)
    recipients = []
    for name, purpose in (("ward", "site"), *((("escrow", "escrow"),) if escrow else ())):
        _, _, recipient = identity_files.generate(keys, name, post_quantum=post_quantum)
        recipients.append(Recipient(recipient.text, name, purpose))
    recipients.sort(key=lambda one: one.recipient)
    root = signers.make_root(recorder=signers.team("ray"))
    root = replace(root, created_at=0, rules=SiteRules(recipients=tuple(recipients)))
    for side in (made.connected, made.isolated):
        side.top.mkdir(parents=True)
        signers.pin(side, root)
    weights = stores.noise(3 * 1024 * 1024, seed=7)
    stores.add_model(made.connected, "secret-ranker:v1", {"weights.bin": weights})
    stores.add_bento(
        made.connected,
        "secret-shop:v1",
        {"src/service.py": b"Main = 1\n"},
        models=["secret-ranker:v1"],
    )
    return made
