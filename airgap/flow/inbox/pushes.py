"""What is being pushed: names that clients have registered, and their uploads. It lives in memory.

A server that is started again knows nothing of it: clients push again.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Final, Literal

from airgap.errors import AirgapError, ConflictError, MissingError, StorageError
from airgap.flow.inbox.inbox import Inbox, PushedItem, PushedTag, make_pushed_item
from airgap.flow.inbox.upload import PushUpload
from airgap.store.staging import StagedItem

__all__ = ["PushState", "Pushes", "Registration"]

PushState = Literal["pending", "uploading", "success", "failed"]

_MOST_REGISTRATIONS: Final = 1000
_MOST_UPLOADS: Final = 64
_IDLE_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Registration:
    """What a client says of an item before it sends it; nothing of it is verified."""

    tag: PushedTag
    pushed_by: str
    manifest: Mapping[str, Any]
    labels: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    state: PushState = "pending"
    reason: str = ""
    """Why it has failed."""


class Pushes:
    """The pushes of one server into an inbox. Threads may use it at once."""

    def __init__(
        self,
        inbox: Inbox,
        find_signed: Callable[[PushedTag], str],
        most_bytes: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the inbox.

        Args:
            inbox: it was prepared.
            find_signed: returns the digest of an item, in hex, that a signed bundle of the depot
                has under this tag; empty: none has.
            most_bytes: of the inbox and the uploads together; None: as the disk has.
            clock: returns seconds since 1970.
        """
        self.inbox = inbox
        self._find_signed = find_signed
        self._most_bytes = most_bytes
        self._clock = clock
        self._lock = Lock()
        self._registrations: dict[PushedTag, Registration] = {}
        self._uploads: dict[str, PushUpload] = {}
        self._singles: set[str] = set()
        self._ready: dict[PushedTag, list[tuple[PushUpload, StagedItem]]] = {}

    def find(self, tag: PushedTag) -> Registration | PushedItem | None:
        """Return what is pushed under a tag: a push that goes on, else the item of the inbox."""
        with self._lock:
            registration = self._registrations.get(tag)
        return self.inbox.find(tag) if registration is None else registration

    def register(self, registration: Registration) -> None:
        """Take what a client says of an item that it is about to send.

        Raises:
            ConflictError: a signed bundle has the Bento already: nothing replaces it.
            StorageError: too many are registered.
        """
        tag = registration.tag
        if tag.kind == "bento":
            self._refuse_signed(tag, "")
        with self._lock:
            if tag not in self._registrations and len(self._registrations) >= _MOST_REGISTRATIONS:
                raise _make_full(f"{_MOST_REGISTRATIONS:,} pushes are registered and not ended")
            self._registrations[tag] = registration

    def start(self, tag: PushedTag, who: str) -> Registration:
        """Say that the item is about to be sent; one that nobody registered is registered.

        Raises:
            ConflictError, StorageError: as ``register``.
        """
        with self._lock:
            registration = self._registrations.get(tag)
        if registration is None:
            present = self.inbox.find(tag)
            known: Mapping[str, Any] = {} if present is None else present.manifest
            registration = Registration(tag, who, known)
        self.register(replace(registration, pushed_by=who, state="uploading", reason=""))
        return registration

    def open_upload(self, tag: PushedTag, *, is_single: bool = False) -> PushUpload:
        """Begin an upload; one that is single is completed by ``finish``.

        Raises:
            MissingError: nobody has registered the tag.
            StorageError: too many are under way, or the inbox is full.
        """
        with self._lock:
            if tag not in self._registrations:
                raise MissingError(f"Nobody has registered the {tag}.", "Push it again.")
            idle = self._take_idle()
            count = len(self._uploads)
        for upload in idle:
            upload.abort()
        if count >= _MOST_UPLOADS:
            raise _make_full(f"{count} uploads are under way")
        upload = PushUpload(self.inbox, tag)
        with self._lock:
            self._uploads[upload.id] = upload
            if is_single:
                self._singles.add(upload.id)
        return upload

    def find_upload(self, upload_id: str, tag: PushedTag | None = None) -> PushUpload:
        """Return an upload, of this tag if one is given. Raises MissingError: there is none."""
        with self._lock:
            upload = self._uploads.get(upload_id)
        if upload is None or tag not in (None, upload.tag):
            raise MissingError("No upload is known here by this id.", "Push the item again.")
        return upload

    def refuse_full(self, more: int) -> None:
        """Refuse so many bytes more if the inbox has no room. Raises StorageError."""
        if self._most_bytes is None:
            return
        with self._lock:
            under_way = sum(upload.received for upload in self._uploads.values())
        used = under_way + sum(item.size for item in self.inbox.list_items())
        if used + more > self._most_bytes:
            raise _make_full(f"{used:,} of its {self._most_bytes:,} bytes are used")

    def complete(self, upload: PushUpload, count: int) -> None:
        """Read an upload to its end, and keep it until ``finish``.

        Raises:
            CorruptError: it is not an item, or another one. The push has failed then.
            AirgapError: what the disk refused.
        """
        try:
            staged = upload.complete(count)
        except AirgapError as error:
            self.fail(upload.tag, error.message)
            self.drop(upload)
            raise
        with self._lock:
            self._ready.setdefault(upload.tag, []).append((upload, staged))

    def finish(self, tag: PushedTag) -> PushedItem:
        """Put what has arrived into the inbox.

        Raises:
            MissingError: nothing has arrived.
            ConflictError: something else of this tag came meanwhile, or a signed bundle has it.
        """
        with self._lock:
            singles = [
                upload
                for upload in self._uploads.values()
                if upload.id in self._singles and upload.tag == tag and upload.received
            ]
        for upload in singles:
            self.complete(upload, 1)
        with self._lock:
            ready = self._ready.pop(tag, [])
            registration = self._registrations.get(tag)
        if not ready or registration is None:
            raise MissingError(
                f"No content of the {tag} has arrived.", "Push it with its content: not bare."
            )
        pushed = [self._put(upload, staged, registration) for upload, staged in ready]
        with self._lock:
            self._registrations.pop(tag, None)
        return pushed[-1]

    def fail(self, tag: PushedTag, reason: str) -> None:
        """Note that a push has failed, and remove what has arrived of it."""
        with self._lock:
            registration = self._registrations.get(tag)
            if registration is not None:
                failed = replace(registration, state="failed", reason=reason)
                self._registrations[tag] = failed
            ready = self._ready.pop(tag, [])
        for upload, _ in ready:
            self.drop(upload)

    def drop(self, upload: PushUpload) -> None:
        """Forget an upload, and remove what is left of it."""
        with self._lock:
            self._uploads.pop(upload.id, None)
            self._singles.discard(upload.id)
        upload.abort()

    def close(self) -> None:
        """End all uploads."""
        with self._lock:
            uploads = list(self._uploads.values())
        for upload in uploads:
            self.drop(upload)

    def _put(
        self, upload: PushUpload, staged: StagedItem, registration: Registration
    ) -> PushedItem:
        pushed = make_pushed_item(
            staged.item,
            pushed_by=registration.pushed_by,
            received_at=int(self._clock()),
            labels=registration.labels,
            description=registration.description,
            manifest=registration.manifest,
        )
        try:
            self._refuse_signed(upload.tag, pushed.digest)
            with self.inbox.locked():
                self.inbox.put(staged, pushed, upload.expected)
        except AirgapError as error:
            self.fail(upload.tag, error.message)
            raise
        finally:
            self.drop(upload)
        return pushed

    def _refuse_signed(self, tag: PushedTag, digest: str) -> None:
        """Refuse to replace what is signed; the same content may come again."""
        signed = self._find_signed(tag)
        present = self.inbox.find(tag)
        if not signed and present is not None and present.bundle:
            signed = present.digest
        if signed and signed != digest:
            raise ConflictError(
                f"The {tag} is in a signed bundle, which no push replaces.",
                "Give it another version, and push that.",
            )

    def _take_idle(self) -> list[PushUpload]:
        """Take out the uploads to which nothing came for an hour; the lock is held."""
        before = time.monotonic() - _IDLE_SECONDS
        idle = [upload for upload in self._uploads.values() if upload.touched < before]
        for upload in idle:
            del self._uploads[upload.id]
        return idle


def _make_full(why: str) -> StorageError:
    return StorageError(
        f"The inbox takes nothing more: {why}.",
        "Ask its builders to sign or discard what is in it (`airgap inbox list`).",
    )
