"""The same two years with the authorities of openssl, by a false clock, and the stick with age."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.integration.story import page
from tests.integration.story.machines import set_up
from tests.integration.story.years import Years
from tests.integration.timestamps.test_ten_years import Story
from tests.support.python_scripts import Scripts

pytestmark = pytest.mark.servers


@dataclass(frozen=True)
class OpensslAuthority:
    """An authority of ``openssl ts``, made on a day as docs/prove-when-it-was-signed.md says."""

    program: Story
    folder: Path

    @property
    def pem(self) -> bytes:
        return (self.folder / "ca.pem").read_bytes()

    def answer(self, query: bytes, at: float) -> bytes:
        (self.folder / "q.tsq").write_bytes(query)
        when = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"
        reply = ("openssl", "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "q.tsq")
        self.program.shell(when, *reply, "-out", "r.tsr", folder=self.folder)
        return (self.folder / "r.tsr").read_bytes()


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory, scripts: Scripts) -> Iterator[Years]:
    missing = [name for name in ("faketime", "age") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    top = tmp_path_factory.mktemp("years")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        program = Story(top)
        days = {"first": "2027-01-03", "second": "2027-12-19"}
        authorities = {
            name: OpensslAuthority(program, program.make_authority(name, day))
            for name, day in days.items()
        }
        with set_up(top / "story", authorities) as machines:
            told = Years(machines, scripts)
            told.tell()
            yield told


def test_all_commands_of_the_page_print_what_it_shows(years: Years) -> None:
    ran = page.run_commands(page.DOCUMENT.read_text(), years.box, page.list_kinds())
    assert [command for command, _, _ in ran if "age -d" in command]
    for command, told, printed in ran:
        assert page.mask(printed) == page.mask(told), command


def test_every_stock_command_of_the_report_succeeds(years: Years) -> None:
    years.audit()
    check = ["sh", str(years.box / "evidence/check.sh")]
    ran = subprocess.run(check, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stdout
    assert "; 0 failed" in ran.stdout
