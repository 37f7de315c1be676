"""The index of a mirror in SQLite: what is served, and why the rest is not.

It is a cache of the depot's manifests and of what was verified. It may be removed at any time: the
next start makes it again, and verifies every pack again.
"""

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal, NamedTuple, NoReturn

from airgap.disk.os_errors import translate_errors
from airgap.errors import StorageError

__all__ = ["BundleRow", "ItemRow", "ServingIndex", "Status", "Withheld"]

_VERSION: Final = 2
_SCHEMA: Final = """
create table bundle (
    id text primary key, created_at integer not null, expires_at integer, bases text not null,
    status text not null, reason text not null
) without rowid;
create index bundle_newest on bundle (created_at desc, id);
create table item (
    bundle text not null references bundle (id) on delete cascade,
    kind text not null, name text not null, version text not null,
    digest text not null, size integer not null, created_at integer not null,
    summary text not null,
    primary key (kind, name, version, bundle)
) without rowid;
create index item_bundle on item (bundle);
create view listed as
    select i.*, b.created_at as brought_at, b.expires_at
    from item i join bundle b on b.id = i.bundle where b.status = 'served';
create table pack (digest text primary key) without rowid;
create table summary (digest text primary key, summary text not null) without rowid;
"""
_LIST: Final = "select * from listed where kind = ? and (expires_at is null or expires_at >= ?)"
_NAMED: Final = " and name = ?"
_FITTING: Final = """
    from bundle where status in (select value from json_each(?)) and (
        id like ? escape '!' or exists (
            select 1 from item where bundle = id and name || ':' || version like ? escape '!'
        )
    )"""
_COUNT_SERVED: Final = """
    select count(*), coalesce(sum(size), 0) from (
        select distinct kind, name, version, digest, size from listed
        where expires_at is null or expires_at >= ?
    )"""
_NEWEST: Final = " order by created_at desc, version desc, brought_at desc, bundle desc"


Status = Literal["served", "unread", "waits", "refused", "sealed"]
"""Whether a bundle is served, or not yet read, lacks attestations, is refused, or is sealed."""


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An item of a bundle, as the index has it. ``size`` in bytes, times in seconds since 1970."""

    kind: str
    name: str
    version: str
    digest: str
    size: int
    created_at: int
    bundle: str
    summary: Mapping[str, Any]
    """What its description says (``store.description_summary``); empty if it has none."""

    @property
    def tag(self) -> str:
        """``name:version``."""
        return f"{self.name}:{self.version}"


class Withheld(NamedTuple):
    """Why a bundle is not served."""

    status: Status
    reason: str
    """One sentence for people."""


@dataclass(frozen=True, slots=True)
class BundleRow:
    """A bundle of the depot. Times as in ``ItemRow``."""

    bundle: str
    created_at: int
    expires_at: int | None
    bases: tuple[str, ...] = ()
    """The ids of the bundles that have what it does not carry (format §4.2)."""
    status: Status = "served"
    reason: str = ""
    """Why it is not served; empty if it is."""


class ServingIndex:
    """The index in one file. Threads may use it at once."""

    def __init__(self, path: Path) -> None:
        """Open or make it; one that is damaged or of another version is made anew.

        Raises:
            StorageError: it cannot be written.
        """
        self._path = path
        self._lock = Lock()
        with translate_errors(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._connection = self._open()
        except sqlite3.DatabaseError:
            with translate_errors(path):
                for ending in ("", "-wal", "-shm"):
                    path.with_name(path.name + ending).unlink(missing_ok=True)
            with self._translated():
                self._connection = self._open()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def list_bundles(self) -> list[BundleRow]:
        """Return all bundles, served or not, by their id."""
        rows = self._select("select * from bundle order by id")
        return [_make_bundle(row) for row in rows]

    def list_page(
        self, words: str, statuses: Sequence[Status], first: int, most: int
    ) -> tuple[list[BundleRow], int]:
        """Return bundles, the newest first, from number ``first`` on; and how many fit.

        ``words`` are part of the id, or of the name and version of an item; empty: all fit.
        """
        part = "%" + re.sub("([%_!])", r"!\1", words) + "%"
        values = (json.dumps(statuses), part, part)
        ((count,),) = self._select(f"select count(*) {_FITTING}", *values)
        page = f"select * {_FITTING} order by created_at desc, id limit ? offset ?"
        return [_make_bundle(row) for row in self._select(page, *values, most, first)], count

    def find_bundles(self, beginning: str) -> list[BundleRow]:
        """Return the bundles whose ids begin so, at most two."""
        rows = self._select(
            "select * from bundle where id >= ? and id < ? order by id limit 2",
            *(beginning, beginning + "g"),
        )
        return [_make_bundle(row) for row in rows]

    def count_bundles(self) -> dict[Status, int]:
        """Return how many bundles there are of each status."""
        return dict(self._select("select status, count(*) from bundle group by status"))

    def count_served(self, now: int) -> tuple[int, int]:
        """Return how many items are served at a time, and their bytes; each item counts once."""
        ((count, size),) = self._select(_COUNT_SERVED, now)
        return count, size

    def list_contents(self, bundle: str) -> list[ItemRow]:
        """Return what is noted of the items of a bundle, served or not."""
        rows = self._select(
            "select * from item where bundle = ? order by kind, name, version", bundle
        )
        return [_make_item(row) for row in rows]

    def list_bases(self, bundle: str) -> tuple[str, ...]:
        """Return the ids of the bundles that have what this one does not carry."""
        rows = self._select("select bases from bundle where id = ?", bundle)
        return tuple(base for (text,) in rows for base in json.loads(text))

    def list_items(self, kind: str, now: int, name: str | None = None) -> list[ItemRow]:
        """Return the served items of a kind, or of one name, the newest first.

        An item that several bundles have is returned once.
        """
        statement: str = _LIST
        values: tuple[object, ...] = (kind, now)
        if name is not None:
            statement, values = _LIST + _NAMED, (kind, now, name)
        rows = map(_make_item, self._select(statement + _NEWEST, *values))
        newest: dict[str, ItemRow] = {}
        for item in rows:
            newest.setdefault(item.tag, item)
        return list(newest.values())

    def find_item(self, kind: str, name: str, version: str, now: int) -> ItemRow | None:
        """Return a served item; None if no bundle that is served has it."""
        statement = _LIST + _NAMED + " and version = ?" + _NEWEST + " limit 1"
        rows = self._select(statement, kind, now, name, version)
        return next(map(_make_item, rows), None)

    def find_digest(self, kind: str, name: str, version: str) -> str:
        """Return the digest of an item that a bundle of the depot claims to have; empty: none."""
        rows = self._select(
            "select digest from item where kind = ? and name = ? and version = ? limit 1",
            *(kind, name, version),
        )
        for (digest,) in rows:
            return str(digest)
        return ""

    def explain(self, kind: str, name: str, version: str) -> str:
        """Return why an item that was indexed is not served; empty if that is not known."""
        rows = self._select(
            "select reason from item join bundle on id = bundle"
            " where kind = ? and name = ? and version = ? order by reason = '' limit 1",
            *(kind, name, version),
        )
        for (reason,) in rows:
            return reason or "The bundle has expired."
        return ""

    def replace_bundle(self, bundle: BundleRow, items: Sequence[ItemRow]) -> None:
        """Put a bundle that is to be served in place of what was known of it."""
        with self._change() as connection:
            _put(connection, bundle, items)

    def note_claims(self, bundles: Iterable[tuple[BundleRow, Sequence[ItemRow]]]) -> None:
        """Note what bundles say of themselves that are not served, or not yet.

        So people can be told why an item is not there; nothing of it is verified.
        """
        with self._change() as connection:
            for bundle, items in bundles:
                _put(connection, bundle, items)

    def withhold(self, reasons: Mapping[str, Withheld]) -> None:
        """Serve these bundles no more, or not yet, each for its reason.

        What is known of their items stays, so that people can be told the reason.
        """
        with self._change() as connection:
            connection.executemany(
                "insert into bundle values (?, 0, null, '[]', ?, ?) on conflict (id) do update"
                " set status = excluded.status, reason = excluded.reason",
                [(bundle, *withheld) for bundle, withheld in reasons.items()],
            )

    def forget_absent(self, present: Iterable[str]) -> None:
        """Remove the bundles that are not in the depot any more."""
        kept = frozenset(present)
        gone = [(row.bundle,) for row in self.list_bundles() if row.bundle not in kept]
        if gone:
            with self._change() as connection:
                connection.executemany("delete from bundle where id = ?", gone)

    def list_verified(self) -> frozenset[str]:
        """Return the digests, in hex, of the packs that were verified."""
        return frozenset(digest for (digest,) in self._select("select digest from pack"))

    def doubt_pack(self, digest: str) -> None:
        """Let a pack be verified again before anything of it is served."""
        with self._change() as connection:
            connection.execute("delete from pack where digest = ?", (digest,))

    def note_verified(self, packs: Iterable[str]) -> None:
        """Note that packs were verified, by their digests in hex."""
        with self._change() as connection:
            connection.executemany(
                "insert or ignore into pack values (?)", [(pack,) for pack in packs]
            )

    def load_summary(self, digest: str) -> Mapping[str, Any] | None:
        """Return what the description of an item says, by the item's digest; None if not noted."""
        for (text,) in self._select("select summary from summary where digest = ?", digest):
            summary: Mapping[str, Any] = json.loads(text)
            return summary
        return None

    def note_summary(self, digest: str, summary: Mapping[str, Any]) -> None:
        """Note what the description of an item says."""
        with self._change() as connection:
            connection.execute(
                "insert or replace into summary values (?, ?)", (digest, json.dumps(summary))
            )

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        try:
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            connection.execute("pragma foreign_keys = on")
            (version,) = connection.execute("pragma user_version").fetchone()
            if version == 0:
                connection.executescript(f"begin; {_SCHEMA} pragma user_version = {_VERSION}; end;")
            elif version != _VERSION:
                _refuse_version(version)
        except BaseException:
            connection.close()
            raise
        return connection

    def _select(self, statement: str, *values: object) -> list[Any]:
        with self._lock, self._translated():
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """Change it in one transaction."""
        with self._lock, self._translated():
            self._connection.execute("begin immediate")
            try:
                yield self._connection
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("rollback")
                raise
            self._connection.execute("commit")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StorageError(
                f"The index {self._path} cannot be used: {error}.",
                "Check the disk; then remove the file, it is made again.",
            ) from error


def _put(connection: sqlite3.Connection, bundle: BundleRow, items: Sequence[ItemRow]) -> None:
    """Put a bundle and its items in place of what was known of it."""
    connection.execute("delete from bundle where id = ?", (bundle.bundle,))
    connection.execute(
        "insert into bundle values (?, ?, ?, ?, ?, ?)",
        (
            *(bundle.bundle, bundle.created_at, bundle.expires_at),
            *(json.dumps(bundle.bases), bundle.status, bundle.reason),
        ),
    )
    connection.executemany(
        "insert into item values (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(item.bundle, item.kind, item.name, item.version),
                *(item.digest, item.size, item.created_at, json.dumps(item.summary)),
            )
            for item in items
        ],
    )


def _make_bundle(row: Sequence[Any]) -> BundleRow:
    bundle, created_at, expires_at, bases, status, reason = row
    return BundleRow(bundle, created_at, expires_at, tuple(json.loads(bases)), status, reason)


def _make_item(row: Sequence[Any]) -> ItemRow:
    bundle, kind, name, version, digest, size, created_at, summary, *_ = row
    texts = json.loads(summary)
    return ItemRow(kind, name, version, digest, size, created_at, bundle, texts)


def _refuse_version(version: int) -> NoReturn:
    raise sqlite3.DatabaseError(f"it has version {version}, and {_VERSION} is made here")
