"""The signatures that admitted a bundle, by file name (format §17.9)."""

import hashlib
from collections.abc import Iterator

from airgap.flow.bundle.open_bundle import Opened
from airgap.format import attestation, layout
from airgap.format import envelope as dsse
from airgap.format.counted_files import WAIVER, waiver_envelope_file

__all__ = ["list_counted"]


def list_counted(opened: Opened) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each envelope and attestation that was counted, and of the waiver."""
    for raw in opened.evidence.envelopes:
        key_id = dsse.decode(raw).key_id
        if key_id in opened.manifest.signers["builder"]:
            yield layout.envelope_file("builder", key_id), raw
    yield from _list_attestations(opened)
    yield from _list_waiver(opened)


def _list_attestations(opened: Opened) -> Iterator[tuple[str, bytes]]:
    counted = {
        (key_id, attestation.encode(signed)): signed
        for key_id, signed in opened.manifest.attestations
    }
    for role, pairs in opened.evidence.attestations.items():
        for statement, envelope in pairs:
            key_id = dsse.decode(envelope).key_id
            signed = counted.get((key_id, statement))
            if signed is not None and signed.role == role:
                attested = "" if signed.is_default else signed.name
                yield layout.attestation_file(role, key_id, attested), statement
                yield layout.envelope_file(role, key_id, attested), envelope


def _list_waiver(opened: Opened) -> Iterator[tuple[str, bytes]]:
    waiver = opened.admission.waiver
    if waiver is not None:
        yield WAIVER, waiver.raw
        digest = hashlib.sha256(waiver.raw).digest()
        for envelope in opened.policy.waiver_envelopes.get(digest, ()):
            key_id = dsse.decode(envelope).key_id
            if key_id in waiver.signers["approver"]:
                yield waiver_envelope_file(key_id), envelope
