"""The documents that travel with airgap: pages in Markdown, terms, and the site for a browser."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from airgap.errors import MissingError, UsageError

__all__ = ["ManualPage", "find_site", "list_pages", "read_topic"]

_PACKAGE: Final = Path(__file__).parent.parent
_FOLDERS: Final = (_PACKAGE / "documents", _PACKAGE.parent / "docs")
"""Where the pages are in an installation, and in a clone."""
_SITES: Final = (_PACKAGE / "documents/site", _PACKAGE.parent / "build/documents/site")
_GLOSSARY: Final = "glossary"
_HEADING: Final = re.compile(r"(#+) +(.+?)\s*")
_FENCE: Final = ("```", "~~~")
_COG: Final = re.compile(r"^<!-- \[\[\[(?:cog.*?\]\]\]|end\]\]\]) -->\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class ManualPage:
    """A document, or a part of one below a heading."""

    name: str
    """Such as ``glossary`` or ``glossary#depot``."""
    title: str
    text: str
    """In Markdown."""


def list_pages() -> list[ManualPage]:
    """Return all pages, by name.

    Raises:
        MissingError: this installation has none.
        OSError: a page cannot be read.
    """
    folder = next((folder for folder in _FOLDERS if (folder / f"{_GLOSSARY}.md").is_file()), None)
    if folder is None:
        raise MissingError(
            f"There are no documents in {_FOLDERS[0]}.",
            "Install airgap from a wheel that has them: `pip install --force-reinstall"
            " bento-airgap`.",
        )
    return [_read_page(path) for path in sorted(folder.glob("*.md"))]


def read_topic(topic: str) -> ManualPage:
    """Return the page, the part of a page (``PAGE#HEADING``) or the term of a name.

    Raises:
        UsageError: there is no such page, heading or term.
        MissingError: as ``list_pages``.
        OSError: a page cannot be read.
    """
    pages = {page.name: page for page in list_pages()}
    name, hash_, heading = topic.partition("#")
    page = pages.get(name.removesuffix(".md"))
    if page is not None and not hash_:
        return page
    if page is None and not hash_:
        page, heading = pages[_GLOSSARY], name
    parts = {part.name: part for part in _split_page(page)} if page is not None else {}
    found = parts.get(f"{page.name}#{_make_anchor(heading)}") if page is not None else None
    if found is not None:
        return found
    known = [*pages, *(name.partition("#")[2] for name in parts)]
    near = get_close_matches(heading or name, known, n=1)
    raise UsageError(
        f"The documents have no page and no term {topic!r}.",
        f"Did you mean `airgap docs {near[0]}`?" if near else "`airgap docs` lists the pages.",
    )


def find_site() -> Path:
    """Return the first page of the site for browsers.

    Raises:
        MissingError: this installation does not have the site.
    """
    for folder in _SITES:
        if (folder / "index.html").is_file():
            return folder / "index.html"
    raise MissingError(
        f"The site for browsers is not in {_SITES[0]}: this airgap was built without it.",
        "Read the pages with `airgap docs PAGE`, or build the site in a clone: make docs-site.",
    )


def _read_page(path: Path) -> ManualPage:
    text = _COG.sub("", path.read_text(encoding="utf-8"))
    title, _, _ = text.partition("\n")
    return ManualPage(path.stem, title.removeprefix("# ").replace("`", ""), text)


def _split_page(page: ManualPage) -> Iterator[ManualPage]:
    """Yield the part below each heading, up to the next one of its level or above."""
    lines = page.text.splitlines()
    headings = list(_find_headings(lines))
    for position, (start, level, title) in enumerate(headings):
        later = headings[position + 1 :]
        end = next((row for row, other, _ in later if other <= level), len(lines))
        text = "\n".join(lines[start:end]).rstrip() + "\n"
        yield ManualPage(f"{page.name}#{_make_anchor(title)}", title, text)


def _find_headings(lines: list[str]) -> Iterator[tuple[int, int, str]]:
    """Yield row, level and text of each heading outside code."""
    inside = ""
    for row, line in enumerate(lines):
        mark = line.lstrip()[:3]
        if inside or mark in _FENCE:
            inside = {inside: "", "": mark}.get(mark if inside else "", inside)
        elif found := _HEADING.fullmatch(line):
            yield row, len(found[1]), found[2]


def _make_anchor(heading: str) -> str:
    """Return the anchor that forges give to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
