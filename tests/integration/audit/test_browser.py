"""The page in a real browser: axe-core finds nothing, nothing overflows, and paper has numbers."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.integration.audit.conftest import Audited
from tests.support.browsers import SECONDS, Look, require, require_accessible, run_chromium

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("look", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_checker_of_accessibility_finds_nothing(
    width: int, look: Look, audited: Audited, tmp_path: Path
) -> None:
    page, count = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", audited.page)
    assert count == 1
    require_accessible({"report": page}, width, tmp_path, look)


def test_the_browser_runs_no_script_that_somebody_put_into_the_page(
    audited: Audited, tmp_path: Path
) -> None:
    require("chromium")
    script = "<script>document.body.id = 'ran'</script></body>"
    for name, page in (
        ("page", audited.page),
        ("open", re.sub(r"<meta http-equiv=[^>]*>", "", audited.page)),
    ):
        (tmp_path / f"{name}.html").write_text(page.replace("</body>", script))

    printed = {
        name: run_chromium(["--dump-dom", (tmp_path / f"{name}.html").as_uri()], tmp_path)
        for name in ("page", "open")
    }

    assert '<body id="ran">' not in printed["page"]
    assert '<body id="ran">' in printed["open"]  # but for the policy, it would have


def test_on_paper_pages_have_numbers(audited: Audited, tmp_path: Path) -> None:
    """The numbers come from the style, which the policy permits by its digest."""
    require("chromium")
    page, paper = tmp_path / "page.html", tmp_path / "page.pdf"
    page.write_text(audited.page)

    run_chromium(["--no-pdf-header-footer", f"--print-to-pdf={paper}", page.as_uri()], tmp_path)
    ran = subprocess.run(
        [require("pdftotext"), "-layout", paper, "-"],
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )

    sheets = ran.stdout.rstrip("\f").split("\f")
    for number, sheet in enumerate(sheets, 1):
        assert f"page {number} of {len(sheets)}" in sheet
