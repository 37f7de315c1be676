"""Bundles that hypothesis makes: of every shape that the format permits, or with one fault."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import zstandard
from hypothesis import strategies as st

from tests.support import closure_items, forge
from tests.support.forge import NO_BASE, Draft, Item, item_digest, sha256, u32

__all__ = ["CLOSURE_KINDS", "LABELS", "Fault", "bundles", "faults"]

Draw = Callable[[st.SearchStrategy[Any]], Any]
"""Hypothesis draws a value."""

NAMES = ("a", "shop", "x-1", "v_2.3", "m" * 63)
PATHS = ("a", "b/c", "b/d/e", "data.bin", "ü/ß", "b.c", "z" * 255, "p/" * 63 + "q")
TARGETS = ("a", "c", "../a", "./b//c", "nowhere", "b/../a", "ü")
SITES = ("ward", "north", "south-2", "0")
TOOLS = ("", "forge", "x" * 64, "ü 日本")
CLOSURE_KINDS = ("files", "wheelhouse", "image")
LABELS = {
    "classification": ("open", "secret"),
    "project": ("shop", "日本", "x" * 128),
    "a.b": ("1",),
}
"""Names of labels, and values that they may have."""


@dataclass(frozen=True)
class Chunk:
    """Bytes, and how their block stores them."""

    plain: bytes
    codec: int


@st.composite
def bundles(draw: st.DrawFn, *, complete: bool = False) -> Draft:
    """Make a bundle of a few small items that obeys every rule of format §2 to §5.

    ``complete``: it carries every chunk that it names, so that it lacks nothing.
    """
    pool = draw(st.lists(_plain(), min_size=1, max_size=6, unique=True))
    items = [_make_item(draw, kind, tag, pool) for kind, tag in _tags(draw)]
    items[_count_first(items) : _count_first(items)] = _make_closure(draw, pool)
    labels = {
        name: draw(st.sampled_from(values))
        for name, values in LABELS.items()
        if draw(st.integers(0, 3)) == 0
    }
    used = sorted(
        {piece for item in items for pieces in _chunks_of(item).values() for piece in pieces}
    )
    spare = draw(st.lists(_plain(), max_size=2, unique=True))
    carried = draw(st.permutations([*used, *(piece for piece in spare if piece not in used)]))
    absent = [piece for piece in draw(st.lists(_plain(), max_size=1)) if piece not in carried]
    needed = absent if not complete and draw(st.integers(0, 9)) == 0 else []
    table = [*carried, *needed]
    blocks = _group(draw, carried, 4)
    stored = [_store(draw, b"".join(block)) for block in blocks]
    parts = _group(draw, list(range(len(blocks))), 3)
    if spare:  # an import does not read a pack of which no file uses a chunk (format §11)
        parts = [list(range(len(blocks)))]
    packs = [_lay_out(draw, list(part)) for part in parts]
    manifest = {
        "audience": sorted(draw(st.sets(st.sampled_from(SITES))) | {"ward"})
        if draw(st.booleans())
        else [],
        "channel": draw(st.sampled_from(NAMES)),
        "created_at": draw(st.sampled_from([0, 1, 1_767_323_045, 253_402_300_799])),
        "expires_at": draw(st.sampled_from([None, 4_000_000_000, 253_402_300_799])),
        "format": 1,
        "hash": "sha256",
        **({"labels": labels} if labels else {}),
        "reader": 2 if labels or any(item.kind in CLOSURE_KINDS for item in items) else 1,
        "sequence": draw(st.sampled_from([0, 1, 2**53 - 1])),
        "tool": draw(st.sampled_from(TOOLS)),
        "items": [_item_map(item, table) for item in items],
        **_tables(table, blocks, stored, packs),
    }
    return Draft(manifest, [_fill(pack, stored) for pack in packs])


Fault = Callable[[Draft, Draw], None]


def _plain() -> st.SearchStrategy[bytes]:
    """Chunks that compress, and chunks that do not."""
    return st.builds(
        lambda piece, times: piece * times,
        st.binary(min_size=1, max_size=8),
        st.sampled_from([1, 1, 2, 40]),
    )


def _tags(draw: Draw) -> list[tuple[str, tuple[str, str]]]:
    name = st.sampled_from(NAMES)
    commit = st.sampled_from(["0" * 40, "abcdef0123456789" * 2 + "01234567"])
    tags = {
        "model": draw(st.sets(st.tuples(name, name), max_size=2)),
        "hugging-face": draw(st.sets(st.tuples(st.just("_org--m"), commit), max_size=1)),
        "bento": draw(st.sets(st.tuples(name, name), max_size=2)),
    }
    if not any(tags.values()):
        tags["bento"] = {("shop", "v1")}
    return [(kind, tag) for kind, found in tags.items() for tag in sorted(found)]


def _count_first(items: Sequence[Item]) -> int:
    """Count the items that come before those of the closure (format §3.2)."""
    return sum(item.kind in ("model", "hugging-face") for item in items)


def _make_closure(draw: Draw, pool: Sequence[bytes]) -> list[Item]:
    """Make at most one item of each kind beside Bentos and models."""
    files = {
        f"content/{path}": content
        for path, content in _make_entries(draw, [path for path in PATHS if len(path) < 99], pool)
    }
    wheels = {
        f"{name}-1.0-py3-none-any.whl": draw(st.sampled_from(pool))
        for name in draw(st.sets(st.sampled_from(["tiny", "other", "a9"]), min_size=1))
    }
    target = draw(st.sampled_from([closure_items.TARGET, "cp312-musllinux_1_2_aarch64"]))
    layers = tuple(draw(st.lists(st.sampled_from(pool), min_size=1, max_size=3)))
    items = [
        closure_items.files(
            files or {"content/a": pool[0]},
            draw(st.sampled_from(NAMES)),
            draw(st.sampled_from(["", "NLTK_DATA"])),
        ),
        closure_items.wheelhouse(wheels, target=target),
        closure_items.image(layers, name=draw(st.sampled_from(NAMES))),
    ]
    return [item for item in items if draw(st.integers(0, 3)) == 0]


def _make_item(draw: Draw, kind: str, tag: tuple[str, str], pool: Sequence[bytes]) -> Item:
    entries = dict(_make_entries(draw, PATHS, pool))
    make = {"model": forge.model, "bento": forge.bento}.get(kind)
    if make is None:
        return Item(kind, *tag, entries)
    return make(entries, ":".join(tag))


def _make_entries(
    draw: Draw, allowed: Sequence[str], pool: Sequence[bytes]
) -> list[tuple[str, Any]]:
    paths = draw(st.sets(st.sampled_from(allowed), max_size=4))
    entries: dict[str, Any] = {}
    for path in sorted(paths):
        match draw(st.integers(0, 5)):
            case 0:
                entries[path] = forge.Folder()
            case 1 if "/" not in path:
                entries[path] = forge.Link(draw(st.sampled_from(TARGETS)))
            case _:
                pieces = draw(st.lists(st.sampled_from(pool), max_size=5))
                entries[path] = forge.File(tuple(pieces), executable=draw(st.booleans()))
    _drop_unfit_links(entries)
    return list(entries.items())


def _drop_unfit_links(entries: dict[str, Any]) -> None:
    """Leave out links whose way goes through another link of the item (format §2.6)."""
    links = {path for path, content in entries.items() if isinstance(content, forge.Link)}
    for path in sorted(links):
        parts = entries[path].target.split("/")
        if parts[0] == ".." or (set(parts[:-1]) & links):
            del entries[path]


def _chunks_of(item: Item) -> Mapping[str, Sequence[bytes]]:
    return {path: _pieces(content) for path, content in item.entries.items()}


def _pieces(content: object) -> Sequence[bytes]:
    if isinstance(content, forge.File):
        return content.chunks
    return (content,) if isinstance(content, bytes) and content else ()


def _item_map(item: Item, table: Sequence[bytes]) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    for path, content in sorted(item.entries.items(), key=lambda entry: entry[0].encode()):
        if isinstance(content, forge.Link):
            entries.append({"path": path, "target": content.target, "type": "link"})
        elif isinstance(content, forge.Folder):
            entries.append({"path": path, "type": "folder"})
        else:
            pieces = _pieces(content)
            entries.append(
                {
                    "chunks": u32(*map(table.index, pieces)),
                    "digest": sha256(b"".join(pieces)),
                    "executable": isinstance(content, forge.File) and content.executable,
                    "path": path,
                    "size": sum(map(len, pieces)),
                    "type": "file",
                }
            )
    made = {"kind": item.kind, "name": item.name, "version": item.version, "entries": entries}
    return {**made, "digest": item_digest(made)}


def _group(draw: Draw, values: Sequence[Any], most: int) -> list[list[Any]]:
    """Cut a sequence into groups."""
    groups: list[list[Any]] = []
    for value in values:
        if groups and len(groups[-1]) < most and draw(st.booleans()):
            groups[-1].append(value)
        else:
            groups.append([value])
    return groups


def _store(draw: Draw, plain: bytes) -> tuple[int, bytes]:
    """Store a block in one of the ways that do not make it longer."""
    compressed = zstandard.ZstdCompressor(write_content_size=True).compress(plain)
    forms = [(0, plain)]
    forms += [(1, compressed)] if len(compressed) <= len(plain) else []
    form: tuple[int, bytes] = draw(st.sampled_from(forms))
    return form


def _lay_out(draw: Draw, blocks: list[int]) -> list[tuple[int, bytes]]:
    """Lay blocks into a pack, some with other bytes before them."""
    return [(block, draw(st.sampled_from([b"", b"", b"gap"]))) for block in blocks]


def _fill(pack: Sequence[tuple[int, bytes]], stored: Sequence[tuple[int, bytes]]) -> bytes:
    return b"".join(gap + stored[block][1] for block, gap in pack)


def _tables(
    table: Sequence[bytes],
    blocks: Sequence[Sequence[bytes]],
    stored: Sequence[tuple[int, bytes]],
    packs: Sequence[Sequence[tuple[int, bytes]]],
) -> dict[str, Any]:
    offsets = []
    for pack in packs:
        ends = accumulate((len(gap) + len(stored[block][1]) for block, gap in pack), initial=0)
        offsets += [end + len(gap) for end, (_, gap) in zip(ends, pack, strict=False)]
    data = [_fill(pack, stored) for pack in packs]
    return {
        "blocks": {
            "bases": u32(*[NO_BASE] * len(blocks)),
            "chunk_counts": u32(*map(len, blocks)),
            "codecs": bytes(codec for codec, _ in stored),
            "offsets": u32(*offsets),
            "stored_lengths": u32(*(len(raw) for _, raw in stored)),
        },
        "chunks": {"digests": b"".join(map(sha256, table)), "lengths": u32(*map(len, table))},
        "packs": {
            "block_counts": u32(*map(len, packs)),
            "digests": b"".join(map(sha256, data)),
            "sizes": u32(*map(len, data)),
        },
    }


# One fault each. A fault may turn out to be none: what counts is that the verdicts are the same.

BAD_PATHS = (
    *("", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\\b", "a:b", "a*", "a?", 'a"', "a|"),
    *(
        "<",
        ">",
        "a\0",
        "a\n",
        "a\x7f",
        "a\u200b",
        "a\u202e",
        "a\u2028",
        "e\u0301",
        "a.",
        "a ",
        "CON",
    ),
    *("con.txt", "x/NUL", "com1", "COM¹.x", "lpt9", "COM0", "a" * 256, "é" * 128, "a/" * 64 + "a"),
    *(
        "a/" * 511 + "ab",
        "Data.bin",
        "DATA.BIN",
        "ﬁ",
        "ß",
        "\u212a",
        "nul",
        "aux.c",
        "bento.yaml/x",
        "models",
        "models/a",
    ),
)
BAD_TARGETS = (
    *("", "/etc", "..", "../..", "b/../../..", "a\\b", "a\n", "e\u0301", "a" * 1025, "./" * 513),
    *("a" * 256, "x/" + "é" * 128),
    *("a/..", "../b/c", "./../x", "a\u202e", "b/d/../..", "b//..//..", "~", "C:"),
)
BAD_NAMES = ("latest", "", "A", "-a", "a-", "x" * 64, "a b", "ä", "a\n", "a/b", "..", ".a", "_a")
BAD_LABELS = (
    "",
    " x",
    "x ",
    "x" * 129,
    "e\u0301",
    "a\nb",
    "a\u200bb",
    "a\u2028",
    "\ud800",
    "\xa0x",
)
INTEGERS = (0, 1, 2, 3, 2**32 - 1, 2**32, 2**53 - 1, 2**53, 253_402_300_799, 253_402_300_800)
OTHERS: tuple[Any, ...] = (None, True, False, "", "x", b"", b"\0" * 32, [], {})


def faults() -> st.SearchStrategy[Fault]:
    """Draw one way to change a good bundle."""
    return st.sampled_from(
        [
            _change_top,
            _change_column,
            _change_entry,
            _change_item,
            _change_path,
            _change_target,
            _change_digest,
            _change_lists,
            _change_fields,
            _change_pack,
            _change_labels,
        ]
    )


def _change_top(made: Draft, draw: Draw) -> None:
    key = draw(st.sampled_from(sorted(set(made.manifest) - {"items", "blocks", "chunks", "packs"})))
    made.manifest[key] = draw(st.sampled_from([*INTEGERS, *OTHERS, *BAD_NAMES, "sha256", ["ward"]]))


def _change_labels(made: Draft, draw: Draw) -> None:
    """Add a label that may be a bad one, or say another reader."""
    labels = made.manifest.setdefault("labels", {})
    names = st.sampled_from([*LABELS, *NAMES, *BAD_NAMES])
    labels[draw(names)] = draw(st.sampled_from([*BAD_LABELS, *OTHERS, "open"]))
    made.manifest["reader"] = draw(st.sampled_from([2, 2, 2, 1, 3]))


def _change_column(made: Draft, draw: Draw) -> None:
    """Change one element of a column, or take one away, or add one."""
    table = made.manifest[draw(st.sampled_from(["blocks", "chunks", "packs"]))]
    key = draw(st.sampled_from(sorted(table)))
    width = {"digests": 32, "codecs": 1}.get(key, 4)
    parts = [table[key][at : at + width] for at in range(0, len(table[key]), width)]
    at = draw(st.integers(0, len(parts)))
    match draw(st.sampled_from(["add", "remove", "swap", "cut", "other", "near"])):
        case "add":
            parts.insert(at, draw(st.binary(min_size=width, max_size=width)))
        case "remove":
            del parts[at : at + 1]
        case "swap":
            parts[at : at + 2] = parts[at : at + 2][::-1]
        case "cut":
            parts = [b"".join(parts)[:-1]]
        case "other":
            parts[at : at + 1] = [draw(st.binary(min_size=width, max_size=width))]
        case _ if at < len(parts) and width < 32:
            number = int.from_bytes(parts[at]) + draw(st.sampled_from([-1, 1, 2, 3]))
            parts[at] = (number % 256**width).to_bytes(width)
    table[key] = b"".join(parts)


def _entries(made: Draft, kind: str = "") -> list[dict[str, Any]]:
    return [
        entry
        for item in made.manifest["items"]
        for entry in item["entries"]
        if kind in ("", entry["type"])
    ]


def _change_entry(made: Draft, draw: Draw) -> None:
    for entry in _pick(draw, _entries(made)):
        key = draw(st.sampled_from(sorted(entry)))
        good: dict[str, list[Any]] = {
            "size": [0, 1, 2**44, 2**44 + 1],
            "chunks": [b"", u32(0), u32(0, 0), u32(2**32 - 1)],
        }
        entry[key] = draw(st.sampled_from([*good.get(key, ()), *OTHERS, *INTEGERS]))
    _digest(made)


def _change_path(made: Draft, draw: Draw) -> None:
    for item in _pick(draw, made.manifest["items"]):
        for entry in _pick(draw, item["entries"]):
            entry["path"] = draw(st.sampled_from([*BAD_PATHS, *PATHS]))
        if draw(st.booleans()):
            item["entries"].sort(key=lambda entry: entry["path"].encode())
    _digest(made)


def _change_target(made: Draft, draw: Draw) -> None:
    for item in _pick(draw, made.manifest["items"]):
        target = draw(st.sampled_from([*BAD_TARGETS, *TARGETS]))
        path = draw(st.sampled_from(["a", "b/c", "l", "b/l"]))
        others = [entry for entry in item["entries"] if entry["path"] != path]
        entries = [*others, {"path": path, "target": target, "type": "link"}]
        item["entries"] = sorted(entries, key=lambda entry: entry["path"].encode())
    _digest(made)


def _change_item(made: Draft, draw: Draw) -> None:
    for item in _pick(draw, made.manifest["items"]):
        key = draw(st.sampled_from(["kind", "name", "version"]))
        kinds = ["files", "wheelhouse", "image", "Bento", "model", "bento", "hugging-face"]
        item[key] = draw(st.sampled_from(kinds if key == "kind" else [*BAD_NAMES, *NAMES]))
    if draw(st.booleans()):
        _digest(made)


def _change_digest(made: Draft, draw: Draw) -> None:
    """Let the digest of a file or of an item be another one."""
    for entry in _pick(draw, _entries(made, "file")):
        entry["digest"] = bytes(32)
    if draw(st.booleans()):
        _digest(made)


def _change_lists(made: Draft, draw: Draw) -> None:
    """Turn a list round, or let it have something twice."""
    items = made.manifest["items"]
    lists = [items, made.manifest["audience"], *(item["entries"] for item in items)]
    values = draw(st.sampled_from(lists))
    match draw(st.integers(0, 3)):
        case 0:
            values.reverse()
        case 1:
            values.extend(values[:1])
        case 2:
            del values[:1]
        case _:
            values.append(draw(st.sampled_from([*OTHERS, *NAMES])))
    _digest(made)


def _change_fields(made: Draft, draw: Draw) -> None:
    """Add a field to a map, or take one away."""
    manifest = made.manifest
    tables = [manifest[key] for key in ("blocks", "chunks", "packs")]
    values = draw(st.sampled_from([manifest, *tables, *manifest["items"], *_entries(made)]))
    if draw(st.booleans()):
        values["zzz"] = 0
    else:
        del values[draw(st.sampled_from(sorted(values)))]
    _digest(made)


def _change_pack(made: Draft, draw: Draw) -> None:
    """Change a byte of a pack, with the pack's digest brought in line or not."""
    for number in _pick(draw, range(len(made.packs))):
        data = bytearray(made.packs[number])
        data[draw(st.integers(0, len(data) - 1))] ^= draw(st.sampled_from([1, 255]))
        made.packs[number] = bytes(data)
        if draw(st.booleans()):
            digests = bytearray(made.manifest["packs"]["digests"])
            digests[32 * number : 32 * number + 32] = hashlib.sha256(data).digest()
            made.manifest["packs"]["digests"] = bytes(digests)


def _pick(draw: Draw, values: Sequence[Any]) -> list[Any]:
    """Pick one, if there are any."""
    return [draw(st.sampled_from(values))] if values else []


def _digest(made: Draft) -> None:
    """Bring the items' digests in line, where they can be computed at all."""
    for item in made.manifest["items"]:
        try:
            item["digest"] = item_digest(item)
        except (AttributeError, KeyError, TypeError, ValueError):
            continue
