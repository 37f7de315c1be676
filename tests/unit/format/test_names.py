"""Tags, paths and link targets (format §2.4 to §2.6). More is in tests/attacks/test_paths.py."""

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.errors import CorruptError, UsageError
from airgap.format import names

QUICK = settings(max_examples=200, derandomize=True, database=None)


@pytest.mark.parametrize("tag", ["a", "0", "a.b", "a-b_c.d", "v1", "latest1", "x" * 63])
def test_a_tag_part_is(tag: str) -> None:
    assert names.is_tag_part(tag)


@pytest.mark.parametrize(
    "tag", ["", "latest", "A", ".a", "a.", "-a", "a_", "a/b", "a b", "a\n", "\u00e9", "x" * 64]
)
def test_a_tag_part_is_not(tag: str) -> None:
    assert not names.is_tag_part(tag)


@pytest.mark.parametrize(
    ("name", "good"),
    [("org--name", True), ("_a_", True), ("a" * 200, True), ("a" * 201, False), ("a/b", False)],
)
def test_a_repository_is_named_in_lower_case(name: str, good: object) -> None:
    assert names.is_repository(name) == good


def test_a_commit_and_a_bundle_id_are_whole_and_in_lower_case() -> None:
    assert names.is_commit("0a" * 20)
    assert not names.is_commit("0A" * 20)
    assert not names.is_commit("0a" * 20 + "\n")
    assert names.is_bundle_id("0a" * 32)
    assert not names.is_bundle_id("0a" * 31)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "a",
            "a/b.txt",
            ".hidden",
            "-rf",
            "~",
            "a b",
            "a..b",
            "..a",
            "$x",
            "com",
            "console",
            "com10",
        ),
        *("\u00fcber/\u6587\u4ef6", "\U0001f600", "a" * 255, "\u20ac" * 85, "/".join("a" * 64)),
        "/".join(["a" * 204] * 5),
    ],
)
def test_a_path_may_travel(path: str) -> None:
    assert names.path_problem(path) is None


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("a" * 1025, "longer than 1024 bytes"),
        ("/".join("a" * 65), "more than 64 parts"),
        ("a" * 256, "a part longer than 255 bytes"),
        ("\u20ac" * 86, "a part longer than 255 bytes"),
        ("a/../b", "an empty, '.' or '..' part"),
        ("a.", "ends in a dot or a space"),
        ("a ", "ends in a dot or a space"),
        ("a:b", "one of the characters"),
        ("cafe\u0301", "not in Unicode normal form C"),
        ("a\u200bb", r"U\+200B"),
        ("x/Con.txt", "Windows reserves"),
        ("com\u00b9", "Windows reserves"),
    ],
)
def test_a_path_that_may_not_travel_is_told_why(path: str, told: str) -> None:
    problem = names.path_problem(path)

    assert problem is not None
    assert re.search(told, problem)


@QUICK
@given(path=st.text(alphabet=st.sampled_from("ab./\\:~ \u00e9e\u0301\u202eK\u212a"), max_size=12))
def test_a_path_that_may_travel_stays_inside_and_is_itself(path: str) -> None:
    if names.path_problem(path) is None:
        parts = path.split("/")
        assert not {"", ".", ".."} & set(parts)
        assert "\\" not in path
        assert ":" not in path
        assert unicodedata.normalize("NFC", path) == path


@QUICK
@given(text=st.text(max_size=20))
def test_folding_is_done_once(text: str) -> None:
    assert names.fold(names.fold(text)) == names.fold(text)


@QUICK
@given(text=st.text(max_size=20))
def test_case_does_not_tell_two_paths_apart(text: str) -> None:
    assert names.fold(text.casefold()) == names.fold(text)
    assert names.fold(unicodedata.normalize("NFD", text)) == names.fold(text)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("a", "b"),
        ("a", "."),
        ("a/b", ".."),
        ("a/b", "../c/./d"),
        ("a/b/c", "../../a/b/../b"),
        ("a", "b/"),
        ("a", "b//c"),
        ("a", "link"),
        ("a", "b" * 1024),
    ],
)
def test_a_link_may_point_to(path: str, target: str) -> None:
    assert names.target_problem(path, target, frozenset({"link", path})) is None


@QUICK
@given(
    depth=st.integers(0, 3),
    parts=st.lists(st.sampled_from(["..", ".", "", "x", "link"]), min_size=1, max_size=8),
)
def test_a_link_never_leads_out(depth: int, parts: list[str]) -> None:
    path = "/".join([*("d" * depth), "here"])
    if names.target_problem(path, "/".join(parts), frozenset({"link"})) is None:
        level = depth
        for part in parts:
            level += {"..": -1, ".": 0, "": 0}.get(part, 1)
            assert level >= 0


def test_a_link_to_a_link_is_followed_no_further() -> None:
    links = frozenset({"d/link"})

    assert names.target_problem("d/a", "link", links) is None
    assert names.target_problem("d/a", "link/x", links) == "points through another link"
    assert names.target_problem("d/a", "LINK/..", links) == "points through another link"
    assert names.target_problem("d/a", "/x", links) is not None
    assert names.target_problem("d/a", "x\u202e", links) is not None


def test_paths_that_differ_are_no_collision() -> None:
    names.refuse_collisions(["a/b", "a/c/d", "ab", "a-b", "x/y", "x/z"], "it")


@pytest.mark.parametrize("paths", [["a", "A"], ["a/b", "a"], ["a", "a/b/c"], ["\u00df/x", "ss"]])
def test_paths_that_land_on_each_other_are_told_with_their_item(paths: list[str]) -> None:
    with pytest.raises(CorruptError, match=r"^model m:v1 has"):
        names.refuse_collisions(paths, "model m:v1")


@pytest.mark.parametrize(("text", "invisible"), [("airgap 1.0 \u00fc", False), ("a\x1b[0m", True)])
def test_a_text_for_people_has_nothing_invisible(text: str, invisible: object) -> None:
    assert names.has_invisible(text) == invisible


@pytest.mark.parametrize(
    ("text", "parsed"),
    [("shop", ("shop", "")), ("shop:latest", ("shop", "")), ("shop:v1", ("shop", "v1"))],
)
def test_a_tag_is_a_name_with_a_version_or_the_latest(text: str, parsed: tuple[str, str]) -> None:
    assert names.parse_tag(text) == parsed


@pytest.mark.parametrize("text", ["", ":", "shop:", ":v1", "Shop:v1", "shop:v1:v2", "latest"])
def test_anything_else_is_not_a_tag(text: str) -> None:
    with pytest.raises(UsageError, match="is not a tag"):
        names.parse_tag(text)


@QUICK
@given(
    parts=st.lists(
        st.text(st.sampled_from("aK\u212a\uff0f\u2025\u2100\u0338\u00df\u00e4"), min_size=1)
    )
)
def test_a_path_is_folded_part_by_part(parts: list[str]) -> None:
    assert "/".join(names.fold_parts(parts)) == names.fold("/".join(parts))
    assert len(names.fold_parts(parts)) == len(parts)


def test_a_target_is_folded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    folded: list[str] = []

    def fold(path: str) -> str:
        folded.append(path)
        return path.casefold()

    monkeypatch.setattr(names, "fold", fold)
    assert names.target_problem("d/here", "\u00e4/" * 340 + "x", frozenset({"d/link"})) is None
    assert sum(map(len, folded)) < 2 * 700


PARTS = (
    *("con", "CON", "com1", "lpt9", "lpt0", "nul.txt", "x.con", "aux", "a", "b.c", "-", "_"),
    *("", ".", "..", "a.", "b ", "\n", "K", "\u212a", "\u017f", "\u00b9", "\u00e9", "A" * 255),
)


@QUICK
@given(st.lists(st.sampled_from([*PARTS, "/"]), max_size=8).map("".join))
def test_a_common_path_is_known_at_a_glance_and_by_no_other_rule(path: str) -> None:
    """Whether the one pattern knows it, or each part is looked at: the verdict is the same."""
    at_a_glance = names.path_problem(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(names, "_COMMON_PATH", re.compile(r"(?!)"))
        assert names.path_problem(path) == at_a_glance
