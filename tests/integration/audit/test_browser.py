"""The page in a real browser: axe-core finds nothing, nothing overflows, and paper has numbers.

The page forbids scripts, so axe runs in a copy of it whose policy is taken out.
"""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.audit.conftest import Audited

pytestmark = pytest.mark.servers

AXE: Final = "axe-core@4.14.1"
SECONDS: Final = 120
PROBE: Final = """
const hidden = (one) => getComputedStyle(one.closest("thead") ?? one).position === "absolute";
const wide = [...document.querySelectorAll("body *")]
  .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .filter((one) => !hidden(one))
  .map((one) => one.outerHTML.slice(0, 120));
const send = (value) => parent.postMessage(JSON.stringify(value), "*");
const nodes = (one) => [one.id, one.nodes.map((node) => node.html)];
const rules = {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]};
axe.run(document, rules).then(
  (found) => send({
    wide,
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    width: document.documentElement.clientWidth,
    scrolls: document.documentElement.scrollWidth,
    passes: found.passes.length,
    violations: found.violations.map(nodes),
    incomplete: found.incomplete.map(nodes),
  }),
  (error) => send({error: String(error)}),
);
"""
FRAME: Final = """<!DOCTYPE html>
<html lang="en"><title>frame</title><body>
<iframe src="inner.html" title="page" style="width: {width}px; height: 900px; border: 0"></iframe>
<script>
addEventListener("message", (event) => {{
  const pre = document.createElement("pre");
  pre.id = "probe";
  pre.textContent = event.data;
  document.body.append(pre);
}});
</script></body></html>
"""
"""A window of a headless browser is at least 500 pixels wide; a frame in it may be narrower."""


def require(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"needs {name}")
    return path


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, from npm."""
    require("chromium")
    folder = tmp_path_factory.mktemp("axe")
    options = ["--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(
        [require("npm"), "install", *options, AXE],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=SECONDS,
    )
    return (folder / "node_modules/axe-core/axe.min.js").read_text()


def run_chromium(words: Sequence[str | Path], folder: Path) -> str:
    """Run a browser without a network and with a profile of its own; return what it prints."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    options += [f"--user-data-dir={folder}/profile", "--host-resolver-rules=MAP * ~NOTFOUND"]
    ran = subprocess.run(
        ["chromium", *options, *map(str, words)],
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    return ran.stdout


@pytest.mark.parametrize("options", [(), ("--force-dark-mode",)], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_checker_of_accessibility_finds_nothing(
    width: int, options: tuple[str, ...], audited: Audited, axe: str, tmp_path: Path
) -> None:
    page, count = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", audited.page)
    assert count == 1
    inner = page.replace("</body>", f"<script>{axe}</script><script>{PROBE}</script></body>")
    (tmp_path / "inner.html").write_text(inner)

    (tmp_path / "frame.html").write_text(FRAME.format(width=width))
    words = ["--window-size=1400,1000", "--virtual-time-budget=60000", "--dump-dom", *options]

    printed = run_chromium([*words, (tmp_path / "frame.html").as_uri()], tmp_path)

    match = re.search(r'<pre id="probe">(.*?)</pre>', printed, re.DOTALL)
    assert match, printed[-2000:]
    found: dict[str, Any] = json.loads(html.unescape(match[1]))
    assert found.get("error") is None
    assert found["passes"] > 20
    assert found["violations"] == []
    assert found["incomplete"] == []
    assert found["wide"] == []
    assert found["width"] >= found["scrolls"]
    assert found["width"] in range(width - 20, width + 1)  # without a scroll bar, or with one
    assert found["dark"] == bool(options)


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
