"""Who asks, as the request log notes it."""

from typing import Final

from starlette.types import Scope

from airgap.server.mirror.tokens import Token

__all__ = ["UPLOADS", "VISITOR", "note_visitor"]

UPLOADS: Final = "/-/upload/"
"""Below it, the id of an upload is the secret: stock clients send no token there."""
VISITOR: Final = "airgap.visitor"
"""In the scope of a request: a map that gets ``who`` it is."""


def note_visitor(scope: Scope, token: Token) -> None:
    """Let the request log know whose token a request has shown."""
    scope.setdefault(VISITOR, {})["who"] = token.name
