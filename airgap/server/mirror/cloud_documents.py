"""The documents of BentoCloud's API, as stock ``bentoml`` 1.4 reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from airgap.times import format_time

__all__ = ["SERVER", "CloudItem", "describe_item", "describe_list", "describe_repository"]

SERVER: Final[Mapping[str, Any]] = {
    "uid": "airgap",
    "created_at": format_time(0),
    "updated_at": None,
    "deleted_at": None,
    "labels": [],
}


@dataclass(frozen=True, slots=True)
class CloudItem:
    """A Bento or model, as its document shows it. ``created_at`` in seconds since 1970."""

    kind: str
    name: str
    version: str
    uid: str
    created_at: int
    manifest: Mapping[str, Any]
    labels: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    upload_status: str = "success"
    upload_finished_reason: str = ""
    transmission_strategy: str | None = "proxy"
    presigned_upload_url: str = ""
    upload_id: str = ""


def describe_item(item: CloudItem) -> dict[str, Any]:
    """Describe an item. What is empty is "" and not null: clients make the text "None" of that."""
    made = format_time(item.created_at)
    return {
        **SERVER,
        "uid": item.uid,
        "name": item.version,
        "resource_type": item.kind,
        "created_at": made,
        "build_at": made,
        "labels": [{"key": key, "value": value} for key, value in item.labels.items()],
        "description": item.description,
        "version": item.version,
        "image_build_status": "pending",
        "upload_status": item.upload_status,
        "upload_finished_reason": item.upload_finished_reason,
        "presigned_upload_url": item.presigned_upload_url,
        "presigned_download_url": "",
        "transmission_strategy": item.transmission_strategy,
        "upload_id": item.upload_id,
        "manifest": dict(item.manifest),
        "repository": describe_repository(item.kind, item.name),
    }


def describe_repository(kind: str, name: str) -> dict[str, Any]:
    """Describe a name, which may have many versions."""
    own = {"uid": f"{kind}-{name}", "name": name, "description": ""}
    return {**SERVER, **own, "resource_type": f"{kind}_repository", f"latest_{kind}": None}


def describe_list(items: Sequence[CloudItem], start: int, count: int) -> dict[str, Any]:
    """Describe a page of items."""
    page = [describe_item(item) for item in items[start : start + count]]
    return {"start": start, "count": len(page), "total": len(items), "items": page}
