"""Names of a folder, from pages of keys.

A bucket has no folders: a server lists all keys below a prefix, however many there are. So after
each page the rest of the last key's own folder is skipped.
"""

from collections.abc import Sequence

__all__ = ["extract_names", "skip_folder"]


def extract_names(keys: Sequence[str], top: str) -> set[str]:
    """Return the names directly below ``top`` in these keys.

    Raises:
        ValueError: a key is not a path that a depot could have.
    """
    for key in keys:
        segments = key.removesuffix("/").split("/")
        if not key.isprintable() or any(segment in ("", ".", "..") for segment in segments):
            raise ValueError("not a path")
    return {_first_segment(key, top) for key in keys} - {""}


def skip_folder(key: str, top: str) -> str:
    """Return a key that sorts after all names of a depot in the key's folder below ``top``."""
    folder = f"{top}/{_first_segment(key, top)}".removeprefix("/")
    return f"{folder}/~" if key.startswith(f"{folder}/") else key


def _first_segment(key: str, top: str) -> str:
    prefix = f"{top}/" if top else ""
    return key.removeprefix(prefix).partition("/")[0] if key.startswith(prefix) else ""
