"""The documents as a site, in a real browser: read from a folder, with search, by everybody."""

import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.browsers import SECONDS, Look, require, require_accessible, run_chromium
from tests.support.sides import REPOSITORY

pytestmark = pytest.mark.servers

KINDS = (
    "index.html",
    "docs/carry-by-network.html",
    "docs/six-commands.html",
    "docs/configuration.html",
    "docs/glossary.html",
    "docs/adr/0070-a-console-without-scripts.html",
)
"""One page of each kind: front, guide, session, tables, terms, decision."""
TYPED = """
<script>
addEventListener("load", () => {
  const list = document.querySelector(".md-search-result__list");
  const field = document.querySelector(".md-search__input");
  new MutationObserver(() => { document.body.id = "found"; }).observe(list, {childList: true});
  field.focus();
  field.value = "fingerprint";
  field.dispatchEvent(new Event("input", {bubbles: true}));
  field.dispatchEvent(new KeyboardEvent("keyup", {bubbles: true}));
});
</script></body>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, REPOSITORY / "docs/site/build.py", folder], check=True, timeout=SECONDS
    )
    return folder


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(REPOSITORY / "docs/site", repository / "docs/site")
    config, _, _ = (REPOSITORY / "mkdocs.yml").read_text().partition("\nnav:\n")
    (repository / "mkdocs.yml").write_text(f"{config}\nnav:\n- Home: README.md\n")
    built = {}
    for text in ("# Here\n\n[here](#here)\n", "# Here\n\n[there](#there)\n", "[gone](gone.md)\n"):
        (repository / "README.md").write_text(text)
        built[text] = subprocess.run(
            [sys.executable, repository / "docs/site/build.py", tmp_path / "out"],
            capture_output=True,
            check=False,
            timeout=SECONDS,
        ).returncode

    assert [bool(code) for code in built.values()] == [False, True, True]


def test_no_page_asks_another_host_for_anything(site: Path) -> None:
    fetched = re.compile(
        r"<(?:script|link|img|iframe|source|video|audio|object)\b[^>]*\b(?:src|href|data)="
        r"[\"']?(?:https?:)?//[^\s\"'>]+"
    )
    styles = re.compile(r"(?:@import\s*|url\()[\"']?(?:https?:)?//")
    pages = {path: path.read_text() for path in site.rglob("*.html")}

    assert len(pages) > 100
    assert [found[0] for text in pages.values() if (found := fetched.search(text))] == []
    assert [path for path in site.rglob("*.css") if styles.search(path.read_text())] == []


@pytest.mark.parametrize("look", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_checker_of_accessibility_finds_nothing(
    width: int, look: Look, site: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    pages = {name.removesuffix(".html"): (site / name).read_text() for name in KINDS}
    require_accessible(pages, width, folder, look)


def test_the_search_works_in_a_folder_without_a_server(site: Path, tmp_path: Path) -> None:
    require("chromium")
    page = site / "docs/exit-codes.html"
    (site / "docs/typed.html").write_text(page.read_text().replace("</body>", TYPED))

    words = ["--virtual-time-budget=30000", "--dump-dom", (site / "docs/typed.html").as_uri()]
    printed = run_chromium(words, tmp_path)

    found = re.search(r'<ol class="md-search-result__list".*?</ol>', printed, re.DOTALL)
    assert found is not None
    assert "glossary.html" in html.unescape(found[0])
