"""The drop box's folders. A bundle is in exactly one of them, and moves by renames.

    incoming/<user>/…              what users upload; a user's home
    working/<user>/<arrival>/      taken: out of every user's reach; verified or imported from here
    held/<user>/<arrival>/         verified, and waiting for a person
    quarantine/<user>/<arrival>/   refused; reason.json says why

A process that is killed leaves each bundle where it was before a rename or after it.
"""

import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from airgap.disk.digests import digest_file
from airgap.disk.durable import sync_file, sync_folder
from airgap.disk.os_errors import translate_errors
from airgap.errors import AirgapError, StorageError
from airgap.flow.bundle.completeness import Completeness
from airgap.format import layout
from airgap.server.dropbox.upload_names import PART, OpenUploads, Quota, parse
from airgap.server.intake.discovery import UNFINISHED, DiscoveredBundle, find, stamp
from airgap.server.intake.event_log import write_json
from airgap.server.intake.intake import Candidate, Job

__all__ = ["RECORD", "DropFolders", "Retention"]

RECORD: Final = "reason.json"
DEPOT: Final = "depot"
_PLACES: Final = ("incoming", "working", "held", "quarantine")
_TIDY_EVERY: Final = 60.0
_GONE: Final = ".gone"


@dataclass(frozen=True, slots=True)
class Retention:
    """For how many seconds packs that no bundle needs, and unfinished uploads, are kept."""

    packs: float
    unfinished: float


class DropFolders:
    """A ``Keeper`` of the drop box's folders."""

    def __init__(
        self,
        state: Path,
        meters: Mapping[str, Quota],
        desk: OpenUploads,
        retention: Retention,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make the folders of every user.

        Raises:
            StorageError: they cannot be made, or are not on one file system.
        """
        self._meters = meters
        self._desk = desk
        self._retention = retention
        self._clock = clock
        self._tidied = -_TIDY_EVERY
        self._wrong: set[str] = set()
        with translate_errors(state):
            state.mkdir(mode=0o750, parents=True, exist_ok=True)
            for user in meters:
                for place in _PLACES:
                    (state / place / user).mkdir(parents=True, exist_ok=True)
            # As the FTP library sees paths: it is by them that one knows what is being written.
            self.state = state = state.resolve(strict=True)
            devices = {(state / place).stat().st_dev for place in _PLACES}
        if len(devices) > 1:
            raise StorageError(
                f"The folders below {state} lie on several file systems.",
                "Put all of them on one: bundles move between them by renames.",
            )
        self.measure()

    def home(self, user: str) -> Path:
        """Return where a user's uploads go."""
        return self.state / "incoming" / user

    def measure(self) -> None:
        """Measure what every user has stored."""
        for user, meter in self._meters.items():
            meter.measure(self.state / place / user for place in _PLACES)

    # ---- what is there

    def begun(self) -> list[Job]:
        """Return what is in ``working``; what was never taken completely is removed."""
        jobs = []
        for folder in sorted(self.state.glob("working/*/*")):
            job = _job(folder)
            if job is None:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                jobs.append(job)
        return jobs

    def sightings(self) -> Iterator[Candidate]:
        """Yield what users have uploaded and nobody is writing."""
        for user in self._meters:
            home = self.home(user)
            self._publish_whole(home)
            for thing in find(home, (layout.ARCHIVE_SUFFIX, layout.ARCHIVE_SUFFIX + UNFINISHED)):
                if not self._desk.is_open(thing.path):
                    name = os.path.relpath(thing.path, home).removesuffix(UNFINISHED)
                    finished = thing.path.name.endswith(layout.ARCHIVE_SUFFIX) and not thing.bundle
                    name = f"{name}#{thing.bundle}" if thing.bundle else name
                    yield Candidate(thing, name, user, stamp(thing), finished)

    def _publish_whole(self, home: Path) -> None:
        """Give packs and manifests that went straight to their names those names, if whole.

        They are named by their content, so that this is known without asking who sent them.
        """
        for path in home.rglob(f"*{UNFINISHED}"):
            name = parse(path.relative_to(home).as_posix().removesuffix(UNFINISHED))
            if name is None or name.kind != "named by content" or self._desk.is_open(path):
                continue
            seen = stamp(DiscoveredBundle(path))
            if seen in self._wrong:
                continue
            whole = digest_file(path) == _promised(home / name.final)
            if not whole:
                self._wrong.add(seen)
                continue
            with self._desk.lock:
                if not self._desk.is_open(path) and stamp(DiscoveredBundle(path)) == seen:
                    path.rename(home / name.final)

    # ---- one thing's way

    def take(self, sighting: Candidate, arrival: Completeness | None) -> Job | None:
        """Rename a thing out of its user's home."""
        thing = sighting.thing
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock()))
        folder = self.state / "working" / sighting.user / f"{now}-{secrets.token_hex(4)}"
        folder.mkdir()
        try:
            if thing.bundle:
                self._take_bundle(thing, folder / DEPOT, arrival)
            else:
                self._take_archive(thing, folder)
        except (OSError, AirgapError):
            shutil.rmtree(folder, ignore_errors=True)
            return None
        job = _job(folder)
        bundle = arrival.bundle if arrival else thing.bundle
        return None if job is None else replace(job, name=sighting.name, bundle=bundle)

    def _take_archive(self, thing: DiscoveredBundle, folder: Path) -> None:
        sync_file(thing.path.parent, thing.path.name)
        final = thing.path.with_name(thing.path.name.removesuffix(UNFINISHED))
        with self._desk.lock:
            if self._desk.is_open(thing.path):
                raise BlockingIOError
            size = thing.path.stat().st_size
            thing.path.rename(folder / final.name)
            self._desk.delivered.add(str(final), size)
        sync_folder(folder)

    def _take_bundle(
        self, thing: DiscoveredBundle, depot: Path, arrival: Completeness | None
    ) -> None:
        """Link the packs, then rename the bundle's folder, which is what takes it."""
        for name, _ in arrival.packs if arrival else ():
            if not (thing.path / name).exists():
                continue  # refused, and not complete
            sync_file(thing.path, name)
            (depot / name).parent.mkdir(parents=True, exist_ok=True)
            os.link(thing.path / name, depot / name, follow_symlinks=False)
        (depot / layout.BUNDLES).mkdir(parents=True)
        with self._desk.lock:
            thing.folder.rename(depot / layout.BUNDLES / thing.bundle)
        sync_folder(depot / layout.BUNDLES)

    def changed(self, job: Job) -> bool:
        """Nobody can reach what was taken."""
        del job
        return False

    def note(self, job: Job, record: Mapping[str, Any]) -> None:
        """Write the record beside the bundle."""
        folder = self._folder(job)
        if record["event"] == "quarantined":
            record = {**record, "digest": self._evidence(job, folder)}
        write_json(folder / RECORD, record)

    def put_away(self, job: Job, record: Mapping[str, Any]) -> None:
        """Remove what was imported; move what was not."""
        folder = self._folder(job)
        if record["event"] == "imported":
            gone = folder.with_name(folder.name + _GONE)
            folder.rename(gone)  # at once: record and bundle must not vanish one before the other
            shutil.rmtree(gone)
        else:
            place = "held" if record["event"] == "held" else "quarantine"
            target = self.state / place / job.user / job.arrival
            self._desk.delivered.forget(str(self.home(job.user) / job.name))
            if record.get("kind") == "corrupt":
                self._forget_wrong_packs(job, folder / DEPOT)
            folder.rename(target)
            sync_folder(target.parent)
        self.measure()

    def _evidence(self, job: Job, folder: Path) -> str:
        """Return the digest of a refused file, or of a refused bundle's manifest."""
        manifest = folder / DEPOT / layout.manifest_name(job.bundle)
        path = manifest if manifest.exists() else Path(job.place)
        return f"sha256:{digest_file(path).hex()}"

    def _forget_wrong_packs(self, job: Job, depot: Path) -> None:
        """Remove packs from the home that are not what their names say: they must be sent again."""
        for pack in depot.glob(f"{layout.PACKS}/*/*.pack"):
            if digest_file(pack) != _promised(pack):
                within = pack.relative_to(depot)
                for other in self.home(job.user).rglob(within.name):
                    if other.samefile(pack):
                        other.unlink()

    def _folder(self, job: Job) -> Path:
        return self.state / "working" / job.user / job.arrival

    # ---- order

    def tidy(self, needed: frozenset[Path]) -> None:
        """Remove old packs that no bundle waits with, and old unfinished uploads."""
        now = self._clock()
        if now - self._tidied < _TIDY_EVERY:
            return
        self._tidied = now
        names = {path.name for path in needed}
        for path in self.state.glob("incoming/*/**/*"):
            with suppress(OSError):
                self._tidy_one(path, now, names)
        self._wrong.clear()
        self.measure()

    def _tidy_one(self, path: Path, now: float, needed: Iterable[str]) -> None:
        found = path.lstat()
        age = now - found.st_mtime
        if path.is_dir() and not path.is_symlink():
            if age > self._retention.packs:
                path.rmdir()  # if it is empty
            return
        limit = self._retention.unfinished
        if path.name.endswith(".pack"):
            if path.name in needed:
                return
            limit = self._retention.packs
        elif not path.name.endswith((UNFINISHED, PART)):
            return
        with self._desk.lock:
            if age > limit and not self._desk.is_open(path):
                path.unlink()

    def kept(self) -> Mapping[str, Any]:
        """List what is held and in quarantine, and what every user has stored."""
        used = {user: meter.used for user, meter in self._meters.items()}
        return {
            "held": [_record(path) for path in sorted(self.state.glob("held/*/*"))],
            "quarantine": [_record(path) for path in sorted(self.state.glob("quarantine/*/*"))],
            "users": {user: {"bytes": one[0], "files": one[1]} for user, one in used.items()},
        }


def _job(folder: Path) -> Job | None:
    """Read what was taken from the folder it lies in; None if it never was, or is done with."""
    if folder.name.endswith(_GONE):
        return None
    bundles = sorted((folder / DEPOT / layout.BUNDLES).glob("*"))
    files = sorted(folder.glob(f"*{layout.ARCHIVE_SUFFIX}"))
    ended = _record(folder) if (folder / RECORD).exists() else None
    if bundles:
        bundle = bundles[0].name
        place = f"{folder / DEPOT}#{bundle}"
        return Job(folder.name, folder.parent.name, f"#{bundle[:12]}", place, bundle, ended)
    if files:
        name = files[0].name
        return Job(folder.name, folder.parent.name, name, str(files[0]), "", ended)
    return None


def _record(folder: Path) -> dict[str, Any]:
    """Read the record of an ending; an empty one if a person has removed or broken it."""
    with suppress(OSError, ValueError):
        loaded = json.loads((folder / RECORD).read_bytes())
        if isinstance(loaded, dict):
            return {**loaded, "folder": str(folder)}
    return {"folder": str(folder)}


def _promised(path: Path) -> bytes:
    """Return the digest that is in the name of a pack, or of a bundle."""
    name = path.parent.name if path.name == layout.MANIFEST else path.stem
    return bytes.fromhex(name)
