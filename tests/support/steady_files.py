"""Lets a test's files, which are new and may lie anywhere, count as old ones on a fixed disk."""

import pytest

from airgap.disk import file_state
from airgap.state import digest_cache
from airgap.store import source_tree


def make_steady(patch: pytest.MonkeyPatch) -> None:
    """Let files be kept in the digest cache as soon as they are written."""
    patch.setattr(file_state, "is_fixed_disk", lambda _: True)
    patch.setattr(file_state, "_FINE_GRAIN", 0)
    patch.setattr(source_tree, "_YOUNG", 0)
    patch.setattr(digest_cache, "_YOUNG", 0)


def watch_reads(patch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the path of each file of an item that is opened to be packed."""
    opened: list[str] = []
    enter = source_tree.StableFile.__enter__

    def note(file: source_tree.StableFile) -> source_tree.StableFile:
        opened.append(file.path)
        return enter(file)

    patch.setattr(source_tree.StableFile, "__enter__", note)
    return opened
