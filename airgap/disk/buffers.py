"""Memory for packs, reused: fresh memory costs more time than reading a pack into it."""

from collections.abc import Callable

from airgap.codec.buffer import Buffer

__all__ = ["BufferPool"]


class BufferPool:
    """Buffers that readers read packs into; each is reused once it is given back.

    Any thread may take buffers and give them back. The pool does not limit how many are taken.
    """

    def __init__(self, most: int) -> None:
        """Begin with an empty pool, of which nobody will want more than ``most`` bytes at once."""
        self._most = most
        self._free: list[bytearray] = []

    def fill(self, size: int, read_into: Callable[[memoryview], int]) -> memoryview:
        """Take a buffer and read ``size`` bytes into it, fewer at the end of the input.

        ``read_into`` fills the beginning of a view and returns the number of bytes; 0 at the end.
        """
        buffer = self._take(size)
        filled, view = 0, memoryview(buffer)[:size]
        try:
            while filled < size and (count := read_into(view[filled:])):
                filled += count
        except BaseException:
            self._free.append(buffer)
            raise
        return view[:filled]

    def give_back(self, data: Buffer) -> None:
        """Return a buffer to the pool; it must not be used any more. Other bytes are ignored."""
        if isinstance(data, memoryview) and isinstance(data.obj, bytearray):
            self._free.append(data.obj)

    def _take(self, size: int) -> bytearray:
        """Return a free buffer, or a new one: of full size, unless much less is wanted."""
        buffer = self._free.pop() if self._free else bytearray()
        if len(buffer) >= size:
            return buffer
        return bytearray(size if 2 * size < self._most else self._most)
