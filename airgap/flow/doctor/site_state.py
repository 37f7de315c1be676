"""What this machine remembers and was told: its state, its root, config file, keys and clock."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from airgap.errors import AirgapError
from airgap.flow import config
from airgap.flow.bundle import open_bundle
from airgap.flow.describe.times import format_time
from airgap.flow.doctor.finding import Finding, note, ok, problem
from airgap.format.root import Root, fingerprint
from airgap.signing import open_signer
from airgap.signing.private_keys import OTHERS_ACCESS
from airgap.state import pinned_root

__all__ = ["clock", "config_file", "keys", "root", "state"]

_MADE: Final = 1_767_225_600  # 2026-01-01: no clock that is right is before this version
_SOON: Final = 30 * 24 * 3600
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


def clock(now: int) -> Iterator[Finding]:
    """Compare the clock with the year this version was made in; expiry needs it."""
    if now < _MADE:
        yield problem(
            "clock",
            f"The clock says {format_time(now)}, which is before airgap was written.",
            "Set the clock: expired bundles would look fresh.",
        )
    else:
        yield ok("clock", f"The clock says {format_time(now)}.")


def state() -> Iterator[Finding]:
    """Look at airgap's own folder; whoever can write there decides whom this machine trusts."""
    home = pinned_root.home()
    if not home.exists():
        yield ok("state", f"{home} is not there yet; the first `airgap trust init` makes it.")
        return
    if not home.is_dir() or not os.access(home, os.W_OK | os.X_OK):
        yield problem(
            "state",
            f"{home} is not a folder that this user can write.",
            "Check who owns it, or set AIRGAP_HOME.",
        )
        return
    folders = (home, home / "trust", home / "sites")
    exposed = [one for one in folders if _mode(one) & _WRITABLE_BY_OTHERS]
    for one in exposed:
        yield problem(
            "state",
            f"Others can write to {one}, and so choose whom this machine trusts.",
            f"Run: chmod go-w {one}",
        )
    if not exposed:
        yield ok("state", f"airgap keeps its state in {home}.")


def root(now: int) -> Iterator[Finding]:
    """Check the pinned root as every import does."""
    try:
        if pinned_root.load_root() is None:
            yield note(
                "root",
                "This machine trusts nobody yet: it can export, but not verify or import.",
                "Run `airgap trust init ROOT --fingerprint SHA256:…` with the root of your site.",
            )
            return
        pinned = open_bundle.require_root()
    except AirgapError as error:
        yield problem("root", error.message, error.hint)
        return
    yield from _expiry(pinned.value, fingerprint(pinned.raw), now)


def config_file() -> Iterator[Finding]:
    """Read the config file, if there is one."""
    path = config.config_path()
    try:
        config.load()
    except AirgapError as error:
        yield problem("config", error.message, error.hint)
        return
    if path.exists():
        yield ok("config", f"The config file {path} can be read.")
    elif "AIRGAP_CONFIG" in os.environ:
        yield problem(
            "config",
            f"AIRGAP_CONFIG names {path}, which is not there.",
            "Mend the variable, or unset it.",
        )
    else:
        yield ok("config", f"There is no config file at {path}; none is needed.")


def keys(here: Path) -> Iterator[Finding]:
    """Look at the private keys that are named or lie about: only their owner may read them."""
    named = _named_keys()
    lying = [*pinned_root.home().glob("*.key"), *here.glob("*.key")]
    checked = 0
    for path in dict.fromkeys([*(one.absolute() for one in named), *lying]):
        checked += 1
        if not path.is_file():
            yield problem(
                "keys",
                f"{named.get(path, 'The key')} names {path}, which is not there.",
                "Mend the setting, or make a key with `airgap key generate`.",
            )
        elif _mode(path) & OTHERS_ACCESS:
            yield problem(
                "keys",
                f"Others can read the private key {path} (mode {_mode(path) & 0o777:04o}).",
                f"Run: chmod 600 {path}. If others use this machine, make a new key.",
            )
        else:
            yield ok("keys", f"Only its owner can read the private key {path}.")
    if not checked:
        yield ok("keys", "No private key lies here or is named by the settings.")


def _expiry(trusted: Root, pinned: str, now: int) -> Iterator[Finding]:
    who = f"This machine trusts site {trusted.site}, root version {trusted.version}, {pinned}"
    remedy = "Ask the keeper of the site's root key for the next version of the root."
    end = trusted.not_after
    if end is None:
        yield ok("root", f"{who}; it does not expire.")
    elif end <= now:
        yield problem("root", f"{who}; it expired on {format_time(end)}.", remedy)
    elif end - now < _SOON:
        yield note("root", f"{who}; it expires on {format_time(end)}.", remedy)
    else:
        yield ok("root", f"{who}; it expires on {format_time(end)}.")


def _named_keys() -> dict[Path, str]:
    """Return the key files that settings name, and which setting does."""
    named: dict[Path, str] = {}
    try:
        document = config.load()
    except AirgapError:  # told by ``config_file``
        document = {}
    for section in (document, *(one for one in document.values() if isinstance(one, dict))):
        if isinstance(section.get("key"), str) and open_signer.is_path(section["key"]):
            named[Path(section["key"]).absolute()] = f"The config file {config.config_path()}"
    told = os.environ.get("AIRGAP_KEY")
    if told and open_signer.is_path(told):
        named[Path(told).absolute()] = "AIRGAP_KEY"
    return named


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0
