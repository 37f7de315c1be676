"""A registry for images: docker-registry (the distribution of CNCF), as most sites run it."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.servers.s3 import accepts, free_port, running, wait_until

__all__ = ["Registry", "serve"]

CONFIG = """
version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {top}/data}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"{tls}}}
{auth}
"""
ACCEPTED = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json,"
    " application/vnd.docker.distribution.manifest.v2+json"
)


@dataclass(frozen=True)
class Registry:
    """A registry on loopback, without encryption unless it was asked for."""

    port: int

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def manifest(self, repository: str, tag: str) -> bytes:
        """Fetch a manifest as it is stored."""
        request = Request(
            f"http://{self.host}/v2/{repository}/manifests/{tag}", headers={"Accept": ACCEPTED}
        )
        with urlopen(request, timeout=10) as answer:  # noqa: S310
            return bytes(answer.read())

    def tags(self, repository: str) -> list[str]:
        with urlopen(f"http://{self.host}/v2/{repository}/tags/list", timeout=10) as answer:
            return list(json.loads(answer.read())["tags"] or [])


@contextmanager
def serve(top: Path, auth: str = "", tls: str = "") -> Iterator[Registry]:
    """Start a registry; ``auth`` and ``tls`` are parts of its configuration."""
    if shutil.which("docker-registry") is None:
        pytest.skip("not installed: docker-registry")
    top.mkdir(exist_ok=True)
    port = free_port()
    config = top / "registry.yml"
    config.write_text(CONFIG.format(top=top, port=port, tls=tls, auth=auth))
    with running(["docker-registry", "serve", config], top / "registry.log"):
        wait_until(lambda: accepts(port), "the registry")
        yield Registry(port)
