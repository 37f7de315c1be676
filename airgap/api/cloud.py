"""BentoML's ``bentoml.cloud`` for a depot: scripts with ``BentoCloudClient`` change one import.

``BentoCloudClient().bento`` and ``.model`` push to a depot, pull from it, and list what it holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol, Self, runtime_checkable

from airgap.api import depots, results
from airgap.api.arguments import StrPath, TagLike
from airgap.api.depots import Admitting, Reach, Signing
from airgap.api.edge import edge
from airgap.api.keys import Passphrase, PrivateKey
from airgap.errors import MissingError, UsageError
from airgap.format import names
from airgap.format.kinds import Kind
from airgap.store import bentoml_home, bentoml_objects

if TYPE_CHECKING:
    from airgap.store.bentoml_objects import Bento, Model

__all__ = ["BentoAPI", "BentoCloudClient", "DepotEntries", "DepotEntry", "ModelAPI", "Tagged"]

_THREADS = 10  # as in BentoML


@dataclass(frozen=True, slots=True)
class DepotEntry:
    """A Bento or model of a depot."""

    name: str
    """Its name."""
    version: str
    """Its version."""
    created_at: str
    """The time of its bundle, as RFC 3339."""
    bundle: results.DepotBundleDict = field(repr=False)
    """The bundle that holds it, as ``airgap list --json`` has it."""

    @property
    def tag(self) -> str:
        """The name and the version."""
        return f"{self.name}:{self.version}"


@dataclass(frozen=True, slots=True)
class DepotEntries:
    """What a depot holds, newest first."""

    items: Sequence[DepotEntry]
    """The entries."""

    @property
    def total(self) -> int:
        """How many items there are."""
        return len(self.items)


@runtime_checkable
class Tagged(Protocol):
    """BentoML's ``Bento`` or ``Model``, or another object that has a tag."""

    @property
    def tag(self) -> TagLike:
        """The tag."""
        ...


class _ItemAPI:
    kind: ClassVar[Kind]

    def __init__(self, reach: Reach, signing: Signing) -> None:
        """Take the depot, and what to sign a push with."""
        self._reach = reach
        self._signing = signing

    @edge
    def list(self) -> DepotEntries:
        """List what the depot holds, newest first.

        Raises:
            MissingError: the depot holds no bundles.
            TransportError: the depot cannot be read.
        """
        return DepotEntries(self._entries(None))

    @edge
    def get(self, name: str, version: str | None = None) -> DepotEntry:
        """Return an item of the depot; without a version, or with ``latest``, the newest.

        Raises:
            MissingError: the depot does not have it.
            TransportError: the depot cannot be read.
        """
        tag = f"{name}:{version or 'latest'}"
        entries = self._entries(tag)
        if not entries:
            raise MissingError(f"The depot has no {self.kind} {tag}.", "See `airgap list DEPOT`.")
        return entries[0]

    def _entries(self, tag: str | None) -> Sequence[DepotEntry]:
        bundles = depots.list_bundles(self.kind, tag, self._reach)
        name = tag and names.parse_tag(tag)[0]
        return [
            DepotEntry(*names.parse_tag(item["tag"]), bundle["created_at"], bundle)
            for bundle in bundles
            for item in bundle.get("items", ())
            if item["kind"] == self.kind and name in (None, names.parse_tag(item["tag"])[0])
        ]

    def _push(self, item: Tagged | TagLike | str, *, force: bool, bare: bool, threads: int) -> str:
        tag = item.tag if isinstance(item, Tagged) else item
        signing = Signing(self._signing.key, self._signing.passphrase, self._signing.terms, threads)
        return depots.push(self.kind, tag, self._reach, signing, force=force, bare=bare)

    def _pull(
        self, tag: TagLike | str, store: object, *, force: bool, with_models: bool = False
    ) -> str:
        bentoml_objects.require_bentoml()
        _demand_own_store(store)
        return depots.pull(self.kind, tag, self._reach, Admitting(force), with_models=with_models)


class BentoAPI(_ItemAPI):
    """Bentos of a depot, in the shape of BentoML's ``BentoAPI``."""

    kind = "bento"

    @edge
    def push(
        self,
        bento: Tagged | TagLike | str,
        *,
        force: bool = False,
        bare: bool = False,
        threads: int = _THREADS,
    ) -> str:
        """Push a Bento and its models, signed; return the bundle id. See ``airgap.push``."""
        return self._push(bento, force=force, bare=bare, threads=threads)

    @edge
    def pull(
        self,
        tag: TagLike | str,
        *,
        force: bool = False,
        with_models: bool = False,
        bento_store: object = None,
    ) -> "Bento":
        """Return a Bento of this machine's store, or pull it. See ``airgap.pull``.

        Raises:
            UsageError: ``bento_store`` is not the store of ``BENTOML_HOME``.
        """
        return bentoml_objects.get_bento(
            self._pull(tag, bento_store, force=force, with_models=with_models)
        )


class ModelAPI(_ItemAPI):
    """Models of a depot, in the shape of BentoML's ``ModelAPI``."""

    kind = "model"

    @edge
    def push(
        self, model: Tagged | TagLike | str, *, force: bool = False, threads: int = _THREADS
    ) -> str:
        """Push a model, signed; return the bundle id. See ``airgap.models.push``."""
        return self._push(model, force=force, bare=False, threads=threads)

    @edge
    def pull(
        self, tag: TagLike | str, *, force: bool = False, model_store: object = None
    ) -> "Model":
        """Return a model of this machine's store, or pull it. See ``airgap.models.pull``.

        Raises:
            UsageError: ``model_store`` is not the store of ``BENTOML_HOME``.
        """
        return bentoml_objects.get_model(self._pull(tag, model_store, force=force))


class BentoCloudClient:
    """A depot in place of BentoCloud.

    Args:
        depot: a folder, a URL or ``@REMOTE``; default: ``AIRGAP_DEPOT``.
        key: the private key file that signs pushes; default: ``AIRGAP_KEY``.
        passphrase: of the key, or a function that returns it; default: ``AIRGAP_PASSPHRASE``.
    """

    def __init__(
        self,
        depot: StrPath | None = None,
        *,
        key: StrPath | PrivateKey | None = None,
        passphrase: Passphrase | None = None,
    ) -> None:
        """Reach the depot when it is used, not before."""
        reach, signing = Reach(depot), Signing(key, passphrase)
        self.bento = BentoAPI(reach, signing)
        self.model = ModelAPI(reach, signing)

    @classmethod
    def for_context(cls, context: str | None = None) -> Self:
        """Return the client of a named remote, as BentoML does of a context."""
        return cls(context and f"@{context}")


def _demand_own_store(store: object) -> None:
    """Refuse a store other than that of ``BENTOML_HOME``, which is the one that is locked."""
    if store is not None and not bentoml_objects.is_own_store(store):
        raise UsageError(
            f"airgap installs into {bentoml_home.home()} only.",
            "Set BENTOML_HOME to install into another store.",
        )
