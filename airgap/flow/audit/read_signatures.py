"""The signatures of an audit: whose each is, whether it counts today, and what checks it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from airgap.errors import AirgapError
from airgap.flow.audit.evidence_files import EvidenceFiles
from airgap.flow.audit.material import AuditedSignature
from airgap.format import attestation, layout
from airgap.format import envelope as dsse
from airgap.format.attestation import Attestation
from airgap.format.envelope import Role
from airgap.format.root import Key, Root
from airgap.signing.thresholds import find_valid_signers

__all__ = ["SignedFiles"]


@dataclass(frozen=True, slots=True)
class SignedFiles:
    """Envelopes and attestations of a bundle, by name, and their folder within the evidence."""

    bundle: str
    manifest: bytes
    folder: str
    files: Mapping[str, bytes]

    def judge(
        self, root: Root, proven: Mapping[str, int], evidence: EvidenceFiles
    ) -> Iterator[AuditedSignature]:
        """Yield each signature, and write what checks it.

        Args:
            root: today's.
            proven: by when envelopes existed, in seconds since 1970, by their file in the evidence.
            evidence: has these files already.
        """
        keys = {key.id: key for key in root.keys}
        for signed in self._list_signed():
            attested, problem = signed.judge(root)
            key = keys.get(signed.key_id)
            yield AuditedSignature(
                signed.role,
                attested.name if attested else "",
                attested.decision if attested else "",
                signed.key_id,
                signed.file,
                signed.over,
                problem,
                proven.get(signed.file),
                signed.write(key, evidence) if key else "",
            )

    def _list_signed(self) -> Iterator["_SignedFile"]:
        for name, raw in sorted(self.files.items()):
            signer = layout.parse_envelope_file(name)
            if signer is None:
                continue
            statement, is_builder = layout.attestation_beside(name), signer[0] == "builder"
            manifest = layout.manifest_name(self.bundle)
            yield _SignedFile(
                self.bundle,
                *signer,
                file=f"{self.folder}/{name}",
                over=manifest if is_builder else f"{self.folder}/{statement}",
                envelope=raw,
                document=self.manifest if is_builder else self.files.get(statement, b""),
            )


@dataclass(frozen=True, slots=True)
class _SignedFile:
    """A signature over a bundle, and the document that it should be over."""

    bundle: str
    role: Role
    key_id: str
    file: str
    over: str
    envelope: bytes
    document: bytes

    def write(self, key: Key, evidence: EvidenceFiles) -> str:
        """Write what checks it; return the command, which is empty if it is not this key's."""
        if not self._holds(key):
            return ""
        envelope = dsse.decode(self.envelope)
        return evidence.add_signature(self.over, self.document, envelope, key, self.file)

    def _holds(self, key: Key) -> bool:
        """Tell whether it is that key's, revoked or not."""
        try:
            keys = {key.id: key}
            return bool(find_valid_signers(self.role, self.document, [self.envelope], keys))
        except AirgapError:
            return False

    def judge(self, root: Root) -> tuple[Attestation | None, str]:
        """Return what is attested, once the signature counts; or why it does not count today."""
        try:
            keys = root.signers(self.role)
            if not find_valid_signers(self.role, self.document, [self.envelope], keys):
                if self.key_id in root.revoked_keys:
                    return None, "its key is revoked"
                return None, f"its key is not a {self.role} of the root"
            if self.role == "builder":
                return None, ""
            attested = attestation.decode(self.document)
        except AirgapError as error:
            return None, error.message
        is_other = attested.bundle.hex() != self.bundle
        return attested, "it is for another bundle" if is_other else ""
