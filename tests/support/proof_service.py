"""A service that behaves as its words say: ``at-start``, ``at-request``, ``fails``, ``dies``.

``writes`` into its model, ``installs`` into its environment, ``caches`` in its home, ``tells``
where its models are.

It is run with a port and words, or, as the ``service.py`` of a Bento, with the words in
``words.txt`` beside it. It answers ``/readyz`` and ``/docs.json`` as BentoML does.
"""

import http.server
import json
import os
import sys
import urllib.request
from pathlib import Path

PORT, WORDS = int(sys.argv[1]), sys.argv[2:]
SCHEMA = {"properties": {"x": {"examples": [[3, 4]]}}, "required": ["x"]}
BODY = {"content": {"application/json": {"schema": SCHEMA}}}
DOCUMENT = {"paths": {"/norm": {"post": {"requestBody": BODY}}}}


def fetch(url: str) -> None:
    try:
        urllib.request.urlopen(url, timeout=5).close()  # noqa: S310
    except OSError as error:
        sys.stderr.write(f"{url}: {error}\n")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        if self.path == "/docs.json":
            self.wfile.write(json.dumps(DOCUMENT).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "at-request" in WORDS:
            fetch("https://lazy.example/weights.bin")
        self.send_response(500 if "fails" in WORDS else 200)
        self.end_headers()
        sys.stderr.write(f"asked for {body}\n")


def change_files() -> None:
    if "writes" in WORDS:
        model = Path(os.environ["BENTOML_HOME"], "models/ranker/v1/weights.bin")
        model.write_bytes(b"poison")
    if "installs" in WORDS:
        Path(sys.prefix, "extra.py").write_text("")
    if "caches" in WORDS:
        cache = Path.home() / ".cache/words"
        if cache.exists() or Path(sys.prefix, "extra.py").exists():
            sys.exit("another service was here")
        cache.write_text("")


def tell() -> None:
    models = Path(os.environ["BENTOML_HOME"], "models"), Path(os.environ["HF_HUB_CACHE"])
    for top in models:
        for folder, _, files in os.walk(top, followlinks=True):
            for path in (Path(folder, file) for file in files if file == "weights.bin"):
                sys.stderr.write(f"{path.stat().st_size} bytes in {path.resolve()}\n")
    for name in ("SHOP_KEY", "OTHER_KEY"):
        sys.stderr.write(f"{name}={os.environ.get(name)}\n")


def main() -> None:
    if not WORDS:
        WORDS.extend(Path(__file__).with_name("words.txt").read_text().split())
    if "at-start" in WORDS:
        fetch("http://start.example/encodings/x.tiktoken")
    change_files()
    if "tells" in WORDS:
        tell()
        sys.exit(1)
    if "dies" in WORDS:
        sys.exit("no encodings")
    http.server.HTTPServer(("127.0.0.1", PORT), Handler).serve_forever()


main()
