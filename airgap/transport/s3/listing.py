"""Lists a folder of a bucket page by page, with an end to it whatever the server answers.

There are no folders: the library could only list one whole, however long it is. So keys are listed
as they are, and after each page what is left of the last key's own folder is skipped.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from airgap.transport.port import TransientError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["PAGE_KEYS", "extract_names", "fetch_page", "skip_folder"]

PAGE_KEYS: Final = 1000
"""What a server lists at once."""


def fetch_page(store: "ObjectStore", top: str, after: str, timeout: float) -> list[str]:
    """Return the keys below ``top`` that come after one, at most ``PAGE`` of them.

    Raises:
        BrokenOffError: it takes more than ``timeout`` seconds.
    """
    try:  # the library itself would ask for empty pages without an end
        return asyncio.run(asyncio.wait_for(_fetch_page(store, top, after), timeout))
    except TimeoutError:
        raise TransientError(
            "It takes too long to list the depot.", "Run the same command again."
        ) from None


def extract_names(keys: Sequence[str], top: str) -> set[str]:
    """Return the names directly below ``top`` in these keys; others are not asked for."""
    return {_first_segment(key, top) for key in keys} - {""}


def skip_folder(key: str, top: str) -> str:
    """Name a key after which no name of a depot lies in the same folder directly below ``top``."""
    folder = f"{top}/{_first_segment(key, top)}".removeprefix("/")
    return f"{folder}/~" if key.startswith(f"{folder}/") else key


async def _fetch_page(store: "ObjectStore", top: str, after: str) -> list[str]:
    stream = store.list(top or None, offset=after or None, chunk_size=PAGE_KEYS)
    return [str(one["path"]) for one in await anext(stream, [])]


def _first_segment(key: str, top: str) -> str:
    above = f"{top}/" if top else ""
    return key.removeprefix(above).partition("/")[0] if key.startswith(above) else ""
