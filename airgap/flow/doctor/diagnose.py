"""All that the doctor looks at, in the order people mend it."""

import time
from collections.abc import Iterator
from pathlib import Path

from airgap.flow.doctor import import_history, installation, site_state, stores
from airgap.flow.doctor.finding import Finding

__all__ = ["examine"]


def examine() -> Iterator[Finding]:
    """Look at this machine's setup. Changes nothing, and raises nothing about what it finds."""
    now = int(time.time())
    yield from installation.python()
    yield from installation.packages()
    yield from installation.bentoml()
    yield from site_state.clock(now)
    yield from site_state.config_file()
    yield from site_state.state()
    yield from site_state.root(now)
    yield from import_history.check_imports()
    yield from import_history.check_exports()
    yield from site_state.keys(Path.cwd())
    yield from stores.check_stores()
    yield from stores.check_items()
