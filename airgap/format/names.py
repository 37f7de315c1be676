"""Rules for names: tags, paths and link targets (format §2.4 to §2.6)."""

import re
import unicodedata
from collections.abc import Iterable

from airgap.errors import CorruptError, UsageError
from airgap.format import limits

__all__ = [
    "fold",
    "has_invisible",
    "is_bundle_id",
    "is_commit",
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
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_PLAIN_PART = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9_.\-]*(?<!\.)")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[1-9¹²³]|lpt[1-9¹²³])(\..*)?", re.IGNORECASE)
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
            f"{text!r:.200} is not a tag.",
            "Write name:version, name:latest or name, in lower case.",
        )
    return name, "" if is_latest else version


def path_problem(path: str) -> str | None:
    """Return why a path is not allowed, or None (format §2.5)."""
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
    """Follow the target part by part from the link's folder."""
    folder = path.split("/")[:-1]
    for part in target.split("/"):
        # Also before `..`: the system would go up from the target of that link.
        if fold("/".join(folder)) in links:
            return "points through another link"
        if part == "..":
            if not folder:
                return "points out of its item"
            folder.pop()
        elif part not in ("", "."):
            folder.append(part)
    return None


def fold(path: str) -> str:
    """Return the form under which two paths count as the same (format §2.5)."""
    if path.isascii():
        return path.lower()
    while True:
        folded = unicodedata.normalize("NFKC", path).casefold()
        if folded == path:
            return folded
        path = folded


def refuse_collisions(paths: Iterable[str], what: str) -> None:
    """Refuse paths that are the same on some file systems (format §2.5).

    Args:
        paths: the paths of all entries of an item.
        what: the item, for the message.

    Raises:
        CorruptError: two paths are equal when folded, or one lies below another.
    """
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        folded = fold(path)
        if folded in seen:
            raise CorruptError(
                f"{what} has the paths {seen[folded]!r} and {path!r}, which are the same on some"
                " file systems.",
                "Rename one of them and build again.",
            )
        seen[folded] = path
        _remember_parents(folded, path, folders)
    for folded, below in folders.items():
        if folded in seen:
            raise CorruptError(
                f"{what} has {seen[folded]!r} as an entry, and {below!r} below it.",
                "Rename one of them and build again.",
            )


def _remember_parents(folded: str, path: str, folders: dict[str, str]) -> None:
    cut = folded.rfind("/")
    while cut > 0 and folded[:cut] not in folders:
        folders[folded[:cut]] = path
        cut = folded.rfind("/", 0, cut)


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
