"""The simple index, for ``pip`` and ``uv`` (PEP 503, 658, 691 and 700)."""

import hashlib
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from airgap.flow.serving.mirror import Mirror
from airgap.flow.serving.packages import ServedWheel, ServedWheels
from airgap.format.wheelhouse import normalize_name
from airgap.server.mirror.answers import make_body
from airgap.server.mirror.sending import Download
from airgap.times import format_time

__all__ = ["choose_form", "make_routes"]

_JSON: Final = "application/vnd.pypi.simple.v1+json"
_FORMS: Final = ("text/html", "application/vnd.pypi.simple.v1+html", _JSON)
_META: Final = {"api-version": "1.1"}
_METADATA: Final = ".metadata"
_PAGE: Final = """<!DOCTYPE html>
<html><head><meta name="pypi:repository-version" content="1.1"><title>{title}</title></head>
<body>
{links}
</body></html>
"""


def make_routes(mirror: Mirror) -> list[Route]:
    """Return the routes of the index, of wheels and of their METADATA."""
    index = _PackageIndex(ServedWheels(mirror))
    return [
        Route("/simple/", index.list_projects),
        Route("/simple/{project}/", index.list_wheels),
        Route("/simple/{project}", _redirect),
        Route("/files/{digest}/{name}", index.download),
    ]


@dataclass(frozen=True, slots=True)
class _PackageIndex:
    """The wheels of a mirror."""

    wheels: ServedWheels

    def list_projects(self, request: Request) -> Response:
        """List the packages."""
        names = list(self.wheels.list_projects())
        links = [f'<a href="{name}/">{name}</a>' for name in names]
        data = {"meta": _META, "projects": [{"name": name} for name in names]}
        return _answer(request, "simple", links, data)

    def list_wheels(self, request: Request) -> Response:
        """List the wheels of one package."""
        project = request.path_params["project"]
        if project != normalize_name(project):
            return _redirect(request)
        wheels = self.wheels.list_projects().get(project)
        if not wheels:
            return PlainTextResponse(f"No {project} is served.", HTTPStatus.NOT_FOUND)
        files = [self._describe(wheel) for wheel in wheels]
        versions = sorted({wheel.version for wheel in wheels})
        data = {"meta": _META, "name": project, "files": files, "versions": versions}
        return _answer(request, project, map(_make_link, files), data)

    def download(self, request: Request) -> Response:
        """Send a wheel, or its METADATA."""
        name, digest = request.path_params["name"], request.path_params["digest"]
        wheel = self.wheels.find(name.removesuffix(_METADATA), digest)
        content = self.wheels.open(wheel) if wheel else None
        if wheel is None or content is None:
            return PlainTextResponse(f"No {name} is served.", HTTPStatus.NOT_FOUND)
        if name.endswith(_METADATA):
            return Response(self.wheels.read_metadata(wheel), media_type="text/plain")
        return Download(make_body(self.wheels.mirror, content))

    def _describe(self, wheel: ServedWheel) -> dict[str, Any]:
        digest = wheel.file.digest.hex()
        described: dict[str, Any] = {
            "filename": wheel.name,
            "url": f"../../files/{digest}/{quote(wheel.name)}",
            "hashes": {"sha256": digest},
            "size": wheel.file.size,
            "upload-time": format_time(wheel.row.created_at),
            "yanked": False,
        }
        if metadata := self.wheels.read_metadata(wheel):
            hashes = {"sha256": hashlib.sha256(metadata).hexdigest()}
            described |= {"core-metadata": hashes, "dist-info-metadata": hashes}
        if python := self.wheels.read_python(wheel):
            described["requires-python"] = python
        return described


def choose_form(accept: str) -> str | None:
    """Return the media type that a client prefers of those we have; None if it takes none."""
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        media_type, *parameters = (word.strip() for word in part.split(";"))
        matching = [form for form in _FORMS if _matches(media_type, form)]
        for form in matching:
            weights[form] = max(weights.get(form, 0.0), _read_weight(parameters))
    best = max(weights, key=lambda form: (weights[form], -_FORMS.index(form)), default=None)
    return best if best is not None and weights[best] > 0 else None


def _matches(media_type: str, form: str) -> bool:
    return media_type in (form, "*/*", form.partition("/")[0] + "/*")


def _read_weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return min(max(float(parameter[2:]), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def _answer(request: Request, title: str, links: Iterable[str], data: dict[str, Any]) -> Response:
    form, headers = choose_form(request.headers.get("accept", "*/*")), {"Vary": "Accept"}
    if form is None:
        text = f"This index answers as {', '.join(_FORMS)}."
        return PlainTextResponse(text, HTTPStatus.NOT_ACCEPTABLE, headers)
    if form == _JSON:
        return JSONResponse(data, headers=headers, media_type=_JSON)
    page = _PAGE.format(title=html.escape(title), links="<br>\n".join(links))
    return Response(page, headers=headers, media_type=form)


def _make_link(file: dict[str, Any]) -> str:
    """Return the link of PEP 503 for what PEP 691 says of a file."""
    attributes = {"href": f"{file['url']}#sha256={file['hashes']['sha256']}"}
    if "core-metadata" in file:
        digest = f"sha256={file['core-metadata']['sha256']}"
        attributes |= {"data-core-metadata": digest, "data-dist-info-metadata": digest}
    if "requires-python" in file:
        attributes["data-requires-python"] = file["requires-python"]
    text = " ".join(f'{name}="{html.escape(value)}"' for name, value in attributes.items())
    return f"<a {text}>{html.escape(file['filename'])}</a>"


def _redirect(request: Request) -> Response:
    """Send a client to the one spelling of a package's name."""
    name = normalize_name(request.path_params["project"])
    begin = request.scope.get("root_path", "")
    return RedirectResponse(f"{begin}/simple/{quote(name)}/", HTTPStatus.MOVED_PERMANENTLY)
