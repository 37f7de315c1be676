"""SELinux: its mode, and items whose type differs from that of the folder that they lie in."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from airgap.disk.labels import read_selinux, read_type
from airgap.disk.presence import is_folder
from airgap.errors import AirgapError
from airgap.flow.doctor.finding import Finding, note, ok
from airgap.store import environments, kinds

__all__ = ["check_labels"]

_SHOWN: Final = 5
_NO_LABEL: Final = "missing"


def check_labels() -> Iterator[Finding]:
    """Report SELinux, and what a service in another domain may not be able to read."""
    mode = read_selinux()
    if mode is None:
        yield ok("selinux", "SELinux is not in use here.")
        return
    yield ok(
        "selinux",
        f"SELinux is {mode}. Installed items get the type of the folder that they are put into.",
    )
    stores = sorted({kind.store() for kind in kinds.list_kinds()})
    for store in filter(Path.exists, stores):
        yield ok("selinux", f"The type of {store} is {read_type(store) or _NO_LABEL}.")
    differing = [path for path in _list_folders() if read_type(path) != read_type(path.parent)]
    for path in differing[:_SHOWN]:
        yield note(
            "selinux",
            f"The SELinux type of {path} is {read_type(path) or _NO_LABEL}, and that of its folder"
            f" is {read_type(path.parent) or _NO_LABEL}: a service may not be able to read it.",
            f"If that is not intended, run: chcon -R --reference={shlex.quote(str(path.parent))}"
            f" {shlex.quote(str(path))}",
        )
    if len(differing) > _SHOWN:
        yield note(
            "selinux",
            f"{len(differing) - _SHOWN:,} more items have another type than their folder.",
            "Compare them with `ls -Z`.",
        )


def _list_folders() -> Iterator[Path]:
    """Yield the folders of what is installed, as far as they can be listed."""
    for kind in kinds.list_kinds():
        try:
            tags = list(kind.list_tags())
        except AirgapError:  # reported by the check of items
            continue
        for name, version in tags:
            final = kind.install_path(name, version).final
            if is_folder(final):
                yield final
    try:
        yield from (environment.folder for environment in environments.list_environments())
    except AirgapError:  # reported by the check of environments
        return
