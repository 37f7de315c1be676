"""Images in files, written by hand: layouts, archives of them, and what `docker save` writes."""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support import closure_items
from tests.support.closure_items import compact, descriptor, hex_of
from tests.support.forge import Item
from tests.support.sides import Side

REFERENCE = "registry.example/shop:1"
DOCKER_TYPE = "application/vnd.docker.distribution.manifest.v2+json"


def write_layout(folder: Path, item: Item) -> Path:
    """Write the entries of an item of the kind image as a layout."""
    for path, content in item.entries.items():
        assert isinstance(content, bytes)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def tar_of(members: Mapping[str, bytes | str], format_: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of files (bytes) and symbolic links (text)."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=format_) as archive:
        for path, content in members.items():
            info = tarfile.TarInfo(path)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def config_of(*layers: bytes, architecture: str = "amd64", os: str = "linux") -> bytes:
    """The configuration of an image whose layers are uncompressed."""
    diffs = [f"sha256:{hex_of(layer)}" for layer in layers]
    rootfs = {"diff_ids": diffs, "type": "layers"}
    return compact({"architecture": architecture, "os": os, "rootfs": rootfs})


def index_of(*images: tuple[bytes, str], **annotations: str) -> bytes:
    """An index of manifests, each with its platform; the annotations are of the last."""
    entries: list[dict[str, object]] = []
    for manifest, platform in images:
        os, architecture, *variant = platform.split("/")
        said = {"architecture": architecture, "os": os} | (
            {"variant": variant[0]} if variant else {}
        )
        entries.append({**descriptor(manifest, closure_items.MANIFEST_TYPE), "platform": said})
    if annotations:
        entries[-1]["annotations"] = {
            name.replace("__", "."): text for name, text in annotations.items()
        }
    document = {"manifests": entries, "mediaType": closure_items.INDEX_TYPE, "schemaVersion": 2}
    return compact(document)


def image_for(architecture: str, *layers: bytes) -> tuple[bytes, list[bytes]]:
    """A manifest, and all its blobs."""
    config = config_of(*layers, architecture=architecture)
    manifest = closure_items.manifest(config, *layers)
    return manifest, [config, *layers, manifest]


def docker_archive(
    layers: Sequence[bytes],
    *,
    tags: Sequence[str] = ("registry.example/team/shop:1.4",),
    members: Mapping[str, bytes | str | None] | None = None,
    paths: Sequence[str] | None = None,
) -> bytes:
    """What `docker save` wrote before it wrote layouts; ``members`` are changed, None removes."""
    plain = [gzip.decompress(layer) if layer[:2] == b"\x1f\x8b" else layer for layer in layers]
    config = config_of(*plain)
    paths = paths or [f"{number}/layer.tar" for number in range(len(layers))]
    image = {"Config": "config.json", "Layers": list(paths), "RepoTags": list(tags)}
    content: dict[str, bytes | str | None] = {
        "config.json": config,
        "manifest.json": json.dumps([image]).encode(),
        **dict(zip(paths, layers, strict=True)),
        **(members or {}),
    }
    return tar_of({path: data for path, data in content.items() if data is not None})


def install(side: Side, top: bytes, blobs: list[bytes], name: str = "shop") -> str:
    """Lay an image where an import would have installed it."""
    is_index = b'"manifests":' in top
    media_type = closure_items.INDEX_TYPE if is_index else closure_items.MANIFEST_TYPE
    item = closure_items.image_of(top, blobs, REFERENCE, media_type=media_type)
    write_layout(side.bentoml / "images" / name / item.version, item)
    return f"{name}:{item.version}"


def version_of(top: bytes, blobs: list[bytes], reference: str = REFERENCE) -> str:
    """The version of an image with this reference."""
    is_index = b'"manifests":' in top
    media_type = closure_items.INDEX_TYPE if is_index else closure_items.MANIFEST_TYPE
    return closure_items.image_of(top, blobs, reference, media_type=media_type).version
