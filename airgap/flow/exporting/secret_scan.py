"""Search for passwords and tokens that would travel in a bundle, in what people wrote.

A bundle is kept for years and read by many. BentoML copies an index's URL, with the password in it,
into several files of a Bento.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

from airgap.errors import PolicyError
from airgap.flow.exporting.select import Source
from airgap.flow.progress import Progress
from airgap.store.kinds import find_kind
from airgap.store.source_tree import SourceFile, read_stable

__all__ = ["check_secrets", "find_secrets"]

LARGEST: Final = 8 * 1024 * 1024
"""Larger files, in bytes, are data and are not searched."""
_MOST: Final = 100
"""Secrets that are reported of one file."""
_PLACEHOLDER: Final = rb"[${<*]|%[s({]|x+@|\.\.\.|\[?redacted|pass(?:word|wd)?@|pw@|secret@"


class _Form(NamedTuple):
    """A form of secrets.

    No pattern begins with a word boundary: a pattern that begins with a literal is faster.
    """

    what: str
    pattern: "re.Pattern[bytes]"
    begins_word: bool = True

    def find_all(self, text: bytes) -> "Iterator[re.Match[bytes]]":
        """Yield the matches in a text, without those in the middle of a word."""
        for match in self.pattern.finditer(text):
            before = text[match.start() - 1 : match.start()]
            if not (self.begins_word and before.isalnum()):
                yield match


class _Group(NamedTuple):
    """Forms that are searched for only in a text that has a mark, which one pass tells."""

    has_mark: Callable[[bytes], object]
    forms: tuple[_Form, ...]


def _may_have_password(text: bytes) -> bool:
    return b"@" in text and b"://" in text


# Each pattern of marks begins with one literal byte: Python looks for that in a fast loop, and
# looks back from there. An alternation of the marks themselves takes longer.
_GROUPS: Final = (
    _Group(
        _may_have_password,
        (
            _Form(
                "a password in a URL",
                # Digits up to a comma are a port; `@sha256:` follows an image's tag.
                re.compile(
                    rb"://[^\s/@:'\"<>]{0,256}:(?!(?i:" + _PLACEHOLDER + rb")|\d{1,5},)"
                    rb"[^\s/@'\"<>]{1,8192}@(?!sha256:|example\.(?:com|net|org)\b)"
                ),
                begins_word=False,
            ),
        ),
    ),
    _Group(
        re.compile(rb"A(?:[KS]IA|(?<=PRIVA)TE KEY-----)").search,
        (
            _Form(
                "a private key",
                re.compile(rb"-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY-----"),
            ),
            _Form("an AWS access key", re.compile(rb"A[KS]IA[A-Z0-9]{16}\b")),
        ),
    ),
    _Group(
        re.compile(rb"_(?:(?<=hf_)|(?<=gh[opsur]_)|(?<=github_pat_))").search,
        (
            _Form("a Hugging Face token", re.compile(rb"hf_[A-Za-z0-9]{30,128}\b")),
            _Form(
                "a GitHub token",
                re.compile(rb"g(?:h[opsur]_[A-Za-z0-9]{36,255}|ithub_pat_[A-Za-z0-9_]{22,255})\b"),
            ),
        ),
    ),
    _Group(
        re.compile(rb"-(?:(?<=glpat-)|(?<=pypi-)|(?<=sk-)|(?<=xox[abprs]-))").search,
        (
            _Form("a GitLab token", re.compile(rb"glpat-[A-Za-z0-9_-]{20,128}")),
            _Form("a PyPI token", re.compile(rb"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,512}")),
            _Form("an API key", re.compile(rb"sk-(?:proj|ant|svcacct)-[A-Za-z0-9_-]{20,256}")),
            _Form("a Slack token", re.compile(rb"xox[abprs]-[A-Za-z0-9-]{10,256}")),
        ),
    ),
)
_NAMED_FILE: Final = re.compile(
    rb"(?<![\w-])env/(?:docker|python)/[\w./-]*[\w-]"
    rb"|(?m:(?<=^COPY )|(?<=^ADD ))(?:--\S+ )*(?:\./)?(src/[\w./-]*[\w-])"
)


class Secret(NamedTuple):
    """What looks like a secret, without the secret: what it is, and where."""

    what: str
    line: int


def check_secrets(sources: Sequence[Source], progress: Progress, *, allowed: bool) -> None:
    """Search the text of items; note files that a Dockerfile names and the Bento lacks.

    Raises:
        PolicyError: something looks like a password, a token or a private key, unless ``allowed``.
        StorageError: a file changed since it was scanned, or cannot be read.
    """
    found: list[str] = []
    for source in sources:
        kind = find_kind(source.kind)
        for file in source.tree.files:
            if file.size > LARGEST or not file.path.endswith(kind.searched_suffixes):
                continue
            text = b"".join(read_stable(file))
            if file.path == kind.dockerfile:
                _note_absent_files(source, file.path, text, progress)
            found += _describe(source, file, text)
    if found and not allowed:
        raise _make_error(found)


def _make_error(secrets: Sequence[str]) -> PolicyError:
    """Make the error for what was found; each line names a file and what is in it."""
    is_one = len(secrets) == 1
    count, them = (
        (secrets[0], "it") if is_one else (f"{len(secrets)} passwords, tokens or keys", "them")
    )
    return PolicyError(
        f"The export would contain {count}. Everyone who gets the bundle could read {them}.",
        f"Remove {them} from the project and build again: pip reads passwords from ~/.netrc or a"
        " keyring, and a service reads tokens from its environment when it starts. To export"
        f" {them} all the same, add --allow-credentials.",
        () if is_one else secrets,
    )


def find_secrets(text: bytes) -> Iterator[Secret]:
    """Yield what looks like a secret in a text: the first 100, in linear time."""
    matches = sorted(
        (match.start(), form.what)
        for group in _GROUPS
        if group.has_mark(text)
        for form in group.forms
        for match in islice(form.find_all(text), _MOST)
    )
    line, counted = 1, 0
    for start, what in matches[:_MOST]:
        line += text.count(b"\n", counted, start)
        counted = start
        yield Secret(what, line)


def _describe(source: Source, file: SourceFile, text: bytes) -> Iterator[str]:
    for secret in find_secrets(text):
        item = f"{source.kind} {source.name}:{source.version}"
        yield f"{secret.what} in {item}, {file.path}, line {secret.line}"


def _note_absent_files(source: Source, path: str, dockerfile: bytes, progress: Progress) -> None:
    """Note the files that a build of the image would look for in vain."""
    tree = source.tree
    paths = {file.path for file in tree.files} | set(tree.links) | set(tree.empty_folders)
    folders = {path[: slash.start()] for path in paths for slash in re.finditer("/", path)}
    named = {(match[1] or match[0]).decode() for match in _NAMED_FILE.finditer(dockerfile)}
    for absent in sorted(named - paths - folders):
        progress.note(
            f"{source.kind} {source.name}:{source.version} lacks {absent}, which its {path}"
            " uses: `bentoml containerize` will fail. Build the Bento again."
        )
