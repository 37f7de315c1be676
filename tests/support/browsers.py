"""A real browser: what a checker of accessibility says of pages, and what overflows.

Pages forbid scripts, so axe-core runs in copies whose policy is taken out.
"""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

import pytest

AXE: Final = "axe-core@4.14.1"
SECONDS: Final = 120
Look = Literal["light", "dark"]
PROBE: Final = """
const hidden = (one) => getComputedStyle(one.closest("thead") ?? one).position === "absolute";
const clips = (one) => ["auto", "scroll", "hidden"].includes(getComputedStyle(one).overflowX);
const scrolled = (one) => {
  for (let box = one.parentElement; box && box !== document.body; box = box.parentElement) {
    if (clips(box)) return true;
  }
  return false;
};
const wide = [...document.querySelectorAll("body *")]
  .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .filter((one) => !hidden(one) && !scrolled(one))
  .map((one) => one.outerHTML.slice(0, 120));
const send = (value) => parent.postMessage(JSON.stringify({page: document.URL, ...value}), "*");
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
_FRAME: Final = """<!DOCTYPE html>
<html lang="en"><title>frame</title><body>
{frames}
<script>
addEventListener("message", (event) => {{
  const pre = document.createElement("pre");
  pre.className = "probe";
  pre.textContent = event.data;
  document.body.append(pre);
}});
</script></body></html>
"""
"""A window of a headless browser is at least 500 pixels wide; a frame in it may be narrower."""
_INNER: Final = """\
<iframe src="{name}.html" title="{name}" style="width: {width}px; height: 9em; border: 0"></iframe>
"""


def require(name: str) -> str:
    """Return the path of a program, or skip the test."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"needs {name}")
    return path


@cache
def load_axe() -> str:
    """Return the source of axe-core, from npm."""
    require("chromium")
    options = ["--no-audit", "--no-fund", "--ignore-scripts"]
    with TemporaryDirectory(prefix="axe-") as folder:
        subprocess.run(
            [require("npm"), "install", *options, AXE],
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=SECONDS,
        )
        return Path(folder, "node_modules/axe-core/axe.min.js").read_text()


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


def require_accessible(pages: Mapping[str, str], width: int, folder: Path, look: Look) -> None:
    """Require that axe-core finds nothing in pages without a policy, and that nothing overflows.

    A page is written to its name below the folder, where what it refers to may lie.
    """
    axe = load_axe()
    for name, page in pages.items():
        probed = page.replace("</body>", f"<script>{axe}</script><script>{PROBE}</script></body>")
        assert probed != page
        (folder / f"{name}.html").write_text(probed)
    frames = "\n".join(_INNER.format(name=name, width=width) for name in pages)
    (folder / "frame.html").write_text(_FRAME.format(frames=frames))
    words = ["--window-size=1400,1000", "--virtual-time-budget=600000", "--dump-dom"]
    words += ["--force-dark-mode"] if look == "dark" else []

    printed = run_chromium([*words, (folder / "frame.html").as_uri()], folder)

    texts = re.findall(r'<pre class="probe">(.*?)</pre>', printed, re.DOTALL)
    probes: list[dict[str, Any]] = [json.loads(html.unescape(text)) for text in texts]
    top = f"{folder.as_uri()}/"
    probed_pages = {one["page"].removeprefix(top).removesuffix(".html") for one in probes}
    assert probed_pages == set(pages), printed[-2000:]
    for one in probes:
        assert one.get("error") is None
        assert one["passes"] > 10, one["page"]
        assert one["violations"] == [], one["page"]
        assert one["incomplete"] == [], one["page"]
        assert one["wide"] == [], one["page"]
        assert one["width"] >= one["scrolls"], one["page"]
        assert one["width"] in range(width - 20, width + 1)  # without a scroll bar, or with one
        assert one["dark"] == (look == "dark")
