"""Keys: generated, loaded, exported; see ``airgap.api.keys``."""

from airgap.api.keys import (
    IdentityPair,
    KeyPair,
    PrivateKey,
    PublicKey,
    export_public,
    generate,
    generate_identity,
    load,
    read_public,
)

__all__ = [
    "IdentityPair",
    "KeyPair",
    "PrivateKey",
    "PublicKey",
    "export_public",
    "generate",
    "generate_identity",
    "load",
    "read_public",
]
