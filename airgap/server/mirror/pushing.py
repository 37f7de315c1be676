"""The writing half of BentoCloud's API: what stock ``bentoml push`` sends goes into an inbox.

Small items come through one request ("proxy"), large ones in parts ("presigned_url"): each part
has an address of its own, whose upload id is a secret that only the client has.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Literal

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from airgap.errors import AirgapError, MissingError
from airgap.flow.inbox.inbox import PushedItem, PushedTag, parse_pushed_tag
from airgap.flow.inbox.pushes import Pushes, Registration
from airgap.flow.inbox.upload import MOST_PARTS, PushUpload
from airgap.server.mirror.cloud_documents import CloudItem, describe_item, describe_repository
from airgap.server.mirror.token_gate import find_pusher
from airgap.server.mirror.visitors import UPLOADS

__all__ = ["DEFAULT_STRATEGY", "Strategy", "find_pushed", "make_push_routes"]

Strategy = Literal["auto", "proxy", "presigned", "parts"]
"""How clients send content; auto: in parts if the item is large."""

DEFAULT_STRATEGY: Strategy = "auto"
_V1: Final = "/api/v1"
_IN_PARTS_FROM: Final = 64 * 1024 * 1024
_BODY_BYTES: Final = 4 * 1024 * 1024
_MOST_LABELS: Final = 100
_STATUS: Final = {
    "usage": HTTPStatus.BAD_REQUEST,
    "corrupt": HTTPStatus.UNPROCESSABLE_ENTITY,
    "conflict": HTTPStatus.CONFLICT,
    "missing": HTTPStatus.NOT_FOUND,
    "storage": HTTPStatus.INSUFFICIENT_STORAGE,
}

_SHARED: Final = {"bentoml_version": "", "size_bytes": 0}
_DEMANDED: Final[Mapping[str, Mapping[str, Any]]] = {
    "bento": {**_SHARED, "service": ""},
    "model": {**_SHARED, "module": "", "api_version": ""},
}
"""What clients demand of a manifest; one that is pushed again without being registered has none."""

Body = Mapping[str, Any]


def make_push_routes(pushes: Pushes | None) -> list[Route]:
    """Return the routes by which clients push; without an inbox, all refuse."""
    routes, strategy = [], DEFAULT_STRATEGY
    for kind in ("bento", "model"):
        pushing = _PushRoutes(pushes, kind, strategy)
        repository = f"{_V1}/{kind}_repositories/{{name}}"
        item = f"{repository}/{kind}s/{{version}}"
        routes += [
            Route(f"{_V1}/{kind}_repositories", pushing.create_repository, methods=["POST"]),
            Route(f"{repository}/{kind}s", pushing.create, methods=["POST"]),
            Route(item, pushing.update, methods=["PATCH"]),
            Route(f"{item}/start_upload", pushing.start, methods=["PATCH"]),
            Route(f"{item}/upload", pushing.upload, methods=["PUT"]),
            Route(f"{item}/presign_upload_url", pushing.presign, methods=["PATCH"]),
            Route(f"{item}/start_multipart_upload", pushing.start_parts, methods=["PATCH"]),
            Route(f"{item}/presign_multipart_upload_url", pushing.presign_part, methods=["PATCH"]),
            Route(f"{item}/complete_multipart_upload", pushing.complete_parts, methods=["PATCH"]),
            Route(f"{item}/finish_upload", pushing.finish, methods=["PATCH"]),
        ]
    if pushes is not None:
        routes.append(
            Route(UPLOADS + "{upload}/{part:int}", _PartRoute(pushes).put, methods=["PUT"])
        )
    return routes


def find_pushed(pushes: Pushes | None, request: Request, kind: str) -> CloudItem | None:
    """Return what is pushed, or was, under the tag of a request, to who may push; else None."""
    if pushes is None or find_pusher(request) is None:
        return None
    found = pushes.find(_read_tag(request, kind))
    return None if found is None else _make(found)


@dataclass(frozen=True, slots=True)
class _PushRoutes:
    """Takes the pushes of one kind."""

    pushes: Pushes | None
    kind: str
    strategy: Strategy

    async def create_repository(self, request: Request) -> Response:
        """Say that a name is there: names need no registration."""
        self._require(request)
        name = (await _read_body(request)).get("name")
        tag = _parse_tag(name, "v", self.kind)
        return JSONResponse(describe_repository(self.kind, tag.name))

    async def create(self, request: Request) -> Response:
        """Register a version."""
        self._require(request)
        body = await _read_body(request)
        tag = _parse_tag(request.path_params["name"], body.get("version"), self.kind)
        return await self._register(request, tag, body)

    async def update(self, request: Request) -> Response:
        """Register a version that is there: `bentoml push --force`."""
        self._require(request)
        tag = _read_tag(request, self.kind)
        return await self._register(request, tag, await _read_body(request))

    async def _register(self, request: Request, tag: PushedTag, body: Body) -> Response:
        pushes, who = self._require(request)
        manifest = body.get("manifest") or {}
        if not isinstance(manifest, dict):
            raise HTTPException(HTTPStatus.BAD_REQUEST, "manifest must be an object.")
        labels, description = _read_labels(body), body.get("description") or ""
        registration = Registration(tag, who, manifest, labels, str(description))
        with _explaining():
            await run_in_threadpool(pushes.register, registration)
        return self._answer(registration)

    async def start(self, request: Request) -> Response:
        """Take note that content follows."""
        pushes, who = self._require(request)
        tag = _read_tag(request, self.kind)
        with _explaining():
            registration = await run_in_threadpool(pushes.start, tag, who)
        return self._answer(registration)

    async def upload(self, request: Request) -> Response:
        """Take the whole content in one request; the item is in the inbox then."""
        pushes, _ = self._require(request)
        tag = _read_tag(request, self.kind)
        with _explaining():
            upload = await run_in_threadpool(pushes.open_upload, tag)
            try:
                await _receive(request, pushes, upload, 1)
                await run_in_threadpool(pushes.complete, upload, 1)
            except BaseException:
                await run_in_threadpool(pushes.drop, upload)
                raise
            item = await run_in_threadpool(pushes.finish, tag)
        return JSONResponse(describe_item(_make(item)))

    async def presign(self, request: Request) -> Response:
        """Give the address at which the whole content is taken."""
        pushes, who = self._require(request)
        tag = _read_tag(request, self.kind)
        with _explaining():
            registration = await run_in_threadpool(pushes.start, tag, who)
            upload = await run_in_threadpool(pushes.open_upload, tag, is_single=True)
        url = _make_address(request, upload, 1)
        return self._answer(registration, presigned_upload_url=url)

    async def start_parts(self, request: Request) -> Response:
        """Begin an upload in parts."""
        pushes, who = self._require(request)
        tag = _read_tag(request, self.kind)
        with _explaining():
            registration = await run_in_threadpool(pushes.start, tag, who)
            upload = await run_in_threadpool(pushes.open_upload, tag)
        return self._answer(registration, upload_id=upload.id)

    async def presign_part(self, request: Request) -> Response:
        """Give the address of one part."""
        pushes, who = self._require(request)
        tag, body = _read_tag(request, self.kind), await _read_body(request)
        with _explaining():
            upload = pushes.find_upload(str(body.get("upload_id")), tag)
            registration = await run_in_threadpool(pushes.start, tag, who)
        url = _make_address(request, upload, _read_number(body, "part_number"))
        return self._answer(registration, presigned_upload_url=url, upload_id=upload.id)

    async def complete_parts(self, request: Request) -> Response:
        """Read what has come in parts, all of which the client names with their ETags."""
        pushes, who = self._require(request)
        tag, body = _read_tag(request, self.kind), await _read_body(request)
        with _explaining():
            upload = pushes.find_upload(str(body.get("upload_id")), tag)
            _refuse_other_parts(upload, body.get("parts"))
            await run_in_threadpool(pushes.complete, upload, len(body["parts"]))
            registration = await run_in_threadpool(pushes.start, tag, who)
        return self._answer(registration, upload_id=upload.id)

    async def finish(self, request: Request) -> Response:
        """Put what has arrived into the inbox; or note that the client has given up."""
        pushes, _ = self._require(request)
        tag, body = _read_tag(request, self.kind), await _read_body(request)
        with _explaining():
            if body.get("status") != "success":
                reason = str(body.get("reason") or "The client has given up.")[:1000]
                await run_in_threadpool(pushes.fail, tag, reason)
                found = await run_in_threadpool(pushes.find, tag)
                if found is None:
                    raise MissingError(f"Nobody pushes the {tag}.", "Push it again.")
                return JSONResponse(describe_item(_make(found)))
            item = await run_in_threadpool(pushes.finish, tag)
        return JSONResponse(describe_item(_make(item)))

    def _require(self, request: Request) -> tuple[Pushes, str]:
        """Return where to push, and the name of who does. Raises HTTPException."""
        if self.pushes is None:
            raise HTTPException(
                HTTPStatus.FORBIDDEN,
                "This mirror takes no pushes: bring a signed bundle into its depot, or let it be"
                " started with --inbox.",
            )
        who = find_pusher(request)
        if who is None:
            raise HTTPException(
                HTTPStatus.FORBIDDEN,
                "This token may only pull. Ask for one that may push: `airgap serve make-token NAME"
                " --scope push`.",
            )
        return self.pushes, who

    def _answer(self, registration: Registration, **more: str) -> Response:
        return JSONResponse(describe_item(_make(registration, self._choose(registration), **more)))

    def _choose(self, registration: Registration) -> str | None:
        """Choose how the client sends content; None: to an address that it asks for."""
        if self.strategy == "auto":
            size = registration.manifest.get("size_bytes")
            is_large = isinstance(size, int) and size >= _IN_PARTS_FROM
            return "presigned_url" if is_large else "proxy"
        return {"proxy": "proxy", "presigned": None, "parts": "presigned_url"}[self.strategy]


@dataclass(frozen=True, slots=True)
class _PartRoute:
    """Takes parts: who knows the id of an upload may add to it."""

    pushes: Pushes

    async def put(self, request: Request) -> Response:
        """Take one part; the answer has its ETag."""
        with _explaining():
            upload = self.pushes.find_upload(request.path_params["upload"])
            etag = await _receive(request, self.pushes, upload, request.path_params["part"])
        return PlainTextResponse("", headers={"ETag": f'"{etag}"'})


async def _receive(request: Request, pushes: Pushes, upload: PushUpload, number: int) -> str:
    """Write a part as it arrives; return its ETag."""
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal()):
        raise HTTPException(HTTPStatus.LENGTH_REQUIRED, "Say how long the content is.")
    await run_in_threadpool(pushes.refuse_full, int(length))
    part = upload.open_part(number)
    try:
        async for data in request.stream():
            await run_in_threadpool(part.write, data)
        return await run_in_threadpool(part.finish)
    except ClientDisconnect:
        part.discard()
        raise HTTPException(HTTPStatus.BAD_REQUEST, "The content broke off.") from None
    except BaseException:
        part.discard()
        raise


def _refuse_other_parts(upload: PushUpload, parts: object) -> None:
    """Refuse to complete an upload whose parts are others than the client has sent."""
    if not isinstance(parts, list) or not 0 < len(parts) <= MOST_PARTS:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "parts must be a list that is not empty.")
    for number, part in enumerate(parts, 1):
        etag = part.get("etag") if isinstance(part, dict) else None
        is_next = isinstance(part, dict) and part.get("part_number") == number
        if not is_next or not isinstance(etag, str) or not upload.matches(number, etag.strip('"')):
            raise HTTPException(
                HTTPStatus.BAD_REQUEST, f"Part {number} is not the one that has arrived."
            )


@contextmanager
def _explaining() -> Iterator[None]:
    """Answer what cannot be done with its reason and what to do, in words that clients show."""
    try:
        yield
    except AirgapError as error:
        status = _STATUS.get(error.kind, HTTPStatus.BAD_REQUEST)
        raise HTTPException(status, f"{error.message} {error.hint}") from error


def _make(
    pushed: Registration | PushedItem,
    strategy: str | None = "proxy",
    *,
    presigned_upload_url: str = "",
    upload_id: str = "",
) -> CloudItem:
    """Describe what is pushed, or was."""
    shared: dict[str, Any] = {
        "kind": pushed.tag.kind,
        "name": pushed.tag.name,
        "version": pushed.tag.version,
        "manifest": {**_DEMANDED[pushed.tag.kind], **pushed.manifest},
        "labels": pushed.labels,
        "description": pushed.description,
        "transmission_strategy": strategy,
    }
    if isinstance(pushed, PushedItem):
        return CloudItem(uid=pushed.digest, created_at=pushed.received_at, **shared)
    return CloudItem(
        uid=f"push-{pushed.tag.name}-{pushed.tag.version}",
        created_at=0,
        upload_status=pushed.state,
        upload_finished_reason=pushed.reason,
        presigned_upload_url=presigned_upload_url,
        upload_id=upload_id,
        **shared,
    )


def _make_address(request: Request, upload: PushUpload, number: int) -> str:
    if not 1 <= number <= MOST_PARTS:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"Parts are 1 to {MOST_PARTS:,}.")
    return f"{str(request.base_url).rstrip('/')}{UPLOADS}{upload.id}/{number}"


def _read_tag(request: Request, kind: str) -> PushedTag:
    return _parse_tag(request.path_params["name"], request.path_params["version"], kind)


def _parse_tag(name: object, version: object, kind: str) -> PushedTag:
    with _explaining():
        return parse_pushed_tag(f"{name}:{version}", kind)


async def _read_body(request: Request) -> Body:
    """Read a JSON object. Raises HTTPException: it is none, or too long."""
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > _BODY_BYTES:
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A request has at most {_BODY_BYTES:,} bytes."
            )
    try:
        body = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "The request is not a JSON object.")
    return body


def _read_labels(body: Body) -> dict[str, str]:
    labels = body.get("labels") or []
    if not isinstance(labels, list) or len(labels) > _MOST_LABELS:
        raise HTTPException(
            HTTPStatus.BAD_REQUEST, f"labels must be a list of at most {_MOST_LABELS}."
        )
    if not all(
        isinstance(label, dict)
        and isinstance(label.get("key"), str)
        and isinstance(label.get("value"), str)
        for label in labels
    ):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "Each label has a key and a value, both texts.")
    return {label["key"]: label["value"] for label in labels}


def _read_number(body: Body, name: str) -> int:
    number = body.get(name)
    if not isinstance(number, int) or isinstance(number, bool):
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"{name} must be a number.")
    return number
