"""Takes bundles into an archive: verified, with what is known of them (format §35.5)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from airgap.carrier.depot import Depot
from airgap.carrier.port import BundleReader
from airgap.errors import CorruptError, MissingError, PolicyError, UsageError
from airgap.flow import pipeline
from airgap.flow.admission import policy as admission
from airgap.flow.admission.policy import Admission, AdmissionPolicy
from airgap.flow.archive.carriers import Carriers, find_carriers, list_lacking
from airgap.flow.archive.clock import refuse_early_clock
from airgap.flow.archive.evidence import (
    BILL,
    gather_evidence,
    make_bill,
    place_evidence,
    place_software,
    read_given_files,
)
from airgap.flow.archive.lock import lock_bundles
from airgap.flow.archive.policy import choose_class, compute_end, demand_named_policy
from airgap.flow.archive.record import demand_signer, find_by, record_fact
from airgap.flow.bundle.open_bundle import (
    Opened,
    open_all,
    open_unverified,
    read_evidence,
)
from airgap.flow.bundle.reports import examine_attachments
from airgap.flow.bundle.unseal import check_recipients, unseal
from airgap.flow.chunks.chunk_sources import BaseBundle, ChunkSources
from airgap.flow.depot.copy_bundle import copy_opened
from airgap.flow.depot.open_depot import open_depot
from airgap.flow.importing.verify import verify_content
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import (
    DepotLocation,
    LocalDepot,
    Location,
    RemoteDepot,
    StandardInput,
)
from airgap.flow.location.readers import open_readers
from airgap.flow.media.join import join
from airgap.flow.media.small_files import read_small_files
from airgap.flow.media.volumes import open_volumes
from airgap.flow.retention.guard import read_standings
from airgap.flow.retention.records import (
    ArchiveRecords,
    StoredRecord,
    is_archive,
    list_record_files,
    merge_records,
    place_named,
    read_record_files,
)
from airgap.format import archive, layout, limits
from airgap.format import manifest as manifests
from airgap.format.archive import (
    ArchivedTerms,
    ArchiveRecord,
    Escrow,
    EvidenceFile,
    find_heads,
    is_named_by,
    parse_evidence_file,
    parse_policy_file,
    policy_name,
)
from airgap.format.archive_policy import ArchivePolicy, RetentionClass
from airgap.format.manifest import Manifest
from airgap.format.root import Root
from airgap.printable import count_text
from airgap.signing import trust
from airgap.signing.records import count_record_signers
from airgap.signing.signer import Signer
from airgap.times import format_time

__all__ = ["AddRequest", "AddedBundle", "add_bundles"]

_ESCROW: Final = "escrow"


@dataclass(frozen=True, slots=True)
class AddRequest:
    """What to take into which archive, under which class, and who signs it."""

    sources: Sequence[Location]
    """A depot or a bundle; the volumes of one bundle; empty: what lies in the archive already."""
    archive: DepotLocation
    policy: ArchivePolicy
    class_name: str
    signer: Signer
    evidence: Sequence[Path] = ()
    """Further files, or folders of files."""
    identities: Sequence[str] = ()
    """Of an escrow, to prove that it opens sealed bundles."""
    jobs: int | None = None


@dataclass(frozen=True, slots=True)
class AddedBundle:
    """A bundle of the archive, and until when it is kept at least."""

    bundle: str
    terms: ArchivedTerms
    record: str
    """The id of its ``archived``."""
    is_new: bool
    """Whether the record was written now."""


@dataclass(frozen=True, slots=True)
class _Sound:
    """What was found out of a bundle that was verified."""

    terms: ArchivedTerms
    """But for its evidence."""
    bases: ChunkSources
    """The chunks that it does not carry."""
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class _Work:
    """What all bundles of one run share."""

    request: AddRequest
    connector: Connector
    depot: Depot
    chosen: RetentionClass
    admission: AdmissionPolicy
    given: Sequence[tuple[str, bytes]]
    records: ArchiveRecords
    """Those that were there at the beginning."""
    others: Mapping[str, Sequence[str]]
    """If the source is an archive, too: the files of its records, by bundle id."""
    carriers: Carriers
    """The bundles that the archive keeps, and that others may build on; grows."""

    @property
    def root(self) -> Root:
        return self.admission.root.value


def add_bundles(request: AddRequest, connector: Connector) -> list[AddedBundle]:
    """Take bundles into an archive; those that are in it under the same terms stay as they are.

    A run that was interrupted is run again.

    Raises:
        ConfigurationError: this machine trusts nobody, or the key is not one that may sign.
        PolicyError: the root names another policy; a bundle is refused; a sealed bundle may have
            no escrow; or the clock is before what is known here.
        NotTrustedError: a bundle is not signed as the root demands.
        MissingError: there is no bundle, a pack, a base or a findings file is missing.
        CorruptError: something is damaged.
        UsageError: standard input cannot be read twice, volumes cannot be added to a server, or
            there is no such class.
        StorageError, TransportError: a location cannot be read or written.
    """
    _refuse_sources(request)
    policy = admission.load((), None, request.identities)
    chosen = choose_class(request.policy, request.class_name)
    demand_named_policy(policy.root.value, request.policy)
    demand_signer(policy.root.value, request.signer)
    given = read_given_files(request.evidence)
    with open_depot(replace(request.archive, bundle=""), connector) as depot:
        records, standings = read_standings(depot)
        records.require_intact(depot.location)
        refuse_early_clock(records, policy.root.value, policy.now)
        others = _list_other_records(request, connector)
        bundles, wanted = _list_bundles(request, connector)
        kept = {one.bundle for one in standings.values() if one.is_kept and one.own_end}
        carriers = find_carriers(depot, kept, wanted)
        work = _Work(request, connector, depot, chosen, policy, given, records, others, carriers)
        added = [_add(work, bundle, is_first=bundle == bundles[0]) for bundle in bundles]
        lock_bundles(depot, {one.bundle for one in added})  # also in the run after one that died
        return added


def _refuse_sources(request: AddRequest) -> None:
    """Refuse what cannot be added, before anything is read. Raises UsageError."""
    if any(isinstance(source, StandardInput) for source in request.sources):
        raise UsageError(
            "Standard input is gone once it is read, and an archive reads a bundle twice.",
            "Write it to a file first, and name that.",
        )
    if len(request.sources) > 1 and not isinstance(request.archive, LocalDepot):
        raise UsageError(
            f"{request.archive} is on a server, and {len(request.sources)} volumes of a bundle can"
            " only be added to an archive in a folder. Nothing was read.",
            "Join them into a depot, `airgap join VOLUMES -o DEPOT`, and add that depot.",
        )


def _list_bundles(request: AddRequest, connector: Connector) -> tuple[list[str], set[bytes]]:
    """Return the ids of the bundles that are meant, the oldest first: others build on those.

    And the digests of the chunks that they do not carry.

    Raises:
        MissingError: there is none.
    """
    if len(request.sources) > 1:
        with open_unverified(request.sources[0], connector) as opened:
            return [opened.bundle], list_lacking(opened.manifest)
    source = request.sources[0] if request.sources else request.archive
    ages, wanted = [], set()
    with open_all(source, connector) as (_, bundles):
        for one in bundles:
            ages.append((one.manifest.created_at, one.manifest.sequence, one.bundle))
            wanted |= list_lacking(one.manifest)
    return [bundle for _, _, bundle in sorted(ages)], wanted


def _add(work: _Work, bundle: str, *, is_first: bool) -> AddedBundle:
    sound = _verify(work, bundle)
    _copy(work, bundle)
    place_named(work.depot, policy_name(work.request.policy.sha256), work.request.policy.raw)
    if is_first:
        place_software(work.depot, work.connector.progress)
        _carry_policies(work)
    _carry_records(work, bundle)
    added = _record(work, bundle, sound)
    work.carriers.add(bundle, sound.manifest)
    return added


def _verify(work: _Work, bundle: str) -> _Sound:
    """Verify one bundle, and return its terms. Writes nothing."""
    with _open_source(work, bundle) as opened:
        manifest = opened.manifest.value
        bases = _open_bases(work, manifest, bundle)
        _demand_findings(opened)
        escrow = _prove_escrow(work, opened)
        jobs = work.request.jobs or pipeline.default_jobs()
        sources = ChunkSources(list(bases.values()))
        based = replace(opened, chunk_sources=sources)
        verify_content(based, jobs=jobs, progress=work.connector.progress)
    terms = ArchivedTerms(
        work.chosen.name,
        compute_end(work.chosen.keep, work.admission.now),
        work.request.policy.sha256,
        tuple(sorted(bases)),
        escrow=escrow,
    )
    return _Sound(terms, sources, manifest)


@contextmanager
def _open_source(work: _Work, bundle: str) -> Iterator[Opened]:
    request = work.request
    if len(request.sources) > 1:
        open_one = partial(_open_admitted, work.admission, work.connector)
        with open_volumes(request.sources, open_one, work.connector.progress) as opened:
            yield opened
    else:
        with _open_admitted(work.admission, work.connector, _name_source(work, bundle)) as opened:
            yield opened


@contextmanager
def _open_admitted(
    policy: AdmissionPolicy, connector: Connector, location: Location
) -> Iterator[Opened]:
    """Open a bundle, and admit it as format §35.5 says."""
    with open_unverified(location, connector) as unverified:
        evidence = read_evidence(unverified.reader)
        admitted = trust.admit_to_archive(unverified.raw, evidence, policy.root)
        reader = unverified.reader
        yield Opened(reader, reader.packs, unverified.bundle, policy, Admission(admitted), evidence)


def _name_source(work: _Work, bundle: str) -> Location:
    source = work.request.sources[0] if work.request.sources else work.request.archive
    return replace(source, bundle=bundle)


def _open_bases(work: _Work, manifest: Manifest, bundle: str) -> dict[str, BaseBundle]:
    """Return the kept bundles of the archive that carry the chunks that a bundle lacks, by id.

    Raises:
        MissingError: not all of them are there.
    """
    bundles, missing = work.carriers.find(list_lacking(manifest))
    if missing:
        verb = "is" if missing == 1 else "are"
        raise MissingError(
            f"Bundle {bundle} builds on others, and {count_text(missing, 'chunk')} that it"
            f" needs {verb} in no bundle that {work.depot.location} keeps.",
            "Add the bundles that it builds on first, or export it again without --base.",
        )
    bases: dict[str, BaseBundle] = {}
    for base in bundles:
        raw = work.depot.read(layout.manifest_name(base), limits.MANIFEST_BYTES)
        location = replace(work.request.archive, bundle=base)
        reopen = partial(_open_reader, location, work.connector)
        bases[base] = BaseBundle(manifests.decode(raw), reopen)
    return bases


def _open_reader(location: Location, connector: Connector) -> BundleReader:
    (reader,) = open_readers(location, connector)
    return reader


def _demand_findings(opened: Opened) -> None:
    """Demand the findings file of each attestation. Raises MissingError."""
    for report in examine_attachments(opened).reports:
        if report.verdict != "as signed":
            raise MissingError(
                f"{opened.reader.location} lacks the findings file {report.file}, or has another"
                " than the one that was signed.",
                f"Put the signed report beside the manifest, under the name {report.file} (`airgap"
                " attest --findings` attaches it), and add the bundle again.",
            )


def _prove_escrow(work: _Work, opened: Opened) -> Escrow | None:
    """Say how it is known that an escrow can open a sealed bundle; None: it is not sealed.

    Raises:
        PolicyError: it may have none.
    """
    sealed = opened.manifest.value.sealed
    if sealed is None:
        return None
    check_recipients(opened.reader.location, sealed)
    recipients = work.root.rules.recipients
    escrows = {one.recipient for one in recipients if one.purpose == _ESCROW}
    if not escrows:
        raise PolicyError(
            f"{opened.reader.location} is sealed, and the root of site {work.root.site} (version"
            f" {work.root.version}) names no escrow: if the site's identities are lost, nobody can"
            " open it.",
            "Put an escrow into the next root (`airgap root add-recipient --purpose escrow`), and"
            " seal the bundle again.",
        )
    identities = [one for one in work.admission.identities if one.recipient.text in escrows]
    if identities:
        unseal(opened.reader, opened.manifest.value, identities)
        return "opened"
    if sealed.recipients < len(recipients):
        raise PolicyError(
            f"{opened.reader.location} is sealed to {count_text(sealed.recipients, 'recipient')},"
            f" and the root of site {work.root.site} names {len(recipients)}: the escrow may not be"
            " among them.",
            "Seal the bundle again, or prove with --identity that the escrow opens it.",
        )
    return "named"


def _copy(work: _Work, bundle: str) -> None:
    """Copy the bundle, unless it lies in the archive."""
    request, progress = work.request, work.connector.progress
    if not request.sources:
        return
    target = replace(request.archive, bundle="")
    if isinstance(target, LocalDepot) and len(request.sources) > 1:
        join(request.sources, target.path, progress)
        return
    with open_unverified(_name_source(work, bundle), work.connector) as opened:
        copy_opened(opened, target, progress, work.connector)


def _list_other_records(request: AddRequest, connector: Connector) -> dict[str, list[str]]:
    """Return the files of records by bundle id, if the source is an archive, too."""
    source = request.sources[0] if request.sources else None
    if not isinstance(source, LocalDepot | RemoteDepot):
        return {}
    with open_depot(replace(source, bundle=""), connector) as other:
        return list_record_files(other) if is_archive(other) else {}


def _carry_records(work: _Work, bundle: str) -> None:
    """Take along what another archive has of a bundle (§35.1).

    Raises:
        CorruptError: a file there is not what its name says.
        StorageError, TransportError, ConflictError: as ``place_named``.
    """
    records = work.others.get(bundle, ())
    source = work.request.sources[0] if records else None
    if not isinstance(source, LocalDepot | RemoteDepot):
        return
    with open_depot(replace(source, bundle=""), work.connector) as other:
        folder = f"{archive.EVIDENCE}/{bundle}"
        for file in other.transport.list(folder, limits.FOLDER_NAMES):
            if parse_evidence_file(file):
                _carry_file(other, work.depot, f"{folder}/{file}", limits.EVIDENCE_BYTES)
        for file in records:
            _carry_file(other, work.depot, f"{archive.RECORDS}/{file}", limits.RECORD_FILE_BYTES)


def _carry_policies(work: _Work) -> None:
    """Take along the policies that records of another archive name. Raises as above."""
    source = work.request.sources[0] if work.others else None
    if not isinstance(source, LocalDepot | RemoteDepot):
        return
    with open_depot(replace(source, bundle=""), work.connector) as other:
        for file in other.transport.list(archive.POLICY, limits.FOLDER_NAMES):
            if parse_policy_file(file):
                name = f"{archive.POLICY}/{file}"
                _carry_file(other, work.depot, name, limits.ARCHIVE_POLICY_BYTES)


def _carry_file(source: Depot, target: Depot, name: str, limit: int) -> None:
    """Copy a file that is named by its content."""
    raw = source.read(name, max(limit, limits.MANIFEST_BYTES))
    if not is_named_by(name, raw):
        raise CorruptError(
            f"{source.location}/{name} is damaged: its SHA-256 is not that in its name.",
            "Restore it from another copy of that archive.",
        )
    place_named(target, name, raw)


def _find_records(work: _Work, bundle: str) -> Sequence[StoredRecord]:
    """Return the records of a bundle: those of the beginning, and those that were carried here.

    Only its own are read, so that adding all of an archive takes time in proportion to it.

    Raises:
        CorruptError: one is damaged.
    """
    if bundle not in work.others:
        return work.records.find(bundle)
    carried = read_record_files(work.depot, work.others[bundle])
    carried.require_intact(work.depot.location)
    return merge_records(work.records.find(bundle) + carried.find(bundle))


def _record(work: _Work, bundle: str, sound: _Sound) -> AddedBundle:
    """Gather and store the evidence; write the record, unless an equal one is there."""
    terms, request = sound.terms, work.request
    stored = _find_records(work, bundle)
    earlier = [
        one  # what a stranger wrote keeps the bundle as well, and stands in for nothing
        for one in stored
        if one.record.terms and any(count_record_signers(one.envelopes, work.root).values())
    ]
    known = [file for one in earlier if one.record.terms for file in one.record.terms.evidence]
    given = list(work.given)
    with open_unverified(replace(request.archive, bundle=bundle), work.connector) as opened:
        small = read_small_files(opened)
        if not small.manifest.sealed and not any(file.name == BILL for file in known):
            bill = make_bill(opened, sound.bases, request.jobs, work.connector.progress)
            given.append((BILL, bill))
    site, signer = work.root.site, request.signer
    files = gather_evidence(small, site, signer, given, known)
    place_evidence(work.depot, bundle, files)
    for one in earlier:
        if one.record.terms and _is_same(one.record.terms, terms, files):
            record_fact(work.depot, one.record, one.envelopes[0], signer, work.connector.progress)
            return AddedBundle(bundle, one.record.terms, one.id, is_new=False)
    evidence = tuple(sorted({*files, *filter(_is_made_once, known)}))
    record = ArchiveRecord(
        "archived",
        bundle,
        site,
        format_time(work.admission.now),
        by=find_by(),
        previous=find_heads((one.id, one.record) for one in stored),
        terms=replace(terms, evidence=evidence),
    )
    identity = record_fact(work.depot, record, None, signer, work.connector.progress)
    return AddedBundle(bundle, replace(terms, evidence=evidence), identity, is_new=True)


def _is_made_once(file: EvidenceFile) -> bool:
    """Tell whether evidence would be another file if it were made again."""
    return file.name == BILL or file.name.startswith("ledger.")


def _is_same(old: ArchivedTerms, new: ArchivedTerms, files: Collection[EvidenceFile]) -> bool:
    """Tell whether a record says what a new one would say (format §35.5, 6)."""
    return (
        (old.class_name, old.policy, old.bases) == (new.class_name, new.policy, new.bases)
        and not (new.escrow == "opened" and old.escrow != "opened")
        and set(files) <= set(old.evidence)
    )
