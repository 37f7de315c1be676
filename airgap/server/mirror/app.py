"""All protocols on one port; their paths do not collide."""

from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from airgap.errors import AirgapError
from airgap.flow.serving.mirror import Mirror
from airgap.server.mirror import bentocloud, depot_files, hub, registry, simple_index
from airgap.server.mirror.answers import make_error
from airgap.server.mirror.console.routes import make_routes as make_console_routes
from airgap.server.mirror.extras import Extras
from airgap.server.mirror.host_gate import HostGate
from airgap.server.mirror.request_gate import RequestGate
from airgap.server.mirror.slow_gate import SlowGate
from airgap.server.mirror.token_gate import TokenGate
from airgap.server.mirror.tokens import TokenFile

__all__ = ["make_app"]

_NONE: Final = Extras()


def make_app(mirror: Mirror, tokens: TokenFile | None = None, extras: Extras = _NONE) -> ASGIApp:
    """Return the application that serves a mirror, to those who have one of the tokens.

    Those whose token permits it may push, if there is an inbox.
    """

    def get_health(request: Request) -> Response:
        del request
        bundles = mirror.index.list_bundles()
        served = sum(not row.reason for row in bundles)
        return JSONResponse({"served": served, "withheld": len(bundles) - served})

    inbox = None if extras.pushes is None else extras.pushes.inbox
    routes = [Route("/-/health", get_health), *make_console_routes(mirror, tokens, inbox)]
    routes += depot_files.make_routes(mirror)
    routes += bentocloud.make_routes(mirror, extras.pushes)
    for protocol in (registry, simple_index, hub):
        routes += protocol.make_routes(mirror)
    app = Starlette(routes=routes, exception_handlers={AirgapError: make_error})
    gate = SlowGate(HostGate(app) if tokens is None else TokenGate(app, tokens))
    return gate if extras.log is None else RequestGate(gate, extras.log)
