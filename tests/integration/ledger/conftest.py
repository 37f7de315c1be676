"""A site with a recorder and a witness, whose ledger has a few entries."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.flow.ledger.record import EventRecord, record_event
from tests.support.recorded_site import RecordedSite, make_recorded_site


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> RecordedSite:
    """A site that was made once; each test gets a copy of its state."""
    site = make_recorded_site(tmp_path_factory.mktemp("recorded"))
    with site.here():
        for number in range(6):
            record_event("ward", "importing", EventRecord("checked", bundle=bytes([number]) * 32))
    return site


@pytest.fixture
def recorded_site(template: RecordedSite, tmp_path: Path) -> Iterator[RecordedSite]:
    """The site, with a state of the test's own."""
    copy = template.copy(tmp_path / "ward")
    yield copy
    shutil.rmtree(copy.top)
