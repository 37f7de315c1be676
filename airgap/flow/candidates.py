"""What a person may mean who types the beginning of a word: names of this machine, quickly.

Nothing here opens a connection, verifies a signature or reads the content of an item.
"""

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from airgap.flow import config

__all__ = [
    "list_bundles",
    "list_channels",
    "list_environments",
    "list_keys",
    "list_recorded_bundles",
    "list_remotes",
    "list_sites",
    "list_tags",
]

_MOST: Final = 1000
"""More names than a person reads; a store or a depot may have very many."""
_NAMES: Final = 20_000
_BUNDLES: Final = "bundles"
_MANIFEST_FOLDERS: Final = ("manifests", "exported")
_SITE_FOLDERS: Final = ("sites", "ledgers", "receipts")


def list_tags(beginning: str, kinds: Iterable[str] = ()) -> list[str]:
    """Return the tags of installed items that begin so; ``kinds`` is empty for all kinds."""
    from airgap.store.kinds import list_kinds

    wanted = frozenset(kinds)
    name = beginning.partition(":")[0] if ":" in beginning else None
    tags = (
        ":".join(tag)
        for kind in list_kinds()
        if not wanted or kind.rules.name in wanted
        for tag in islice(kind.list_tags(name), _NAMES)
    )
    return _choose(tags, beginning)


def list_remotes(beginning: str) -> list[str]:
    """Return the named remotes that begin so, with their ``@``."""
    from airgap.flow.location import named_remotes

    mark = named_remotes.MARK
    return _choose((mark + remote.name for remote in named_remotes.list_remotes()), beginning)


def list_bundles(depot: str, beginning: str = "") -> list[str]:
    """Return the ids of the bundles of a depot in a folder that begin so; of no other location."""
    from airgap.format import names

    folder = Path(depot).expanduser() / _BUNDLES
    return _choose(filter(names.is_bundle_id, _list_names(folder)), beginning)


def list_keys(beginning: str) -> list[str]:
    """Return the private keys in ``AIRGAP_HOME`` whose paths begin so."""
    folder = config.home() / "keys"
    keys = (str(folder / name) for name in _list_names(folder) if name.endswith(".key"))
    return _choose(keys, beginning)


def list_channels(beginning: str) -> list[str]:
    """Return the channels that this machine has numbered bundles of."""
    from airgap.format import names

    folder = config.home() / "channels"
    return _choose(filter(names.is_tag_part, _list_names(folder)), beginning)


def list_recorded_bundles(beginning: str) -> list[str]:
    """Return the ids of the bundles that were imported or exported here."""
    from airgap.format import names

    files = {name for folder in _MANIFEST_FOLDERS for name in _list_names(config.home() / folder)}
    bundles = (name.removesuffix(".msgpack") for name in files)
    return _choose(filter(names.is_bundle_id, bundles), beginning)


def list_sites(beginning: str) -> list[str]:
    """Return the sites that this machine has a history, a ledger or receipts of."""
    from airgap.format import names

    found = {name for folder in _SITE_FOLDERS for name in _list_names(config.home() / folder)}
    return _choose(filter(names.is_tag_part, found), beginning)


def list_environments(beginning: str) -> list[str]:
    """Return the tags of the Bentos that have an environment in BentoML's home."""
    from airgap.store import environments
    from airgap.store.bentoml_home import home

    top = home() / environments.FOLDER
    tags = (f"{name}:{version}" for name in _list_names(top) for version in _list_names(top / name))
    return _choose(tags, beginning)


def _list_names(folder: Path) -> Iterator[str]:
    """Yield the names in a folder, up to a limit; none if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in islice(entries, _NAMES))
    except OSError:
        return


def _choose(candidates: Iterable[str], beginning: str) -> list[str]:
    """Return what begins so, sorted, up to a limit."""
    return sorted(islice((name for name in candidates if name.startswith(beginning)), _MOST))
