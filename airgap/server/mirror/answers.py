"""Answers that all protocols share: what is not served, what is refused, and what is read only."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from airgap.errors import AirgapError
from airgap.flow.serving.content import ServedContent
from airgap.flow.serving.mirror import Mirror, NotReadyError
from airgap.server.mirror.sending import Sendable

__all__ = ["REASON", "encode_reason", "make_body", "make_error"]

REASON = "X-Airgap-Reason"
"""The header that tells people why something is not served."""
_RETRY_SECONDS = "2"


def make_error(request: Request, error: Exception) -> Response:
    """Answer what a handler has raised: 503 if it is worth to ask again, else 404."""
    del request
    if not isinstance(error, AirgapError):
        raise error
    headers = {REASON: encode_reason(error.message)}
    if isinstance(error, NotReadyError):
        return PlainTextResponse(error.message, 503, {**headers, "Retry-After": _RETRY_SECONDS})
    status = 404 if error.kind == "missing" else 502
    return PlainTextResponse(error.message, status, headers)


def encode_reason(reason: str) -> str:
    """Make a sentence fit into a header: one line of ASCII."""
    shown = (letter if letter.isascii() and letter.isprintable() else "?" for letter in reason)
    return "".join(shown)


def make_body(mirror: Mirror, content: ServedContent) -> Sendable:
    """Return what sends content of a mirror."""
    return Sendable(
        content.etag,
        content.length,
        lambda start, stop: mirror.read(content, start, stop),
        mirror.note,
    )
