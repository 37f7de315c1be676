"""Build the documents as a site: HTML that is read from a folder, without a network.

``python docs/site/build.py FOLDER`` (docs/adr/0073-the-documents-as-a-site.md).
"""

import argparse
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

os.environ["DISABLE_MKDOCS_2_WARNING"] = "true"  # an announcement that is printed at each build

from mkdocs.commands.build import build
from mkdocs.config import load_config
from pymdownx.slugs import slugify

TOP: Final = Path(__file__).parent.parent.parent
SITE: Final = "docs/site"
SECTION: Final = "Decisions"
LINK: Final = re.compile(r"\]\(([^)\s#:]+)(?:#[^)\s]*)?\)")
COG: Final = re.compile(r"^<!-- \[\[\[(?:cog.*?\]\]\]|end\]\]\]) -->\n", re.MULTILINE | re.DOTALL)
FENCE: Final = re.compile(r"^( *)(```|~~~)(\w*).*$")
LABEL: Final = re.compile(r'<label[^>]* id="(__nav_\w+_label)"[^>]*>(.*?)</label>', re.DOTALL)
MENU: Final = re.compile(r'aria-labelledby="(__nav_\w+_label)"')
LISTED: Final = re.compile(r"^ {2,3}(?=\S)")


def main() -> int:
    """Build the site into the folder that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description="Build the documents as a site.")
    parser.add_argument("folder", type=Path, help="where the site is made; what is there goes")
    folder = parser.parse_args().folder.resolve()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    with tempfile.TemporaryDirectory(prefix="airgap-site-") as name:
        copy_documents(Path(name))
        config = load_config(str(TOP / "mkdocs.yml"), docs_dir=name, site_dir=str(folder))
        config.nav = list(add_decisions(config.nav or []))
        config.mdx_configs["toc"]["slugify"] = slugify(case="lower")  # as forges name headings
        build(config)
    for page in folder.rglob("*.html"):
        page.write_text(make_accessible(page.read_text()))
    unneeded = chain(folder.glob("sitemap.xml*"), folder.rglob("*.map"))
    for file in unneeded:  # the site has no address that it could list; maps are for its makers
        file.unlink()
    print(f"{folder}/index.html: {sum(1 for _ in folder.rglob('*.html'))} pages")
    return 0


def make_accessible(page: str) -> str:
    """Let the keyboard scroll what is wide, and name the search and each part of the menu.

    On a phone, the labels that the theme refers to are hidden. A corner of a table heads nothing.
    """
    labels = {key: re.sub(r"<[^>]*>", "", text).strip() for key, text in LABEL.findall(page)}
    page = MENU.sub(lambda menu: f'aria-label="{labels[menu[1]]}"', page)
    page = re.sub(r"(<pre\b[^>]*>(?:<span></span>)?<code)>", r'\1 tabindex="0">', page)
    page = page.replace("<table>", '<table tabindex="0">')
    page = page.replace('role="dialog">', 'role="dialog" aria-label="Search">')
    return re.sub(r"<th( [^>]*)?></th>", r"<td\1></td>", page)


def find_documents() -> list[Path]:
    """Return the documents of the repository, in order."""
    below = (TOP.glob(f"{folder}/**/*.md") for folder in ("bench", "docs", "keys", "tests"))
    return sorted(chain(TOP.glob("*.md"), *below))


def add_decisions(nav: list[Any]) -> Iterator[Any]:
    """Yield the entries of the navigation; that of decisions has one for each of them."""
    pages = [f"docs/adr/{path.name}" for path in sorted((TOP / "docs/adr").glob("0*.md"))]
    for entry in nav:
        (title, content), *_ = entry.items()
        yield {title: [*content, *pages]} if title == SECTION else entry


def copy_documents(folder: Path) -> None:
    """Copy the documents, and the files to which they link, to the same paths in a folder.

    So each link leads where it does in the repository.
    """
    documents = find_documents()
    linked = {path for document in documents for path in find_linked_files(document)}
    for path in {*documents, *linked, *(TOP / SITE).glob("*.*")} - {Path(__file__).resolve()}:
        target = folder / path.relative_to(TOP)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            target.write_text("".join(f"{line}\n" for line in adapt(path.read_text())))
        else:
            shutil.copyfile(path, target)


def find_linked_files(document: Path) -> Iterator[Path]:
    """Yield the files of the repository, other than documents, to which a document links."""
    for target in LINK.findall(document.read_text()):
        path = (document.parent / target).resolve()
        if path.is_file() and path.suffix != ".md" and path.is_relative_to(TOP):
            yield path


def adapt(text: str) -> Iterator[str]:
    """Yield the lines of a document in the Markdown that MkDocs reads.

    A fence names its language only, and what belongs to an item of a list is four columns in.
    """
    inside: str | None = None
    removed = 0
    for line in COG.sub("", text).splitlines():
        fence = FENCE.match(line)
        if fence and inside is None:
            indent, mark, language = fence.groups()
            inside, removed = mark, len(indent) if len(indent) in (2, 3) else 0
            yield f"{' ' * 4 if removed else indent}{mark}{language}"
        elif inside is not None:
            yield " " * 4 + line[removed:] if removed and line else line
            if line.strip() == inside:
                inside = None
        else:
            yield LISTED.sub(" " * 4, line)


if __name__ == "__main__":
    sys.exit(main())
