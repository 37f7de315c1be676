"""The bundles of an audit: manifests, signatures, stamps and what lies beside; no pack is read.

One bundle is in memory at a time: a manifest may have 128 MiB.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from airgap.errors import AirgapError
from airgap.flow.audit.evidence_files import EvidenceFiles
from airgap.flow.audit.material import (
    AuditedBundle,
    AuditedItem,
    AuditedSignature,
    AuditedStamp,
    RuleResult,
)
from airgap.flow.audit.read_roots import read_travelling
from airgap.flow.audit.read_signatures import SignedFiles
from airgap.flow.audit.stamps import describe_chains
from airgap.flow.bundle.look_inside import look_inside
from airgap.flow.bundle.open_bundle import Unverified, open_all, read_evidence
from airgap.flow.bundle.open_to_sign import BundleToSign
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import Location, RemoteArchive, RemoteDepot
from airgap.flow.media.volumes import read_labels
from airgap.flow.timestamps.as_of import judge_stamps
from airgap.flow.timestamps.stampable import StampedBundle, open_stamped_bundle
from airgap.format import intoto, layout, limits
from airgap.format.manifest import Manifest
from airgap.format.root import Root, SignedRoot
from airgap.printable import series_text
from airgap.sealing.age_file import NoIdentityError
from airgap.sealing.age_keys import AgeIdentity
from airgap.signing import trust
from airgap.signing.thresholds import Evidence
from airgap.signing.trust import Verified

__all__ = ["BundleReading", "LoadCounted", "SealedReading", "read_bundles"]

COUNTED: Final = "counted"
LoadCounted: TypeAlias = Callable[[str], Mapping[str, bytes]]
_BILL = "https://cyclonedx.org/bom"
_SEALED = "not asked of a sealed bundle's index"
_PART = "not asked of a bundle that completes another"


@dataclass(frozen=True, slots=True)
class SealedReading:
    """How sealed bundles are read: what opens them, and whether the evidence has what is inside."""

    identities: Sequence[AgeIdentity] = ()
    is_included: bool = False


class BundleReading:
    """Reads bundles for a report, one after the other, and writes their evidence."""

    def __init__(
        self,
        root: Verified[Root],
        now: int,
        files: EvidenceFiles,
        sealed: SealedReading = SealedReading(),
        load_counted: LoadCounted = lambda _: {},
    ) -> None:
        """Take today's root, the time in seconds since 1970, and where evidence goes.

        What no identity of ``sealed`` opens is not looked into.
        ``load_counted`` returns what an import of a bundle kept, by file name (format §17.9).
        """
        self._root = root
        self._now = now
        self._files = files
        self._hidden = files.withhold()
        self._sealed = sealed
        self._load_counted = load_counted
        self.roots: list[SignedRoot] = []
        """The roots that travel with the bundles."""
        self.unreadable: list[tuple[str, str]] = []
        """Which bundles could not be read, and why."""

    def read(self, location: Location, connector: Connector) -> Iterator[AuditedBundle]:
        """Yield the bundles of a location.

        Raises:
            MissingError, CorruptError, StorageError, TransportError: there is none, or the location
                cannot be read. A single bundle that cannot be read is noted instead.
        """
        with open_all(location, connector) as (count, opened):
            for number in range(1, count + 1):
                try:
                    yield self._look_inside(next(opened), location, connector)
                except AirgapError as error:
                    self.unreadable.append((f"{_name(location)}, bundle {number}", error.message))
                    if count == 1:
                        return

    def _look_inside(
        self, opened: Unverified, location: Location, connector: Connector
    ) -> AuditedBundle:
        """Read a bundle; if it is sealed and an identity opens it, also the one inside."""
        outer = self._read_one(opened, location, connector, self._files)
        if outer.recipients is None or not self._sealed.identities:
            return outer
        try:
            inner = look_inside(opened, self._sealed.identities, self._root)
        except NoIdentityError:  # the report says that it was not looked into
            return outer
        except AirgapError as error:
            self.unreadable.append((f"{outer.source}, inside {outer.bundle[:16]}", error.message))
            return outer
        files = self._files if self._sealed.is_included else self._hidden
        return _join_inner(outer, self._read_one(inner, location, connector, files))

    def _read_one(
        self, opened: Unverified, location: Location, connector: Connector, files: EvidenceFiles
    ) -> AuditedBundle:
        reader, manifest = opened.reader, opened.manifest
        evidence = read_evidence(reader)
        candidate = BundleToSign(reader, opened.bundle, manifest, opened.raw, evidence)
        stamped = open_stamped_bundle(candidate, connector)
        self.roots += read_travelling(reader)
        beside = {layout.MANIFEST: opened.raw, **stamped.signed, **stamped.attached}
        folder = files.add_bundle(opened.bundle, beside)
        stamps, unchecked = self._judge_stamps(stamped, folder)
        signed = SignedFiles(opened.bundle, opened.raw, folder, stamped.signed)
        volumes = read_labels(reader.packs, opened.bundle, len(manifest.packs))
        return AuditedBundle(
            bundle=opened.bundle,
            source=_name(location),
            medium=_name_medium(location),
            channel=manifest.channel,
            sequence=manifest.sequence,
            created_at=manifest.created_at,
            expires_at=manifest.expires_at,
            audience=manifest.audience,
            labels=manifest.labels,
            size=manifest.size,
            stored_size=manifest.stored_size,
            packs=len(manifest.packs),
            volumes=_name_volumes([label.number for label in volumes], volumes[0].count)
            if volumes
            else "",
            items=_list_items(manifest, _read_licences(stamped.attached)),
            recipients=manifest.sealed.recipients if manifest.sealed else None,
            completes=manifest.completes.hex() if manifest.completes else "",
            rules=_judge_rules(opened.raw, evidence, self._root, self._now, manifest),
            signatures=tuple(self._judge_signatures(opened, signed, stamps, files)),
            stamps=stamps,
            stamps_unchecked=unchecked,
            attachments=tuple(sorted(stamped.attached)),
            folders=(folder,),
        )

    def join_copy(self, first: AuditedBundle, other: AuditedBundle) -> AuditedBundle:
        """Add what another location alone has beside a bundle; a rejection in any of them counts.

        Who can write into one location can take a signature away, or put another one in its place.
        """
        shown = {*map(self._digest, first.signatures), *map(self._digest, first.stamps)}
        added = (one for one in other.signatures if self._digest(one) not in shown)
        signatures = (*first.signatures, *added)
        beside = {_base(one.file) for one in signatures if one.command and not one.is_kept}
        differing = [
            name
            for here, there in zip(first.folders, other.folders, strict=False)
            for files in (self._files, self._hidden)
            for name in files.list_differing(here, there)
        ]
        rules = dict(first.rules)
        for one in other.signatures:
            if one.decision == "reject" and not one.problem and rules[9][0] == "yes":
                rules[9] = "no", f"{one.role} {one.key_id} rejects it in {other.source}"
        return replace(
            first,
            rules=rules,
            signatures=tuple(s for s in signatures if not s.is_kept or _base(s.file) not in beside),
            stamps=(*first.stamps, *(s for s in other.stamps if self._digest(s) not in shown)),
            attachments=tuple(sorted({*first.attachments, *other.attachments})),
            differing=(*first.differing, *(one for one in differing if one not in first.differing)),
        )

    def _digest(self, proof: AuditedSignature | AuditedStamp) -> tuple[str | bool | None, ...]:
        """Return what a signature or stamp is, whatever folder of the evidence it lies in."""
        is_kept = isinstance(proof, AuditedSignature) and proof.is_kept
        return _base(proof.file), self._find(proof.file), self._find(proof.over), is_kept

    def _find(self, file: str) -> str | None:
        """Return the SHA-256 of a file of the evidence, or of one that is withheld."""
        return self._files.digests.get(file, self._hidden.digests.get(file))

    def _judge_stamps(
        self, stamped: StampedBundle, folder: str
    ) -> tuple[tuple[AuditedStamp, ...], str]:
        """Return the stamps; or why they could not be judged."""
        if not any(one.chain for one in stamped.find_stamped()):
            return (), ""
        try:
            chains, _ = judge_stamps(stamped, self._root.value, self._now)
        except AirgapError as error:
            return (), error.message
        return tuple(describe_chains(chains, f"{folder}/", self._now)), ""

    def _judge_signatures(
        self,
        opened: Unverified,
        beside: SignedFiles,
        stamps: Sequence[AuditedStamp],
        files: EvidenceFiles,
    ) -> Iterator[AuditedSignature]:
        """Yield the signatures beside a bundle, and those that its import counted and that lack."""
        root, proven = self._root.value, {one.over: one.proven for one in stamps if one.proven}
        signatures = list(beside.judge(root, proven, files))
        yield from signatures
        lost = _find_lost(self._load_counted(opened.bundle), signatures)
        if lost:
            kept = replace(beside, folder=f"{COUNTED}/{opened.bundle}", files=lost)
            files.add_all(kept.folder, sorted(lost.items()))
            for signature in kept.judge(root, {}, files):
                yield replace(signature, is_kept=True)


def read_bundles(
    reading: BundleReading, locations: Sequence[Location], connector: Connector
) -> list[AuditedBundle]:
    """Read the bundles of several locations; one that lies in two of them counts once."""
    found: dict[str, AuditedBundle] = {}
    for location in locations:
        for bundle in reading.read(location, connector):
            first = found.get(bundle.bundle)
            found[bundle.bundle] = bundle if first is None else reading.join_copy(first, bundle)
    return list(found.values())


def _find_lost(
    counted: Mapping[str, bytes], signatures: Sequence[AuditedSignature]
) -> dict[str, bytes]:
    """Return what an import counted, and no valid signature beside the bundle has the name of."""
    beside = {_base(one.file) for one in signatures if one.command}
    lost: dict[str, bytes] = {}
    for name, raw in counted.items():
        if layout.parse_envelope_file(name) and name not in beside:
            statement = layout.attestation_beside(name)
            lost[name] = raw
            lost.update({statement: counted[statement]} if statement in counted else {})
    return lost


def _base(file: str) -> str:
    return file.rpartition("/")[2]


def _join_inner(outer: AuditedBundle, inner: AuditedBundle) -> AuditedBundle:
    """Describe a bundle that was opened: what is inside, as it lies in the sealed one."""
    rules = dict(inner.rules)
    for number, (result, reason) in outer.rules.items():
        if result == "no":
            rules[number] = "no", f"of the sealed index: {reason}"
    return replace(
        inner,
        index=outer.bundle,
        recipients=outer.recipients,
        stored_size=outer.stored_size,
        packs=outer.packs,
        volumes=outer.volumes,
        rules=rules,
        signatures=(*outer.signatures, *inner.signatures),
        stamps=(*outer.stamps, *inner.stamps),
        stamps_unchecked=outer.stamps_unchecked or inner.stamps_unchecked,
        attachments=tuple(sorted({*outer.attachments, *inner.attachments})),
        folders=(*outer.folders, *inner.folders),
    )


def _judge_rules(
    raw: bytes, evidence: Evidence, root: Verified[Root], now: int, manifest: Manifest
) -> dict[int, tuple[RuleResult, str]]:
    """Judge by the rules 1 to 9 of format §7.5; 0 and 10 are for ledgers."""
    broken = trust.find_broken_rules(raw, evidence, root, now)
    left_out = _SEALED if manifest.sealed else _PART
    rules: dict[int, tuple[RuleResult, str]] = {}
    for number in range(1, 10):
        if number not in broken:
            rules[number] = "not checked", left_out
        else:
            rules[number] = "no" if broken[number] else "yes", broken[number]
    return rules


def _list_items(
    manifest: Manifest, licences: Mapping[str, Sequence[str]] | None
) -> tuple[AuditedItem, ...]:
    return tuple(
        AuditedItem(
            item.kind,
            item.tag,
            item.digest.hex(),
            len(item.files),
            item.size,
            None if licences is None else licences.get(item.digest.hex(), ()),
        )
        for item in manifest.items
    )


def _read_licences(attached: Mapping[str, bytes]) -> dict[str, list[str]] | None:
    """Return the licences that a bill names, by item digest; None: no bill is there.

    They are claims: who signed the bill is not asked here.
    """
    for file, raw in sorted(attached.items()):
        if not (file.startswith("bom.") and file.endswith(".intoto.json")):
            continue
        with suppress(AirgapError, KeyError, TypeError, AttributeError):
            envelope = intoto.decode_envelope(raw, "bill", limits.STATEMENT_BYTES)
            statement = intoto.decode_statement(envelope.payload, "bill", limits.STATEMENT_BYTES)
            if statement.predicate_type == _BILL:
                return dict(_list_licences(statement.predicate))
    return None


def _list_licences(document: Mapping[str, object]) -> Iterator[tuple[str, list[str]]]:
    """Yield item digests and licences of a CycloneDX document (format §30.1)."""
    metadata, listed = document.get("metadata"), document.get("components")
    components = [*listed] if isinstance(listed, list) else []
    if isinstance(metadata, dict):
        components.append(metadata.get("component", {}))
    for component in components:
        digests = [
            str(one["value"])
            for one in component.get("properties", ())
            if one.get("name") == "airgap:item-digest"
        ]
        named = [
            str(choice.get("expression") or _name_licence(choice.get("license", {})))
            for choice in component.get("licenses", ())
        ]
        for digest in digests:
            yield digest.removeprefix("sha256:"), named


def _name_licence(licence: Mapping[str, object]) -> object:
    return licence.get("id") or licence.get("name") or "?"


def _name(location: Location) -> str:
    """Name a location as the report does: by the last part of its path alone."""
    text = str(location).partition("#")[0].rstrip("/")
    return text.rpartition("/")[2] or text


def _name_medium(location: Location) -> str:
    if isinstance(location, RemoteDepot | RemoteArchive):
        return f"{location.url.scheme} server"
    return "file" if layout.is_archive_name(_name(location)) else "folder"


def _name_volumes(numbers: Sequence[int], count: int) -> str:
    return f"volume {series_text(sorted({str(number) for number in numbers}))} of {count}"
