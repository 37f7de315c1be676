"""Check the documents: every link has a target, and the generated parts are up to date.

``--write`` generates those parts again instead.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

TOP: Final = Path(__file__).parent.parent
CODE: Final = re.compile(r"^(```|~~~).*?^\1|`[^`\n]+`", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
HEADING: Final = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)


def main() -> int:
    """Return 0 if the documents are right; otherwise print what is wrong and return 1."""
    below = (TOP.glob(f"{folder}/**/*.md") for folder in ("bench", "docs", "keys", "tests"))
    documents = sorted(chain(TOP.glob("*.md"), *below))
    broken = [line for document in documents for line in find_broken_links(document)]
    for line in broken:
        print(line)
    generated = [str(document) for document in documents if "[[[cog" in document.read_text()]
    mode = ["-r"] if "--write" in sys.argv else ["--check", "--diff"]
    stale = 0
    if generated:
        command = [sys.executable, "-m", "cogapp", *mode, *generated]
        stale = subprocess.run(command, cwd=TOP, check=False).returncode
    print(f"{len(documents)} documents, {len(generated)} of them with parts that cog generates")
    return 1 if broken or stale else 0


def find_broken_links(document: Path) -> Iterator[str]:
    """Yield a line for each relative link whose file or heading does not exist."""
    for target in LINK.findall(CODE.sub("", document.read_text())):
        if re.match(r"[a-z]+:", target):  # a URL: it cannot be checked without a network
            continue
        path, _, heading = target.partition("#")
        file = document.parent / path if path else document
        if not file.exists():
            yield f"{document.relative_to(TOP)}: {target} does not exist"
        elif heading and heading not in find_anchors(file):
            yield f"{document.relative_to(TOP)}: {target}: there is no such heading"


def find_anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub and other forges give to the headings of a document."""
    text = CODE.sub(lambda code: code[0] if "\n" not in code[0] else "", document.read_text())
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(text)
    }


if __name__ == "__main__":
    sys.exit(main())
