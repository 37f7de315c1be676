"""Rules for names: tags, paths and link targets (format §2.4 to §2.6)."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from itertools import pairwise

from airgap.errors import CorruptError, UsageError
from airgap.format import limits
from airgap.printable import quote

__all__ = [
    "fold",
    "fold_parts",
    "has_invisible",
    "hint_renaming",
    "is_bundle_id",
    "is_commit",
    "is_content_version",
    "is_repository",
    "is_tag_part",
    "parse_tag",
    "path_problem",
    "refuse_collisions",
    "target_problem",
]

_TAG = re.compile(r"[a-z0-9]([-._a-z0-9]*[a-z0-9])?")
_REPOSITORY = re.compile(r"[a-z0-9_]([-._a-z0-9]*[a-z0-9_])?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CONTENT_VERSION = re.compile(r"[0-9a-f]{32}")
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_PLAIN_PART = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9_.\-]*(?<!\.)")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[1-9¹²³]|lpt[1-9¹²³])(\..*)?", re.IGNORECASE)
_COMMON_PART = (
    r"(?!(?:con|prn|aux|nul|com[1-9]|lpt[1-9])(?:[./]|\Z))"
    rf"[a-z0-9_\-][a-z0-9_.\-]{{0,{limits.PATH_PART_BYTES - 1}}}(?<!\.)"
)
_COMMON_PATH = re.compile(
    rf"{_COMMON_PART}(?:/{_COMMON_PART}){{0,{limits.PATH_PARTS - 1}}}", re.ASCII | re.IGNORECASE
)
"""Nearly all paths that are allowed. A bundle may have a hundred thousand."""
_FORBIDDEN = frozenset('\\:*?"<>|')
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def is_tag_part(text: str) -> bool:
    """Tell whether this can be a Bento's or model's name or version, a site or a channel (§2.4)."""
    return (
        len(text) <= limits.TAG_CHARACTERS and _TAG.fullmatch(text) is not None and text != "latest"
    )


def is_repository(text: str) -> bool:
    """Tell whether this can be the name of a Hugging Face snapshot (§2.4)."""
    return len(text) <= limits.REPOSITORY_CHARACTERS and _REPOSITORY.fullmatch(text) is not None


def is_commit(text: str) -> bool:
    """Tell whether this is a full commit hash (§2.4)."""
    return _COMMIT.fullmatch(text) is not None


def is_content_version(text: str) -> bool:
    """Tell whether this is the version of an item that its content names (§2.4)."""
    return _CONTENT_VERSION.fullmatch(text) is not None


def is_bundle_id(text: str) -> bool:
    """Tell whether this is a SHA-256 in lower-case hex."""
    return _HEX_DIGEST.fullmatch(text) is not None


def has_invisible(text: str) -> bool:
    """Tell whether a text has invisible characters, such as terminal escapes (§2.5)."""
    return any(unicodedata.category(character) in _FORBIDDEN_CATEGORIES for character in text)


def parse_tag(text: str) -> tuple[str, str]:
    """Read ``name:version``, ``name:latest`` or ``name``; the version is empty for the latest.

    Raises:
        UsageError: it is none of these (format §2.4).
    """
    name, colon, version = text.partition(":")
    is_latest = not colon or version == "latest"
    if not is_tag_part(name) or not (is_latest or is_tag_part(version)):
        raise UsageError(
            f"{quote(text)} is not a tag.",
            "Write name:version, name:latest or name, in lower case.",
        )
    return name, "" if is_latest else version


def path_problem(path: str) -> str | None:
    """Return why a path is not allowed, or None (format §2.5)."""
    if len(path) <= limits.PATH_BYTES and _COMMON_PATH.fullmatch(path):
        return None
    if len(path.encode(errors="surrogatepass")) > limits.PATH_BYTES:
        return f"is longer than {limits.PATH_BYTES} bytes"
    parts = path.split("/")
    if len(parts) > limits.PATH_PARTS:
        return f"has more than {limits.PATH_PARTS} parts"
    for part in parts:
        problem = _part_problem(part)
        if problem:
            return problem
    return None


def target_problem(path: str, target: str, links: frozenset[str]) -> str | None:
    """Return why a link at ``path`` must not point to ``target``, or None (format §2.6).

    ``links`` has the folded paths (format §2.5) of all links of the item.
    """
    size = len(target.encode(errors="surrogatepass"))
    if not 0 < size <= limits.PATH_BYTES or target.startswith("/") or "\\" in target:
        return "has a target that is empty, too long or not relative"
    return _character_problem(target) or _walk_problem(path, target, links)


def _walk_problem(path: str, target: str, links: frozenset[str]) -> str | None:
    """Follow the target part by part from the link's folder.

    Every part is folded once: a target may have 500 parts, and a manifest 100,000 links.
    """
    steps = [""]
    for part in fold_parts(path.split("/")[:-1]):
        steps.append(_join(steps[-1], part))
    parts = target.split("/")
    for part, folded in zip(parts, fold_parts(parts), strict=True):
        # Also before `..`: the system would go up from the target of that link.
        if steps[-1] in links:
            return "points through another link"
        if part == "..":
            if len(steps) == 1:
                return "points out of its item"
            steps.pop()
        elif part not in ("", "."):
            steps.append(_join(steps[-1], folded))
    return None


def _join(folder: str, part: str) -> str:
    return f"{folder}/{part}" if folder else part


def fold_parts(parts: list[str]) -> list[str]:
    """Fold each part of a path. Folding can make a slash of a character (U+FF0F), or dots."""
    folded = fold("/".join(parts)).split("/")
    return folded if len(folded) == len(parts) else [fold(part) for part in parts]


def fold(path: str) -> str:
    """Return the form under which two paths count as the same (format §2.5)."""
    if path.isascii():
        return path.lower()
    while True:
        folded = unicodedata.normalize("NFKC", path).casefold()
        if folded == path:
            return folded
        path = folded


def hint_renaming(path: str) -> str:
    """Say what to do about a path that may not travel (§2.5)."""
    return f"Rename {path!r}, and build again."


def refuse_collisions(
    paths: Iterable[str], what: str, hint: Callable[[str], str] = hint_renaming
) -> None:
    """Refuse paths that are the same on some file systems (format §2.5).

    Args:
        paths: the paths of all entries of an item.
        what: the item, for the message.
        hint: says what to do about one of the two paths.

    Raises:
        CorruptError: two paths are equal when folded, or one lies below another.
    """
    # With NUL, which no path has, for the slash, what lies below a path is sorted right behind it.
    folded = sorted((fold(path).replace("/", "\0"), path) for path in paths)
    for (before, first), (after, second) in pairwise(folded):
        if before == after:
            raise CorruptError(
                f"{what} has the paths {first!r} and {second!r}, which are the same on some"
                " file systems.",
                hint(second),
            )
        if after.startswith(before + "\0"):
            raise CorruptError(
                f"{what} has {first!r} as an entry, and {second!r} below it.",
                hint(second),
            )


def _part_problem(part: str) -> str | None:
    if _PLAIN_PART.fullmatch(part) and len(part) <= limits.PATH_PART_BYTES:
        return _reserved_problem(part)
    if part in ("", ".", ".."):
        return "has an empty, '.' or '..' part"
    if len(part.encode(errors="surrogatepass")) > limits.PATH_PART_BYTES:
        return f"has a part longer than {limits.PATH_PART_BYTES} bytes"
    if part[-1] in ". ":
        return "has a part that ends in a dot or a space"
    if not _FORBIDDEN.isdisjoint(part):
        return 'has one of the characters \\ : * ? " < > |'
    return _character_problem(part) or _reserved_problem(part)


def _reserved_problem(part: str) -> str | None:
    if _RESERVED.fullmatch(part):
        return "has a part that Windows reserves for a device"
    return None


def _character_problem(text: str) -> str | None:
    if text.isascii() and text.isprintable():
        return None
    if unicodedata.normalize("NFC", text) != text:
        return "is not in Unicode normal form C"
    for character in text:
        if unicodedata.category(character) in _FORBIDDEN_CATEGORIES:
            return f"has the invisible or control character U+{ord(character):04X}"
    return None
