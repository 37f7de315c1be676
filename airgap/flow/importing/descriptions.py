"""Checks the descriptions of items (bento.yaml, model.yaml) before BentoML reads them."""

from collections.abc import Sequence

from airgap.codec.buffer import Buffer
from airgap.flow.importing.targets import Targets
from airgap.format import limits
from airgap.format.inventory import File, Item
from airgap.store.item_kind import make_description_error
from airgap.store.kinds import find_kind

__all__ = ["Descriptions"]


class Descriptions:
    """Assembles each item's description from its pieces, which may come in any order."""

    def __init__(self, items: Sequence[Item], *, thorough: bool = False) -> None:
        """Find the files that describe the items; check items of kinds without one.

        ``thorough``: nothing else looks at them before they are accepted (``ItemKind.check``).

        Raises:
            CorruptError: an item has no description, an overlong one, or fails its kind's check.
        """
        self._items = items
        self._thorough = thorough
        self._files: dict[int, File] = {}
        self._parts: dict[int, dict[int, bytes]] = {}
        """Of each description that is not complete: its pieces, by offset in bytes."""
        for number, item in enumerate(items):
            description = item.rules.description
            if not description:
                find_kind(item.kind).check(item, b"", thorough=thorough)
                continue
            file = next((file for file in item.files if file.path == description), None)
            if file is None or file.size > limits.DESCRIPTION_BYTES:
                raise make_description_error(item)
            self._files[number] = file
            self._parts[number] = {}

    @property
    def chunks(self) -> set[int]:
        """Indexes of the chunks of all descriptions."""
        return {chunk for file in self._files.values() for chunk in file.chunks}

    def add(self, number: int, file: File, offset: int, data: Buffer) -> None:
        """Take bytes of a file of item ``number``; files that describe nothing are ignored.

        Raises:
            CorruptError: a description is now complete, and is malformed or another item's.
        """
        parts = self._parts.get(number)
        if parts is None or file.path != self._files[number].path:
            return
        parts[offset] = bytes(data)
        if sum(map(len, parts.values())) == file.size:
            text = b"".join(parts[at] for at in sorted(self._parts.pop(number)))
            item = self._items[number]
            find_kind(item.kind).check(item, text, thorough=self._thorough)

    def feed(self, targets: Targets, chunk: int, data: Buffer) -> None:
        """Take a chunk for every description that it is part of. Raises as ``add``."""
        for number, file, _, offset in targets[chunk]:
            self.add(number, file, offset, data)

    def refuse_incomplete(self) -> None:
        """Refuse items whose description is empty. Raises CorruptError."""
        for number in self._parts:
            raise make_description_error(self._items[number])
