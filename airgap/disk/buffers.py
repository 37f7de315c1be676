"""Memory for packs: fresh memory costs more time than reading a pack into it."""

from collections.abc import Callable

from airgap.codec.buffer import Buffer

__all__ = ["BufferPool"]


class BufferPool:
    """Pieces of memory that readers may read packs into; each is used again once given back.

    Any thread may take and give back. How many are taken at a time is up to whoever gives back.
    """

    def __init__(self, most: int) -> None:
        """Begin without any; each piece will have ``most`` bytes."""
        self._most = most
        self._free: list[bytearray] = []

    def fill(self, size: int, read_into: Callable[[memoryview], int]) -> memoryview:
        """Take a piece and read ``size`` bytes into it, or what there is.

        ``read_into`` fills the beginning of a view and returns how many bytes; 0 at the end.
        """
        piece = self._free.pop() if self._free else bytearray(self._most)
        have, view = 0, memoryview(piece)[:size]
        try:
            while have < size and (count := read_into(view[have:])):
                have += count
        except BaseException:
            self._free.append(piece)
            raise
        return view[:have]

    def give_back(self, data: Buffer) -> None:
        """Let a piece be used again: nobody may look at it any more. Other bytes are ignored."""
        if isinstance(data, memoryview) and isinstance(data.obj, bytearray):
            self._free.append(data.obj)
