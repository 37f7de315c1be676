"""``airgap env create``: makes the environment of a Bento from its wheelhouse."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from airgap.disk import durable, locks
from airgap.disk.execution import has_fapolicyd, list_trust_commands, refuse_noexec
from airgap.disk.os_errors import translate_errors
from airgap.disk.permissions import set_mode
from airgap.errors import ConflictError, MissingError
from airgap.flow.environment.build import build
from airgap.flow.environment.check_wheels import check_wheels
from airgap.flow.environment.choose import Choice, choose
from airgap.flow.environment.items import find_bundle, list_files
from airgap.flow.progress import Progress
from airgap.format.kinds import BENTO, FILES, WHEELHOUSE
from airgap.store import modes
from airgap.store.bento_runtime import digest_requirements, read_runtime
from airgap.store.bentoml_home import home
from airgap.store.environments import (
    DESCRIPTION,
    MARKER,
    MARKER_TEXT,
    Environment,
    EnvironmentDescription,
    choose_modes,
    default_folder,
    encode,
    read_environment,
    refuse_foreign,
)
from airgap.store.in_use import keep_installed
from airgap.store.kinds import find_kind
from airgap.store.wheelhouses import find_wheelhouses, read_wheelhouse

__all__ = ["CreateOptions", "Created", "create", "empty", "hold", "plan"]


@dataclass(frozen=True, slots=True)
class CreateOptions:
    """What a person may choose; an empty value lets airgap choose.

    ``folder`` is where the environment goes, ``python`` the interpreter, ``wheelhouse`` the tag of
    a wheelhouse, and ``files`` are tags of folders that the Bento reads.
    """

    folder: Path | None = None
    python: Path | None = None
    wheelhouse: str = ""
    files: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Created:
    """An environment, and what had to be done for it."""

    environment: Environment
    outcome: Literal["created", "unchanged"]

    def list_trust_commands(self) -> list[str]:
        """Return what root has to run before fapolicyd lets the Bento start; empty without it."""
        description = self.environment.description
        if description is None or not has_fapolicyd():
            return []
        kind = find_kind(BENTO.name)
        bento = kind.install_path(*kind.find(description.bento)).final
        return list_trust_commands([self.environment.folder, bento])


def create(tag: str, options: CreateOptions, progress: Progress) -> Created:
    """Make the environment of an installed Bento, unless it is there already.

    Nothing is kept of one that cannot be made. One that a killed process has left is made anew.

    Raises:
        UsageError: not a tag, or several wheelhouses fit.
        MissingError: the Bento is not here, or no wheelhouse of it that fits this host.
        ConflictError: the folder is not ours, or holds another environment.
        CorruptError: the wheelhouse is not what its lock says, or cannot be installed.
        ConfigurationError: Python cannot make an environment.
        StorageError: the disk refused, or the folder is mounted ``noexec``.
    """
    wanted, choice = plan(tag, options)
    name, _, version = wanted.bento.partition(":")
    folder = (options.folder or default_folder(name, version)).absolute()
    refuse_foreign(folder)
    hint = f"Name a folder on another file system: airgap env create {wanted.bento} DIR"
    refuse_noexec(folder, hint)
    there = read_environment(folder)
    if there is None or there.description is None:
        there = _make(folder, wanted, choice, progress)
        if there is None:
            return Created(Environment(folder, wanted), "created")
    _refuse_other(there, wanted)
    return Created(there, "unchanged")


def plan(tag: str, options: CreateOptions) -> tuple[EnvironmentDescription, Choice]:
    """Decide what the environment of an installed Bento will be, without making it.

    Raises:
        UsageError, MissingError, CorruptError, StorageError: as ``create``.
    """
    kind = find_kind(BENTO.name)
    try:
        name, version = kind.find(tag)
    except MissingError as error:
        raise MissingError(
            error.message,
            "`airgap list` shows what is here. If the Bento is not, import the bundle that has it.",
        ) from error
    folder, bento = kind.install_path(name, version).final, f"{name}:{version}"
    if options.wheelhouse:
        kind = find_kind(WHEELHOUSE.name)
        wheelhouses = [read_wheelhouse(*kind.find(options.wheelhouse))]
    else:
        wheelhouses = find_wheelhouses(digest_requirements(folder))
    choice = choose(bento, wheelhouses, read_runtime(folder).python, options.python)
    description = EnvironmentDescription(
        bento=bento,
        wheelhouse=choice.wheelhouse.tag,
        packages=len(choice.wheelhouse.lock.packages),
        files=tuple(list_files(name, version, options.files)),
        python=str(choice.python.path),
        python_version=choice.python.text,
        bundle=find_bundle(choice.wheelhouse.tag),
        created_at=int(time.time()),
    )
    return description, choice


def _refuse_other(environment: Environment, wanted: EnvironmentDescription) -> None:
    """Refuse to replace an environment: a service may run in it."""
    found = environment.description
    if found is None:
        return
    same = ("bento", "wheelhouse", "files", "python_version")
    differing = [name for name in same if getattr(found, name) != getattr(wanted, name)]
    if differing:
        raise ConflictError(
            f"{environment.folder} holds the environment of {found.bento} with Python"
            f" {found.python_version} and the wheelhouse {found.wheelhouse}.",
            f"Remove it first: airgap env remove {environment.folder}; or name another folder.",
            [
                f"{name.replace('_', ' ')}: {getattr(found, name)}, now {getattr(wanted, name)}"
                for name in differing
            ],
        )


def _make(
    folder: Path, wanted: EnvironmentDescription, choice: Choice, progress: Progress
) -> Environment | None:
    """Fill the folder, which this process holds meanwhile.

    Returns the environment that another process has made before; None if this one has made it.
    """
    is_new = not os.path.lexists(folder)
    waiting = f"Another process makes or removes the environment in {folder}: waiting for it."
    with translate_errors(folder), hold(folder, lambda: progress.note(waiting)) as lock:
        there = read_environment(folder)
        if there is not None and there.description is not None:
            return there
        try:
            empty(folder)
            with keep_installed(_list_used(wanted, choice)):
                check_wheels(choice.wheelhouse, progress)
                build(choice, folder, lock, progress)
            durable.sync_file_system(folder)
            mode = choose_modes(folder).file
            durable.replace_file(folder / DESCRIPTION, encode(wanted), mode=mode)
        except BaseException:
            with suppress(OSError):
                empty(folder)
            if is_new:
                _remove_later(folder)
            raise
    return None


def _list_used(wanted: EnvironmentDescription, choice: Choice) -> Iterator[Path]:
    """Yield the folders of the items that an environment is made from, or needs afterwards."""
    yield choice.wheelhouse.folder
    kind = find_kind(FILES.name)
    for name, version in kind.list_tags():
        folder = kind.install_path(name, version).final
        is_named = f"{name}:{version}" in wanted.files
        if is_named or choice.python.path.is_relative_to(folder):
            yield folder


def _remove_later(folder: Path) -> None:
    """Remove a folder that this process has made, and that is empty but for its marker."""
    with suppress(OSError):
        (folder / MARKER).unlink()
        folder.rmdir()
        for above in (folder.parent, folder.parent.parent):
            if above.is_relative_to(home()):
                above.rmdir()


@contextmanager
def hold(folder: Path, on_wait: Callable[[], None]) -> Iterator[int]:
    """Hold an environment's folder, which is made if need be, and mark it as incomplete.

    Gives the lock's descriptor. The mark is removed at the end; what is then complete stays so.

    Raises:
        ConflictError: the folder is not ours.
        OSError: the disk refused.
    """
    marker = folder / MARKER
    descriptor = locks.lock_removable(marker, on_wait, lambda: _make_folder(folder))
    try:
        os.pwrite(descriptor, MARKER_TEXT, 0)
        yield descriptor
    finally:
        with suppress(FileNotFoundError):
            # Who has removed the folder has removed the mark: another one may be there by now.
            if os.path.samestat(os.fstat(descriptor), marker.lstat()):
                marker.unlink()
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    refuse_foreign(folder)
    if folder.exists():
        return
    if folder.is_relative_to(home()):
        modes.make_folder(home(), folder)
    else:
        durable.make_folder(folder)
        set_mode(folder, choose_modes(folder).folder)


def empty(folder: Path) -> None:
    """Remove all that is in an environment's folder, its description first, but for its marker.

    Raises:
        OSError: the disk refused.
    """
    (folder / DESCRIPTION).unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.name == MARKER:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
