"""The pulling half of the OCI distribution API 1.1, for ``skopeo``, ``podman`` and their like.

An image is served under the name and tag of its reference (format §27), without the registry that
the reference names. Blobs and manifests are sent as they are: nothing is written again.
"""

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airgap.errors import AirgapError, MissingError
from airgap.flow.serving.index import ItemRow
from airgap.flow.serving.mirror import Mirror, NotReadyError
from airgap.format import limits
from airgap.format.image import INDEX_TYPE, INDEX_TYPES, MANIFEST_TYPES, blob_path
from airgap.format.kinds import IMAGE
from airgap.server.mirror.answers import REASON, encode_reason, make_body, make_error
from airgap.server.mirror.sending import Download, Sendable

__all__ = ["make_routes"]

_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_VERSION: Final = {"Docker-Distribution-Api-Version": "registry/2.0"}
_CHANGING: Final = ["POST", "PUT", "PATCH", "DELETE"]


def make_routes(mirror: Mirror) -> list[Route]:
    """Return the routes of images. Names of repositories may have slashes."""
    registry = _Registry(mirror)
    return [
        Route("/v2/", _get_version),
        Route("/v2/_catalog", registry.list_repositories),
        Route("/v2/{name:path}/tags/list", registry.list_tags),
        Route("/v2/{name:path}/referrers/{digest}", registry.list_referrers),
        Route("/v2/{name:path}/manifests/{reference}", registry.get_manifest),
        Route("/v2/{name:path}/blobs/{digest}", registry.get_blob),
        Route("/v2/{name:path}", _refuse_push, methods=_CHANGING),
        Route("/v2/{name:path}", _find_nothing),
    ]


class _RegistryError(MissingError):
    """Something is not served; ``code`` is that of the distribution API."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message, "See what is served at /v2/_catalog.")
        self.code = code


@dataclass(frozen=True, slots=True)
class _Registry:
    """The images of a mirror."""

    mirror: Mirror

    def list_repositories(self, request: Request) -> Response:
        """List the names of all repositories."""
        del request
        rows = self.mirror.list_items(IMAGE.name)
        return JSONResponse({"repositories": sorted({_split(row)[0] for row in rows})})

    def list_tags(self, request: Request) -> Response:
        """List the tags of a repository."""
        name = request.path_params["name"]
        try:
            tags = sorted({_split(row)[1] for row in self._list(name)})
        except AirgapError as error:
            return _make_error(request, error)
        return JSONResponse({"name": name, "tags": tags})

    def list_referrers(self, request: Request) -> Response:
        """Tell that nothing refers to an image: an empty index, which must not be a 404."""
        del request
        document = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []}
        return JSONResponse(document, media_type=INDEX_TYPE)

    def get_manifest(self, request: Request) -> Response:
        """Send a manifest or an index, by tag or digest, with its own type."""
        try:
            return self._send_manifest(**request.path_params)
        except AirgapError as error:
            return _make_error(request, error)

    def get_blob(self, request: Request) -> Response:
        """Send a blob."""
        match = _DIGEST.fullmatch(request.path_params["digest"])
        try:
            if match is None:
                raise _RegistryError("BLOB_UNKNOWN", "There is no such blob.")
            body = self._open_blob(request.path_params["name"], match[1])
        except AirgapError as error:
            return _make_error(request, error)
        return Download(body, {**_VERSION, "Docker-Content-Digest": f"sha256:{match[1]}"})

    def _send_manifest(self, name: str, reference: str) -> Response:
        match = _DIGEST.fullmatch(reference)
        if match is None:
            row = self._find_tag(name, reference)
            digest, media_type = row.summary["image_digest"], row.summary["media_type"]
        else:
            digest, media_type = match[1], ""
        body = self._open_blob(name, digest)
        if not media_type:
            media_type = _find_type(body)
        headers = {**_VERSION, "Docker-Content-Digest": f"sha256:{digest}"}
        return Download(body, headers, media_type)

    def _list(self, name: str) -> list[ItemRow]:
        """Return the images of a repository, the newest first."""
        rows = [row for row in self.mirror.list_items(IMAGE.name) if _split(row)[0] == name]
        if not rows:
            raise _RegistryError("NAME_UNKNOWN", f"No image {name} is served.")
        return rows

    def _find_tag(self, name: str, tag: str) -> ItemRow:
        """Return the newest image that has a tag; ``latest`` is the newest one of all."""
        rows = self._list(name)
        for row in rows:
            if _split(row)[1] == tag:
                return row
        if tag == "latest":
            return rows[0]
        raise _RegistryError("MANIFEST_UNKNOWN", f"No image {name}:{tag} is served.")

    def _open_blob(self, name: str, digest: str) -> Sendable:
        for row in self._list(name):
            content = self.mirror.open_file(row, blob_path(digest))
            if content is not None:
                return make_body(self.mirror, content)
        raise _RegistryError("BLOB_UNKNOWN", f"No image {name} has sha256:{digest}.")


def _split(row: ItemRow) -> tuple[str, str]:
    """Return the repository and the tag of an image's reference, without its registry."""
    reference = str(row.summary.get("reference", "")).partition("@")[0]
    first, slash, rest = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        reference = rest
    name, _, tag = reference.partition(":")
    return name, tag or "latest"


def _find_type(body: Sendable) -> str:
    """Return the type of a manifest that is asked for by digest: what it says itself."""
    if body.length > limits.IMAGE_DOCUMENT_BYTES:
        raise _RegistryError("MANIFEST_UNKNOWN", "This blob is not a manifest.")
    try:
        document: dict[str, Any] = json.loads(b"".join(body.read(0, body.length)))
        default = INDEX_TYPE if "manifests" in document else MANIFEST_TYPES[0]
        media_type = document.get("mediaType", default)
    except (ValueError, AttributeError, TypeError, RecursionError):
        media_type = None
    if media_type not in (*INDEX_TYPES, *MANIFEST_TYPES):
        raise _RegistryError("MANIFEST_UNKNOWN", "This blob is not a manifest.")
    return str(media_type)


def _make_error(request: Request, error: AirgapError) -> Response:
    """Answer in the form of the distribution API."""
    if isinstance(error, NotReadyError) or not isinstance(error, MissingError):
        return make_error(request, error)
    code = error.code if isinstance(error, _RegistryError) else "MANIFEST_UNKNOWN"
    headers = {**_VERSION, REASON: encode_reason(error.message)}
    return _describe_error(code, error.message, HTTPStatus.NOT_FOUND, headers)


def _describe_error(code: str, message: str, status: int, headers: dict[str, str]) -> Response:
    return JSONResponse({"errors": [{"code": code, "message": message}]}, status, headers)


def _get_version(request: Request) -> Response:
    del request
    return JSONResponse({}, headers=_VERSION)


def _find_nothing(request: Request) -> Response:
    del request
    return _describe_error("NAME_UNKNOWN", "There is nothing.", HTTPStatus.NOT_FOUND, {**_VERSION})


def _refuse_push(request: Request) -> Response:
    """Refuse what would change something, as the API says it to people."""
    del request
    message = "This mirror takes no pushes: bring a signed bundle into its depot."
    return _describe_error("DENIED", message, HTTPStatus.FORBIDDEN, dict(_VERSION))
