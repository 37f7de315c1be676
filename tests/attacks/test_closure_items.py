"""Threat model: files, wheelhouses and images are as they describe themselves (format §25-27)."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import CorruptError, MissingError, UsageError
from airgap.format import image
from airgap.format import manifest as manifests
from airgap.format.root import Root
from airgap.signing.trust import Verified
from airgap.store.item_kind import Reference
from airgap.store.kinds import find_kind
from tests.support import closure_items, forge, refusals, second_verifier
from tests.support.forge import Forge, Item
from tests.support.sides import Side, Site

WHEEL, WHEEL_BYTES = closure_items.wheel()
OTHER, OTHER_BYTES = closure_items.wheel("other", "2.0")

GOOD: dict[str, Item] = {
    "files": closure_items.files(
        {
            "content/9b5ad716": b"tokens",
            "content/empty": forge.Folder(),
            "content/same": forge.Link("9b5ad716"),
            "content/tool": forge.File((b"#!/bin/sh\n",), executable=True),
        },
        variable="TIKTOKEN_CACHE_DIR",
    ),
    "wheelhouse": closure_items.wheelhouse(
        {WHEEL: WHEEL_BYTES, OTHER: OTHER_BYTES}, tools={"pip-25.3-py3-none-any.whl": b"pip"}
    ),
    "image": closure_items.image((b"base", b"bento")),
}


def changed(item: Item, **entries: forge.Content | None) -> Item:
    """The item with other entries; None takes one away. The tag stays."""
    merged = {**item.entries, **entries}
    return replace(item, entries={k: v for k, v in merged.items() if v is not None})


def retold(item: Item, path: str, change: Callable[[bytes], bytes]) -> Item:
    """The item with another description, and the version that follows from it."""
    text = item.entries[path]
    assert isinstance(text, bytes)
    told = change(text)
    assert told != text
    version = hashlib.sha256(told).hexdigest()[:32]
    return replace(item, version=version, entries={**item.entries, path: told})


def swap(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda text: text.replace(old, new)


FILES, HOUSE, IMAGE = GOOD["files"], GOOD["wheelhouse"], GOOD["image"]
BASE = f"blobs/sha256/{closure_items.hex_of(b'base')}"
TOP = next(path for path, blob in IMAGE.entries.items() if b'"layers":' in bytes(blob))  # type: ignore[arg-type]
PACKAGE = b'[[packages]]\nname = "other"'

BAD: dict[str, Item] = {
    "files: another version": replace(FILES, version="0" * 32),
    "files: another name": replace(FILES, name="other"),
    "files: a changed file": changed(FILES, **{"content/9b5ad716": b"poison"}),
    "files: a file that is executable now": changed(
        FILES, **{"content/9b5ad716": forge.File((b"tokens",), executable=True)}
    ),
    "files: another target": changed(FILES, **{"content/same": forge.Link("tool")}),
    "files: a file more": changed(FILES, **{"content/more": b""}),
    "files: a folder less": changed(FILES, **{"content/empty": None}),
    "files: a file beside the folder": changed(FILES, beside=b""),
    "files: no folder": closure_items.files({}),
    "files: a variable of the loader": closure_items.files(
        {"content/a": b""}, variable="LD_PRELOAD"
    ),
    "files: a variable in small letters": closure_items.files({"content/a": b""}, variable="path"),
    "files: spaces": retold(FILES, "files.json", swap(b",", b", ")),
    "files: a later format": retold(FILES, "files.json", swap(b'"format":1', b'"format":2')),
    "files: no description": changed(FILES, **{"files.json": None}),
    "wheelhouse: another version": replace(HOUSE, version="0" * 32),
    "wheelhouse: another target": replace(HOUSE, name="cp312-manylinux_2_28_x86_64"),
    "wheelhouse: a changed wheel": changed(HOUSE, **{f"wheels/{WHEEL}": b"PK"}),
    "wheelhouse: a wheel more": changed(HOUSE, **{"wheels/evil-1-py3-none-any.whl": b"PK"}),
    "wheelhouse: a wheel less": changed(HOUSE, **{f"wheels/{WHEEL}": None}),
    "wheelhouse: a link": changed(HOUSE, **{f"wheels/{WHEEL}": forge.Link(OTHER)}),
    "wheelhouse: an empty folder": changed(HOUSE, more=forge.Folder()),
    "wheelhouse: another tool": changed(HOUSE, **{"tools/pip-25.3-py3-none-any.whl": b"evil"}),
    "wheelhouse: other requirements": changed(HOUSE, **{"requirements.txt": b"tiny==1.0\n"}),
    "wheelhouse: a program": changed(
        HOUSE, **{f"wheels/{WHEEL}": forge.File((WHEEL_BYTES,), executable=True)}
    ),
    "wheelhouse: a package twice": retold(
        HOUSE,
        "pylock.toml",
        lambda text: text.replace(
            PACKAGE, text[text.index(PACKAGE) :].split(b"\n\n")[0] + b"\n\n" + PACKAGE
        ),
    ),
    "wheelhouse: another package's wheel": retold(
        HOUSE, "pylock.toml", swap(b'name = "other"', b'name = "otter"')
    ),
    "wheelhouse: a wheel elsewhere": retold(
        HOUSE, "pylock.toml", swap(b'"wheels/', b'"wheels/../tools/')
    ),
    "wheelhouse: a url": retold(
        HOUSE, "pylock.toml", swap(b"{ path =", b'{ url = "https://index.example/x.whl", path =')
    ),
    "wheelhouse: a comment": retold(HOUSE, "pylock.toml", lambda text: text + b"# hello\n"),
    "image: another version": replace(IMAGE, version="0" * 32),
    "image: a blob under another name": changed(IMAGE, **{BASE: b"evil"}),
    "image: a file beside the blobs": changed(IMAGE, readme=b""),
    "image: a link": changed(IMAGE, **{BASE: forge.Link("x")}),
    "image: without its manifest": changed(IMAGE, **{TOP: None}),
    "image: without oci-layout": changed(IMAGE, **{"oci-layout": None}),
    "image: another oci-layout": changed(IMAGE, **{"oci-layout": b'{"imageLayoutVersion":"2"}'}),
    "image: another size": retold(
        IMAGE, "index.json", lambda t: t.replace(b'"size":', b'"size":1')
    ),
    "image: spaces": retold(IMAGE, "index.json", swap(b",", b", ")),
    "image: a reference with an escape": closure_items.image(reference="shop\x1b[2J"),
    "image: two images": retold(
        IMAGE, "index.json", lambda t: t.replace(b'"manifests":[', b'"manifests":[{},')
    ),
}


@pytest.mark.parametrize("kind", GOOD)
def test_what_its_description_names_is_installed(
    kind: str, isolated: Side, forged: Forge, site: Site
) -> None:
    item = GOOD[kind]
    location = forged.depot(forge.draft(item, reader=2))

    imported = isolated.run("import", location)

    assert imported.code == 0, imported.err
    folder = {"files": "files", "image": "images", "wheelhouse": "wheelhouses"}[kind]
    installed = isolated.bentoml / folder / item.name / item.version
    for path, content in item.entries.items():
        match content:
            case forge.Folder():
                assert (installed / path).is_dir()
            case forge.Link(target):
                assert (installed / path).readlink() == Path(target)
            case _:
                data = content if isinstance(content, bytes) else b"".join(content.chunks)
                assert (installed / path).read_bytes() == data
    assert item.version in isolated.run("list").out
    assert isolated.run("import", location).code == 0
    assert isolated.run("doctor").code == 0
    if shutil.which("openssl"):
        verdict, _ = second_verifier.verify(location, site.root, site.fingerprint)
        assert verdict == "accepted"


@pytest.mark.parametrize("work", [forge.verify_in_process, forge.import_in_process])
@pytest.mark.parametrize("name", BAD)
def test_what_differs_from_its_description_is_refused(
    name: str,
    work: Callable[[Path, Verified[Root]], object],
    isolated: Side,
    forged: Forge,
    site: Site,
) -> None:
    location = forged.depot(forge.draft(BAD[name], reader=2))
    root = forge.trusted(site)

    with isolated.here(), refusals.ledger_tells_refusals(isolated):
        with pytest.raises(CorruptError) as refused:
            work(location, root)
        installed = [path for path in isolated.bentoml.glob("*/*/*") if path.is_file()]

    assert BAD[name].kind in f"{refused.value.message}{refused.value.details}"
    assert not installed


CONFIG, LAYER = b'{"os":"linux"}', b"layer"
AMD, ARM = closure_items.manifest(CONFIG, LAYER), closure_items.manifest(CONFIG, b"other", LAYER)
BOTH = closure_items.index(AMD, ARM)


def image_of(top: bytes, *blobs: bytes, media_type: str = closure_items.INDEX_TYPE) -> Item:
    return closure_items.image_of(top, [top, *blobs], media_type=media_type)


def told_to_carry(item: Item, *carried: bytes) -> Item:
    """Have ``index.json`` say that these manifests are in the item; none: it does not say."""
    text = item.entries["index.json"]
    assert isinstance(text, bytes)
    document = json.loads(text)
    annotations = document["manifests"][0]["annotations"]
    annotations.pop("airgap.manifests", None)
    if carried:
        annotations["airgap.manifests"] = ",".join(sorted(map(closure_items.hex_of, carried)))
    raw = closure_items.compact(document)
    version = closure_items.hex_of(raw)[:32]
    return replace(item, version=version, entries={**item.entries, "index.json": raw})


@pytest.mark.parametrize(
    "item",
    [
        image_of(BOTH, AMD, ARM, CONFIG, LAYER, b"other"),
        image_of(BOTH, AMD, CONFIG, LAYER),
    ],
    ids=["all platforms", "one platform"],
)
def test_an_image_has_all_of_a_platform_or_nothing(
    item: Item, isolated: Side, forged: Forge
) -> None:
    imported = isolated.run("import", forged.depot(forge.draft(item, reader=2)))

    assert imported.code == 0, imported.err


def test_a_manifest_that_is_named_often_is_read_once() -> None:
    often = image_of(closure_items.index(*[AMD] * 1000), AMD, CONFIG, LAYER)
    drafted = manifests.decode(forge.draft(often, reader=2).raw()).items[0]
    reads: list[str] = []

    def read(path: str) -> bytes:
        reads.append(path)
        blob = often.entries[path]
        assert isinstance(blob, bytes)
        return blob

    image.check_blobs(drafted, image.decode(read("index.json")), read)

    assert len(reads) == 3


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (image_of(BOTH, AMD, LAYER), "which is not in the item"),
        (image_of(BOTH, AMD, ARM, CONFIG, LAYER), "which is not in the item"),
        (image_of(BOTH), "which is not in the item"),
        (image_of(closure_items.index()), "which has no images"),
        (told_to_carry(image_of(BOTH, AMD, CONFIG, LAYER)), "which is not in the item"),
        (told_to_carry(image_of(BOTH, AMD, CONFIG, LAYER), AMD, ARM), "none is left out"),
        (told_to_carry(image_of(BOTH, AMD, CONFIG, LAYER), CONFIG), "does not name"),
        (told_to_carry(image_of(BOTH, AMD, ARM, CONFIG, LAYER, b"other"), AMD), "does not lead to"),
        (told_to_carry(image_of(BOTH, AMD, CONFIG, LAYER), AMD, AMD), "a rule of its format"),
        (
            image_of(AMD, CONFIG, LAYER, b"spare", media_type=closure_items.MANIFEST_TYPE),
            "does not lead to",
        ),
        (image_of(closure_items.index(BOTH, media_type=closure_items.INDEX_TYPE), BOTH), "not an"),
        (image_of(b"[]"), "not an object"),
        (image_of(b"{"), "not JSON"),
        (image_of(b"{}"), "without valid 'manifests'"),
        (image_of(b"{}", media_type="application/x-other"), "not an image's"),
        (image_of(b'{"layers":[]}', media_type=closure_items.MANIFEST_TYPE), "valid 'config'"),
        (
            image_of(
                AMD.replace(b'"size":5', b'"size":6'),
                *(CONFIG, LAYER),
                media_type=closure_items.MANIFEST_TYPE,
            ),
            "of 6 bytes, which is not in the item",
        ),
    ],
)
def test_an_image_that_lacks_what_it_names_is_not_installed(
    item: Item, said: str, isolated: Side, forged: Forge
) -> None:
    location = forged.depot(forge.draft(item, reader=2))

    ran = refusals.expect_refusal(isolated, "import", location, error=CorruptError, staging=True)

    assert said in ran.json["error"]["message"] + str(ran.json["error"])


def test_they_need_a_reader_of_version_2(isolated: Side, forged: Forge) -> None:
    location = forged.depot(forge.draft(FILES, reader=1))

    refusals.expect_refusal(isolated, "import", location, error=CorruptError)


def test_a_name_stands_for_one_version_only(isolated: Side, forged: Forge) -> None:
    later = closure_items.files({"content/a": b"newer"})
    for item in (FILES, later):
        assert isolated.run("import", forged.depot(forge.draft(item, reader=2))).code == 0

    with isolated.here():
        kind = find_kind("files")
        assert kind.find(f"encodings:{later.version}") == ("encodings", later.version)
        with pytest.raises(UsageError, match="2 versions"):
            kind.find("encodings")
        with pytest.raises(MissingError, match=r"files encodings:v1 is not in"):
            kind.find("encodings:v1")
        assert kind.scan(Reference("files", "encodings", FILES.version)).tree.links == {
            "content/same": "9b5ad716"
        }
