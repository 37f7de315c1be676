"""One upload: a tar that arrives in parts, read strictly while the later parts arrive.

Parts may come in any order, several at once, and again. A thread reads those that follow one
another, and removes each when it was read; so little is left to do when the last one has come.
"""

import hashlib
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from threading import Condition, Thread
from typing import BinaryIO, Final

from airgap.carrier.stock.tar import TarStream
from airgap.disk.durable import sync_file_system
from airgap.disk.os_errors import translate_errors
from airgap.errors import AirgapError, ConflictError, CorruptError, UsageError
from airgap.flow.importing.received_items import ReceivedItems
from airgap.flow.inbox.inbox import STAGED, Inbox, PushedTag
from airgap.format.inventory import Item
from airgap.store.staging import StagedItem
from airgap.store.unsigned_staging import UnsignedStaging

__all__ = ["MOST_PARTS", "PushUpload"]

MOST_PARTS: Final = 10_000
"""As in S3. The parts of stock BentoML have 100 MiB."""
_PIECE: Final = 1024 * 1024


class PushUpload:
    """One upload of one item. Threads may write different parts at once."""

    def __init__(
        self, inbox: Inbox, tag: PushedTag, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin it; ``clock`` returns seconds.

        Raises:
            StorageError: the inbox cannot be written.
            CorruptError: the record of the item was changed by something else.
        """
        present = inbox.find(tag)
        self.id = secrets.token_hex(16)
        self.tag = tag
        self.expected = "" if present is None else present.digest
        """The digest of what it may replace: what was there when it began."""
        self.received = 0
        """Bytes that have arrived."""
        self.touched = clock()
        self._clock = clock
        self._inbox = inbox
        self._folder = inbox.uploads / self.id
        self._change = Condition()
        self._parts: dict[int, Path] = {}
        self._tags: dict[int, str] = {}
        self._count: int | None = None
        self._outcome: StagedItem | AirgapError | None = None
        self._is_aborted = False
        with translate_errors(self._folder):
            self._folder.mkdir(mode=0o700)
        self._thread = Thread(target=self._run, name=f"airgap-upload-{self.id[:8]}", daemon=True)
        self._thread.start()

    def open_part(self, number: int) -> "PartWriter":
        """Begin to write a part, from 1 on.

        Raises:
            UsageError: no upload has a part of this number.
            ConflictError: the upload has ended.
        """
        if not 1 <= number <= MOST_PARTS:
            raise UsageError(f"There is no part {number}.", f"Parts are 1 to {MOST_PARTS:,}.")
        with self._change:
            if self._count is not None or self._is_aborted:
                raise ConflictError("The upload has ended.", "Push the item again.")
        return PartWriter(self, number, self._folder / f"{number}.{secrets.token_hex(8)}")

    def add_part(self, number: int, path: Path, digest: str) -> None:
        """Take a part that has arrived whole; the same part once more is passed over.

        Raises:
            ConflictError: a part of this number has arrived with other content.
        """
        with self._change:
            self.touched = self._clock()
            known = self._tags.get(number)
            if known is None and not self._is_aborted:
                self._tags[number], self._parts[number] = digest, path
                self._change.notify_all()
                return
        path.unlink(missing_ok=True)
        if known not in (None, digest):
            raise ConflictError(
                f"Part {number} has arrived before, with other content.", "Push the item again."
            )

    def complete(self, count: int) -> StagedItem:
        """Return the item, once ``count`` parts were read.

        Raises:
            CorruptError: the parts make up no item, or another one than was named.
            AirgapError: what the disk refused.
        """
        with self._change:
            absent = [at for at in range(1, count + 1) if at not in self._tags]
            if absent and self._outcome is None:
                self._is_aborted = True
            elif self._count is None:
                self._count = count
            self._change.notify_all()
        if absent and self._outcome is None:
            raise CorruptError(
                f"Part {absent[0]} of {count} has not arrived.", "Push the item again."
            )
        self._thread.join()
        if not isinstance(self._outcome, StagedItem):
            raise self._outcome or ConflictError("The upload was ended.", "Push the item again.")
        return self._outcome

    def matches(self, number: int, digest: str) -> bool:
        """Tell whether a part that has arrived has this digest, as ``PartWriter`` returned it."""
        return self._tags.get(number) == digest

    def abort(self) -> None:
        """End it, and remove what has arrived; may be called twice."""
        with self._change:
            self._is_aborted = True
            self._change.notify_all()
        self._thread.join()
        if isinstance(self._outcome, StagedItem):
            self._discard(self._outcome)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self) -> None:
        """Read the parts as one tar, into staging."""
        outcome: StagedItem | AirgapError
        try:
            with translate_errors(self._folder):
                outcome = self._receive()
        except AirgapError as error:
            outcome = error
        except BaseException as error:  # noqa: BLE001  (else the client would wait for ever)
            outcome = CorruptError(f"It cannot be read: {error!r}.", "Report this as a bug.")
        with self._change:
            self._outcome = outcome
        shutil.rmtree(self._folder, ignore_errors=True)

    def _receive(self) -> StagedItem:
        with self._inbox.locked():
            incoming = UnsignedStaging(self._inbox.home, f"{STAGED}{self.id}-tree")
        try:
            received = ReceivedItems()
            with closing(_PartStream(self._take_part)) as parts:
                for member, pieces in TarStream(parts, "The push").members():
                    received.take(member, pieces, incoming)
            item = self._only_item(received)
            staged = StagedItem(item, self._inbox.target(self.tag), f"{STAGED}{self.id}")
            try:
                with self._inbox.locked():
                    incoming.hand_over("", staged)
                self._inbox.check_staged(staged)
                sync_file_system(staged.folder)
            except BaseException:
                self._discard(staged)
                raise
            return staged
        finally:
            with self._inbox.locked():
                incoming.discard()

    def _discard(self, staged: StagedItem) -> None:
        with self._inbox.locked():
            staged.discard()

    def _only_item(self, received: ReceivedItems) -> Item:
        """Return the item that has arrived. Raises CorruptError: it is not the one that was named.

        Its models are pushed by themselves: those within a Bento would have other names.
        """
        items = received.items()
        made = [PushedTag(item.kind, item.name, item.version) for item in items]
        if made != [self.tag]:
            raise CorruptError(
                f"What was pushed as the {self.tag} is {', '.join(map(str, made))}.",
                "Push it under its own name, and each model by itself.",
            )
        return items[0]

    def _take_part(self, number: int) -> Path | None:
        """Wait for a part; None after the last one."""
        with self._change:
            while number not in self._parts:
                if self._is_aborted:
                    raise ConflictError("The upload was ended.", "Push the item again.")
                if self._count is not None and number > self._count:
                    return None
                self._change.wait()
            return self._parts.pop(number)


class PartWriter:
    """Writes one part; ``finish`` gives it to the upload."""

    def __init__(self, upload: PushUpload, number: int, path: Path) -> None:
        """Take where it goes."""
        self._upload, self._number, self._path = upload, number, path
        self._digest = hashlib.md5(usedforsecurity=False)  # the ETag of S3, for the client alone
        self._file: BinaryIO | None = None

    def write(self, data: bytes) -> None:
        """Append bytes. Raises StorageError: the disk refused."""
        with translate_errors(self._path):
            if self._file is None:
                self._file = self._path.open("xb")
            self._file.write(data)
        self._digest.update(data)
        self._upload.received += len(data)

    def finish(self) -> str:
        """End the part; return its ETag. Raises StorageError: the disk refused."""
        self.write(b"")
        with translate_errors(self._path):
            self._close()
        tag = self._digest.hexdigest()
        self._upload.add_part(self._number, self._path, tag)
        return tag

    def discard(self) -> None:
        """Remove a part that broke off."""
        with suppress(OSError):
            self._close()
            self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()


class _PartStream:
    """The parts as one stream; each is removed when it was read."""

    def __init__(self, take: Callable[[int], Path | None]) -> None:
        self._take = take
        self._number = 0
        self._path: Path | None = None
        self._file: BinaryIO | None = None

    def read(self, size: int, /) -> bytes:
        """Return exactly ``size`` bytes, or fewer at the end."""
        pieces: list[bytes] = []
        while size:
            piece = self._file.read(min(size, _PIECE)) if self._file else b""
            if piece:
                pieces.append(piece)
                size -= len(piece)
            elif not self._open_next():
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Remove the part that is being read."""
        if self._file is not None and self._path is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)

    def _open_next(self) -> bool:
        self.close()
        self._number += 1
        self._path = self._take(self._number)
        self._file = None if self._path is None else self._path.open("rb")
        return self._file is not None
