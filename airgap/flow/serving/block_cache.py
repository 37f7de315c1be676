"""Plain blocks that were read last, each read once however many ask for it at the same time."""

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock

from airgap.codec.buffer import Buffer

__all__ = ["BlockCache"]


class BlockCache:
    """Blocks by their key, at most ``budget`` bytes of them. Threads may ask at once.

    When fifty machines start one model, each block is read, decoded and hashed once.
    """

    def __init__(self, budget: int) -> None:
        """Begin empty."""
        self._budget = budget
        self._size = 0
        self._blocks: OrderedDict[bytes, Buffer] = OrderedDict()
        self._under_way: dict[bytes, Future[Buffer]] = {}
        self._lock = Lock()

    def get(self, key: bytes, load: Callable[[], Buffer]) -> Buffer:
        """Return a block, from memory, from another thread that is loading it, or from ``load``.

        What ``load`` raises is raised to all who waited for it; the next one to ask loads again.
        """
        with self._lock:
            if key in self._blocks:
                self._blocks.move_to_end(key)
                return self._blocks[key]
            future = self._under_way.get(key)
            is_first = future is None
            if future is None:
                future = self._under_way[key] = Future()
        return self._load(key, load, future) if is_first else future.result()

    def _load(self, key: bytes, load: Callable[[], Buffer], mine: "Future[Buffer]") -> Buffer:
        try:
            block = load()
        except BaseException as error:
            with self._lock:
                del self._under_way[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._under_way[key]
            self._blocks[key] = block
            self._size += len(block)
            while self._size > self._budget:
                self._size -= len(self._blocks.popitem(last=False)[1])
        mine.set_result(block)
        return block
