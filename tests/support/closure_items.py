"""Items of what travels beside Bentos and models, written by hand (format §25 to §27)."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from contextlib import suppress

from tests.support import forge
from tests.support.forge import Content, Item

TARGET = "cp311-manylinux_2_28_x86_64"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


def hex_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def files(content: Mapping[str, Content], name: str = "encodings", variable: str = "") -> Item:
    """A folder; the paths begin with ``content/``."""
    entries: list[dict[str, object]] = []
    for path, value in sorted(content.items(), key=lambda entry: entry[0].encode()):
        if isinstance(value, forge.Link):
            entries.append({"path": path, "target": value.target, "type": "link"})
        elif isinstance(value, forge.Folder):
            entries.append({"path": path, "type": "folder"})
        else:
            data = value if isinstance(value, bytes) else b"".join(value.chunks)
            executable = isinstance(value, forge.File) and value.executable
            entries.append(
                {
                    "digest": forge.sha256(data),
                    "executable": executable,
                    "path": path,
                    "size": len(data),
                    "type": "file",
                }
            )
    digest = hashlib.sha256(forge.pack(entries)).hexdigest()
    said = f'{{"content":"{digest}","format":1,"name":"{name}","variable":"{variable}"}}\n'
    return Item("files", name, hex_of(said.encode())[:32], {**content, "files.json": said.encode()})


def wheel(name: str = "tiny", version: str = "1.0", **modules: str) -> tuple[str, bytes]:
    """A wheel's file name and bytes, the same every time; ``modules`` are its sources."""
    info = f"{name}-{version}.dist-info"
    members = {f"{name}.py": f"VERSION = {version!r}\n"}
    members |= {f"{module}.py": text for module, text in modules.items()}
    members |= {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    members[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*members, f"{info}/RECORD"])
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in members.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return f"{name}-{version}-py3-none-any.whl", made.getvalue()


def wheelhouse(
    wheels: Mapping[str, bytes] | None = None,
    *,
    target: str = TARGET,
    requirements_digest: bytes = bytes(32),
    tools: Mapping[str, bytes] | None = None,
) -> Item:
    """A wheelhouse of these wheels, by file name; of one, if none is given."""
    wheels = dict([wheel()]) if wheels is None else wheels
    minor = target.removeprefix("cp3").partition("-")[0]
    lines = ['lock-version = "1.0"', 'created-by = "airgap"', f'requires-python = "==3.{minor}.*"']
    requirements = ""
    for file, data in sorted(wheels.items()):
        name, version = file.split("-")[:2]
        path = f'path = "wheels/{file}", size = {len(data)}'
        lines += ["", "[[packages]]", f'name = "{name}"', f'version = "{version}"']
        lines += [f'wheels = [{{ {path}, hashes = {{ sha256 = "{hex_of(data)}" }} }}]']
        requirements += f"{name}=={version} --hash=sha256:{hex_of(data)}\n"
    lines += ["", "[tool.airgap]", "format = 1", "locked = true"]
    lines += [f'requirements = "{requirements_digest.hex()}"', f'target = "{target}"']
    for file, data in sorted((tools or {}).items()):
        lines += ["", "[[tool.airgap.tools]]", f'path = "tools/{file}"']
        lines += [f"size = {len(data)}", f'sha256 = "{hex_of(data)}"']
    lock = "".join(f"{line}\n" for line in lines).encode()
    entries: dict[str, Content] = {
        "pylock.toml": lock,
        "requirements.txt": requirements.encode(),
        **{f"wheels/{file}": data for file, data in wheels.items()},
        **{f"tools/{file}": data for file, data in (tools or {}).items()},
    }
    return Item("wheelhouse", target, hex_of(lock)[:32], entries)


def compact(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def descriptor(data: bytes, media_type: str) -> dict[str, object]:
    return {"digest": f"sha256:{hex_of(data)}", "mediaType": media_type, "size": len(data)}


def manifest(config: bytes, *layers: bytes) -> bytes:
    """The manifest of an image."""
    return compact(
        {
            "config": descriptor(config, CONFIG_TYPE),
            "layers": [descriptor(layer, LAYER_TYPE) for layer in layers],
            "mediaType": MANIFEST_TYPE,
            "schemaVersion": 2,
        }
    )


def index(*manifests: bytes, media_type: str = MANIFEST_TYPE) -> bytes:
    """An index of the images of several platforms."""
    named = [descriptor(manifest, media_type) for manifest in manifests]
    return compact({"manifests": named, "mediaType": INDEX_TYPE, "schemaVersion": 2})


def image(
    layers: tuple[bytes, ...] = (b"layer",),
    reference: str = "registry.example/team/shop:1.4",
    name: str = "shop",
) -> Item:
    """An image of these layers, for one platform."""
    config = compact({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}})
    top = manifest(config, *layers)
    return image_of(top, [config, top, *layers], reference, name)


def image_of(
    top: bytes,
    blobs: list[bytes],
    reference: str = "shop:1.4",
    name: str = "shop",
    media_type: str = MANIFEST_TYPE,
) -> Item:
    """A layout whose image is the blob ``top``; manifests that are not blobs are left out."""
    annotations = {"org.opencontainers.image.ref.name": reference}
    carried = _list_carried(top, blobs) if media_type == INDEX_TYPE else []
    if carried:
        annotations["airgap.manifests"] = ",".join(carried)
    named = {"annotations": annotations, **descriptor(top, media_type)}
    only = compact({"manifests": [named], "mediaType": INDEX_TYPE, "schemaVersion": 2})
    entries: dict[str, Content] = {
        "index.json": only,
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        **{f"blobs/sha256/{hex_of(blob)}": blob for blob in blobs},
    }
    return Item("image", name, hex_of(only)[:32], entries)


def _list_carried(top: bytes, blobs: list[bytes]) -> list[str]:
    """The manifests of an index that are there, if some are not."""
    held = set(map(hex_of, blobs))
    with suppress(ValueError, TypeError, KeyError):
        named = {manifest["digest"][7:] for manifest in json.loads(top)["manifests"]}
        if not named <= held:
            return sorted(named & held)
    return []
