"""The walk through JSON accepts what Python's reader accepts, and sees what is in it."""

import json
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airgap.scan import json_walk
from airgap.scan.contents import Budget, Content
from airgap.scan.json_walk import CONTAINER, NotJson, walk_json

_KEYS: Final = ("auto_map", "class_name", "config", "a", "auto_mapx", "module", "py/object")
_VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4)
    ),
    max_leaves=20,
)
_PIECES: Final = st.sampled_from(
    [
        *(
            '{"',
            '":',
            '"a":',
            '"auto_map":',
            '"config" : ',
            "{",
            "}",
            "[",
            "]",
            ",",
            '"',
            '"ab"',
            "1",
        ),
        *("-", "0", "1.", "e5", "true", "false", "null", "NaN", "-Infinity", " ", "\n", "\t", "\\"),
        *("\\u0061", '"\\u0061uto_map":1', "\\x", "é", "\u2028", "\f", "[1,2]", '{"b":[]}', ",]"),
    ]
)


class _Seen:
    def __init__(self) -> None:
        self.keys: list[str] = []
        self.texts: list[str] = []
        self.objects: list[list[tuple[str, object]]] = []

    def see(self, key: str, _value: object) -> bool:
        self.keys.append(key)
        return key == "auto_map"


def walk(text: str, *, is_lines: bool = False) -> _Seen | None:
    """Return what is seen in a text; None: it is not JSON."""
    seen = _Seen()
    content = Content.of_bytes(text.encode(), Budget())
    try:
        walk_json(content, seen.see, seen.texts.append, seen.objects.append, is_lines=is_lines)
    except NotJson:
        return None
    return seen


def list_watched(value: object, *, is_within: bool = False) -> tuple[list[str], list[str]]:
    """Return the watched keys in a value, and the texts below ``auto_map``."""
    keys, texts = [], []
    if isinstance(value, str) and is_within:
        texts.append(value)
    pairs = value.items() if isinstance(value, dict) else ()
    for key, inner in pairs:
        keys += (
            [key] if key.startswith(("auto_map", "py/")) or key in _KEYS[1:3] + _KEYS[5:6] else []
        )
        texts += [key] if is_within else []
        is_long = key == "auto_map" and isinstance(inner, dict | list) and bool(inner)
        more = list_watched(inner, is_within=is_within or is_long)
        keys, texts = keys + more[0], texts + more[1]
    for inner in value if isinstance(value, list) else ():
        more = list_watched(inner, is_within=is_within)
        keys, texts = keys + more[0], texts + more[1]
    return keys, texts


@settings(max_examples=150)
@given(value=_VALUES, indent=st.sampled_from([None, 1]), is_ascii=st.booleans())
def test_every_key_and_text_is_seen(value: object, indent: int | None, *, is_ascii: bool) -> None:
    seen = walk(json.dumps(value, indent=indent, ensure_ascii=is_ascii))

    keys, texts = list_watched(value)
    assert seen is not None
    assert sorted(seen.keys) == sorted(keys)
    assert sorted(seen.texts) == sorted(texts)
    assert sum(map(len, seen.objects)) == len(keys)


@settings(max_examples=300)
@example('{"a":1,}')
@example("[1 2]")
@example('{"a" 1}')
@example("[01]")
@example('["\\ud800"]')
@example("")
@given(st.lists(_PIECES, max_size=12).map("".join))
def test_what_is_json_is_what_python_reads(text: str) -> None:
    try:
        json.loads(text)
    except ValueError:
        assert walk(text) is None
    else:
        assert walk(text) is not None


@settings(max_examples=60, deadline=None)
@given(_VALUES, st.integers(1, 40), st.integers(64, 99))
def test_the_window_may_end_anywhere(value: object, piece: int, margin: int) -> None:
    text = json.dumps({"auto_map": value, "a": [value, value], "config": value})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_walk, "PIECE", piece)
        patch.setattr(json_walk, "_MARGIN", margin)
        small = walk(text)
    whole = walk(text)
    assert small is not None
    assert whole is not None
    assert (small.keys, small.texts, small.objects) == (whole.keys, whole.texts, whole.objects)


def test_lines_are_values_one_after_another() -> None:
    assert walk('{"auto_map": 1}\n\n[2]\n3\n', is_lines=True) is not None
    assert walk("1\n2\n") is None
    assert walk("", is_lines=True) is not None
    assert walk('{"a":\n', is_lines=True) is None


def test_a_long_text_counts_as_what_is_looked_for() -> None:
    seen = walk('{"auto_map": {"a": "' + "b" * 5_000 + '"}}')
    assert seen is not None
    assert "--…" in seen.texts
    assert seen.objects == [[("auto_map", CONTAINER)]]
