"""The depot's own files below ``/-/depot``, for airgap's commands over ``https://``.

A folder is listed as nginx does it, in JSON, so that a plain web server can take this one's place.
"""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airgap.flow.serving.depot_files import DepotFiles
from airgap.flow.serving.mirror import Mirror
from airgap.server.mirror.sending import Download, Sendable

__all__ = ["make_routes"]

_PREFIX: Final = "/-/depot"


def make_routes(mirror: Mirror) -> list[Route]:
    """Return the routes of files and folders."""
    depot = _Depot(DepotFiles(mirror))
    return [
        Route(f"{_PREFIX}/{{folder:path}}/", depot.list_folder),
        Route(f"{_PREFIX}/{{name:path}}", depot.send_file),
    ]


@dataclass(frozen=True, slots=True)
class _Depot:
    """The files of one depot."""

    files: DepotFiles

    def list_folder(self, request: Request) -> Response:
        """List a folder."""
        names = self.files.list_names(request.path_params["folder"])
        return JSONResponse([{"name": name} for name in names])

    def send_file(self, request: Request) -> Response:
        """Send a file, or a range of it."""
        file = self.files.open(request.path_params["name"])
        note = self.files.mirror.note
        return Download(Sendable(file.etag, file.length, file.read, note), _HEADERS)


_HEADERS: Final = {"Cache-Control": "no-transform"}
