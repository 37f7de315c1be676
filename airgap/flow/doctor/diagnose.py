"""All checks of `airgap doctor`, in the order in which to fix problems."""

import time
from collections.abc import Iterator
from pathlib import Path

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
from airgap.flow.doctor.finding import Finding

__all__ = ["diagnose"]


def diagnose() -> Iterator[Finding]:
    """Check this machine's setup. Changes nothing; problems are yielded, not raised."""
    now = int(time.time())
    yield from installation.check_python()
    yield from installation.check_packages()
    yield from installation.check_bentoml()
    yield from site_state.check_clock(now)
    yield from site_state.check_config()
    yield from site_state.check_state()
    yield from site_state.check_root(now)
    yield from import_history.check_imports()
    yield from import_history.check_exports()
    yield from site_state.check_keys(Path.cwd())
    yield from fips.check_fips(Path.cwd())
    yield from stores.check_stores()
    yield from stores.check_items()
    yield from selinux.check_labels()
    yield from environments.check_environments()
    yield from environments.check_packages()
    yield from execution.check_execution()
