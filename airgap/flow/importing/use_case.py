"""The use cases of importing and verifying: from a request to a result, for every face."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

from airgap.errors import AirgapError, UsageError
from airgap.flow import pipeline
from airgap.flow.admission import policy
from airgap.flow.bundle import base_bundles, model_signatures
from airgap.flow.bundle.import_order import demand_order
from airgap.flow.bundle.model_signatures import ModelSignature
from airgap.flow.bundle.open_bundle import CompletesError, Opened, open_bundle
from airgap.flow.bundle.reports import Attachments, examine_attachments
from airgap.flow.bundle.tag import Tag
from airgap.flow.disk_use import Peak, note_peaks, sum_by_file_system
from airgap.flow.importing.choose_items import choose_items
from airgap.flow.importing.confirm import Confirmer
from airgap.flow.importing.verify import verify_volumes
from airgap.flow.importing.want import write_want
from airgap.flow.location.connector import Connector, TransferOptions
from airgap.flow.location.credentials import Credentials
from airgap.flow.location.location import Location, StockArchive
from airgap.flow.location.readers import is_kit
from airgap.flow.media.missing_volumes import MissingVolumes, refusal
from airgap.flow.media.parity import ParityStatus
from airgap.flow.media.volumes import open_volumes
from airgap.flow.progress import Progress
from airgap.flow.receipts.make import MadeReceipt, ReceiptOptions
from airgap.flow.receipts.witness import Witnessed, examine_checkpoints
from airgap.flow.site import load_pinned, refuse_forbidden
from airgap.format.inventory import Item
from airgap.format.kinds import Kind

if TYPE_CHECKING:
    from airgap.flow.importing.install_bundle import Outcome
    from airgap.flow.importing.licence_check import LicenceCheck
    from airgap.flow.importing.plan import Plan
    from airgap.flow.scanning.gate import GateResult
    from airgap.store.staging import StagedItem

__all__ = [
    "ImportRequest",
    "ImportResult",
    "VerifyRequest",
    "VerifyResult",
    "find_only_item",
    "import_bundle",
    "list_items",
    "measure_written",
    "open_request",
    "refuse_missing_volumes",
    "verify_bundle",
]


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What to import from where, and what is accepted."""

    sources: Sequence[Location]
    """One bundle, or volumes of one."""
    replace: bool = False
    """Whether to replace installed items that have other content."""
    dry_run: bool = False
    """Whether to check signatures alone, and write nothing."""
    kit: bool = False
    """Whether to put the wheelhouses of a kit into the store, from which nothing is installed."""
    newest: bool = False
    """Whether to take a depot's newest bundle though older ones cannot be imported after it."""
    tag: Tag | None = None
    """Install this and nothing else; None: all that the bundle holds."""
    left_out: frozenset[tuple[int, str, str]] = frozenset()
    """The keys of items that are not installed."""
    with_models: bool = True
    """Whether the models that the Bento ``tag`` names are installed too."""
    expected: Kind | None = None
    """Refuse a bundle that does not hold exactly one Bento, or one model, before it is read."""
    warn_unsigned: Callable[[str], object] | None = None
    """Takes the warning if an archive has no manifest; None: such an archive is refused."""
    waivers: Sequence[Path] = ()
    channel: str | None = None
    """The only channel that is accepted; None: any."""
    undemanded: frozenset[str] = frozenset()
    """Names of attestations that the bundle may lack, though the root demands them."""
    licence_policy: Path | None = None
    """The file that says which licences are accepted (format §30.4); None: any."""
    scan_policy: Path | None = None
    """The scan policy of the site, if the file is there; None: it is in the state folder."""
    identities: Sequence[str] = ()
    """Files, or descriptors as ``fd:N``, that open a sealed bundle (format §34)."""
    depots: Sequence[Location] = ()
    """Where else chunks may be that the bundle builds on."""
    want: Path | None = None
    """Gets what the sender must know if chunks are missing (format §22)."""
    model_signatures: Path | None = None
    """A folder that gets the models' own signatures."""
    receipt: ReceiptOptions | None = None
    """Where the receipt goes, for those who sent the bundle; None: there is none."""
    on_peaks: Callable[[tuple[Peak, ...]], object] | None = None
    """Takes what is needed on each file system, before anything is written; None: it is noted."""
    jobs: int | None = None
    """Threads; None: the processors there are."""
    credentials: Credentials = field(default_factory=Credentials)
    transfer: TransferOptions = field(default_factory=TransferOptions)


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What became of each item, in item order, and models that Bentos need and lack here."""

    outcomes: "tuple[tuple[Item, Outcome], ...]"
    missing: tuple[str, ...]
    opened: Opened | None = None
    """The bundle, as it was admitted; its reader is closed. None: it was not signed."""
    model_signatures: tuple[ModelSignature, ...] | None = None
    """The models' own signatures, if they were asked for."""
    commands: tuple[str, ...] = ()
    """What checks those that were written."""
    peaks: tuple[Peak, ...] = ()
    """The space that was expected to be needed on each file system."""
    receipt: MadeReceipt | None = None
    """The receipt, if one was asked for."""
    witnessed: tuple[Witnessed, ...] = ()
    """The checkpoints of ledgers that came with the bundle."""


@dataclass(frozen=True, slots=True)
class VerifyRequest:
    """What to verify, and what is accepted; fields as those of ``ImportRequest``."""

    sources: Sequence[Location]
    waivers: Sequence[Path] = ()
    channel: str | None = None
    identities: Sequence[str] = ()
    """Without one, of a sealed bundle the index and the encrypted packs are verified."""
    depots: Sequence[Location] = ()
    jobs: int | None = None
    credentials: Credentials = field(default_factory=Credentials)
    transfer: TransferOptions = field(default_factory=TransferOptions)


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """A bundle that was admitted and read, and what was found. Its reader is closed."""

    opened: Opened
    bytes_read: int
    missing: MissingVolumes | None
    """The volumes that were not given, if some were not."""
    parity: ParityStatus
    model_signatures: tuple[ModelSignature, ...]
    attachments: Attachments = field(default_factory=Attachments)


def import_bundle(request: ImportRequest, progress: Progress) -> ImportResult:
    """Verify a bundle and install its items; the same import again does nothing.

    Raises:
        MissingError: a bundle, or a pack or a chunk of it, is missing.
        NotTrustedError, PolicyError: it is not admitted, or has become a replay meanwhile.
        PolicyError: an older bundle of the depot could not be imported after it, or the licence
            policy refuses an item.
        ConfigurationError: the licence policy cannot be used.
        CorruptError: it is damaged. What was verified stays in staging for the next try.
        ConflictError: an item is installed with other content, and ``replace`` was not asked for.
        StorageError: the disk refused, or is too small.
        TransportError: a server cannot be reached, or broke off.
        UsageError: it holds something else than was expected.
    """
    if not request.kit:
        _refuse_kit(request.sources)
    archive = _find_unsigned(request)
    if archive is not None:
        return _import_unsigned(archive, request, progress)
    if request.receipt is None or request.dry_run:
        return _import_signed(request, progress)
    confirmer = Confirmer(request.receipt, progress)
    with confirmer.confirm_refusals():
        done = _import_signed(request, progress, confirmer.note_refusal)
    if done.opened is None:
        return done
    return replace(done, receipt=confirmer.confirm(done.opened, done.outcomes))


def _import_signed(
    request: ImportRequest,
    progress: Progress,
    on_refusal: Callable[[bytes, AirgapError], object] | None = None,
) -> ImportResult:
    from airgap.flow.importing.install_bundle import install_bundle  # no verify needs it
    from airgap.flow.importing.licence_check import make_check

    with (
        open_request(
            request, progress, remember=not request.dry_run, on_refusal=on_refusal
        ) as admitted,
        write_want(request.want, admitted),
    ):
        if not request.newest:
            demand_order(admitted, str(request.sources[0]))
        if request.expected:
            find_only_item(request.expected, admitted.manifest.value.items)
        opened = _choose(request, admitted)
        jobs = request.jobs or pipeline.default_jobs()
        scan = _make_scan(opened, request.scan_policy, progress)
        check = make_check(request.licence_policy, opened)
        if check and not request.dry_run:
            check.look_ahead(opened, jobs, progress)
        witnessed = () if request.dry_run else examine_checkpoints(opened, progress)
        done = install_bundle(
            opened,
            replace=request.replace,
            dry_run=request.dry_run,
            on_peaks=request.on_peaks or partial(note_peaks, progress=progress),
            check_staged=_checker(check, progress),
            scan=scan,
            jobs=jobs,
            progress=progress,
        )
        result = ImportResult(
            done.outcomes, done.missing, opened, peaks=done.peaks, witnessed=witnessed
        )
        if request.model_signatures is None or request.dry_run:
            return result
        return _write_model_signatures(result, opened, request.model_signatures)


def _choose(request: ImportRequest, admitted: Opened) -> Opened:
    """Leave out what was not asked for."""
    if request.tag:
        chosen = choose_items(admitted, request.tag, with_models=request.with_models)
        return replace(admitted, only=chosen)
    if request.left_out:
        keys = frozenset(item.key for item in admitted.manifest.value.items)
        return replace(admitted, only=keys - request.left_out)
    return admitted


def _accept(_: object) -> "GateResult":
    from airgap.flow.scanning.gate import GateResult

    return GateResult()


def _make_scan(
    opened: Opened, path: Path | None, progress: Progress
) -> "Callable[[Sequence[StagedItem]], GateResult]":
    """Return what judges the staged files by the site's scan policy, if it has one.

    Raises:
        ConfigurationError, PolicyError: as ``read_site_policy``.
    """
    from airgap.flow.scanning.policy import read_site_policy

    scan_policy = read_site_policy(opened.root.value, path)
    if scan_policy is None:
        return _accept

    def scan(staged: "Sequence[StagedItem]") -> "GateResult":
        from airgap.flow.scanning.gate import examine_staged

        return examine_staged(staged, opened.bundle, scan_policy, progress)

    return scan


def measure_written(result: ImportResult) -> dict[Path, int]:
    """Return the bytes of the items that were installed, by the first store of a file system."""
    from airgap.store.kinds import install_path  # as above

    return sum_by_file_system(
        (install_path(item).store, item.size)
        for item, outcome in result.outcomes
        if outcome in ("installed", "replaced")
    )


def list_items(request: ImportRequest, progress: Progress) -> tuple[Item, ...]:
    """Admit a bundle, and return its items; neither its packs nor the stores are looked at.

    Raises:
        AirgapError: as ``import_bundle``.
    """
    with open_request(request, progress, remember=False) as admitted:
        return admitted.manifest.value.items


def verify_bundle(request: VerifyRequest, progress: Progress) -> VerifyResult:
    """Read and check all that an import would read; write nothing.

    That whole volumes are missing is not an error: see ``refuse_missing_volumes``.

    Raises:
        AirgapError: as ``import_bundle``, but for conflicts.
    """
    with open_request(request, progress, remember=False) as opened:
        jobs = request.jobs or pipeline.default_jobs()
        attachments = examine_attachments(opened)
        content = verify_volumes(opened, jobs=jobs, progress=progress)
        signatures = model_signatures.examine(opened, packs_were_read=True)
    return VerifyResult(
        opened,
        content.bytes_read,
        content.missing,
        content.parity,
        tuple(signatures),
        attachments,
    )


def refuse_missing_volumes(result: VerifyResult) -> None:
    """Demand that all volumes were read. Raises MissingError or CorruptError."""
    if result.missing:
        raise refusal(result.missing)


def find_only_item(kind: Kind, items: Sequence[Item]) -> Item:
    """Return the one Bento, or the one model of a bundle without Bentos.

    Raises:
        UsageError: the bundle holds something else.
    """
    top = [item for item in items if item.kind == "bento"] or [
        item for item in items if item.kind == "model"
    ]
    if len(top) != 1 or top[0].kind != kind:
        raise UsageError(
            f"The bundle does not hold exactly one {kind}: {', '.join(map(str, items))}.",
            "Use `airgap import`, and get what you need from BentoML.",
        )
    return top[0]


@contextmanager
def open_request(
    request: ImportRequest | VerifyRequest,
    progress: Progress,
    *,
    remember: bool,
    on_refusal: Callable[[bytes, AirgapError], object] | None = None,
) -> Iterator[Opened]:
    """Open and admit the bundle, with what it builds on."""
    connector = Connector(request.credentials, request.transfer, progress)
    admission = policy.load(request.waivers, request.channel, request.identities)
    if isinstance(request, VerifyRequest):
        admission = replace(admission, looks_only=True)
    else:
        admission = replace(admission, undemanded=request.undemanded)
    if on_refusal is not None:
        admission = replace(admission, on_refusal=on_refusal)
    open_one = partial(open_bundle, admission=admission, remember=remember, connector=connector)
    depots = request.depots
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(open_volumes(request.sources, open_one, progress))
        except CompletesError as error:  # the bundle that it completes is the one to be imported
            depots = [*request.depots, *request.sources]
            completed = base_bundles.find_bundle(error.completed, depots, connector)
            if not completed:
                raise
            opened = stack.enter_context(open_volumes(completed, open_one, progress))
        yield base_bundles.with_depots(opened, depots, connector)


def _refuse_kit(sources: Sequence[Location]) -> None:
    """Refuse a kit: who imports one means to install airgap. Raises UsageError."""
    kit = next((source for source in sources if is_kit(source)), None)
    if kit is not None:
        raise UsageError(
            f"{kit} is a kit: it installs airgap.",
            f"To install airgap from it, run `python3 {kit}/install.py --fingerprint SHA256:...`."
            " To put its packages into a store all the same, give --kit.",
        )


def _find_unsigned(request: ImportRequest) -> StockArchive | None:
    """Return the archive that is taken without a manifest, if a person insists.

    Raises:
        PolicyError: the site's root forbids that (format §7.6).
    """
    if request.warn_unsigned is None:
        return None
    refuse_forbidden("allow-unsigned", "--insecure-allow-unsigned")
    if len(request.sources) != 1:
        return None
    location = request.sources[0]
    if not isinstance(location, StockArchive):
        return None
    from airgap.flow.importing.unsigned import is_unsigned

    return location if is_unsigned(location) else None


def _import_unsigned(
    archive: StockArchive, request: ImportRequest, progress: Progress
) -> ImportResult:
    from airgap.flow.importing import unsigned
    from airgap.flow.importing.install_bundle import InstallOptions
    from airgap.flow.importing.licence_check import make_unsigned_check

    if archive.bundle:
        raise UsageError(
            f"{archive} has no signed manifest, so that which bundle it is cannot be told.",
            "Leave out # and the id.",
        )
    if request.warn_unsigned:
        request.warn_unsigned(unsigned.WARNING.format(archive))
    expected = request.expected
    options = InstallOptions(request.replace, request.dry_run)

    def check(items: Sequence[Item]) -> None:
        if expected:
            find_only_item(expected, items)

    root = load_pinned()
    checker = make_unsigned_check(request.licence_policy, root.value if root else None, int(time()))
    staged = _checker(checker, progress)
    done = unsigned.import_unsigned(archive, options, progress, check, staged)
    return ImportResult(done.outcomes, done.missing, peaks=done.peaks)


def _checker(
    check: "LicenceCheck | None", progress: Progress
) -> "Callable[[Plan], Mapping[str, bytes]]":
    """Return what ``install_bundle`` calls before it renames items into place."""
    return partial(check.check_staged, progress=progress) if check else lambda _: {}


def _write_model_signatures(result: ImportResult, opened: Opened, folder: Path) -> ImportResult:
    was_read = any(outcome in ("installed", "replaced") for _, outcome in result.outcomes)
    signatures = model_signatures.examine(opened, packs_were_read=was_read)
    commands = model_signatures.write(folder, signatures)
    return replace(result, model_signatures=tuple(signatures), commands=tuple(commands))
