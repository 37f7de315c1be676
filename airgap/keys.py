"""Keys: generated, loaded, exported; see ``airgap.api.keys``."""

from airgap.api.keys import (
    KeyPair,
    PrivateKey,
    PublicKey,
    export_public,
    generate,
    load,
    read_public,
)

__all__ = [
    "KeyPair",
    "PrivateKey",
    "PublicKey",
    "export_public",
    "generate",
    "load",
    "read_public",
]
