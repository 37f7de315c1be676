"""Stands for the Hugging Face Hub while the demo builds: it says which commit a revision is."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from airgap.flow.demo.server import LOOPBACK

__all__ = ["serve_hub"]

_QUESTION: Final = re.compile(r"/api/models/([\w.-]+/[\w.-]+)/revision/([\w.-]+)")
_POLL_SECONDS: Final = 0.05
_STOP_SECONDS: Final = 20.0


class _Hub(BaseHTTPRequestHandler):
    cache = Path()

    def do_GET(self) -> None:
        """Answer with the commit that the cache has for a model's revision."""
        match = _QUESTION.match(self.path)
        body = b""
        if match:
            repository, revision = match.groups()
            folder = self.cache / f"models--{repository.replace('/', '--')}"
            with suppress(OSError):
                commit = (folder / "refs" / revision).read_text()
                body = json.dumps({"id": repository, "sha": commit, "siblings": []}).encode()
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def serve_hub(cache: Path) -> Iterator[str]:
    """Serve what a cache knows of its models on the loopback; give the URL."""
    server = ThreadingHTTPServer((LOOPBACK, 0), type("_Hub", (_Hub,), {"cache": cache}))
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(_STOP_SECONDS)
