"""Puts an image together: the layers of a base and further ones, under one configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airgap.format.image import Descriptor
from airgap.oci.base_image import BaseImage
from airgap.oci.documents import CONFIG_TYPE, MANIFEST_TYPE, encode

__all__ = ["NewLayer", "RunOptions", "make_config", "make_manifest"]


@dataclass(frozen=True, slots=True)
class NewLayer:
    """An uncompressed layer, and what is said of it in the image's history."""

    descriptor: Descriptor
    text: str


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a container of the image is run."""

    variables: Mapping[str, str]
    entrypoint: Sequence[str]
    folder: str
    user: str
    ports: Sequence[int]
    labels: Mapping[str, str]
    created: str
    """RFC 3339."""


def make_config(base: BaseImage, layers: Sequence[NewLayer], run: RunOptions) -> bytes:
    """Make the configuration: that of the base, with more layers and other ways to run."""
    old: dict[str, Any] = base.config.get("config") or {}
    variables = dict(text.partition("=")[::2] for text in old.get("Env") or ())
    new = {key: value for key, value in old.items() if key not in ("Cmd", "Healthcheck", "OnBuild")}
    new |= {
        "Entrypoint": list(run.entrypoint),
        "Env": [f"{name}={text}" for name, text in {**variables, **run.variables}.items()],
        "ExposedPorts": {f"{port}/tcp": {} for port in run.ports},
        "Labels": {**(old.get("Labels") or {}), **run.labels},
        "User": run.user,
        "WorkingDir": run.folder,
    }
    document = {
        key: value
        for key, value in base.config.items()
        if key in ("architecture", "os", "variant", "os.version", "os.features")
    }
    document |= {
        "config": new,
        "created": run.created,
        "history": [
            *_list_history(base, run.created),
            *({"created": run.created, "created_by": layer.text} for layer in layers),
        ],
        "rootfs": {
            "diff_ids": [
                *base.config["rootfs"]["diff_ids"],
                *(f"sha256:{layer.descriptor.digest}" for layer in layers),
            ],
            "type": "layers",
        },
    }
    return encode(document)


def _list_history(base: BaseImage, created: str) -> list[dict[str, Any]]:
    """Return the history of a base: one entry for each of its layers, for other tools count them.

    Not every tool that makes images writes a history.
    """
    history = [entry for entry in base.config.get("history") or () if isinstance(entry, dict)]
    if sum(not entry.get("empty_layer") for entry in history) == len(base.layers):
        return history
    return [{"created": created, "created_by": "base"} for _ in base.layers]


def make_manifest(base: BaseImage, layers: Sequence[NewLayer], config: Descriptor) -> bytes:
    """Make the manifest."""
    document = {
        "config": _describe(config),
        "layers": [
            *map(_describe, base.layers),
            *(_describe(layer.descriptor) for layer in layers),
        ],
        "mediaType": MANIFEST_TYPE,
        "schemaVersion": 2,
    }
    return encode(document)


def describe_config(digest: str, size: int) -> Descriptor:
    """Describe a configuration."""
    return Descriptor(digest, size, CONFIG_TYPE)


def _describe(blob: Descriptor) -> dict[str, object]:
    return {"digest": f"sha256:{blob.digest}", "mediaType": blob.media_type, "size": blob.size}
