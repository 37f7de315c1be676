"""``airgap prove`` and ``airgap rehearse``: does the Bento run where there is no network?"""

import json
import os
import platform
import shlex
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from airgap.disk.part_file import write_atomically
from airgap.disk.reading import read_small
from airgap.errors import ConfigurationError, MissingError
from airgap.flow.disk_use import Peak
from airgap.flow.environment.items import list_remembered_files
from airgap.flow.environment.run import make_start_in
from airgap.flow.importing.use_case import (
    ImportRequest,
    import_bundle,
    list_items,
)
from airgap.flow.installed.scan import demand_scanned
from airgap.flow.progress import Progress
from airgap.flow.proof import sandbox
from airgap.flow.proof.environments import Environments
from airgap.flow.proof.example import ExampleRequest, parse_request
from airgap.flow.proof.private_home import PrivateHome, is_here, make_private_home
from airgap.flow.proof.proof_use import ProofUse
from airgap.flow.proof.report import Report, Watched, make_report
from airgap.flow.proof.trial import Trial
from airgap.flow.scanning.policy import site_policy_path
from airgap.flow.trust.begin import own_root
from airgap.format.inventory import Item
from airgap.format.kinds import BENTO, FILES, HUGGING_FACE, MODEL, WHEELHOUSE
from airgap.state import pinned_root
from airgap.state.state_folder import describe_search
from airgap.store.bento_runtime import digest_requirements, read_runtime
from airgap.store.item_kind import Reference, Source
from airgap.store.kinds import find_kind, install_path
from airgap.store.wheelhouses import find_wheelhouses

__all__ = [
    "Proof",
    "ProofOptions",
    "describe_proof",
    "prove",
    "read_request",
    "rehearse",
    "write_report",
]

REHEARSAL: Final = "rehearsal"
"""The name of the attestation that is made from the report of a rehearsal."""
_LINKED: Final = (MODEL.name, HUGGING_FACE.name)
_REQUEST_BYTES: Final = 64 * 1024 * 1024
_GPU_DEVICES: Final = ("nvidia0", "nvidiactl", "kfd", "dxg")


@dataclass(frozen=True, slots=True)
class ProofOptions:
    """How a Bento is proved. Times are in seconds."""

    python: Path | None = None
    request: ExampleRequest | None = None
    """None: the examples that the service itself gives."""
    allowed_hosts: Sequence[str] = ()
    seconds_to_start: float = 300
    tmpdir: Path | None = None
    """Where the proof has its folder; None: where the system has such folders."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of it for one Bento; ``bundle`` is the rehearsed bundle's id, or empty."""

    bento: str
    report: Report
    bundle: str = ""
    wheelhouse: str = ""
    peaks: tuple[Peak, ...] = ()
    """What the command needed on each file system, for all its Bentos."""


def prove(tag: str, options: ProofOptions, progress: Progress) -> Proof:
    """Serve an installed Bento where there is no network, in a fresh home and environment.

    Raises:
        UsageError: not a tag, or several wheelhouses fit.
        MissingError: the Bento, a model, or a wheelhouse that fits is not here; or it needs a GPU
            that this host lacks.
        ConfigurationError: a variable is not set that the Bento cannot start without.
        CorruptError, StorageError: as ``create``; or the sandbox could not be run.
        PolicyError: the site's scan policy refuses a file of the Bento or of its models.
    """
    kind = find_kind(BENTO.name)
    name, version = kind.find(tag)
    with make_private_home(options.tmpdir, own_state=False) as home:
        use = ProofUse(home.folder)
        _link_closure(name, version, home, use, progress)
        stores = sorted({find_kind(each).store() for each in (BENTO.name, HUGGING_FACE.name)})
        with home.use():
            _refuse_unprovable([f"{name}:{version}"])
            proof = _Proving(home, stores, options, use, progress).serve(f"{name}:{version}")
    return replace(proof, peaks=tuple(use.peaks))


def _require_trust() -> None:
    """Require a root before there is a home of the rehearsal's own, which has none either."""
    if pinned_root.load_root() is not None:
        return
    root = own_root()
    if root.exists():
        root_text = shlex.quote(str(root))
        hint = f"Run `airgap trust init {root_text}`, with the fingerprint from your paper."
    else:
        hint = (
            "Run `airgap trust init` with a depot or the root of your site, and the fingerprint"
            f" from your paper. There is no root in {describe_search()}."
        )
    raise ConfigurationError(
        "This machine does not trust a site yet, and a rehearsal needs that.", hint
    )


def rehearse(
    request: ImportRequest, tags: Sequence[str], options: ProofOptions, progress: Progress
) -> list[Proof]:
    """Import a bundle into a home of its own, and prove its Bentos, or those with these tags.

    A model that is in a store of this machine with the same content is not copied. Nothing is
    recorded in the ledger of this machine. The site's scan policy is applied before anything runs,
    as by an import, also to the models that are not copied. The bundle may lack the attestation
    ``rehearsal`` even if the root demands it: that is made from what this finds (format §7.5).

    Raises:
        ConfigurationError: this machine does not trust a site yet.
        MissingError: the bundle has no Bento, or not that one; or as ``prove``.
        AirgapError: as ``import_bundle`` and ``prove``.
    """
    _require_trust()
    request = replace(
        request,
        newest=True,
        undemanded=frozenset({REHEARSAL}),
        scan_policy=site_policy_path(),  # the home has a state folder of its own
    )
    stores = sorted({find_kind(each).store() for each in _LINKED})
    with make_private_home(options.tmpdir, own_state=True) as home:
        with home.use():
            items = list_items(request, progress)
        linked = [item for item in items if item.kind in _LINKED and is_here(item)]
        demand_scanned([_scan_installed(item) for item in linked], progress)
        for item in linked:
            home.link(item, install_path(item).final)
        with home.use():
            use = ProofUse(home.folder)
            request = replace(
                request,
                left_out=frozenset(item.key for item in linked),
                on_peaks=partial(use.take, progress=progress),
            )
            done = import_bundle(request, progress)
            bentos = _choose_bentos([item for item, _ in done.outcomes], tags)
            _refuse_unprovable(bentos)
            proving = _Proving(home, stores, options, use, progress)
            proofs = [proving.serve(tag) for tag in bentos]
    bundle = done.opened.bundle if done.opened else ""
    return [replace(proof, bundle=bundle, peaks=tuple(use.peaks)) for proof in proofs]


def _scan_installed(item: Item) -> Source:
    return find_kind(item.kind).scan(Reference(item.kind, item.name, item.version))


def _choose_bentos(items: Sequence[Item], tags: Sequence[str]) -> list[str]:
    bentos = [item.tag for item in items if item.kind == BENTO.name]
    if not bentos:
        raise MissingError(
            "The bundle has no Bento, so there is nothing to rehearse.", "Name another bundle."
        )
    absent = [tag for tag in tags if tag not in bentos]
    if absent:
        raise MissingError(f"The bundle has no Bento {absent[0]}.", f"It has {', '.join(bentos)}.")
    return [tag for tag in bentos if tag in tags] if tags else bentos


def _link_closure(
    name: str, version: str, home: PrivateHome, use: ProofUse, progress: Progress
) -> None:
    """Link a Bento with all that airgap would carry with it, and nothing else."""
    bento = find_kind(BENTO.name).scan(Reference(BENTO.name, name, version))
    sources = [bento, *(find_kind(model.kind).scan(model) for model in bento.references)]
    files = [_name_files(tag) for tag in list_remembered_files(name, version)]
    demand_scanned([*sources, *(find_kind(FILES.name).scan(each) for each in files)], progress)
    use.add("copying small files", home.measure_copies(sources, use.block), progress)
    for source in sources:
        home.link_files(source)
    folder = find_kind(BENTO.name).install_path(name, version).final
    for wheelhouse in find_wheelhouses(digest_requirements(folder)):
        target, _, number = wheelhouse.tag.partition(":")
        reference = Reference(WHEELHOUSE.name, target, number)
        home.link(reference, install_path(reference).final)
    for reference in files:
        home.link(reference, install_path(reference).final)


def _name_files(tag: str) -> Reference:
    name, _, version = tag.partition(":")
    return Reference(FILES.name, name, version)


@dataclass(frozen=True, slots=True)
class _Proving:
    """What the proofs of one bundle share; ``stores`` are mounted read-only."""

    home: PrivateHome
    stores: Sequence[Path]
    options: ProofOptions
    use: ProofUse
    progress: Progress
    environments: Environments = field(default_factory=Environments)

    def serve(self, tag: str) -> Proof:
        """Find the Bento's environment, serve it in the sandbox, and judge what it did."""
        kind = find_kind(BENTO.name)
        bento = kind.install_path(*kind.find(tag)).final
        runtime = read_runtime(bento)
        namespaces = sandbox.find_namespaces()
        if not namespaces:
            self.progress.note(
                "This host gives no namespaces, so the proof is weaker: only what Python asks for"
                " is seen and refused, not what other programs do."
            )
        folder, description = self.environments.find_or_make(
            tag, self.options.python, self.use, self.progress
        )
        self.progress.note(f"Serving {tag} without a network …")
        place, port = self.home.make_place(), 3000 if namespaces else _find_port()
        words = ["serve", "--host", "127.0.0.1", "--port", str(port)]
        own = self.home.make_environment(os.environ, place.user)
        own |= {name: os.environ[name] for name in runtime.variables if name in os.environ}
        start = make_start_in(folder, description, words, own)
        mounts = [(str(store), str(store)) for store in self.stores if store.is_dir()]
        trial = Trial(
            place.logs,
            start.command,
            start.make_environment(own),
            port,
            self.options.request,
            mounts=mounts if namespaces else (),
            seconds_to_start=self.options.seconds_to_start,
        )
        outcome = sandbox.run(trial, namespaces)
        sources = [str(bento / "src"), str((bento / "src").resolve())]
        allowed = self.options.allowed_hosts
        watched = Watched(sources, socket.gethostname(), allowed, not namespaces)
        report = make_report(place.logs, outcome, watched)
        return Proof(tag, report, wheelhouse=description.wheelhouse)


def _find_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _refuse_unprovable(tags: Sequence[str]) -> None:
    """Refuse Bentos that cannot run on this host, whatever travels with them, before any is served.

    Raises:
        MissingError: one needs a GPU, or packages for another architecture.
    """
    kind = find_kind(BENTO.name)
    folders = {tag: kind.install_path(*kind.find(tag)).final for tag in tags}
    reasons = {tag: reason for tag, folder in folders.items() if (reason := _find_obstacle(folder))}
    if not reasons:
        return
    tag, reason = next(iter(reasons.items()))
    others = [tag for tag in tags if tag not in reasons]
    hint = f" The others can be proved here: name {' and '.join(others)}." if others else ""
    raise MissingError(
        f"{tag} is not provable here: {reason}.",
        f"Run the proof on a host of that kind.{hint}",
        [f"{tag} is not provable here: {reason}" for tag, reason in reasons.items()],
    )


def _find_obstacle(bento: Path) -> str:
    """Say why the Bento in a folder cannot run on this host; nothing if it may."""
    has_gpu = any(Path("/dev", name).exists() for name in _GPU_DEVICES)
    if read_runtime(bento).has_gpu and not has_gpu:
        return "it asks for a GPU, and this host has none"
    wheelhouses = find_wheelhouses(digest_requirements(bento))
    architectures = sorted({wheelhouse.lock.target.architecture for wheelhouse in wheelhouses})
    own = platform.machine()
    if architectures and own not in architectures:
        return f"its packages are for {' and '.join(architectures)}, and this host is {own}"
    return ""


def read_request(path: Path) -> ExampleRequest:
    """Read an example request from a file that a person names.

    Raises:
        ConfigurationError: it cannot be read.
        UsageError: it is not a request.
    """
    try:
        raw = read_small(path, _REQUEST_BYTES)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}.", "Check the path of the request."
        ) from error
    return parse_request(raw, str(path))


def describe_proof(proof: Proof) -> dict[str, Any]:
    """Return a proof for JSON: also the report that an attestation may name."""
    report, outcome = proof.report, proof.report.outcome
    return {
        "bento": proof.bento,
        "bundle": proof.bundle or None,
        "wheelhouse": proof.wheelhouse,
        "verdict": report.verdict,
        "weak": report.is_weak,
        "ready_after": round(outcome.seconds, 1) if outcome.is_ready else None,
        "exit_code": outcome.exit_code,
        "answers": [asdict(answer) for answer in outcome.answers],
        "requests": [asdict(request) for request in report.requests],
        "allowed": [asdict(request) for request in report.allowed],
        "log": list(report.log),
    }


def write_report(path: Path, data: Mapping[str, Any]) -> None:
    """Write a report as JSON. Raises StorageError."""
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path.parent, path.name, [text.encode()])
