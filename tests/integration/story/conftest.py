"""Two years that have passed."""

import shutil
from collections.abc import Iterator

import pytest

from tests.integration.story import page
from tests.integration.story.machines import read_time, set_up
from tests.integration.story.years import Years
from tests.support.python_scripts import Scripts
from tests.support.stamp_authority import StampAuthority


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory, scripts: Scripts) -> Iterator[Years]:
    """Two years, with two authorities in this process."""
    missing = [program for program in page.PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"an auditor needs {', '.join(missing)}")
    authorities = {
        "first": StampAuthority("First", read_time("2027-01-03"), read_time("2028-01-03")),
        "second": StampAuthority("Second", read_time("2027-12-20"), read_time("2032-12-20")),
    }
    with set_up(tmp_path_factory.mktemp("years") / "story", authorities) as machines:
        told = Years(machines, scripts)
        told.tell()
        yield told
