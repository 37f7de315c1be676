"""The drop box's folders. A bundle is in exactly one of them, and moves by renames.

    incoming/<user>/…              uploads; a user's home
    working/<user>/<arrival>/      taken out of the user's reach; verified or imported from here
    held/<user>/<arrival>/         verified, and waiting for a person
    quarantine/<user>/<arrival>/   refused; reason.json says why

A killed process leaves each bundle where it was before or after a rename.
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
from airgap.flow.location.location import ArchiveFile, LocalDepot
from airgap.format import layout
from airgap.server.dropbox.open_uploads import OpenUploads
from airgap.server.dropbox.quotas import Quota
from airgap.server.dropbox.upload_names import PART, UNFINISHED, parse_upload_name
from airgap.server.intake.discovery import DiscoveredBundle, compute_stamp, find_bundles
from airgap.server.intake.event_log import write_json
from airgap.server.intake.intake import Candidate, Job

__all__ = ["RECORD", "DropFolders", "Retention"]

RECORD: Final = "reason.json"
DEPOT: Final = "depot"
_FOLDERS: Final = ("incoming", "working", "held", "quarantine")
_CLEAN_UP_INTERVAL: Final = 60.0
_FINISHED: Final = ".gone"


@dataclass(frozen=True, slots=True)
class Retention:
    """How many seconds to keep packs that no bundle needs, and unfinished uploads."""

    packs: float
    unfinished: float


class DropFolders:
    """The ``IntakeFolder`` of a drop box. It owns all files in it, and renames them."""

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
        self._last_clean_up = -_CLEAN_UP_INTERVAL
        self._wrong_stamps: set[str] = set()
        with translate_errors(state):
            state.mkdir(mode=0o750, parents=True, exist_ok=True)
            for user in quotas:
                for name in _FOLDERS:
                    (state / name / user).mkdir(parents=True, exist_ok=True)
            # The FTP library resolves links, and open uploads are known by its paths.
            self.state = state = state.resolve(strict=True)
            devices = {(state / name).stat().st_dev for name in _FOLDERS}
        if len(devices) > 1:
            raise StorageError(
                f"The folders below {state} are on several file systems.",
                "Put them on one file system: bundles move between them by renames.",
            )
        self.measure()

    def home(self, user: str) -> Path:
        """Return the folder of a user's uploads."""
        return self.state / "incoming" / user

    def measure(self) -> None:
        """Measure what every user has stored."""
        for user, quota in self._quotas.items():
            quota.measure(self.state / name / user for name in _FOLDERS)

    # ---- finding bundles

    def recover_jobs(self) -> list[Job]:
        """Return the jobs in ``working``; remove what was not taken completely."""
        jobs = []
        for folder in sorted(self.state.glob("working/*/*")):
            job = _read_job(folder)
            if job is None:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                jobs.append(job)
        return jobs

    def find_candidates(self) -> Iterator[Candidate]:
        """Yield the bundles in users' homes that are not being written."""
        for user in self._quotas:
            home = self.home(user)
            self._publish_complete(home)
            for bundle in find_bundles(
                home, (layout.ARCHIVE_SUFFIX, layout.ARCHIVE_SUFFIX + UNFINISHED)
            ):
                if not self._uploads.is_open(bundle.path):
                    name = os.path.relpath(bundle.path, home).removesuffix(UNFINISHED)
                    finished = (
                        bundle.path.name.endswith(layout.ARCHIVE_SUFFIX) and not bundle.bundle_id
                    )
                    name = f"{name}#{bundle.bundle_id}" if bundle.bundle_id else name
                    yield Candidate(bundle, name, user, compute_stamp(bundle), finished)

    def _publish_complete(self, home: Path) -> None:
        """Rename unfinished packs and manifests to their final names if their digests match.

        Only for content-addressed files: others cannot be checked without their sender.
        """
        for path in home.rglob(f"*{UNFINISHED}"):
            name = parse_upload_name(path.relative_to(home).as_posix().removesuffix(UNFINISHED))
            if name is None or name.kind != "content-addressed" or self._uploads.is_open(path):
                continue
            stamp = compute_stamp(DiscoveredBundle(path))
            if stamp in self._wrong_stamps:
                continue
            if digest_file(path) != _parse_digest(home / name.final):
                self._wrong_stamps.add(stamp)
                continue
            with self._uploads.lock:
                unchanged = compute_stamp(DiscoveredBundle(path)) == stamp
                if unchanged and not self._uploads.is_open(path):
                    path.rename(home / name.final)

    # ---- the way of one bundle

    def take(self, candidate: Candidate, expected: Completeness | None) -> Job | None:
        """Move a bundle from its user's home to ``working``; return None if that fails."""
        bundle = candidate.bundle
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock()))
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
            bundle.folder.rename(depot / layout.BUNDLES / bundle.bundle_id)
        sync_folder(depot / layout.BUNDLES)

    def has_changed(self, job: Job) -> bool:
        """Return False: no user can reach a taken bundle."""
        del job
        return False

    def save_record(self, job: Job, record: Mapping[str, Any]) -> None:
        """Write the record beside the bundle."""
        folder = self._working_folder(job)
        if record["event"] == "quarantined":
            record = {**record, "digest": self._compute_evidence(job, folder)}
        write_json(folder / RECORD, record)

    def finish(self, job: Job, record: Mapping[str, Any]) -> None:
        """Remove an imported bundle; move any other to ``held`` or ``quarantine``."""
        folder = self._working_folder(job)
        if record["event"] == "imported":
            finished = folder.with_name(folder.name + _FINISHED)
            folder.rename(finished)  # one step: record and bundle must not vanish separately
            shutil.rmtree(finished)
        else:
            name = "held" if record["event"] == "held" else "quarantine"
            target = self.state / name / job.user / job.arrival
            self._uploads.delivered.forget(str(self.home(job.user) / job.name))
            if record.get("kind") == "corrupt":
                self._remove_wrong_packs(job, folder / DEPOT)
            folder.rename(target)
            sync_folder(target.parent)
        self.measure()

    def _compute_evidence(self, job: Job, folder: Path) -> str:
        """Return the digest of a refused archive, or of a refused bundle's manifest."""
        manifest = folder / DEPOT / layout.manifest_name(job.bundle_id)
        path = manifest if manifest.exists() else job.location.path
        return f"sha256:{digest_file(path).hex()}"

    def _remove_wrong_packs(self, job: Job, depot: Path) -> None:
        """Remove packs from the home whose digest is not their name, so that they are sent again.

        The home and the working folder hold the same file under two names.
        """
        for pack in depot.glob(f"{layout.PACKS}/*/*.pack"):
            if digest_file(pack) != _parse_digest(pack):
                for link in self.home(job.user).rglob(pack.name):
                    if link.samefile(pack):
                        link.unlink()

    def _working_folder(self, job: Job) -> Path:
        return self.state / "working" / job.user / job.arrival

    # ---- cleaning up

    def clean_up(self, needed: frozenset[Path]) -> None:
        """Remove old packs that no bundle needs, old unfinished uploads and empty folders."""
        now = self._clock()
        if now - self._last_clean_up < _CLEAN_UP_INTERVAL:
            return
        self._last_clean_up = now
        names = {path.name for path in needed}
        for path in self.state.glob("incoming/*/**/*"):
            with suppress(OSError):
                self._remove_if_old(path, now, names)
        self._wrong_stamps.clear()
        self.measure()

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
        elif not path.name.endswith((UNFINISHED, PART)):
            return
        with self._uploads.lock:
            if age > limit and not self._uploads.is_open(path):
                path.unlink()

    def describe(self) -> Mapping[str, Any]:
        """Return the held and quarantined bundles, and what every user has stored."""
        used = {user: quota.used for user, quota in self._quotas.items()}
        return {
            "held": [_read_record(path) for path in sorted(self.state.glob("held/*/*"))],
            "quarantine": [
                _read_record(path) for path in sorted(self.state.glob("quarantine/*/*"))
            ],
            "users": {
                user: {"bytes": size, "files": count} for user, (size, count) in used.items()
            },
        }


def _read_job(folder: Path) -> Job | None:
    """Read a job from its working folder; None if it was not taken completely, or has finished."""
    if folder.name.endswith(_FINISHED):
        return None
    bundles = sorted((folder / DEPOT / layout.BUNDLES).glob("*"))
    archives = sorted(folder.glob(f"*{layout.ARCHIVE_SUFFIX}"))
    record = _read_record(folder) if (folder / RECORD).exists() else None
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
    with suppress(OSError, ValueError):
        loaded = json.loads((folder / RECORD).read_bytes())
        if isinstance(loaded, dict):
            return {**loaded, "folder": str(folder)}
    return {"folder": str(folder)}


def _parse_digest(path: Path) -> bytes:
    """Return the digest in the name of a pack, or in that of a manifest's folder."""
    name = path.parent.name if path.name == layout.MANIFEST else path.stem
    return bytes.fromhex(name)
