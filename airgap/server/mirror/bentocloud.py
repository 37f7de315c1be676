"""The reading half of BentoCloud's API, as stock ``bentoml`` 1.4 speaks it.

Items are sent by the strategy "proxy": the client asks this server, and no other, for their bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airgap.errors import MissingError
from airgap.flow.inbox.pushes import Pushes
from airgap.flow.serving.index import ItemRow
from airgap.flow.serving.mirror import Mirror
from airgap.server.mirror.answers import make_body
from airgap.server.mirror.cloud_documents import (
    SERVER,
    CloudItem,
    describe_item,
    describe_list,
    describe_repository,
)
from airgap.server.mirror.pushing import find_pushed, make_push_routes
from airgap.server.mirror.sending import Download

__all__ = ["make_routes"]

_V1: Final = "/api/v1"
_MOST: Final = 1000


def make_routes(mirror: Mirror, pushes: Pushes | None = None) -> list[Route]:
    """Return the routes of Bentos and of models, and those of the login."""
    routes = [
        Route(f"{_V1}/auth/current", _get_user),
        Route(f"{_V1}/current_org", _get_organization),
    ]
    for kind in ("bento", "model"):
        items = _Items(mirror, kind, pushes)
        repository = f"{_V1}/{kind}_repositories/{{name}}"
        item = f"{repository}/{kind}s/{{version}}"
        routes += [
            Route(f"{_V1}/{kind}s", items.list_all),
            Route(repository, items.get_repository),
            Route(f"{repository}/{kind}s", items.list_versions),
            Route(item, items.get),
            Route(f"{item}/download", items.download),
            Route(f"{item}/presign_download_url", items.get, methods=["PATCH"]),
        ]
    return routes + make_push_routes(pushes)


@dataclass(frozen=True, slots=True)
class _Items:
    """The items of one kind."""

    mirror: Mirror
    kind: str
    pushes: Pushes | None = None

    def list_all(self, request: Request) -> Response:
        """Answer ``bentoml list``, which never asks for a second page."""
        del request
        items = self.mirror.list_items(self.kind)
        return JSONResponse(describe_list(list(map(self._make, items)), 0, len(items)))

    def list_versions(self, request: Request) -> Response:
        """List the versions of one name, the newest first."""
        if request.query_params.get("q"):
            raise HTTPException(400, "This mirror does not search by labels: name a version.")
        start, count = _read_number(request, "start", 0), _read_number(request, "count", _MOST)
        items = self.mirror.list_items(self.kind, request.path_params["name"])
        return JSONResponse(describe_list(list(map(self._make, items)), start, count))

    def get_repository(self, request: Request) -> Response:
        """Describe a name, and its newest version."""
        items = self._list_named(request)
        newest = {f"latest_{self.kind}": describe_item(self._make(items[0]))}
        return JSONResponse(describe_repository(self.kind, items[0].name) | newest)

    def get(self, request: Request) -> Response:
        """Describe one version; to who may push, also one that is not signed yet."""
        pushed = find_pushed(self.pushes, request, self.kind)
        if pushed is not None:
            return JSONResponse(describe_item(pushed))
        return JSONResponse(describe_item(self._make(self._find(request))))

    def download(self, request: Request) -> Response:
        """Send one version as a tar."""
        content = self.mirror.open_tar(self._find(request))
        return Download(make_body(self.mirror, content), media_type="application/x-tar")

    def _find(self, request: Request) -> ItemRow:
        name, version = request.path_params["name"], request.path_params["version"]
        if version == "latest":
            return self._list_named(request)[0]
        return self.mirror.find(self.kind, name, version)

    def _list_named(self, request: Request) -> Sequence[ItemRow]:
        name = request.path_params["name"]
        items = self.mirror.list_items(self.kind, name)
        if not items:
            raise MissingError(f"No {self.kind} {name} is served.", "Bring a bundle that has it.")
        return items

    def _make(self, item: ItemRow) -> CloudItem:
        return CloudItem(
            self.kind,
            item.name,
            item.version,
            item.digest,
            item.created_at,
            self._describe_manifest(item),
            item.summary.get("labels", {}),
        )

    def _describe_manifest(self, item: ItemRow) -> dict[str, Any]:
        shared = {
            "bentoml_version": item.summary.get("bentoml_version", ""),
            "size_bytes": item.size,
        }
        if self.kind == "model":
            texts = {name: item.summary.get(name, "") for name in ("module", "api_version")}
            return {**shared, **texts, "metadata": {}, "context": {}, "options": {}}
        names = {"name": item.name, "version": item.version}
        models = item.summary.get("models", [])
        return {**shared, **names, "service": item.summary.get("service", ""), "models": models}


def _get_user(request: Request) -> Response:
    """Answer ``bentoml cloud login``, which asks who it is."""
    del request
    names = {"name": "airgap", "first_name": "", "last_name": ""}
    return JSONResponse({**names, "email": "airgap@localhost"})


def _get_organization(request: Request) -> Response:
    del request
    own = {"name": "airgap", "resource_type": "organization", "description": "An airgap mirror."}
    return JSONResponse({**SERVER, **own})


def _read_number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 10):  # noqa: PLR2004  (digits)
        raise HTTPException(400, f"{name} must be a number.")
    return int(text)
