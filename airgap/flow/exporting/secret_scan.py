"""Search for passwords and tokens that would travel in a bundle, in what people wrote.

A bundle is kept for years and read by many. BentoML copies an index's URL, with the password in it,
into several files of a Bento.
"""

import re
from collections.abc import Iterator, Sequence
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
_FORMS: Final = {
    # Digits up to a comma are a port; `@sha256:` follows an image's tag; some hosts are examples.
    "a password in a URL": rb"://[^\s/@:'\"<>]{0,256}:(?!(?i:" + _PLACEHOLDER + rb")|\d{1,5},)"
    rb"[^\s/@'\"<>]{1,8192}@(?!sha256:|example\.(?:com|net|org)\b)",
    "a private key": rb"-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY-----",
    "a Hugging Face token": rb"\bhf_[A-Za-z0-9]{30,128}\b",
    "an AWS access key": rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a GitHub token": rb"\b(?:gh[opsur]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})\b",
    "a GitLab token": rb"\bglpat-[A-Za-z0-9_-]{20,128}",
    "a PyPI token": rb"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,512}",
    "an API key": rb"\bsk-(?:proj|ant|svcacct)-[A-Za-z0-9_-]{20,256}",
    "a Slack token": rb"\bxox[abprs]-[A-Za-z0-9-]{10,256}",
}
_ANY: Final = re.compile(rb"|".join(rb"(%b)" % form for form in _FORMS.values()))
_NAMES: Final = tuple(_FORMS)
_MARKS: Final = (
    *(b"://", b"PRIVATE KEY-----", b"hf_", b"AKIA", b"ASIA", b"gho_", b"ghp_", b"ghs_", b"ghu_"),
    *(b"ghr_", b"github_pat_", b"glpat-", b"pypi-AgEI", b"sk-", b"xox"),
)
"""Each form has one of these: a text without them, as most are, is searched for no form."""
_DOCKERFILE: Final = "env/docker/Dockerfile"
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
        suffixes = find_kind(source.kind).searched_suffixes
        for file in source.tree.files:
            if file.size > LARGEST or not (suffixes is None or file.path.endswith(suffixes)):
                continue
            text = b"".join(read_stable(file))
            if file.path == _DOCKERFILE and suffixes is None:
                _note_absent_files(source, text, progress)
            found += _describe(source, file, text)
    if found and not allowed:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise PolicyError(
            f"{found[0]}{more}. Everyone who gets the bundle could read it.",
            "Take it out and build again (a .netrc, a keyring or an environment variable keeps it"
            " out of the Bento), or go on with --allow-credentials.",
            found,
        )


def find_secrets(text: bytes) -> Iterator[Secret]:
    """Yield what looks like a secret in a text: the first 100, in linear time."""
    if not any(mark in text for mark in _MARKS):
        return
    line, counted = 1, 0
    for match in islice(_ANY.finditer(text), _MOST):
        line += text.count(b"\n", counted, match.start())
        counted = match.start()
        yield Secret(_NAMES[(match.lastindex or 1) - 1], line)


def _describe(source: Source, file: SourceFile, text: bytes) -> Iterator[str]:
    for secret in find_secrets(text):
        item = f"{source.kind} {source.name}:{source.version}"
        yield f"{file.path!r} in {item} has {secret.what} in line {secret.line}"


def _note_absent_files(source: Source, dockerfile: bytes, progress: Progress) -> None:
    """Note the files that a build of the image would look for in vain."""
    tree = source.tree
    paths = {file.path for file in tree.files} | set(tree.links) | set(tree.empty_folders)
    folders = {path[: slash.start()] for path in paths for slash in re.finditer("/", path)}
    named = {(match[1] or match[0]).decode() for match in _NAMED_FILE.finditer(dockerfile)}
    for path in sorted(named - paths - folders):
        progress.note(
            f"{source.kind} {source.name}:{source.version} lacks {path}, which its {_DOCKERFILE}"
            " uses: `bentoml containerize` will fail. Build the Bento again."
        )
