"""What images are on this machine."""

from typing import Any

from airgap.errors import AirgapError
from airgap.format.kinds import IMAGE
from airgap.store.installed_image import open_image
from airgap.store.kinds import find_kind

__all__ = ["list_images"]


def list_images() -> list[dict[str, Any]]:
    """Describe every installed image, also a damaged one; layers are not read."""
    kind = find_kind(IMAGE.name)
    return [_describe(name, version) for name, version in kind.list_tags()]


def _describe(name: str, version: str) -> dict[str, Any]:
    tag = f"{name}:{version}"
    folder = find_kind(IMAGE.name).install_path(name, version).final
    data: dict[str, Any] = {"tag": tag, "path": str(folder), "problem": ""}
    try:
        image = open_image(tag)
    except AirgapError as error:
        return data | {"problem": error.message}
    return data | {
        "reference": image.index.reference,
        "digest": f"sha256:{image.index.digest}",
        "platforms": list(image.selection.platforms),
        "platforms_left_out": list(image.selection.left_out),
        "size": sum(image.selection.blobs.values()),
    }
