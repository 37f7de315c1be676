"""The documents are right about commands, options, files and the format, and in plain English."""

import functools
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from airgap.cli.main import cli
from tests.integration.proof import test_prove
from tests.support import forge, kits, package_index, pictures, sides, stores, transcript
from tests.support.sides import REPOSITORY, Side, Site

DOCUMENTS = [
    *REPOSITORY.glob("*.md"),
    *(
        document
        for folder in ("bench", "docs", "keys", "tests")
        for document in REPOSITORY.glob(f"{folder}/**/*.md")
    ),
]
SOURCES = [*REPOSITORY.glob("airgap/**/*.py"), *REPOSITORY.glob("tests/**/*.py")]
MODULES = [
    *SOURCES,
    *REPOSITORY.glob("bench/**/*.py"),
    *REPOSITORY.glob("docs/**/*.py"),
    REPOSITORY / "hatch_build.py",
]
each_document = pytest.mark.parametrize(
    "document", [pytest.param(path, id=str(path.relative_to(REPOSITORY))) for path in DOCUMENTS]
)


@functools.cache
def _load_check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_check", REPOSITORY / "docs" / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- links and citations


@each_document
def test_every_link_has_a_target(document: Path) -> None:
    assert list(_load_check().find_broken_links(document)) == []


@each_document
def test_every_file_that_is_named_exists(document: Path) -> None:
    named = re.findall(r"`((?:airgap|tests|docs|bench|keys)/[\w./-]+)`", document.read_text())
    assert [path for path in named if not (REPOSITORY / path).exists()] == []


@each_document
def test_every_module_that_is_named_exists(document: Path) -> None:
    named = set(re.findall(r"`([\w/]+\.py)`", document.read_text()))
    assert [name for name in named if not any(path.match(name) for path in MODULES)] == []


def test_no_text_installs_the_other_airgap_of_the_package_index() -> None:
    other = re.compile(
        r"(?<!bento-)airgap\[[a-z0-9]+\]|pip install (?:-\S+ (?:wheels )?)*'?airgap\b"
    )
    assert [file for file in [*SOURCES, *DOCUMENTS] if other.search(file.read_text())] == []


def test_every_section_of_the_format_that_is_cited_exists() -> None:
    text = (REPOSITORY / "docs" / "format.md").read_text()
    sections = set(re.findall(r"^#+ (\d+(?:\.\d+)?) ", text, re.MULTILINE))
    cited = {
        (source.name, number)
        for source in [*SOURCES, *DOCUMENTS]
        for number in re.findall(r"(?<!RFC 8032 )§(\d+(?:\.\d+)?)", source.read_text())
    }
    assert sorted((name, number) for name, number in cited if number not in sections) == []


def test_the_menu_of_the_site_names_every_document() -> None:
    """`docs/site/build.py` adds the decisions."""
    menu = (REPOSITORY / "mkdocs.yml").read_text()
    paths = [str(document.relative_to(REPOSITORY)) for document in DOCUMENTS]
    named = [path for path in paths if not path.startswith("docs/adr/0")]
    assert [
        path for path in named if not re.search(rf"[ ]{re.escape(path)}$", menu, re.MULTILINE)
    ] == []


# ---- words


def _read_glossary() -> set[str]:
    terms: set[str] = _load_check().find_anchors(REPOSITORY / "docs" / "glossary.md")
    return terms


def _read_format_terms() -> list[str]:
    """Return the terms that format §1 defines."""
    text = (REPOSITORY / "docs" / "format.md").read_text()
    (section,) = re.findall(r"^## 1 .*?(?=^## 2 )", text, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| `?([a-z][a-z -]*)`? \|", section, re.MULTILINE)
    return rows[1:]  # below the heading of the table


def test_the_glossary_is_in_alphabetical_order() -> None:
    text = (REPOSITORY / "docs" / "glossary.md").read_text()
    terms = [term.casefold() for term in re.findall(r"^## (.+)$", text, re.MULTILINE)]
    assert terms == sorted(set(terms))


def test_the_help_names_the_glossary() -> None:
    assert "docs/glossary.md" in str(cli.epilog)


def test_every_term_of_the_format_is_in_the_glossary() -> None:
    terms = _read_format_terms()
    assert "depot" in terms
    assert sorted(term for term in terms if term.replace(" ", "-") not in _read_glossary()) == []


def test_pages_link_their_terms_to_the_glossary() -> None:
    guides = [
        REPOSITORY / "README.md",
        REPOSITORY / "CONTRIBUTING.md",
        *REPOSITORY.glob("docs/*.md"),
    ]
    link = re.compile(r"\]\((?:docs/)?glossary\.md(?:#[\w-]+)?\)")
    without = {page.name for page in guides if not link.search(page.read_text())}
    assert without == {"glossary.md"}


# ---- prose

PHRASES = re.compile(
    r"(?<!there )\bis\s+no\s(?!longer\b)|\bmend\s+it\b|\bwhoever\b|\belsewhere\b|\bis\s+told\b"
    r"|\bin\s+spite\s+of\b",
    re.IGNORECASE,
)
"""Phrases that an English manual would not use."""
_COLUMNS = 100


def _blank(pattern: str, text: str) -> str:
    """Remove every match, but keep the line numbers."""
    matches = re.compile(pattern, re.MULTILINE | re.DOTALL)
    return matches.sub(lambda match: "\n" * match[0].count("\n"), text)


def _remove_code(document: Path) -> str:
    """Return what a person wrote in a document, without code and generated parts."""
    text = _blank(r"^<!-- \[\[\[cog.*?\[\[\[end\]\]\] -->$", document.read_text())
    text = _blank(r"^ *(```|~~~).*?^ *\1", text)
    return _blank(r"(?<=\n\n)(?: {4}[^\n]*\n|\n(?= {4}))+", text)


@each_document
def test_prose_wraps_at_100_columns(document: Path) -> None:
    lines = enumerate(_remove_code(document).split("\n"), 1)
    long = [number for number, line in lines if len(line) > _COLUMNS and _can_wrap(line)]
    assert long == []


def _can_wrap(line: str) -> bool:
    """Tell whether a line is prose that could be broken, and not a row of a table."""
    return not line.startswith("|") and " " in re.sub(r"`[^`]*`", "", line.strip())


@each_document
def test_prose_is_in_plain_english(document: Path) -> None:
    text = re.sub(r"`[^`]*`|\]\([^)]*\)", "", _remove_code(document))
    assert [match[0] for match in PHRASES.finditer(text)] == []


# ---- commands and options


def _find_code(text: str) -> Iterator[str]:
    """Yield the lines of code blocks, and the inline code."""
    for block in re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()
    without_blocks = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", without_blocks)


def _resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that words name, and the words after it.

    Raises:
        AssertionError: there is no such command.
    """
    command: click.Command = cli
    while isinstance(command, click.Group) and words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
        subcommand = command.get_command(click.Context(command), words[0])
        assert subcommand is not None, f"there is no command {words[0]!r}"
        command, words = subcommand, words[1:]
    return command, words


def _list_options(command: click.Command) -> set[str]:
    known = {"-h", "--help"} | ({"--version"} if command is cli else set())
    return known.union(
        *(option.opts for option in command.params if isinstance(option, click.Option))
    )


def _list_all_options(command: click.Command) -> set[str]:
    options = _list_options(command)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            subcommand = command.get_command(context, name)
            assert subcommand is not None
            options |= _list_all_options(subcommand)
    return options


@each_document
def test_commands_and_options_that_are_named_exist(document: Path) -> None:
    for code in _find_code(document.read_text()):
        for line in re.findall(r"(?:^|[|$] |if )airgap ([a-z].*)", code):
            command, rest = _resolve(re.split(r"\s+", re.split(r" [|>#;]| \d<", line)[0]))
            unknown = {word for word in rest if re.fullmatch(r"--?[a-z][a-z-]*", word)}
            assert unknown <= _list_options(command), code


@each_document
def test_options_that_are_named_alone_exist(document: Path) -> None:
    known = _list_all_options(cli) | {"--name", "--insecure-"}
    named = {code.split()[0] for code in _find_code(document.read_text()) if code.startswith("--")}
    assert {option for option in named if re.fullmatch(r"--[a-z-]+", option)} <= known


# ---- sessions: the blocks of a document, run as they stand


def _find_blocks(document: str) -> list[tuple[str, str]]:
    """Return kind and text of the shell blocks that have a kind."""
    text = (REPOSITORY / document).read_text()
    return re.findall(r"^```sh ([a-z]+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


class Session:
    """Runs blocks in a folder of their own, with another folder in place of the stick."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.medium = folder / "medium"
        self.medium.mkdir(parents=True)

    def run(self, side: Side, script: str) -> "subprocess.CompletedProcess[str]":
        script = script.replace("/media/usb", str(self.medium))
        script = re.sub(r"(\S+\.msgpack)(.*)SHA256:\S*…\S*", self._compute_fingerprint, script)
        asks = re.compile(r"(airgap trust init (\S+)|python3 (\S+)/install.py)$", re.MULTILINE)
        script = asks.sub(self._type_fingerprint, script)
        shim = f'airgap() {{ "{sys.executable}" -m airgap "$@"; }}\n'
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", shim + script],
            cwd=self.folder,
            env={
                **sides.unmeasured_environment(),
                **side.environment,
                "PYTHONPATH": str(REPOSITORY),
                "AIRGAP_INIT_NO_PASSPHRASE": "1",  # no person types one, and bcrypt is slow
                "AIRGAP_KEY_GENERATE_NO_PASSPHRASE": "1",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert ran.returncode == 0, f"{script}\n{ran.stdout}\n{ran.stderr}"
        return ran

    def _type_fingerprint(self, asks: "re.Match[str]") -> str:
        """Give the fingerprint of the first root there to a command that would ask a person."""
        root = f"{asks[2] or asks[3]}/roots/1.root.msgpack"
        return f"{asks[1]} --fingerprint $(sha256sum {root} | cut -c1-64)"

    def _compute_fingerprint(self, elided: "re.Match[str]") -> str:
        """Put that of the first root in a line for one that the document shortens."""
        return f"{elided[1]}{elided[2]}SHA256:$(sha256sum {elided[1]} | cut -d' ' -f1)"


def _make_sides(folder: Path) -> tuple[Side, Side]:
    connected, isolated = Side(folder / "connected"), Side(folder / "isolated")
    stores.add_model(connected, "ranker:v1", {"weights.bin": stores.noise(300_000)})
    service = {"src/service.py": b"print('hello')\n"}
    stores.add_bento(connected, "summarizer:v1", service, models=["ranker:v1"])
    return connected, isolated


@pytest.mark.parametrize("document", ["README.md", "docs/getting-started.md"])
def test_the_steps_of_a_guide_carry_a_bento_across(document: str, tmp_path: Path) -> None:
    connected, isolated = _make_sides(tmp_path)
    session = Session(tmp_path / "session")

    for kind, script in _find_blocks(document):
        if kind not in ("kit", "install"):
            session.run({"connected": connected, "isolated": isolated}[kind], script)

    assert (isolated.bentoml / "bentos" / "summarizer" / "latest").read_text() == "v1"
    assert (isolated.bentoml / "models" / "ranker" / "v1" / "weights.bin").exists()


def test_the_kit_of_the_guide_installs_airgap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With stand-ins for pip and for airgap's requirements, from an index on the loopback."""
    connected, isolated = _make_sides(tmp_path)
    session = Session(tmp_path / "session")
    blocks = _find_blocks("docs/getting-started.md")
    (keys,) = [text for _, text in blocks if "airgap init" in text]
    ((_, kit), (_, install)) = [pair for pair in blocks if pair[0] in ("kit", "install")]
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    session.run(connected, keys)

    with package_index.serve(kits.make_full_index()) as index:
        for name, value in kits.quiet_programs(tmp_path).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        made = session.run(connected, kit)
    installed = session.run(isolated, install + "command airgap\n")

    digest = installed.stdout.split()[0]
    assert f"install.py SHA256:{digest}\n" in made.stdout
    assert installed.stdout.endswith("airgap, version 9.9\n")


def test_the_steps_of_the_page_on_keys_work(tmp_path: Path) -> None:
    connected, isolated = _make_sides(tmp_path)
    session = Session(tmp_path / "session")

    for kind, script in _find_blocks("docs/keys-and-trust.md"):
        session.run({"keys": connected, "trust": isolated}[kind], script)

    ran = session.run(isolated, "airgap verify depot --json")
    assert len(json.loads(ran.stdout)["signed_by"]) == 2


def test_the_steps_of_the_page_on_hardened_hosts_work(tmp_path: Path) -> None:
    connected, _ = _make_sides(tmp_path)
    session = Session(tmp_path / "session")

    blocks = _find_blocks("docs/hardened-hosts.md")
    for _, script in blocks:
        session.run(connected, script)

    assert blocks


def test_the_steps_of_a_site_that_demands_rehearsals_work(
    site: Site, isolated: Side, tmp_path: Path
) -> None:
    """A bundle is refused until its rehearsal is signed: by airgap, and by verify.py."""
    office, session = Side(tmp_path / "office"), Session(tmp_path / "session")
    sides.trust(office, site)
    shutil.copytree(site.folder, session.folder / "keys")
    for path in [site.root, *site.folder.glob("root.*.dsse"), REPOSITORY / "docs/verify.py"]:
        shutil.copy(path, session.folder)
    forged = forge.Forge(tmp_path, forge.load_signer(site.key())).depot(test_prove.bundle())
    forged.rename(session.folder / "depot")
    blocks = [script for _, script in _find_blocks("docs/carry-what-it-needs.md")]
    demand, update, rehearse, admit = blocks
    check, _ = admit.splitlines()

    session.run(office, demand)
    for side in (office, isolated):
        session.run(side, update)
    refused = isolated.run("import", session.folder / "depot")
    checked = session.run(isolated, f"{check} || echo exit $?")
    session.run(office, rehearse)
    admitted = session.run(isolated, admit)

    text = (REPOSITORY / "docs/carry-what-it-needs.md").read_text()
    (shown,) = re.findall(r"^```text demanded\n\$ .*?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert refused.code == 12
    printed = refused.err.replace(" site ward ", " site hospital-north ")
    assert transcript.without_digests(printed) == transcript.without_digests(shown)
    assert checked.stdout.splitlines()[-1] == "exit 12"
    assert "REFUSED" in checked.stdout
    assert "ACCEPTED" in admitted.stdout
    assert (isolated.bentoml / "bentos/shop/v1").is_dir()


def test_a_key_id_is_the_digest_that_openssl_computes(tmp_path: Path) -> None:
    connected, _ = _make_sides(tmp_path)
    session = Session(tmp_path / "session")
    session.run(connected, "airgap key generate builder-ci --dir keys")
    (block,) = [text for _, text in _find_blocks("docs/keys-and-trust.md") if "openssl" in text]

    ours, theirs = session.run(connected, block).stdout.splitlines()

    assert ours.split()[0] == theirs.split()[0]


def test_an_auditor_sees_what_the_page_shows(depot: Path, site: Site, small: Side) -> None:
    session = Session(depot.parent / "session")
    for file in [*site.folder.glob("root.*")]:
        (session.folder / file.name).write_bytes(file.read_bytes())
    (session.folder / "depot").symlink_to(depot)

    blocks = _find_blocks("docs/audit.md")
    ran = session.run(small, "".join(text for kind, text in blocks if kind != "ledger"))

    assert "weights.bin: OK" in ran.stdout


def test_pictures_show_what_airgap_prints() -> None:
    shown = {name: pictures.draw(text, "") for name, text in pictures.play().items()}

    assert {path.stem for path in pictures.PICTURES.iterdir()} == shown.keys()
    for name, picture in shown.items():
        committed = (pictures.PICTURES / f"{name}.svg").read_text()
        assert pictures.read_rows(committed) == pictures.read_rows(picture)
