"""The signatures of a bundle under the names that they have in a depot (format §8, §14)."""

from collections.abc import Iterator
from contextlib import suppress

from airgap.carrier.port import SignedManifest
from airgap.errors import AirgapError
from airgap.format import canonical, layout, limits
from airgap.format import envelope as dsse
from airgap.format.attestation import ATTESTING_ROLES, is_name

__all__ = ["read_signature_files"]


def read_signature_files(reader: SignedManifest) -> dict[str, bytes]:
    """Read envelopes and attestations by file name; call it after the manifest.

    Nothing is verified. What is malformed, and so has no name, is left out.
    """
    return dict(_read_files(reader))


def _read_files(reader: SignedManifest) -> Iterator[tuple[str, bytes]]:
    for raw in reader.read_envelopes("builder"):
        with suppress(AirgapError):
            yield layout.envelope_file("builder", dsse.decode(raw).key_id), raw
    for role in ATTESTING_ROLES:
        for statement, raw in reader.read_attestations(role):
            with suppress(AirgapError):
                key_id, attested = dsse.decode(raw).key_id, _read_name(statement)
                yield layout.attestation_file(role, key_id, attested), statement
                yield layout.envelope_file(role, key_id, attested), raw


def _read_name(statement: bytes) -> str:
    """Return the name in an attestation, also of a later format; empty if it has none.

    Raises:
        CorruptError: it is not canonical msgpack.
    """
    value = canonical.decode(statement, limit=limits.ATTESTATION_BYTES, what="attestation")
    name = value.get("name") if type(value) is dict else None
    return name if type(name) is str and is_name(name) else ""
