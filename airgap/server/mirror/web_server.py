"""The web server: uvicorn, which leaves signals to those who started it."""

import logging
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

__all__ = ["WebServer"]

_STOP_SECONDS: Final = 5
_CONNECTIONS: Final = 512


class WebServer(uvicorn.Server):
    """Serves an application; set ``should_exit`` to end it. ``note`` takes the errors, as lines."""

    def __init__(
        self, app: ASGIApp, note: Callable[[str], object], tls: ssl.SSLContext | None = None
    ) -> None:
        """Listen on nothing yet: sockets are given to ``run``."""
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        config.load()
        config.ssl = tls
        super().__init__(config)
        for name in ("uvicorn.error", "asyncio"):
            logger = logging.getLogger(name)
            logger.handlers[:] = [_LineHandler(note)]
            logger.setLevel(logging.ERROR)
            logger.propagate = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class _LineHandler(logging.Handler):
    def __init__(self, note: Callable[[str], object]) -> None:
        super().__init__()
        self._take = note

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on as a line."""
        self._take(self.format(record))
