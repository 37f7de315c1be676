"""An output in a folder that does not exist is refused: the medium may not be mounted."""

from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.errors import MissingError, StorageError
from tests.support import stores
from tests.support.sides import Side, Site

COMMANDS: dict[str, Callable[[Path, Path], tuple[str | Path, ...]]] = {
    "export to a depot": lambda out, key: ("export", "shop:v1", "-o", out, "--key", key),
    "export to a URL": lambda out, key: ("export", "shop:v1", "-o", out.as_uri(), "--key", key),
    "export to a file": lambda out, key: ("export", "shop:v1", "-o", f"{out}.airgap", "--key", key),
    "export to an archive": lambda out, key: (
        *("export", "shop:v1", "--key", key, "--format", "tar.gz"),
        *("-o", f"{out}/"),
    ),
    "plan": lambda out, _: ("export", "shop:v1", "-o", out, "--dry-run"),
    "export to volumes": lambda out, key: (
        *("export", "shop:v1", "--key", key),
        *("-o", out, "--volume-size", "CD"),
    ),
    "push": lambda out, key: ("push", "shop:v1", out, "--key", key),
    "copy to a depot": lambda out, key: ("copy", key.parent / "depot", out),
    "copy to a file": lambda out, key: ("copy", key.parent / "depot", f"{out}.airgap"),
    "split": lambda out, key: ("split", key.parent / "depot", "-o", out, "--volume-size", "CD"),
    "join": lambda out, key: ("join", key.parent / "depot", "-o", out),
    "repair": lambda out, key: ("repair", key.parent / "depot", "-o", out),
    "kit": lambda out, key: ("kit", "-o", out, "--key", key),
    "key generate": lambda out, _: ("key", "generate", "k", "--dir", out, "--no-passphrase"),
    "key export-public": lambda out, key: ("key", "export-public", key, "-o", out),
    "root create": lambda out, key: (
        *("root", "create", "--site", "ward", "-o", out, "--root-key", key),
        *("--builder", key.with_suffix(".pub")),
    ),
    "root set-expiry": lambda out, key: (
        *("root", "set-expiry", key.parent / "root.msgpack", "never", "-o", out),
    ),
    "waive": lambda out, key: (
        *("waive", key.parent / "depot", "--key", key, "-o", out),
        *("--site", "ward", "--reason", "old", "--expires", "7d"),
    ),
    "image save": lambda out, _: ("image", "save", "an-image:v1", out),
    "import --want": lambda out, key: ("import", key.parent / "depot", "--want", out),
    "import --model-signatures": lambda out, key: (
        *("import", key.parent / "depot", "--model-signatures", out),
    ),
    "prove --report": lambda out, _: ("prove", "shop:v1", "--report", out),
}


@pytest.fixture
def sender(connected: Side, site: Site) -> Side:
    stores.add_bento(connected, "shop:v1", {"x.py": b"pass\n"})
    depot = site.folder / "depot"
    assert connected.run("export", "shop:v1", "-o", depot, "--key", site.key()).code == 0
    return connected


@pytest.mark.parametrize("name", COMMANDS)
def test_the_folder_above_must_exist(name: str, sender: Side, site: Site, tmp_path: Path) -> None:
    missing = tmp_path / "usb stick"
    ran = sender.run(*COMMANDS[name](missing / "release 1" / "out", site.key()))

    assert ran.code == MissingError.exit_code, ran.err
    assert f"{missing} does not exist; nothing was written." in ran.err
    assert f"mkdir -p '{missing / 'release 1'}'" in ran.err
    assert not missing.exists()


def test_the_state_folder_may_be_new_but_not_the_one_above(tmp_path: Path) -> None:
    side = Side(tmp_path / "usb")
    ran = side.run("init", "ward", "--no-passphrase")

    assert ran.code == MissingError.exit_code, ran.err
    assert not side.top.exists()


def test_a_file_in_the_place_of_a_folder_is_named(sender: Side, site: Site, tmp_path: Path) -> None:
    (tmp_path / "usb").write_bytes(b"")
    ran = sender.run("export", "shop:v1", "-o", tmp_path / "usb/a/depot", "--key", site.key())

    assert ran.code == StorageError.exit_code
    assert f"{tmp_path / 'usb'} is not a folder; nothing was written." in ran.err


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("new", "new/bundles"),
        ("new/", "new/bundles"),
        ("new.airgap", "new.airgap"),
        ("new.bento", "new.bento"),
    ],
)
def test_the_last_part_of_an_output_may_be_new(
    text: str, written: str, sender: Side, site: Site, tmp_path: Path
) -> None:
    ran = sender.run("export", "shop:v1", "-o", f"{tmp_path}/{text}", "--key", site.key())

    assert ran.code == 0, ran.err
    assert (tmp_path / written).exists()


def test_a_new_folder_gets_the_file_that_is_named_after_the_item(
    sender: Side, site: Site, tmp_path: Path
) -> None:
    words = ("--format", "tar.gz", "--key", site.key())
    ran = sender.run("export", "shop:v1", "-o", f"{tmp_path}/new/", *words)

    assert ran.code == 0, ran.err
    assert (tmp_path / "new/shop-v1.tar.gz").is_file()
