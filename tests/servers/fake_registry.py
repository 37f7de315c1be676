"""A registry in this process, which can be told to misbehave. It remembers what it was asked."""

import hashlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["Answer", "FakeRegistry", "serve"]


@dataclass
class Answer:
    """A status, headers and a body."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class FakeRegistry:
    """What the server holds; ``override`` answers in its place, or returns None."""

    port: int = 0
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    override: Callable[[str, str, bytes], Answer | None] = lambda *_: None
    password: str = ""
    """If set, Basic authentication of ``anna``."""
    challenge: str = ""
    """If set, what is answered without an ``Authorization``."""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def asked(self) -> list[str]:
        """Methods and paths, without queries and digests."""
        return [f"{method} {target.partition('?')[0]}" for method, target, _ in self.requests]

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """Do as the specification says."""
        self.requests.append((method, target, headers))
        instead = self.override(method, target, body)
        if instead is not None:
            return instead
        if self.challenge and "authorization" not in headers:
            return Answer(401, {"WWW-Authenticate": self.challenge})
        parts = urlsplit(target)
        kind, name = parts.path.split("/")[-2:]
        if kind == "manifests":
            return self._answer_manifest(method, name, body)
        if "uploads" in parts.path:
            return self._answer_upload(method, name, parse_qs(parts.query), headers, body)
        digest = name.removeprefix("sha256:")
        if digest not in self.blobs:
            return Answer(404)
        return Answer(200, {"Content-Length": str(len(self.blobs[digest]))})

    def _answer_manifest(self, method: str, name: str, body: bytes) -> Answer:
        if method == "PUT":
            self.manifests[name] = body
            digest = hashlib.sha256(body).hexdigest()
            self.manifests[f"sha256:{digest}"] = body
            return Answer(201, {"Docker-Content-Digest": f"sha256:{digest}"})
        if name not in self.manifests:
            return Answer(404, body=b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        return Answer(200, body=self.manifests[name])

    def _answer_upload(
        self, method: str, name: str, query: dict[str, Any], headers: dict[str, str], body: bytes
    ) -> Answer:
        if method == "POST":
            name = str(len(self.uploads) + 1)
            self.uploads[name] = b""
        elif name not in self.uploads:
            return Answer(404)
        if method == "PATCH":
            begin = int(headers["content-range"].partition("-")[0])
            if begin != len(self.uploads[name]):
                return Answer(416)
        self.uploads[name] += body
        location = {"Location": f"/v2/team/shop/blobs/uploads/{name}"}
        if method == "PUT":
            data = self.uploads.pop(name)
            digest = hashlib.sha256(data).hexdigest()
            if query["digest"] != [f"sha256:{digest}"]:
                return Answer(400, body=b'{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}')
            self.blobs[digest] = data
            return Answer(201, {"Docker-Content-Digest": f"sha256:{digest}", **location})
        arrived = {"Range": f"0-{max(0, len(self.uploads[name]) - 1)}"}
        return Answer(204 if method == "GET" else 202, {**location, **arrived})


def _make_handler(registry: FakeRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): text for name, text in self.headers.items()}
            answer = registry.answer(self.command, self.path, headers, body)
            if answer.status == 0:  # hangs up
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, text in answer.headers.items():
                self.send_header(name, text)
            if "Content-Length" not in answer.headers:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = handle_any  # noqa: N815  (the library's)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the library's)
            """Say nothing."""

    return Handler


@contextmanager
def serve(tls: ssl.SSLContext | None = None) -> Iterator[FakeRegistry]:
    registry = FakeRegistry()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _make_handler(registry))
    if tls is not None:  # the handshake is of the handler's thread
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    registry.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)


def bearer(host: str) -> str:
    """A challenge that sends people to a host for a token."""
    return f'Bearer realm="http://{host}/token",service="registry",scope="repository:other:push"'


def token(text: str) -> Answer:
    return Answer(200, body=json.dumps({"token": text}).encode())
