"""Pull: one Bento or model out of a depot, with the models it needs, and nothing else."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256

from airgap.errors import AirgapError, CorruptError, MissingError, PolicyError
from airgap.flow.admission.policy import AdmissionPolicy
from airgap.flow.bundle import base_bundles, open_bundle
from airgap.flow.bundle.open_bundle import Opened
from airgap.flow.chunks.chunk_sources import BaseBundle, ChunkSources
from airgap.flow.depot import open_depot
from airgap.flow.depot.list_tags import Tag
from airgap.flow.depot.open_depot import DamagedBundle, StoredBundle
from airgap.flow.location.credentials import Access
from airgap.flow.redaction import redact
from airgap.format.inventory import Item
from airgap.format.manifest import Manifest
from airgap.store.item_kind import Description
from airgap.store.kinds import find_kind

__all__ = ["Pull", "open_for_pull"]

_DESCRIPTION = "bento.yaml"


@dataclass(frozen=True, slots=True)
class Pull:
    """What to pull from where."""

    tag: Tag
    place: str
    with_models: bool = True
    depots: Sequence[str] = ()
    """Where else chunks may be that the bundle builds on."""


@contextmanager
def open_for_pull(
    pull: Pull, judged: AdmissionPolicy, access: Access, *, remember: bool
) -> Iterator[Opened]:
    """Open the newest bundle that has the tag; ``Opened.only`` names what the tag needs of it.

    Raises:
        MissingError: no bundle of the depot has it.
        NotTrustedError, PolicyError, CorruptError: it is not admitted; or another bundle that may
            have the tag is not trusted or damaged, so that the newest cannot be told.
        TransportError: the depot cannot be read.
    """
    bundle, passed_over = _choose(pull, judged, access)
    place = open_depot.place_of_bundle(pull.place, bundle)
    with open_bundle.open_bundle(place, judged, remember=remember, access=access) as admitted:
        opened = base_bundles.with_depots(admitted, pull.depots, access)
        yield replace(opened, passed_over=passed_over, only=_needed(opened, pull))


def _choose(pull: Pull, judged: AdmissionPolicy, access: Access) -> tuple[str, tuple[str, ...]]:
    """Find the newest bundle that has the tag (format §8); return a line for each passed over.

    One that carries all its chunks comes before those that do not, whose content must be here.
    """
    ranked: list[tuple[tuple[bool, int, int], str]] = []
    refused: list[tuple[str, PolicyError]] = []
    with open_depot.open_depot(pull.place, access) as depot:
        for found in open_depot.read_bundles(depot, open_depot.bundle_of(pull.place)):
            try:
                manifest = _admitted(found, pull.tag, judged)
            except PolicyError as error:
                refused.append((found.bundle, error))
            except AirgapError as error:
                raise _undecided(pull, found.bundle, error) from error
            else:
                if manifest:
                    ranked.append((_rank(manifest), found.bundle))
    if not ranked and refused:
        raise refused[-1][1]
    if not ranked:
        raise open_depot.depot_not_found(pull.place, str(pull.tag))
    ranked.sort(key=lambda one: one[1])
    _, newest = max(ranked, key=lambda one: one[0])  # the first of two that are alike
    return newest, tuple(f"{depot.place}#{one[:12]}: {error.message}" for one, error in refused)


def _admitted(
    found: StoredBundle | DamagedBundle, tag: Tag, judged: AdmissionPolicy
) -> Manifest | None:
    """Admit a bundle; None if it has not the tag.

    Only bytes are compared before that: a bundle in which the name is nowhere cannot have it.
    """
    if isinstance(found, DamagedBundle):
        raise found.error
    if not tag.may_be_in(found.raw):
        return None
    manifest = judged.admit(found.raw, found.evidence).manifest.value
    return manifest if tag.is_in(manifest) else None


def _rank(manifest: Manifest) -> tuple[bool, int, int]:
    whole = manifest.carried == len(manifest.chunks)
    return whole, manifest.sequence, manifest.created_at


def _needed(opened: Opened, pull: Pull) -> frozenset[tuple[int, str, str]]:
    """Return the keys of the items that the tag stands for."""
    items = [
        one
        for one in opened.manifest.value.items
        if (one.kind, one.name) == (pull.tag.kind, pull.tag.name)
        and pull.tag.version in ("", one.version)
    ]
    wanted = _newest_of(items, opened)
    keys = {wanted.key}
    if pull.with_models and wanted.kind == "bento" and len(opened.manifest.value.items) > 1:
        named = {(one.kind, one.name, one.version) for one in _description(wanted, opened).models}
        keys |= {
            one.key
            for one in opened.manifest.value.items
            if (one.kind, one.name, one.version) in named
        }
    return frozenset(keys)


def _newest_of(items: list[Item], opened: Opened) -> Item:
    """Return the only version of a Bento in a bundle, or that which was made last."""
    if len(items) == 1 or items[0].kind != "bento":
        return items[-1]
    return max(items, key=lambda one: (_description(one, opened).created, one.version))


def _description(item: Item, opened: Opened) -> Description:
    """Read a Bento's bento.yaml out of its bundle, or from here, compared with its digest."""
    file = next((one for one in item.files if one.path == _DESCRIPTION), None)
    if file is None:
        raise CorruptError(
            f"The {item} has no {_DESCRIPTION}.", "Ask the sender to export it again."
        )
    manifest = opened.manifest.value
    digests = [manifest.chunks.digest(chunk) for chunk in file.chunks]
    own = ChunkSources([BaseBundle(manifest, lambda: opened.reader)])
    text = _joined(own, digests) or _joined(opened.supplies, digests)
    if sha256(text).digest() != file.digest:
        raise MissingError(
            f"The {_DESCRIPTION} of the {item} cannot be read from {opened.reader.place}.",
            "The pack with it is not there, or damaged, or it is in the bundle that this one"
            " builds on: name that with --depot.",
        )
    return find_kind(item.kind).read_description(text, f"{_DESCRIPTION} of {item}")


def _joined(supplies: ChunkSources, digests: Sequence[bytes]) -> bytes:
    """Return a file's bytes, as far as its chunks can be had."""
    supplies.locate(digests)
    return b"".join(supplies.read(one) or b"" for one in digests)


def _undecided(pull: Pull, bundle: str, error: AirgapError) -> AirgapError:
    place = redact(pull.place)
    if open_depot.bundle_of(pull.place):
        return error
    return type(error)(
        f"{error.message} That is bundle {bundle[:12]}, which may have the {pull.tag}, so which is"
        " the newest cannot be told.",
        f"See `airgap list {place}`, then name the one you want: DEPOT#ID; or have it deleted.",
        error.details,
    )
