"""Lists a folder of a bucket page by page, and ends whatever the server responds.

A bucket has no folders, and the library can only list all keys below a prefix, however many there
are. So keys are listed by page, and after each page the rest of the last key's own folder is
skipped.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from airgap.transport.port import TransientError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["PAGE_KEYS", "extract_names", "fetch_page", "skip_folder"]

PAGE_KEYS: Final = 1000
"""The most keys that a server returns at once."""


def fetch_page(store: "ObjectStore", top: str, after: str, timeout: float) -> list[str]:
    """Return the keys below ``top`` that follow ``after``, at most ``PAGE_KEYS`` of them.

    Raises:
        TransientError: the request takes more than ``timeout`` seconds.
    """
    try:  # the library would request empty pages endlessly
        return asyncio.run(asyncio.wait_for(_fetch_page(store, top, after), timeout))
    except TimeoutError:
        raise TransientError(
            f"Listing the depot took more than {timeout:g} seconds.", "Run the same command again."
        ) from None


def extract_names(keys: Sequence[str], top: str) -> set[str]:
    """Return the names directly below ``top`` in these keys."""
    return {_first_segment(key, top) for key in keys} - {""}


def skip_folder(key: str, top: str) -> str:
    """Return a key that sorts after all names of a depot in the key's folder below ``top``."""
    folder = f"{top}/{_first_segment(key, top)}".removeprefix("/")
    return f"{folder}/~" if key.startswith(f"{folder}/") else key


async def _fetch_page(store: "ObjectStore", top: str, after: str) -> list[str]:
    stream = store.list(top or None, offset=after or None, chunk_size=PAGE_KEYS)
    return [str(entry["path"]) for entry in await anext(stream, [])]


def _first_segment(key: str, top: str) -> str:
    prefix = f"{top}/" if top else ""
    return key.removeprefix(prefix).partition("/")[0] if key.startswith(prefix) else ""
