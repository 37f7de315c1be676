"""The web server: uvicorn, which leaves signals to those who started it."""

import logging
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

__all__ = ["WebServer"]

_STOP_SECONDS: Final = 5
_CONNECTIONS: Final = 512
_REQUEST_SECONDS: Final = 30.0
"""For so long a connection may be open without a whole head of a request."""
_TICKS: Final = 10  # of a tenth of a second


class WebServer(uvicorn.Server):
    """Serves an application; set ``should_exit`` to end it. ``note`` takes the errors, as lines."""

    def __init__(
        self,
        app: ASGIApp,
        note: Callable[[str], object],
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Listen on nothing yet: sockets are given to ``run``. ``clock`` returns seconds."""
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
        self._clock = clock
        self._idle: dict[Any, tuple[object, float]] = {}
        """Connections that wait for a request: after which one, and since when."""
        for name in ("uvicorn.error", "asyncio"):
            logger = logging.getLogger(name)
            logger.handlers[:] = [_LineHandler(note)]
            logger.setLevel(logging.ERROR)
            logger.propagate = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Do what uvicorn does ten times a second; drop connections that send no request."""
        if counter % _TICKS == 0:
            self._drop_idle()
        return await super().on_tick(counter)

    def _drop_idle(self) -> None:
        """Drop connections that have sent no whole head of a request for too long."""
        now, known, self._idle = self._clock(), self._idle, {}
        for connection in list(self.server_state.connections):
            cycle = getattr(connection, "cycle", None)
            if cycle is not None and not cycle.response_complete:
                continue
            since = known.get(connection)
            if since is None or since[0] is not cycle:
                since = cycle, now
            if now - since[1] > _REQUEST_SECONDS and connection.transport is not None:
                connection.transport.abort()
            else:
                self._idle[connection] = since


class _LineHandler(logging.Handler):
    def __init__(self, note: Callable[[str], object]) -> None:
        super().__init__()
        self._take = note

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on as a line."""
        self._take(self.format(record))
