"""A new site on the connected side: its two keys, its root, and the defaults of later commands.

The keys and the root appear in one folder by one rename; then the config file names them. A run
that was killed is finished by the next one, and a further one changes nothing.
"""

import errno
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airgap.disk import durable
from airgap.disk.os_errors import storage_error, translate_errors
from airgap.errors import ConflictError, MissingError, StorageError, UsageError
from airgap.flow import config
from airgap.flow.location.destination import require_folder_above
from airgap.flow.trust import keys, roots
from airgap.flow.trust.keys import KeyKind
from airgap.flow.trust.roots import NewRoot, Proposal
from airgap.format import names
from airgap.state.state_folder import state_folder

__all__ = ["BegunSite", "begin_site", "own_root"]

SITE_KEY: Final = "site"
BUILDER_KEY: Final = "builder"
_FOLDER: Final = "keys"
_ROOT: Final = "root.msgpack"
_PRIVATE: Final = 0o700
_NO_HOME: Final = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS)
_HINT: Final = (
    "airgap keeps keys, config and history there: set AIRGAP_HOME to a folder in which you can"
    " write, or HOME to your home folder."
)


@dataclass(frozen=True, slots=True)
class BegunSite:
    """What was made, and where."""

    root: Proposal
    is_new: bool
    folder: Path
    """The folder with the keys and the root."""
    config: Path
    lacks: tuple[str, ...]
    """Lines that the config file lacks, because it has sections of the same names already."""

    @property
    def site_key(self) -> Path:
        """The private key that signs roots."""
        return self.folder / f"{SITE_KEY}.key"

    @property
    def builder_key(self) -> Path:
        """The private key that signs bundles."""
        return self.folder / f"{BUILDER_KEY}.key"


def own_root() -> Path:
    """Return where ``begin_site`` keeps the root of a site that was set up here."""
    return state_folder() / _FOLDER / _ROOT


def begin_site(
    site: str, channel: str, kind: KeyKind, passphrase: Callable[[str], bytes | None]
) -> BegunSite:
    """Make a site's key, a builder's key and the root in ``AIRGAP_HOME``; note them as defaults.

    ``passphrase`` returns the passphrase of a new key, by the key's name; None: not encrypted.

    Raises:
        UsageError: the site or the channel is not a name.
        ConfigurationError: there is no such algorithm, or the config file cannot be used.
        ConflictError: this machine has keys of another site.
        MissingError: the folder above AIRGAP_HOME does not exist.
        StorageError: the disk refused.
    """
    for what, name in (("site id", site), ("channel", channel)):
        if not names.is_tag_part(name):
            raise UsageError(
                f"{name!r} cannot be a {what}.",
                "Use lower-case letters, digits, '-', '_', '.'; at most 63.",
            )
    document = config.load(may_be_new=True)
    folder = state_folder() / _FOLDER
    with _translate_home_errors():
        require_folder_above(folder.parent)
        is_new = not folder.exists()
        part = _make_part(folder) if is_new else folder
    if is_new:
        _make_keys(part, folder, site, kind, passphrase)
    else:
        _require_same_site(folder, site)
    lacks = _note_defaults(folder, channel, document)
    root = roots.read_proposal(folder / _ROOT, None)
    return BegunSite(root, is_new, folder, config.config_path(), lacks)


@contextmanager
def _translate_home_errors() -> Iterator[None]:
    """Say that AIRGAP_HOME can be set where a home folder is missing or not writable."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_HOME:
            raise storage_error(error, state_folder()) from error
        raise StorageError(f"{state_folder()}: {error.strerror}.", _HINT) from error
    except MissingError as error:
        raise MissingError(error.message, _HINT) from error


def _make_part(folder: Path) -> Path:
    """Make an empty private folder, which becomes ``folder`` when it is whole. Raises OSError."""
    part = folder.with_name(f"{folder.name}.part")
    durable.make_folder(folder.parent, _PRIVATE)
    if part.exists():  # of a run that was killed; no root names its keys
        shutil.rmtree(part)
    part.mkdir(_PRIVATE)
    return part


def _make_keys(
    part: Path,
    folder: Path,
    site: str,
    kind: KeyKind,
    passphrase: Callable[[str], bytes | None],
) -> None:
    """Make the keys and the root in ``part``, and rename it when it is whole."""
    secret = passphrase(SITE_KEY)
    own = keys.generate_key(part, SITE_KEY, kind, secret)
    builder = keys.generate_key(part, BUILDER_KEY, kind, passphrase(BUILDER_KEY))
    signer = keys.load_signer(str(own.private), lambda _: secret or b"")
    new = NewRoot(site, {"root": [own.key], "builder": [builder.key]}, {})
    roots.create_root(new, [signer], part / _ROOT)
    with translate_errors(folder):
        durable.sync_folder(part)
        part.rename(folder)
        durable.sync_folder(folder.parent)


def _require_same_site(folder: Path, site: str) -> None:
    """Require that the folder is of an earlier run for the same site.

    Raises:
        ConflictError: it is not.
    """
    path = folder / _ROOT
    if not path.exists():
        raise ConflictError(
            f"{folder} exists, and has no {_ROOT}: other commands have made it.",
            "Move it away, or go on with `airgap root create`.",
        )
    root = roots.read_proposal(path, None).root
    if root.site != site:
        raise ConflictError(
            f"This machine has the keys of site {root.site} already, in {folder}.",
            "For another site, set AIRGAP_HOME to a folder of its own.",
        )


def _find_section(document: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """Return a section of the config file, such as ``inbox.sign``; None if it has none."""
    found: Any = document
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _note_defaults(folder: Path, channel: str, document: Mapping[str, Any]) -> tuple[str, ...]:
    """Add the defaults of the commands that sign or carry a root to the config file.

    Return the lines that a person has to add: those of sections that are there already.
    """
    key, roots_to_carry = str(folder / f"{BUILDER_KEY}.key"), [str(folder / _ROOT)]
    sections: dict[str, dict[str, str | list[str]]] = {
        "export": {"key": key, "channel": channel, "include_root": roots_to_carry},
        "push": {"key": key, "channel": channel},
        "inbox.sign": {"key": key, "channel": channel, "include_root": roots_to_carry},
        "kit": {"key": key, "include_root": roots_to_carry},
    }
    added: list[str] = []
    lacks: list[str] = []
    for name, values in sections.items():
        rows = [f"{key} = {config.quote_value(value)}" for key, value in values.items()]
        lines = [f"[{name}]", *rows, ""]
        present = _find_section(document, name)
        if present is None:
            added += lines
        elif "key" not in present:
            lacks += lines
    path = config.config_path()
    if added:
        with translate_errors(path):
            durable.make_folder(path.parent, _PRIVATE)
        before = config.read_text()
        config.write_text("\n".join([before.rstrip(), "", *added] if before.strip() else added))
    return tuple(lacks)
