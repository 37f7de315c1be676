"""What the documents say of the command line, of the format and of files is so."""

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from airgap.cli.main import cli
from tests.support import stores
from tests.support.sides import REPOSITORY, Side, Site

DOCUMENTS = [
    *REPOSITORY.glob("*.md"),
    *REPOSITORY.glob("docs/**/*.md"),
    *REPOSITORY.glob("keys/*.md"),
]
SOURCES = [*REPOSITORY.glob("airgap/**/*.py"), *REPOSITORY.glob("tests/**/*.py")]
names = [pytest.param(one, id=str(one.relative_to(REPOSITORY))) for one in DOCUMENTS]


def _check_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_check", REPOSITORY / "docs" / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- links and citations


@pytest.mark.parametrize("document", names)
def test_links_lead_somewhere(document: Path) -> None:
    assert list(_check_module().broken_links(document)) == []


@pytest.mark.parametrize("document", names)
def test_files_that_are_named_are_there(document: Path) -> None:
    named = re.findall(r"`((?:airgap|tests|docs|bench|keys)/[\w./-]+)`", document.read_text())
    assert [one for one in named if not (REPOSITORY / one).exists()] == []


@pytest.mark.parametrize("file", [*SOURCES, *DOCUMENTS], ids=lambda file: file.name)
def test_no_text_installs_the_other_airgap_of_the_package_index(file: Path) -> None:
    text = file.read_text()
    assert not re.search(r"(?<!bento-)airgap\[[a-z0-9]+\]", text)
    assert not re.search(r"pip install (?:-\S+ (?:wheels )?)*'?airgap\b", text)


def test_every_section_of_the_format_that_is_cited_is_there() -> None:
    text = (REPOSITORY / "docs" / "format.md").read_text()
    there = set(re.findall(r"^#+ (\d+(?:\.\d+)?) ", text, re.MULTILINE))
    cited = {
        (source.name, number)
        for source in [*SOURCES, *DOCUMENTS]
        for number in re.findall(r"(?<!RFC 8032 )§(\d+(?:\.\d+)?)", source.read_text())
    }
    assert sorted(one for one in cited if one[1] not in there) == []


# ---- words


def _glossary() -> set[str]:
    terms: set[str] = _check_module().headings(REPOSITORY / "docs" / "glossary.md")
    return terms


def _terms_of_the_format() -> list[str]:
    """The words that format §1 defines."""
    text = (REPOSITORY / "docs" / "format.md").read_text()
    (section,) = re.findall(r"^## 1 .*?(?=^## 2 )", text, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| `?([a-z][a-z -]*)`? \|", section, re.MULTILINE)
    return rows[1:]  # below the heading of the table


def test_the_glossary_is_in_alphabetical_order() -> None:
    text = (REPOSITORY / "docs" / "glossary.md").read_text()
    terms = [term.casefold() for term in re.findall(r"^## (.+)$", text, re.MULTILINE)]
    assert terms == sorted(set(terms))


def test_every_term_of_the_format_is_in_the_glossary() -> None:
    terms = _terms_of_the_format()
    assert "depot" in terms
    assert sorted(term for term in terms if term.replace(" ", "-") not in _glossary()) == []


WITHOUT_LINKS = {
    "architecture.md",
    "audit.md",
    "carry-by-network.md",
    "format.md",
    "gateway-drop-box.md",
    "keys-and-trust.md",
    "keys-hardware.md",
    "object-stores.md",
    "verify-with-openssl.md",
}
"""Pages that are still to be revised."""


def test_pages_link_their_terms_to_the_glossary() -> None:
    guides = [
        REPOSITORY / "README.md",
        REPOSITORY / "CONTRIBUTING.md",
        *REPOSITORY.glob("docs/*.md"),
    ]
    link = re.compile(r"\]\((?:docs/)?glossary\.md#[\w-]+\)")
    without = {page.name for page in guides if not link.search(page.read_text())}
    assert sorted(without - {"glossary.md", *WITHOUT_LINKS}) == []


# ---- prose

PAGES = [
    *REPOSITORY.glob("*.md"),
    *(
        page
        for top in ("bench", "docs", "keys", "tests")
        for page in (REPOSITORY / top).rglob("*.md")
    ),
]
PHRASES = re.compile(
    r"(?<!there )\bis\s+no\s(?!longer\b)|\bmend\s+it\b|\bwhoever\b|\belsewhere\b|\bis\s+told\b"
    r"|\bin\s+spite\s+of\b",
    re.IGNORECASE,
)
"""What an English manual would not say."""
NOT_YET_PLAIN = {
    "docs/carry-by-network.md",
    "docs/format.md",
    "docs/keys-and-trust.md",
    "docs/keys-hardware.md",
    "docs/object-stores.md",
    "docs/verify-with-openssl.md",
}
"""Pages that are still to be revised."""
_COLUMNS = 100


def _blank(pattern: str, text: str) -> str:
    """Empty what matches, and keep the lines' numbers."""
    matches = re.compile(pattern, re.MULTILINE | re.DOTALL)
    return matches.sub(lambda match: "\n" * match[0].count("\n"), text)


def _without_code(page: Path) -> str:
    """What a person wrote on a page, without code and what cog generates."""
    text = _blank(r"^<!-- \[\[\[cog.*?\[\[\[end\]\]\] -->$", page.read_text())
    text = _blank(r"^ *(```|~~~).*?^ *\1", text)
    return _blank(r"(?<=\n\n)(?: {4}[^\n]*\n|\n(?= {4}))+", text)


pages = [pytest.param(page, id=str(page.relative_to(REPOSITORY))) for page in PAGES]


@pytest.mark.parametrize("page", pages)
def test_prose_wraps_at_100_columns(page: Path) -> None:
    lines = enumerate(_without_code(page).split("\n"), 1)
    long = [number for number, line in lines if len(line) > _COLUMNS and _can_wrap(line)]
    assert long == []


def _can_wrap(line: str) -> bool:
    """Whether a line is prose with a place to break it, and not a row of a table."""
    return not line.startswith("|") and " " in re.sub(r"`[^`]*`", "", line.strip())


@pytest.mark.parametrize("page", [page for page in pages if page.id not in NOT_YET_PLAIN])
def test_prose_is_in_plain_english(page: Path) -> None:
    text = re.sub(r"`[^`]*`|\]\([^)]*\)", "", _without_code(page))
    assert [match[0] for match in PHRASES.finditer(text)] == []


# ---- commands and options


def _code(text: str) -> Iterator[str]:
    """Lines of code blocks, and code in the text."""
    for block in re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()
    without_blocks = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", without_blocks)


def _resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that words name, and the words after it; AssertionError if there is none."""
    command: click.Command = cli
    while isinstance(command, click.Group) and words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"there is no command {words[0]!r}"
        command, words = found, words[1:]
    return command, words


def _options(command: click.Command) -> set[str]:
    known = {"-h", "--help"} | ({"--version"} if command is cli else set())
    return known.union(*(one.opts for one in command.params if isinstance(one, click.Option)))


def _every_option(command: click.Command) -> set[str]:
    found = _options(command)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            found |= _every_option(below)
    return found


@pytest.mark.parametrize("document", names)
def test_commands_and_options_that_are_named_exist(document: Path) -> None:
    for code in _code(document.read_text()):
        for line in re.findall(r"(?:^|[|$] |if )airgap ([a-z].*)", code):
            command, rest = _resolve(re.split(r"\s+", re.split(r" [|>#;]| \d<", line)[0]))
            unknown = {word for word in rest if re.fullmatch(r"--?[a-z][a-z-]*", word)}
            assert unknown <= _options(command), code


@pytest.mark.parametrize("document", names)
def test_options_that_are_named_alone_exist(document: Path) -> None:
    known = _every_option(cli) | {"--name", "--insecure-"}
    named = {code.split()[0] for code in _code(document.read_text()) if code.startswith("--")}
    assert {one for one in named if re.fullmatch(r"--[a-z-]+", one)} <= known


# ---- sessions: the blocks of a document, run as they stand


def _blocks(document: str) -> list[tuple[str, str]]:
    """Kind and text of the shell blocks that have a kind."""
    text = (REPOSITORY / document).read_text()
    return re.findall(r"^```sh ([a-z]+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


class Session:
    """Runs blocks in a folder of their own, with a folder instead of the stick."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.medium = folder / "medium"
        self.medium.mkdir(parents=True)

    def run(self, side: Side, script: str) -> "subprocess.CompletedProcess[str]":
        script = script.replace("/media/usb", str(self.medium))
        script = re.sub(r"SHA256:\S*…\S*", self._fingerprint, script)
        shim = f'airgap() {{ "{sys.executable}" -m airgap "$@"; }}\n'
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", shim + script],
            cwd=self.folder,
            env={
                **os.environ,
                **side.environment,
                "PYTHONPATH": str(REPOSITORY),
                "AIRGAP_KEY_GENERATE_NO_PASSPHRASE": "1",  # nobody types one, and bcrypt is slow
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert ran.returncode == 0, f"{script}\n{ran.stdout}\n{ran.stderr}"
        return ran

    def _fingerprint(self, _elided: "re.Match[str]") -> str:
        (root,) = [*self.medium.glob("root.msgpack"), *self.folder.glob("root.msgpack")]
        return "SHA256:" + hashlib.sha256(root.read_bytes()).hexdigest()


def _sides(folder: Path) -> tuple[Side, Side]:
    connected, isolated = Side(folder / "connected"), Side(folder / "isolated")
    stores.add_model(connected, "ranker:v1", {"weights.bin": stores.noise(300_000)})
    service = {"src/service.py": b"print('hello')\n"}
    stores.add_bento(connected, "summarizer:v1", service, models=["ranker:v1"])
    return connected, isolated


@pytest.mark.parametrize("document", ["README.md", "docs/getting-started.md"])
def test_the_way_from_side_to_side_is_as_it_is_told(document: str, tmp_path: Path) -> None:
    connected, isolated = _sides(tmp_path)
    session = Session(tmp_path / "session")

    for kind, script in _blocks(document):
        session.run({"connected": connected, "isolated": isolated}[kind], script)

    assert (isolated.bentoml / "bentos" / "summarizer" / "latest").read_text() == "v1"
    assert (isolated.bentoml / "models" / "ranker" / "v1" / "weights.bin").exists()


def test_keys_are_made_and_trusted_as_it_is_told(tmp_path: Path) -> None:
    connected, isolated = _sides(tmp_path)
    session = Session(tmp_path / "session")

    for kind, script in _blocks("docs/keys-and-trust.md"):
        session.run({"keys": connected, "trust": isolated}[kind], script)

    ran = session.run(isolated, "airgap verify depot --json")
    assert len(json.loads(ran.stdout)["signed_by"]) == 2


def test_a_key_id_is_what_openssl_makes_of_the_key(tmp_path: Path) -> None:
    connected, _ = _sides(tmp_path)
    session = Session(tmp_path / "session")
    session.run(connected, "airgap key generate builder-ci --dir keys")
    (block,) = [text for _, text in _blocks("docs/keys-and-trust.md") if "openssl" in text]

    ours, theirs = session.run(connected, block).stdout.splitlines()

    assert ours.split()[0] == theirs.split()[0]


def test_an_auditor_sees_what_is_told(depot: Path, site: Site, small: Side) -> None:
    session = Session(depot.parent / "session")
    for one in [*site.folder.glob("root.*")]:
        (session.folder / one.name).write_bytes(one.read_bytes())
    (session.folder / "depot").symlink_to(depot)

    ran = session.run(small, "".join(text for _, text in _blocks("docs/audit.md")))

    assert "weights.bin: OK" in ran.stdout


def test_the_refusal_in_the_readme_is_what_airgap_says(depot: Path, isolated: Side) -> None:
    pack = next((depot / "packs").rglob("*.pack"))
    content = bytearray(pack.read_bytes())
    content[0] ^= 1
    pack.write_bytes(content)
    text = (REPOSITORY / "README.md").read_text()
    (told,) = re.findall(r"^```text refusal\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    _, *verdict, _, code = told.splitlines()

    ran = isolated.run("import", depot)

    assert ran.code == int(code)
    assert _without_digests(ran.err) == _without_digests("\n".join(verdict) + "\n")


def _without_digests(text: str) -> str:
    return re.sub(r"\b[0-9a-f]{2,64}\b", "#", text)
