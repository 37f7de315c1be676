"""A package index on the loopback, and packages of a few hundred bytes.

``python -m tests.support.package_index FOLDER`` prints the URL of an index of the files in a folder
and serves it until it is killed: also where no other process of the tests can be reached.
"""

import base64
import contextlib
import hashlib
import io
import json
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from airgap.format.wheelhouse import normalize_name

FILES_TYPE = "application/vnd.pypi.simple.v1+json"

BACKEND = '''\
"""Builds a wheel without any other package."""
import os, time, zipfile

NAME, VERSION, TAG = {name!r}, {version!r}, {tag!r}
INFO = f"{{NAME}}-{{VERSION}}.dist-info"
METADATA = f"Metadata-Version: 2.1\\nName: {{NAME}}\\nVersion: {{VERSION}}\\n"


def build_wheel(directory, config_settings=None, metadata_directory=None):
    file = f"{{NAME}}-{{VERSION}}-{{TAG}}.whl"
    moment = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))[:6]
    with zipfile.ZipFile(os.path.join(directory, file), "w") as archive:
        for path, text in (
            (f"{{NAME}}.py", f"BUILT = {{moment}}\\n"),
            (f"{{INFO}}/METADATA", METADATA),
            (f"{{INFO}}/WHEEL", f"Wheel-Version: 1.0\\nGenerator: test\\nTag: {{TAG}}\\n"),
            (f"{{INFO}}/RECORD", ""),
        ):
            archive.writestr(zipfile.ZipInfo(path, moment), text)
    return file
'''


def make_wheel(
    name: str, version: str = "1.0", tag: str = "py3-none-any", requires: Sequence[str] = ()
) -> tuple[str, bytes]:
    """Make a wheel, the same every time; return its file name and bytes.

    A requirement with an extra names it in its marker, as ``x; extra == "fast"``.
    """
    info = f"{name}-{version}.dist-info"
    lines = [f"Name: {name}", f"Version: {version}"]
    for requirement in requires:
        if "extra ==" in requirement:
            extra = requirement.partition("extra ==")[2].strip(' "')
            lines.append(f"Provides-Extra: {extra}")
        lines.append(f"Requires-Dist: {requirement}")
    members = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": "\n".join(["Metadata-Version: 2.1", *lines, ""]),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    members[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*members, f"{info}/RECORD"])
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in members.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return f"{name}-{version}-{tag}.whl", made.getvalue()


def make_sdist(name: str, version: str = "1.0", tag: str = "py3-none-any") -> tuple[str, bytes]:
    """Make a source distribution that brings its own builder of wheels."""
    project = (
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\n'
    )
    metadata = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n"
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for path, text in (
            ("pyproject.toml", project),
            ("backend.py", BACKEND.format(name=name, version=version, tag=tag)),
            ("PKG-INFO", metadata),
        ):
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return f"{name}-{version}.tar.gz", made.getvalue()


class FolderOfFiles(Mapping[str, bytes]):
    """The files of a folder by name, each read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(path.name for path in self.folder.iterdir()))

    def __getitem__(self, name: str) -> bytes:
        if name not in self.names:
            raise KeyError(name)
        return (self.folder / name).read_bytes()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


@dataclass
class PackageIndex:
    """An index: PEP 691 with sizes (PEP 700), and the files.

    ``private`` are the names of packages whose pages and files want Basic authentication as
    ``user`` and ``password``; those in ``redirected`` send the reader of a file to another address.
    ``tampered`` are files whose bytes are others than the page says, and ``urls`` what the page
    says of where a file is.
    """

    files: Mapping[str, bytes]
    private: frozenset[str] = frozenset()
    redirected: frozenset[str] = frozenset()
    tampered: Mapping[str, bytes] = field(default_factory=dict)
    urls: Mapping[str, str] = field(default_factory=dict)
    user: str = "joe"
    password: str = "s3cret-of-joe"  # noqa: S105
    port: int = 0
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Host, path and credentials of every request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/simple"

    @property
    def authorization(self) -> str:
        pair = f"{self.user}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    def page(self, name: str) -> bytes | None:
        found = [
            {
                "filename": file,
                "url": self.urls.get(file, f"/files/{file}"),
                "hashes": {"sha256": hashlib.sha256(data := self.files[file]).hexdigest()},
                "size": len(data),
            }
            for file in self.files
            if _package_of(file) == name
        ]
        document = {"meta": {"api-version": "1.1"}, "name": name, "files": found}
        return json.dumps({**document, "versions": []}).encode() if found else None


def _package_of(file: str) -> str:
    if file.endswith(".whl"):
        return normalize_name(file.partition("-")[0])
    return normalize_name(file.removesuffix(".tar.gz").rpartition("-")[0])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_GET(self) -> None:
        index = self.server.index
        path = unquote(urlsplit(self.path).path).strip("/")
        given = self.headers.get("Authorization")
        host = self.headers.get("Host", "").partition(":")[0]
        index.requests.append((host, path, given))
        kind, _, name = path.partition("/")
        package = _package_of(name) if kind == "files" else name
        if kind == "files" and package in index.redirected and host == "127.0.0.1":
            self._answer(302, location=f"http://127.0.0.2:{index.port}/{path}")
        elif package in index.private and host == "127.0.0.1" and given != index.authorization:
            self._answer(401)
        elif kind == "simple" and (page := index.page(name)) is not None:
            self._answer(200, page, FILES_TYPE)
        elif kind == "files" and name in index.files:
            self._answer(200, index.tampered.get(name, index.files[name]))
        else:
            self._answer(404)

    do_HEAD = do_GET  # noqa: N815  (the library's name)

    def _answer(
        self,
        status: int,
        body: bytes = b"",
        kind: str = "application/octet-stream",
        location: str = "",
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="packages"')
        if location:
            self.send_header("Location", location)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    index: PackageIndex


@contextlib.contextmanager
def serve(index: PackageIndex) -> Iterator[PackageIndex]:
    """Serve an index on all addresses of the loopback until the block ends."""
    server = _Server(("", 0), _Handler)
    server.index = index
    index.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)


def main() -> None:
    """Serve a folder."""
    index = PackageIndex(FolderOfFiles(Path(sys.argv[1])))
    server = _Server(("127.0.0.1", 0), _Handler)
    server.index, index.port = index, server.server_port
    sys.stdout.write(f"{index.url}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
