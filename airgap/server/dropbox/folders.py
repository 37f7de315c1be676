"""The drop box's folders. A bundle is in exactly one of them, and moves by renames.

    incoming/<user>/…              uploads; a user's home
    working/<user>/<arrival>/      taken out of the user's reach; verified or imported from here
    held/<user>/<arrival>/         verified, and waiting for a person
    quarantine/<user>/<arrival>/   refused; reason.json says why

A killed process leaves each bundle where it was before or after a rename.
"""

import calendar
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from airgap.disk.digests import digest_in_slices
from airgap.disk.durable import sync_file, sync_folder
from airgap.disk.os_errors import translate_errors
from airgap.errors import AirgapError, StorageError
from airgap.flow.bundle.completeness import Completeness
from airgap.flow.location.location import ArchiveFile, LocalDepot
from airgap.format import layout
from airgap.server.dropbox.open_uploads import OpenUploads
from airgap.server.dropbox.quotas import Quota
from airgap.server.dropbox.upload_names import UNFINISHED, is_passing, parse_upload_name
from airgap.server.intake.discovery import (
    DiscoveredBundle,
    UnsearchedFolderError,
    compute_stamp,
    find_bundles,
)
from airgap.server.intake.event_log import write_json
from airgap.server.intake.intake_folder import Candidate, Job

__all__ = ["RECORD", "DropFolders", "Retention"]

RECORD: Final = "reason.json"
DEPOT: Final = "depot"
_FOLDERS: Final = ("incoming", "working", "held", "quarantine")
_CLEAN_UP_INTERVAL: Final = 60.0
_NAMES_PER_SLICE: Final = 500
_RENAME_SECONDS: Final = 10.0
"""How long to wait for the sender to rename a complete upload beside a manifest."""
_FINISHED: Final = ".gone"
_ENDS: Final = ("imported", "held", "quarantined")
_TIME: Final = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Retention:
    """How many seconds to keep packs that no bundle needs, and unfinished uploads."""

    packs: float
    unfinished: float


class DropFolders:
    """The ``IntakeFolder`` of a drop box. It owns all files in it, and renames them.

    Generators here do the work of one user, and yield after each slice of it.
    """

    def __init__(
        self,
        state: Path,
        quotas: Mapping[str, Quota],
        uploads: OpenUploads,
        retention: Retention,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Create the folders of every user in ``quotas``.

        Raises:
            StorageError: they cannot be created, or are not on one file system.
        """
        self._quotas = quotas
        self._uploads = uploads
        self._retention = retention
        self._clock = clock
        self._last_clean_up: dict[str, float] = {}
        self._records: dict[Path, Mapping[str, Any]] = {}
        with translate_errors(state):
            state.mkdir(mode=0o750, parents=True, exist_ok=True)
            for user in quotas:
                for name in _FOLDERS:
                    (state / name / user).mkdir(parents=True, exist_ok=True)
            # The FTP library resolves links, and open uploads are known by its paths.
            self.state = state = state.resolve(strict=True)
            devices = {(state / name).stat().st_dev for name in _FOLDERS}
            homes = sorted(path.name for path in (state / "incoming").iterdir() if path.is_dir())
        self._users = [*quotas, *(name for name in homes if name not in quotas)]
        if len(devices) > 1:
            raise StorageError(
                f"The folders below {state} are on several file systems.",
                "Put them on one file system: bundles move between them by renames.",
            )
        for user in quotas:
            for _ in self._measure(user):
                pass

    def users(self) -> list[str]:
        """Return the users of the config file, then those who were there before."""
        return self._users

    def home(self, user: str) -> Path:
        """Return the folder of a user's uploads."""
        return self.state / "incoming" / user

    def _measure(self, user: str) -> Iterator[None]:
        """Measure what a user has stored; the config file may not have the user any more."""
        if user in self._quotas:
            yield from self._quotas[user].measure(self.state / name / user for name in _FOLDERS)

    # ---- finding bundles

    def recover_jobs(self) -> list[Job]:
        """Return the jobs in ``working``; remove what was not taken completely."""
        jobs = []
        for folder in sorted(self.state.glob("working/*/*")):
            job = _read_job(folder)
            if job is None:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                jobs.append(replace(job, waited=self._measure_wait(job)))
        return jobs

    def _measure_wait(self, job: Job) -> float:
        """Return how many seconds ago a job was taken, by the name of its folder; 0 if unknown."""
        with suppress(ValueError):
            taken = calendar.timegm(time.strptime(job.arrival.partition("-")[0], _TIME))
            return max(self._clock() - taken, 0.0)
        return 0.0

    def find_candidates(self, user: str) -> Iterator[Candidate | UnsearchedFolderError | None]:
        """Yield the bundles in a user's home that are not being written; None after a slice."""
        if user not in self._quotas:
            return
        home = self.home(user)
        for number, path in enumerate(_walk(home), 1):
            is_unfinished = path.name.endswith(UNFINISHED)
            if is_unfinished or number % _NAMES_PER_SLICE == 0:
                yield None
            if is_unfinished:
                with suppress(OSError):  # its sender has removed it, or it cannot be read
                    self._publish_if_complete(home, path)
        for bundle in find_bundles(home, unfinished=UNFINISHED):
            if isinstance(bundle, UnsearchedFolderError):
                yield bundle
            elif not self._is_being_uploaded(bundle):
                name = os.path.relpath(bundle.path, home).removesuffix(UNFINISHED)
                finished = layout.is_archive_name(bundle.path.name) and not bundle.bundle_id
                name = f"{name}#{bundle.bundle_id}" if bundle.bundle_id else name
                yield Candidate(bundle, name, user, compute_stamp(bundle), finished)

    def _is_being_uploaded(self, bundle: DiscoveredBundle) -> bool:
        """Tell whether a client is writing to a bundle, or will soon rename a file of it."""
        if not bundle.bundle_id:
            return self._uploads.is_open(bundle.path)
        with suppress(OSError):
            for path in bundle.folder.iterdir():
                if path.name.endswith(UNFINISHED) or is_passing(path.name):
                    age = self._clock() - path.lstat().st_mtime
                    if self._uploads.is_open(path) or age < _RENAME_SECONDS:
                        return True
        return False

    def _publish_if_complete(self, home: Path, path: Path) -> None:
        """Hash a slice of an unfinished pack or manifest; rename it if all of it has its digest.

        Only content-addressed files: others cannot be checked without their sender.
        """
        name = parse_upload_name(path.relative_to(home).as_posix().removesuffix(UNFINISHED))
        if name is None or name.kind != "content-addressed" or self._uploads.is_open(path):
            return
        stamp = compute_stamp(DiscoveredBundle(path))
        if self._uploads.digests.read_slice(path) != _parse_digest(home / name.final):
            return
        with self._uploads.lock:
            unchanged = compute_stamp(DiscoveredBundle(path)) == stamp
            if unchanged and not self._uploads.is_open(path):
                path.rename(home / name.final)
                self._uploads.digests.overwrite(str(path))

    # ---- the way of one bundle

    def take(self, candidate: Candidate, expected: Completeness | None) -> Job | None:
        """Move a bundle from its user's home to ``working``; return None if that fails."""
        bundle = candidate.bundle
        if compute_stamp(bundle) != candidate.stamp:
            return None
        now = time.strftime(_TIME, time.gmtime(self._clock()))
        folder = self.state / "working" / candidate.user / f"{now}-{secrets.token_hex(4)}"
        folder.mkdir()
        try:
            if bundle.bundle_id:
                self._take_from_depot(bundle, folder / DEPOT, expected)
            else:
                self._take_archive(bundle, folder)
        except (OSError, AirgapError):
            shutil.rmtree(folder, ignore_errors=True)
            return None
        job = _read_job(folder)
        bundle_id = expected.bundle if expected else bundle.bundle_id
        return None if job is None else replace(job, name=candidate.name, bundle_id=bundle_id)

    def _take_archive(self, archive: DiscoveredBundle, folder: Path) -> None:
        sync_file(archive.path.parent, archive.path.name)
        final = archive.path.with_name(archive.path.name.removesuffix(UNFINISHED))
        with self._uploads.lock:
            if self._uploads.is_open(archive.path):
                raise BlockingIOError
            size = archive.path.stat().st_size
            archive.path.rename(folder / final.name)
            self._uploads.delivered.add(str(final), size)
        sync_folder(folder)

    def _take_from_depot(
        self, bundle: DiscoveredBundle, depot: Path, expected: Completeness | None
    ) -> None:
        """Link the packs, then rename the bundle's folder, which is the moment it is taken."""
        for name, _ in expected.packs if expected else ():
            if not (bundle.path / name).exists():
                continue  # refused while incomplete
            sync_file(bundle.path, name)
            (depot / name).parent.mkdir(parents=True, exist_ok=True)
            os.link(bundle.path / name, depot / name, follow_symlinks=False)
        (depot / layout.BUNDLES).mkdir(parents=True)
        with self._uploads.lock:
            for path in bundle.folder.iterdir():
                self._uploads.delivered.add(str(path), path.lstat().st_size)
            bundle.folder.rename(depot / layout.BUNDLES / bundle.bundle_id)
        sync_folder(depot / layout.BUNDLES)

    def has_changed(self, job: Job) -> bool:
        """Return False: no user can reach a taken bundle."""
        del job
        return False

    def save_record(self, job: Job, record: Mapping[str, Any]) -> Iterator[None]:
        """Write the record beside the bundle."""
        folder = self._working_folder(job)
        if record["event"] == "quarantined":
            record = {**record, "digest": (yield from self._compute_evidence(job, folder))}
        write_json(folder / RECORD, record)

    def finish(self, job: Job, record: Mapping[str, Any]) -> Iterator[None]:
        """Remove an imported bundle; move any other to ``held`` or ``quarantine``."""
        folder = self._working_folder(job)
        if record["event"] == "imported":
            finished = folder.with_name(folder.name + _FINISHED)
            folder.rename(finished)  # one step: record and bundle must not vanish separately
            shutil.rmtree(finished)
        else:
            name = "held" if record["event"] == "held" else "quarantine"
            target = self.state / name / job.user / job.arrival
            folder_id = job.name.rpartition("#")[2]  # of a sealed bundle, not the one inside
            self._uploads.delivered.forget(self.home(job.user), job.name, folder_id)
            if record.get("kind") == "corrupt":
                yield from self._remove_wrong_packs(job, folder / DEPOT)
            folder.rename(target)
            sync_folder(target.parent)
        yield from self._measure(job.user)

    def _compute_evidence(self, job: Job, folder: Path) -> Generator[None, None, str]:
        """Return the digest of a refused archive, or of a refused bundle's manifest."""
        manifest = folder / DEPOT / layout.manifest_name(job.bundle_id)
        path = manifest if manifest.exists() else job.location.path
        digest = yield from digest_in_slices(path)
        return f"sha256:{digest.hex()}"

    def _remove_wrong_packs(self, job: Job, depot: Path) -> Iterator[None]:
        """Remove packs from the home whose digest is not their name, so that they are sent again.

        The home and the working folder hold the same file under two names.
        """
        wrong: dict[str, Path] = {}
        for pack in depot.glob(f"{layout.PACKS}/*/*.pack"):
            if (yield from digest_in_slices(pack)) != _parse_digest(pack):
                wrong[pack.name] = pack
        for number, path in enumerate(_walk(self.home(job.user)) if wrong else (), 1):
            if number % _NAMES_PER_SLICE == 0:
                yield
            with suppress(OSError):
                if path.name in wrong and path.samefile(wrong[path.name]):
                    path.unlink()

    def _working_folder(self, job: Job) -> Path:
        return self.state / "working" / job.user / job.arrival

    # ---- cleaning up

    def clean_up(self, user: str, needed: frozenset[Path]) -> Iterator[None]:
        """Remove old packs that no bundle needs, old unfinished uploads and empty folders."""
        now = self._clock()
        if now - self._last_clean_up.get(user, -_CLEAN_UP_INTERVAL) < _CLEAN_UP_INTERVAL:
            return
        self._last_clean_up[user] = now
        names = {path.name for path in needed}
        for path in _walk(self.home(user)):
            yield
            with suppress(OSError):
                self._remove_if_old(path, now, names)
        yield from self._measure(user)

    def _remove_if_old(self, path: Path, now: float, needed: Iterable[str]) -> None:
        age = now - path.lstat().st_mtime
        if path.is_dir() and not path.is_symlink():
            if age > self._retention.packs:
                path.rmdir()  # fails unless it is empty
            return
        limit = self._retention.unfinished
        if path.name.endswith(".pack"):
            if path.name in needed:
                return
            limit = self._retention.packs
        elif not path.name.endswith(UNFINISHED) and not is_passing(path.name):
            return
        with self._uploads.lock:
            if age > limit and not self._uploads.is_open(path):
                path.unlink()

    def describe(self, limit: int) -> Mapping[str, Any]:
        """Return the held and quarantined bundles, and what every user has stored.

        Of each user the newest ``limit`` are listed; each record is read once.
        """
        used = {user: quota.used for user, quota in self._quotas.items()}
        folders = {name: self._list_newest(name, limit) for name in ("held", "quarantine")}
        self._records = {
            path: self._records.get(path) or _read_record(path)
            for paths in folders.values()
            for path in paths
        }
        listed = {name: [self._records[path] for path in paths] for name, paths in folders.items()}
        return {
            **listed,
            "users": {
                user: {"bytes": size, "files": count} for user, (size, count) in used.items()
            },
        }

    def _list_newest(self, name: str, limit: int) -> list[Path]:
        """Return the newest folders of each user in ``held`` or ``quarantine``, oldest first."""
        return [
            path
            for home in sorted((self.state / name).iterdir())
            for path in sorted(home.glob("*"))[-limit:]
        ]


def _walk(top: Path) -> Iterator[Path]:
    """Yield the folders and files below a folder, those that vanish meanwhile left out."""
    for folder, folders, files in os.walk(top):
        yield from (Path(folder, name) for name in (*folders, *files))


def _read_job(folder: Path) -> Job | None:
    """Read a job from its working folder; None if it was not taken completely, or has finished."""
    if folder.name.endswith(_FINISHED):
        return None
    bundles = sorted((folder / DEPOT / layout.BUNDLES).glob("*"))
    archives = sorted(path for path in folder.iterdir() if layout.is_archive_name(path.name))
    record: Mapping[str, Any] | None = _read_record(folder)
    if record and record.get("event") not in _ENDS:  # none yet, or a person has damaged it
        record = None
    if bundles:
        bundle_id = bundles[0].name
        location = LocalDepot(folder / DEPOT, bundle_id)
        name = f"#{bundle_id}"
        return Job(folder.name, folder.parent.name, name, location, bundle_id, record)
    if archives:
        archive = archives[0]
        return Job(folder.name, folder.parent.name, archive.name, ArchiveFile(archive), "", record)
    return None


def _read_record(folder: Path) -> dict[str, Any]:
    """Read the record of a job; an empty one if a person has removed or damaged it."""
    with suppress(OSError, ValueError, RecursionError):
        loaded = json.loads((folder / RECORD).read_bytes())
        if isinstance(loaded, dict):
            return {**loaded, "folder": str(folder)}
    return {"folder": str(folder)}


def _parse_digest(path: Path) -> bytes:
    """Return the digest in the name of a pack, or in that of a manifest's folder."""
    name = path.parent.name if path.name == layout.MANIFEST else path.stem
    return bytes.fromhex(name)
