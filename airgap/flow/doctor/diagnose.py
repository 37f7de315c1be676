"""All checks of `airgap doctor`, in the order in which to fix problems."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from airgap.disk.os_errors import storage_error
from airgap.errors import AirgapError
from airgap.flow.doctor import (
    environments,
    execution,
    fips,
    import_history,
    installation,
    selinux,
    site_state,
    stores,
)
from airgap.flow.doctor.finding import Finding, problem

__all__ = ["diagnose"]


def diagnose() -> Iterator[Finding]:
    """Check this machine's setup. Changes nothing; problems are yielded, not raised."""
    now, here = int(time.time()), Path.cwd()
    checks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("python", installation.check_python),
        ("packages", installation.check_packages),
        ("bentoml", installation.check_bentoml),
        ("clock", partial(site_state.check_clock, now)),
        ("config", site_state.check_config),
        ("state", site_state.check_state),
        ("root", partial(site_state.check_root, now)),
        ("history", import_history.check_imports),
        ("numbers", import_history.check_exports),
        ("exports", import_history.check_export_ledgers),
        ("keys", partial(site_state.check_keys, here)),
        ("fips", partial(fips.check_fips, here)),
        ("stores", stores.check_stores),
        ("items", stores.check_items),
        ("selinux", selinux.check_labels),
        ("environments", environments.check_environments),
        ("environments", environments.check_packages),
        ("noexec", execution.check_execution),
    )
    for subject, check in checks:
        yield from _finish(subject, check)


def _finish(subject: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield the findings of a check; one that cannot go on is a finding, and the next one runs."""
    try:
        yield from check()
    except AirgapError as error:
        yield problem(subject, error.message, error.hint)
    except OSError as error:
        refused = storage_error(error, error.filename or "A file")
        yield problem(subject, refused.message, refused.hint)
