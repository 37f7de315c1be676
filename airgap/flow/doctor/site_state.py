"""This machine's clock, state folder, pinned root, config file and keys."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from airgap.disk.presence import is_file
from airgap.disk.sharing import is_shared
from airgap.errors import AirgapError
from airgap.flow import config
from airgap.flow.bundle import open_bundle
from airgap.flow.doctor.finding import Finding, note, ok, problem
from airgap.format.root import Root, fingerprint
from airgap.signing import open_signer
from airgap.signing.private_keys import OTHERS_ACCESS
from airgap.state import pinned_root
from airgap.state.state_folder import (
    describe_search,
    find_state_folder,
    state_folder,
    system_folder,
)
from airgap.times import format_time

__all__ = [
    "check_clock",
    "check_config",
    "check_keys",
    "check_root",
    "check_state",
    "list_key_files",
]

_RELEASED: Final = 1_767_225_600  # 2026-01-01: a clock before this version was made is wrong
_SOON: Final = 30 * 24 * 3600
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


def check_clock(now: int) -> Iterator[Finding]:
    """Compare the clock with the year of this version; expiry depends on it."""
    if now < _RELEASED:
        yield problem(
            "clock",
            f"The clock says {format_time(now)}, which is before this version of airgap was made.",
            "Set the clock: with this one, expired bundles are accepted.",
        )
    else:
        yield ok("clock", f"The clock says {format_time(now)}.")


def check_state() -> Iterator[Finding]:
    """Check airgap's own folder: write access to it decides whom this machine trusts."""
    home = state_folder()
    if not home.exists():
        yield ok("state", f"{home} does not exist yet; `airgap trust init` makes it.")
        return
    if not home.is_dir() or not os.access(home, os.W_OK | os.X_OK):
        yield problem(
            "state",
            f"This user cannot write to {home}, or it is not a folder.",
            "Check who owns it, or set AIRGAP_HOME.",
        )
        return
    folders = (home, home / "trust", home / "sites")
    writable = stat.S_IWOTH if is_shared(home) else _WRITABLE_BY_OTHERS
    exposed = [folder for folder in folders if _read_mode(folder) & writable]
    for folder in exposed:
        yield problem(
            "state",
            f"Others can write to {folder}, and so choose whom this machine trusts.",
            f"Run: chmod {'o-w' if is_shared(home) else 'go-w'} {folder}",
        )
    if not exposed:
        yield _describe_folder(home)


def _describe_folder(home: Path) -> Finding:
    """Say where the state is and who shares it: the group, perhaps with the pinned root."""
    origin = find_state_folder().origin
    place = f"airgap keeps its state in {home}"
    if origin == "system":
        place += f", the folder of this system ({system_folder()})"
    if not is_shared(home):
        return ok("state", f"{place}.")
    group = home.stat().st_gid
    is_guarded = _read_mode(home) & stat.S_ISVTX and not is_shared(home / "trust")
    if is_guarded:
        return ok("state", f"{place}; its group (gid {group}) imports.")
    return note(
        "state",
        f"{place}; its group (gid {group}) imports, and may change whom this machine trusts.",
        f"If only its owner is to do that, run: chmod +t {home}; chmod g-w {home / 'trust'}",
    )


def check_root(now: int) -> Iterator[Finding]:
    """Check the pinned root as every import does."""
    try:
        if pinned_root.load_root() is None:
            yield note(
                "root",
                "This machine trusts nobody yet: it can export, but not verify or import. There is"
                f" no root in {describe_search()}.",
                "Run `airgap trust init DEPOT`, with the fingerprint of the root from your paper.",
            )
            return
        pinned = open_bundle.require_root()
    except AirgapError as error:
        yield problem("root", error.message, error.hint)
        return
    yield from _check_expiry(pinned.value, fingerprint(pinned.raw), now)


def check_config() -> Iterator[Finding]:
    """Read the config file, if there is one."""
    path = config.config_path()
    try:
        config.load()
    except AirgapError as error:
        yield problem("config", error.message, error.hint)
        return
    if is_file(path):
        yield ok("config", f"The config file {path} can be read.")
    else:
        yield ok("config", f"There is no config file at {path}; it is optional.")


def list_key_files(here: Path) -> Iterator[Path]:
    """Yield the private key files that settings name, and those in airgap's folder and in this."""
    home = state_folder()
    others = (*home.glob("*.key"), *(home / "keys").glob("*.key"), *here.glob("*.key"))
    yield from dict.fromkeys([*_find_named_keys(), *others])


def check_keys(here: Path) -> Iterator[Finding]:
    """Check that only their owner can read private keys: those in settings and in these folders."""
    named, site_key = _find_named_keys(), state_folder() / "keys" / "site.key"
    checked = 0
    for path in list_key_files(here):
        checked += 1
        if not is_file(path):
            yield problem(
                "keys",
                f"{named.get(path, 'The key')} names {path}, which does not exist.",
                "Correct the setting, or make a key with `airgap key generate`.",
            )
        elif _read_mode(path) & OTHERS_ACCESS:
            yield problem(
                "keys",
                f"Others can read the private key {path} (mode {_read_mode(path) & 0o777:04o}).",
                f"Run: chmod 600 {path}. If others use this machine, make a new key.",
            )
        elif path == site_key:
            yield note(
                "keys",
                f"The site's key is still on this machine: {path}.",
                "Move it to a medium that you lock away.",
            )
        else:
            yield ok("keys", f"Only its owner can read the private key {path}.")
    if not checked:
        yield ok(
            "keys", "There are no private keys in this folder, in AIRGAP_HOME, or in the settings."
        )


def _check_expiry(trusted: Root, pinned: str, now: int) -> Iterator[Finding]:
    pin = f"This machine trusts root {pinned} of site {trusted.site}, version {trusted.version}"
    remedy = "Ask the holder of the site's root key for the next version of the root."
    end = trusted.not_after
    if end is None:
        yield ok("root", f"{pin}; it does not expire.")
    elif end <= now:
        yield problem("root", f"{pin}; it expired on {format_time(end)}.", remedy)
    elif end - now < _SOON:
        yield note("root", f"{pin}; it expires on {format_time(end)}.", remedy)
    else:
        yield ok("root", f"{pin}; it expires on {format_time(end)}.")


def _find_named_keys() -> dict[Path, str]:
    """Return the key files that settings name, each with the name of its setting."""
    named: dict[Path, str] = {}
    try:
        document = config.load()
    except AirgapError:  # reported by ``check_config``
        document = {}
    for section in (document, *(value for value in document.values() if isinstance(value, dict))):
        if isinstance(section.get("key"), str) and open_signer.is_path(section["key"]):
            named[Path(section["key"]).absolute()] = f"The config file {config.config_path()}"
    key = os.environ.get("AIRGAP_KEY")
    if key and open_signer.is_path(key):
        named[Path(key).absolute()] = "AIRGAP_KEY"
    return named


def _read_mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0
