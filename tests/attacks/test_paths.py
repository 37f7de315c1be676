"""Threat model, paths: names that a signed manifest may not use, and targets of links."""

from pathlib import Path

import pytest

from airgap.errors import CorruptError
from tests.support import forge, refusals
from tests.support.forge import Content, Folder, Forge, Item, Link
from tests.support.sides import Side

PATHS = {
    "up": "../escaped",
    "up in the middle": "a/../../escaped",
    "up at the end": "a/..",
    "only up": "..",
    "up from a folder of dots": ".../../x",
    "absolute": "/etc/cron.d/x",
    "empty": "",
    "a dot": ".",
    "a dot in the middle": "a/./b",
    "two slashes": "a//b",
    "a slash at the end": "a/",
    "a backslash": "a\\b",
    "up with backslashes": "..\\..\\escaped",
    "a drive": "C:/x",
    "a drive without slash": "c:x",
    "UNC": "//server/share/x",
    "UNC with backslashes": "\\\\server\\share",
    "an alternate stream": "a:stream",
    "NUL": "a\0b",
    "a newline": "a\nb",
    "an escape sequence": "a\x1b[2Jb",
    "delete": "a\x7fb",
    "a C1 control": "a\x85b",
    "right-to-left override": "gnp\u202eexe.x",
    "a bidirectional isolate": "a\u2066b",
    "a zero-width space": "a\u200bb",
    "a zero-width joiner": "a\u200db",
    "a byte-order mark": "\ufeffa",
    "a soft hyphen": "a\u00adb",
    "a tag character": "a\U000e0041",
    "a line separator": "a\u2028b",
    "a surrogate": "a\ud800b",
    "not in form C": "cafe\u0301",
    "a compatibility character that is not in form C": "\u212bngstrom",
    "a Windows device": "CON",
    "a Windows device in lower case": "sub/aux",
    "a Windows device with an extension": "nul.tar.gz",
    "a numbered Windows device": "lpt9.txt",
    "a superscript Windows device": "COM\u00b9",
    "a dot at the end": "a.",
    "a space at the end": "a ",
    "dots alone": "...",
    "a folder that ends in a dot": "a./b",
    "a wildcard": "a*",
    "a question mark": "a?",
    "a quote": 'a"b',
    "a pipe": "a|b",
    "a part of 256 bytes": "a" * 256,
    "a part of 86 characters of 3 bytes": "\u20ac" * 86,
    "1,025 bytes": "/".join(["a" * 204] * 5) + "b",
    "65 parts": "/".join("a" * 65),
}

TWO: dict[str, tuple[str, str]] = {
    "A and a": ("x/A", "x/a"),
    "sharp s": ("stra\u00dfe", "STRASSE"),
    "long s": ("\u017fet", "set"),
    "the Kelvin sign": ("\u212a", "k"),
    "final sigma": ("\u03c3", "\u03c2"),
    "a ligature": ("\ufb01le", "file"),
    "full width": ("\uff21", "a"),
    "a dotted capital I": ("i\u0307", "\u0130"),
    "a circled letter": ("\u24d0", "a"),
    "a file and a folder": ("a", "a/b"),
    "a file and a folder in another case": ("A", "a/b"),
    "a file and a folder deep down": ("x/y/z", "x/y/z/a/b/c"),
}

# At d/link unless said otherwise; the item also has d/up -> .. and d/file.
TARGETS = {
    "absolute": "/etc/passwd",
    "empty": "",
    "up and out": "../../escaped",
    "far up": "../" * 20 + "etc/passwd",
    "up in the middle": "a/../../../escaped",
    "up by way of a folder that is not there": "nowhere/../../../x",
    "through another link": "up/shop.txt",
    "up through another link": "up/../escaped",
    "through another link twice": "up/d/up/../x",
    "through a link in another case": "UP/../escaped",
    "a dot through a link": "up/.",
    "a slash through a link": "up/",
    "through itself": "link/x",
    "a backslash": "..\\..\\x",
    "NUL": "file\0x",
    "a control character": "file\x1b",
    "right-to-left override": "file\u202e",
    "not in form C": "cafe\u0301",
    "too long": "a/" * 600 + "a",
}

TAGS = {
    "up": ("model", "..", "v1"),
    "up in the version": ("model", "m", ".."),
    "a slash": ("model", "a/b", "v1"),
    "absolute": ("model", "/etc", "v1"),
    "empty": ("model", "", "v1"),
    "no version": ("model", "m", ""),
    "latest": ("model", "m", "latest"),
    "called latest": ("bento", "latest", "v1"),
    "upper case": ("model", "M", "v1"),
    "hidden": ("model", ".m", "v1"),
    "a dot at the end": ("model", "m", "v1."),
    "a newline at the end": ("model", "m", "v1\n"),
    "64 characters": ("model", "m" * 64, "v1"),
    "a branch for a commit": ("hugging-face", "org--m", "main"),
    "a short commit": ("hugging-face", "org--m", "a" * 39),
    "upper-case hex": ("hugging-face", "org--m", "A" * 40),
    "a repository with a slash": ("hugging-face", "org/m", "a" * 40),
    "a repository that goes up": ("hugging-face", "../m", "a" * 40),
}


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
@pytest.mark.parametrize("name", PATHS)
def test_nothing_has_a_path_that_is(name: str, kind: str, forged: Forge, isolated: Side) -> None:
    content: dict[str, Content] = {"file": b"x", "link": Link("model.yaml"), "folder": Folder()}
    made = forge.draft(forge.model({PATHS[name]: content[kind]}))

    refusals.expect_refusal(isolated, "import", forged.depot(made), error=CorruptError)


@pytest.mark.parametrize("first", [b"x", Link("model.yaml"), Folder()], ids=["file", "link", "dir"])
@pytest.mark.parametrize(
    "second", [b"y", Link("model.yaml"), Folder()], ids=["file", "link", "dir"]
)
@pytest.mark.parametrize("name", TWO)
def test_no_two_paths_land_on_each_other(
    name: str, first: Content, second: Content, forged: Forge, isolated: Side
) -> None:
    one, other = TWO[name]
    made = forge.draft(forge.model({one: first, other: second}))

    refusals.expect_refusal(isolated, "import", forged.depot(made), error=CorruptError)


@pytest.mark.parametrize("name", TARGETS)
def test_no_link_points(name: str, forged: Forge, isolated: Side) -> None:
    entries: dict[str, Content] = {
        "d/file": b"x",
        "d/up": Link(".."),
        "d/link": Link(TARGETS[name]),
    }
    made = forge.draft(forge.model(entries))

    refusals.expect_refusal(isolated, "import", forged.depot(made), error=CorruptError)


@pytest.mark.parametrize("name", TAGS)
def test_no_item_has_a_tag_that_is(name: str, forged: Forge, isolated: Side) -> None:
    kind, tag_name, version = TAGS[name]
    made = forge.draft(Item(kind, tag_name, version, {"model.yaml": b"x"}))

    refusals.expect_refusal(isolated, "import", forged.depot(made), error=CorruptError)


def test_entries_that_are_not_sorted_are_refused(forged: Forge, isolated: Side) -> None:
    made = forge.draft(forge.model({"a": b"1", "b": b"2"}))
    made.entries.reverse()

    refusals.expect_refusal(
        isolated, "import", forged.depot(made.digest_items()), error=CorruptError
    )


def test_the_same_path_twice_is_refused(forged: Forge, isolated: Side) -> None:
    made = forge.draft(forge.model({"a": b"1"}))
    made.entries.insert(0, made.entries[0])

    refusals.expect_refusal(
        isolated, "import", forged.depot(made.digest_items()), error=CorruptError
    )


@pytest.mark.parametrize("second", [("model", "m:v1"), ("model", "a:v1")], ids=["twice", "order"])
def test_items_are_sorted_and_different(
    second: tuple[str, str], forged: Forge, isolated: Side
) -> None:
    made = forge.draft(forge.model({}, "m:v1"), forge.model({"x": b"x"}, second[1]))

    refusals.expect_refusal(isolated, "import", forged.depot(made), error=CorruptError)


def test_what_may_travel_arrives_and_stays_inside(forged: Forge, isolated: Side) -> None:
    entries: dict[str, Content] = {
        "-rf": b"1",
        "--": b"2",
        "~": b"3",
        "$HOME": b"4",
        "`id`": b"5",
        "a b": b"6",
        "\u00fcber/\u6587\u4ef6": b"7",
        "x/..y": b"8",
        "console": b"9",
        "up": Link("x/../-rf"),
        "x/home": Link(".."),
        "gone": Link("nowhere"),
        "loop": Link("loop"),
    }

    assert isolated.run("import", forged.depot(forge.draft(forge.model(entries)))).code == 0

    item = isolated.bentoml / "models" / "ranker" / "v1"
    came = {str(path.relative_to(item)) for path in item.rglob("*") if not path.is_dir()}
    assert {name for name in entries if name != "x/home"} <= came
    assert (item / "x" / "home").resolve() == item.resolve()


def test_a_link_that_waits_in_the_store_is_not_written_through(
    forged: Forge, isolated: Side, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    models = isolated.bentoml / "models" / "ranker"
    models.mkdir(parents=True)
    (models / "v1").symlink_to(outside)
    made = forge.draft(forge.model({"weights.bin": b"w"}))

    assert isolated.run("import", forged.depot(made), "--replace").code == 0

    assert not list(outside.iterdir())
    assert not (models / "v1").is_symlink()
    assert (models / "v1" / "weights.bin").read_bytes() == b"w"
