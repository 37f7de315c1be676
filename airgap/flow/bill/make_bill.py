"""The bill of materials of a bundle or of installed items, and the verdict of a licence policy."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.bom.bill import Bill, BilledItem, list_subjects
from airgap.disk.durable import replace_file
from airgap.disk.os_errors import translate_errors
from airgap.errors import MissingError
from airgap.flow import pipeline
from airgap.flow.admission.policy import require_root
from airgap.flow.bundle.look_inside import look_inside
from airgap.flow.bundle.open_bundle import Unverified, open_unverified, read_evidence
from airgap.flow.chunks.chunk_sources import ChunkSources
from airgap.flow.exporting.select import Source
from airgap.flow.exporting.write_bundle import BundleOptions, inventory_only
from airgap.flow.importing.item_documents import read_item_facts
from airgap.flow.installed.item_name import ItemName, parse_item_name
from airgap.flow.installed.list_items import list_installed
from airgap.flow.installed.remembered import load_remembered
from airgap.flow.licences.gate import (
    LicenceReport,
    demand_named_policy,
    examine_licences,
    find_approvers,
    load_policy,
)
from airgap.flow.licences.read_tree import read_tree
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import Location
from airgap.flow.progress import Progress
from airgap.format.kinds import BENTO, WHEELHOUSE
from airgap.format.names import parse_tag
from airgap.format.root import Root
from airgap.sealing.identity_files import read_identities
from airgap.signing.thresholds import find_valid_attestations
from airgap.signing.trust import Verified, demand_builders
from airgap.store.bento_runtime import digest_requirements
from airgap.store.item_kind import Reference
from airgap.store.kinds import find_kind
from airgap.store.source_tree import SourceFile
from airgap.store.wheelhouses import find_wheelhouses

__all__ = [
    "Inspected",
    "bill_bundle",
    "bill_installed",
    "describe_bundle",
    "judge_bundle",
    "judge_installed",
    "save_bill",
]


@dataclass(frozen=True, slots=True)
class Inspected:
    """A bill, and the keys of approvers that accept the bundle under the name ``licence``."""

    bill: Bill
    approvers: tuple[str, ...] = ()


def bill_bundle(
    location: Location, jobs: int | None, connector: Connector, identities: Sequence[str] = ()
) -> Inspected:
    """Read what a bundle's items say of themselves; enough builders of the site must have signed.

    That it is old, expired or for another site does not matter: nothing is installed. The
    ``identities``, files or descriptors as ``fd:N``, open a sealed one.

    Raises:
        ConfigurationError: this machine trusts nobody yet, or nothing opens a sealed bundle.
        NotTrustedError: too few builders signed it, or it is revoked.
        MissingError, CorruptError: it is not there, or damaged.
        StorageError, TransportError: it cannot be read.
    """
    root, secrets = require_root(), read_identities(identities)
    with open_unverified(location, connector) as outer:
        signed = _demand_signed(outer, root)
        if signed.opened.manifest.sealed is not None:
            signed = _demand_signed(look_inside(outer, secrets, root), root)
        return Inspected(describe_bundle(signed.opened, jobs, connector.progress), signed.approvers)


def describe_bundle(
    opened: Unverified, jobs: int | None, progress: Progress, sources: ChunkSources | None = None
) -> Bill:
    """Read what the items of an open bundle say of themselves; nothing is verified but packs.

    ``sources`` have the chunks that the bundle does not carry; what they lack is not read.

    Raises:
        MissingError, CorruptError, StorageError, TransportError: as ``read_item_facts``.
    """
    manifest = opened.manifest
    facts = read_item_facts(
        opened.reader,
        opened.bundle,
        manifest,
        sources=sources,
        jobs=jobs or pipeline.default_jobs(),
        progress=progress,
    )
    return Bill(
        [BilledItem(*pair) for pair in zip(manifest.items, facts, strict=True)],
        manifest.created_at,
        opened.bundle,
        manifest.channel,
        manifest.sequence,
        manifest.audience,
        manifest.labels,
    )


def bill_installed(names: Sequence[str], progress: Progress) -> Inspected:
    """Read what installed items say of themselves: those named, and the models of Bentos.

    Without names, of all that is installed. A Bento brings its wheelhouses too.

    Raises:
        UsageError: a name is not a tag.
        MissingError: an item, or a model that a Bento needs, is not installed.
        StorageError, CorruptError: an item cannot be read, or is damaged.
    """
    sources = _select_installed(names)
    progress.begin("reading", sum(source.tree.size for source in sources))
    try:
        manifest = inventory_only(sources, BundleOptions(jobs=1), _pass_over, progress)
    finally:
        progress.end()
    by_key = {source.key: source for source in sources}
    items = [
        BilledItem(
            item,
            read_tree(
                item.kind,
                by_key[item.key].tree,
                {file.path: file.digest for file in item.files},
            ),
        )
        for item in manifest.items
    ]
    return Inspected(Bill(items, manifest.created_at))


def judge_bundle(
    location: Location,
    policy: Path,
    jobs: int | None,
    connector: Connector,
    identities: Sequence[str] = (),
) -> LicenceReport:
    """Say what a policy says of a bundle's items.

    Raises:
        ConfigurationError: the policy cannot be used, or this machine trusts nobody yet.
        PolicyError: the site's root names another policy.
        AirgapError: as ``bill_bundle``.
    """
    parsed = load_policy(policy)
    demand_named_policy(require_root().value, parsed)
    inspected = bill_bundle(location, jobs, connector, identities)
    subjects = list_subjects(inspected.bill.items)
    return examine_licences(parsed, subjects, int(time.time()), inspected.approvers)


def judge_installed(names: Sequence[str], policy: Path, progress: Progress) -> LicenceReport:
    """Say what a policy says of installed items.

    Raises:
        ConfigurationError: the policy cannot be used.
        AirgapError: as ``bill_installed``.
    """
    parsed = load_policy(policy)
    subjects = list_subjects(bill_installed(names, progress).bill.items)
    return examine_licences(parsed, subjects, int(time.time()))


def save_bill(path: Path, raw: bytes) -> None:
    """Write a bill into a file. Raises StorageError."""
    with translate_errors(path):
        replace_file(path, raw)


@dataclass(frozen=True, slots=True)
class _Signed:
    """A bundle that enough builders signed, and the approvers of its licences."""

    opened: Unverified
    approvers: tuple[str, ...]


def _demand_signed(opened: Unverified, root: Verified[Root]) -> _Signed:
    evidence = read_evidence(opened.reader)
    demand_builders(opened.raw, evidence.envelopes, root)
    pairs = evidence.attestations.get("approver", ())
    bundle, keys = bytes.fromhex(opened.bundle), root.value.signers("approver")
    return _Signed(opened, find_approvers(find_valid_attestations("approver", bundle, pairs, keys)))


def _select_installed(names: Sequence[str]) -> list[Source]:
    wanted = [parse_item_name(name) for name in names]
    installed = list(list_installed(load_remembered()))
    for name in wanted:
        if not any(name.fits(item) for item in installed):
            raise MissingError(f"{name} is not installed.", "`airgap list` shows what is here.")
    chosen = [item for item in installed if not wanted or any(n.fits(item) for n in wanted)]
    if not chosen:
        raise MissingError("Nothing is installed here.", "Give a bundle, or import one.")
    sources = {source.key: source for source in map(_scan, chosen)}
    for bento in [source for source in sources.values() if source.kind == BENTO.name]:
        needed = [find_kind(model.kind).scan(model) for model in bento.references]
        needed += map(_scan, _list_wheelhouses(bento))
        sources |= {source.key: source for source in needed if source.key not in sources}
    return [sources[key] for key in sorted(sources)]


def _scan(item: ItemName) -> Source:
    return find_kind(item.kind).scan(Reference(item.kind, item.name, item.version))


def _list_wheelhouses(bento: Source) -> list[ItemName]:
    folder = find_kind(bento.kind).install_path(bento.name, bento.version).final
    houses = find_wheelhouses(digest_requirements(folder))
    return [ItemName(*parse_tag(house.tag), WHEELHOUSE.name) for house in houses]


def _pass_over(_: Source, __: SourceFile, pieces: Iterator[bytes]) -> None:
    for _piece in pieces:
        pass
