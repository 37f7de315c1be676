"""What clients push: archives that tests make, and how they are sent."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import httpx

from airgap.flow.inbox.inbox import Inbox, PushedTag
from airgap.flow.inbox.pushes import Pushes, Registration
from tests.support.mirrors import RunningMirror

TOP = "/api/v1/model_repositories/m/models"
DESCRIPTION = b"""name: m
version: v1
creation_time: '2026-01-02T03:04:05.000000+00:00'
module: ''
labels: {}
options: {}
metadata: {}
signatures: {}
api_version: v1
context: {framework_name: '', framework_versions: {}}
"""


def pack(*members: tuple[str, bytes, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Make a tar of members: name, type, and content or where a link points."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:", format=form) as tar:
        for name, kind, data in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(data)
            else:
                info.linkname = data.decode()
            tar.addfile(info, io.BytesIO(data) if kind == tarfile.REGTYPE else None)
    return made.getvalue()


def file(name: str, data: bytes = b"x") -> tuple[str, bytes, bytes]:
    return name, tarfile.REGTYPE, data


MODEL = file("./model.yaml", DESCRIPTION)


def push_model(mirror: RunningMirror, labels: Mapping[str, str], weights: bytes = b"x") -> None:
    """Push a model m:v1 in one request."""
    named = [{"key": key, "value": value} for key, value in labels.items()]
    body = {"version": "v1", "manifest": {}, "labels": named}
    data = pack(MODEL, file("weights.bin", weights))
    httpx.post(mirror.url + TOP, json=body, timeout=60).raise_for_status()
    httpx.put(f"{mirror.url}{TOP}/v1/upload", content=data, timeout=60).raise_for_status()


def fill_inbox(folder: Path) -> Inbox:
    """Make an inbox in which a model m:v1 waits, without a server."""
    inbox, tag = Inbox(folder), PushedTag("model", "m", "v1")
    inbox.prepare()
    pushes = Pushes(inbox, lambda _: "")
    pushes.register(Registration(tag, "ci", {}))
    upload = pushes.open_upload(tag)
    part = upload.open_part(1)
    part.write(pack(MODEL, file("weights.bin")))
    part.finish()
    pushes.complete(upload, 1)
    pushes.finish(tag)
    return inbox
