"""Collects what speaks of a bundle, for auditors who have programs of their own (format §31.5).

Nothing is verified here: what is collected is what an auditor verifies.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

from airgap.errors import AirgapError, CorruptError
from airgap.flow.bundle import model_signatures
from airgap.flow.bundle.open_bundle import Unverified
from airgap.flow.media.small_files import SmallFiles, read_small_files
from airgap.format import envelope as dsse
from airgap.format import layout, limits
from airgap.format import root as roots
from airgap.format.attachment import STATEMENT, parse_attachment_file
from airgap.format.envelope import Envelope
from airgap.format.intoto import StatementEnvelope, decode_envelope, encode_envelope
from airgap.state.pinned_root import PinnedRoot, load_root

__all__ = ["CollectedEvidence", "SignedDocument", "collect", "list_lines", "list_signed"]

_LINES_READ: Final = 1_000
_PAYLOAD_BYTES: Final = limits.STATEMENT_BYTES
_WHAT: Final = "attachment"


class SignedDocument(NamedTuple):
    """The exact bytes of a document, one signature over it, and the file that has the document."""

    payload: bytes
    signature: Envelope
    source: str


@dataclass(frozen=True, slots=True)
class CollectedEvidence:
    """What there is of a bundle but its packs, and the root that this machine trusts."""

    small: SmallFiles
    pinned: PinnedRoot | None

    @property
    def folder(self) -> str:
        """The bundle's folder within a depot."""
        return f"{layout.BUNDLES}/{self.small.bundle}"


def collect(opened: Unverified) -> CollectedEvidence:
    """Read everything beside the packs of a bundle.

    Raises:
        UsageError: it is an archive for stock BentoML.
        CorruptError, StorageError, TransportError: it cannot be read.
        ConfigurationError: this machine's root is incomplete.
    """
    small = read_small_files(opened)
    if opened.reader.packs.is_stream:  # the signatures of models come after the packs
        with suppress(AirgapError):
            deque(opened.reader.packs.read_packs(opened.manifest.packs, ()), maxlen=0)
            small.envelopes.update(model_signatures.read(opened.reader.packs, opened.manifest))
    return CollectedEvidence(small, load_root())


def list_signed(evidence: CollectedEvidence) -> Iterator[SignedDocument]:
    """Yield every signature of airgap's forms with what it is over, by file name.

    What is malformed is passed over: it is in the evidence as a file.
    """
    small = evidence.small
    for file, raw in sorted(small.envelopes.items()):
        parsed = layout.parse_envelope_file(file)
        statement = layout.attestation_beside(file) if parsed else ""
        with suppress(AirgapError):
            if parsed and parsed[0] == "builder":
                source = layout.manifest_name(small.bundle)
                yield SignedDocument(small.raw, dsse.decode(raw), source)
            elif parsed and statement in small.envelopes:
                source = f"{evidence.folder}/{statement}"
                yield SignedDocument(small.envelopes[statement], dsse.decode(raw), source)
            elif parse_attachment_file(file) == STATEMENT:
                yield from _list_statement(f"{evidence.folder}/{file}", raw)
    if evidence.pinned:
        source = root_file(evidence.pinned)
        for raw in evidence.pinned.envelopes:
            with suppress(AirgapError):
                yield SignedDocument(evidence.pinned.raw, dsse.decode(raw), source)


def list_lines(evidence: CollectedEvidence) -> list[bytes]:
    """Return the lines of an in-toto bundle, sorted, each with its newline."""
    lines = {
        _join(signed)
        for signed in list_signed(evidence)
        if signed.source.startswith(evidence.folder)
        and not signed.source.endswith(f".{STATEMENT}")
        and len(signed.payload) <= _PAYLOAD_BYTES
    }
    for file, raw in evidence.small.envelopes.items():
        kind = parse_attachment_file(file)
        if kind is not None:
            lines.update(_list_attached(raw, whole=kind == STATEMENT))
    return sorted(lines)


def root_file(pinned: PinnedRoot) -> str:
    """Name the root that this machine trusts within a folder of evidence."""
    return f"root/{roots.decode(pinned.raw).version}.root.msgpack"


def _join(signed: SignedDocument) -> bytes:
    signature = signed.signature
    return encode_envelope(StatementEnvelope(signed.payload, (signature,), signature.payload_type))


def _list_statement(source: str, raw: bytes) -> Iterator[SignedDocument]:
    """Yield the signatures of a statement in the form of a writer, which a shell can take apart."""
    envelope = decode_envelope(raw, _WHAT, limits.STATEMENT_BYTES)
    if encode_envelope(envelope) != raw:
        return
    for signature in envelope.signatures:
        yield SignedDocument(envelope.payload, signature, source)


def _list_attached(raw: bytes, *, whole: bool) -> Iterator[bytes]:
    """Yield the envelopes in an attachment, in the form of a writer."""
    parts = [raw] if whole else raw.split(b"\n", _LINES_READ)[:_LINES_READ]
    for part in parts:
        if part.lstrip()[:1] != b"{":
            continue
        with suppress(CorruptError):
            yield encode_envelope(decode_envelope(part, _WHAT, limits.STATEMENT_BYTES))
