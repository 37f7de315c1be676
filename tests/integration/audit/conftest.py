"""A site that was made once, and the report and evidence of it; nobody changes them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.audited_site import AuditedSite, make_audited_site
from tests.support.sides import Side


@dataclass(frozen=True)
class Audited:
    """What `airgap audit` made of the site, on a laptop that trusts nobody."""

    site: AuditedSite
    side: Side
    evidence: Path

    @property
    def page(self) -> str:
        return (self.site.top / "report.html").read_text()

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.evidence / "report.json").read_bytes())
        return report


@pytest.fixture(scope="session")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    top = tmp_path_factory.mktemp("audited")
    site = make_audited_site(top / "site")
    side = Side(top / "laptop")
    side.top.mkdir()
    ran = side.run(*site.words("--evidence", top / "evidence"))
    assert ran.code == 0, ran.err
    return Audited(site, side, top / "evidence")
