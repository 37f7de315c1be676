"""Check the documents: links lead somewhere, and what cog wrote is what it would write today.

``--write`` lets cog write its parts again instead.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TOP: Final = Path(__file__).parent.parent
CODE: Final = re.compile(r"^(```|~~~).*?^\1|`[^`\n]+`", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
HEADING: Final = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)


def main() -> int:
    """Return 0 if the documents are right, else 1 after saying what is not."""
    documents = sorted([*TOP.glob("*.md"), *TOP.glob("docs/**/*.md"), *TOP.glob("keys/*.md")])
    broken = [line for one in documents for line in broken_links(one)]
    for line in broken:
        print(line)
    written = [str(one) for one in documents if "[[[cog" in one.read_text()]
    mode = ["-r"] if "--write" in sys.argv else ["--check", "--diff"]
    stale = 0
    if written:
        command = [sys.executable, "-m", "cogapp", *mode, *written]
        stale = subprocess.run(command, cwd=TOP, check=False).returncode
    print(f"{len(documents)} documents, {len(written)} of them with parts that cog writes")
    return 1 if broken or stale else 0


def broken_links(document: Path) -> Iterator[str]:
    """Yield a line for each relative link whose file or heading is not there."""
    for target in LINK.findall(CODE.sub("", document.read_text())):
        if re.match(r"[a-z]+:", target):  # another place: not for a machine without a network
            continue
        path, _, heading = target.partition("#")
        file = document.parent / path if path else document
        if not file.exists():
            yield f"{document.relative_to(TOP)}: {target} is not there"
        elif heading and heading not in headings(file):
            yield f"{document.relative_to(TOP)}: {target} has no such heading"


def headings(document: Path) -> set[str]:
    """Return the anchors that a forge gives a document's headings."""
    text = CODE.sub(lambda code: code[0] if "\n" not in code[0] else "", document.read_text())
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(text)
    }


if __name__ == "__main__":
    sys.exit(main())
