"""The Hub's API, as ``huggingface_hub`` reads it: snapshots by commit, and ``main`` for the newest.

Files are all described as large ones are, by their SHA-256: clients that check a cache then compare
that. No answer mentions Xet storage, because clients do not fall back from it.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airgap.errors import AirgapError, MissingError
from airgap.flow.serving.index import ItemRow
from airgap.flow.serving.mirror import Mirror, NotReadyError
from airgap.format.inventory import File
from airgap.format.kinds import HUGGING_FACE
from airgap.server.mirror.answers import REASON, encode_reason, make_body, make_error
from airgap.server.mirror.sending import Download
from airgap.times import format_time

__all__ = ["make_routes"]

Describe = Callable[[Request, ItemRow], list[dict[str, Any]] | dict[str, Any]]

_API: Final = "/api/models"
_PREFIX: Final = re.compile(r"[0-9a-f]{7,40}")
_OID_DIGITS: Final = 40
_POINTER_BYTES: Final = 134
_MOST_PATHS: Final = 1024 * 1024
"""Bytes of a request that names paths."""


def make_routes(mirror: Mirror) -> list[Route]:
    """Return the routes of models. Names of repositories have a slash or none."""
    hub = _Snapshots(mirror)
    return [
        Route("/api/whoami-v2", _get_user),
        Route(_API, hub.list_models),
        Route(f"{_API}/{{repo:path}}/revision/{{revision}}", hub.get_model),
        Route(f"{_API}/{{repo:path}}/tree/{{revision}}", hub.list_tree),
        Route(f"{_API}/{{repo:path}}/tree/{{revision}}/{{path:path}}", hub.list_tree),
        Route(f"{_API}/{{repo:path}}/paths-info/{{revision}}", hub.list_paths, methods=["POST"]),
        Route(f"{_API}/{{repo:path}}/refs", hub.list_refs),
        Route(f"{_API}/{{repo:path}}", hub.get_model),
        Route("/{repo:path}/resolve/{revision}/{path:path}", hub.resolve),
    ]


class _HubError(MissingError):
    """Something is not served; ``code`` is what clients tell apart."""

    def __init__(self, code: str, message: str, commit: str = "") -> None:
        super().__init__(message, "See what is served at /api/models.")
        self.code, self.commit = code, commit


@dataclass(frozen=True, slots=True)
class _Snapshots:
    """The snapshots of a mirror."""

    mirror: Mirror

    def list_models(self, request: Request) -> Response:
        """List the repositories; ``search`` is a part of their names."""
        words = request.query_params.get("search", "").lower()
        names = dict.fromkeys(_spell(item.name) for item in self._list(None))
        return JSONResponse([{"id": name, "modelId": name} for name in names if words in name])

    def get_model(self, request: Request) -> Response:
        """Describe a snapshot."""
        return self._answer(request, self._describe)

    def list_tree(self, request: Request) -> Response:
        """List the files of a snapshot, or of one of its folders."""
        return self._answer(request, self._list_tree)

    def list_refs(self, request: Request) -> Response:
        """List the only branch there is."""
        return self._answer(request, self._describe_refs)

    async def list_paths(self, request: Request) -> Response:
        """Describe some files of a snapshot."""
        from starlette.concurrency import run_in_threadpool

        paths = await _read_paths(request)
        if paths is None:
            return JSONResponse({"error": "Name the paths."}, HTTPStatus.BAD_REQUEST)

        def describe(_: Request, snapshot: ItemRow) -> list[dict[str, Any]]:
            return [_describe_file(file) for file in self._files(snapshot) if file.path in paths]

        return await run_in_threadpool(self._answer, request, describe)

    def resolve(self, request: Request) -> Response:
        """Send a file."""
        try:
            snapshot = self._find(request)
            path = request.path_params["path"]
            content = self.mirror.open_file(snapshot, path)
            if content is None:
                raise _HubError("EntryNotFound", f"There is no {path}.", snapshot.version)
        except AirgapError as error:
            return _make_error(request, error)
        headers = {"X-Repo-Commit": snapshot.version, "Cache-Control": "no-transform"}
        return Download(make_body(self.mirror, content), headers)

    def _answer(self, request: Request, describe: Describe) -> Response:
        try:
            return JSONResponse(describe(request, self._find(request)))
        except AirgapError as error:
            return _make_error(request, error)

    def _list(self, name: str | None) -> list[ItemRow]:
        return self.mirror.list_items(HUGGING_FACE.name, name)

    def _files(self, snapshot: ItemRow) -> Sequence[File]:
        return self.mirror.open_item(snapshot)[1].files

    def _find(self, request: Request) -> ItemRow:
        """Return the snapshot that a request names: by its commit, a prefix of it, or ``main``."""
        repo = request.path_params["repo"]
        name, revision = (
            repo.lower().replace("/", "--"),
            request.path_params.get("revision", "main"),
        )
        snapshots = self._list(name)
        if not snapshots:
            raise _HubError("RepoNotFound", f"No snapshot of {repo} is served.")
        if revision == "main":
            return snapshots[0]
        matches = [one for one in snapshots if one.version.startswith(revision)]
        if not _PREFIX.fullmatch(revision) or len(matches) != 1:
            reason = self.mirror.index.explain(HUGGING_FACE.name, name, revision)
            raise _HubError("RevisionNotFound", f"{repo} has no {revision} here. {reason}".strip())
        return matches[0]

    def _describe(self, request: Request, snapshot: ItemRow) -> dict[str, Any]:
        name, time = request.path_params["repo"], format_time(snapshot.created_at)
        files = [{"rfilename": file.path, "size": file.size} for file in self._files(snapshot)]
        return {
            "id": name,
            "modelId": name,
            "sha": snapshot.version,
            "siblings": files,
            "lastModified": time,
            "createdAt": time,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "private": False,
            "gated": False,
            "disabled": False,
        }

    def _list_tree(self, request: Request, snapshot: ItemRow) -> list[dict[str, Any]]:
        folder = request.path_params.get("path", "").strip("/")
        prefix = f"{folder}/" if folder else ""
        files = [file for file in self._files(snapshot) if file.path.startswith(prefix)]
        if folder and not files:
            raise _HubError("EntryNotFound", f"There is no {folder}.", snapshot.version)
        if request.query_params.get("recursive", "").lower() in ("true", "1"):
            return [_describe_file(file) for file in files]
        return list(_list_folder(files, prefix))

    def _describe_refs(self, request: Request, snapshot: ItemRow) -> dict[str, Any]:
        del request
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": snapshot.version}
        return {"branches": [main], "tags": [], "converts": []}


def _spell(name: str) -> str:
    """Return a repository's id: bundles have two hyphens for the slash (format §2.4)."""
    return name.replace("--", "/", 1)


def _describe_file(file: File) -> dict[str, Any]:
    digest = file.digest.hex()
    large = {"oid": digest, "size": file.size, "pointerSize": _POINTER_BYTES}
    own = {"type": "file", "oid": digest[:_OID_DIGITS], "size": file.size, "path": file.path}
    return {**own, "lfs": large}


def _list_folder(files: Sequence[File], prefix: str) -> Iterator[dict[str, Any]]:
    """Yield what lies directly in a folder."""
    folders = set()
    for file in files:
        first, slash, _ = file.path.removeprefix(prefix).partition("/")
        if not slash:
            yield _describe_file(file)
        elif first not in folders:
            folders.add(first)
            yield {"type": "directory", "oid": "0" * _OID_DIGITS, "size": 0, "path": prefix + first}


async def _read_paths(request: Request) -> frozenset[str] | None:
    """Read the paths that a client asks for, from JSON or a form; None if there are none."""
    import json
    from urllib.parse import parse_qs

    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_PATHS:
            return None
    try:
        if "json" in request.headers.get("content-type", ""):
            paths = json.loads(body)["paths"]
        else:
            paths = parse_qs(body.decode()).get("paths")
        return frozenset([paths] if isinstance(paths, str) else paths)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _make_error(request: Request, error: AirgapError) -> Response:
    """Answer in the form from which clients make their exceptions."""
    if not isinstance(error, MissingError) or isinstance(error, NotReadyError):
        return make_error(request, error)
    code, commit = "EntryNotFound", ""
    if isinstance(error, _HubError):
        code, commit = error.code, error.commit
    headers = {"X-Error-Code": code, "X-Error-Message": encode_reason(error.message)}
    headers |= {REASON: encode_reason(error.message)}
    headers |= {"X-Repo-Commit": commit} if commit else {}
    return JSONResponse({"error": error.message}, HTTPStatus.NOT_FOUND, headers)


def _get_user(request: Request) -> Response:
    """Answer ``hf auth whoami``."""
    del request
    token = {"displayName": "airgap", "role": "read"}
    own = {"type": "user", "name": "airgap", "fullname": "airgap", "orgs": []}
    return JSONResponse({**own, "auth": {"type": "access_token", "accessToken": token}})
