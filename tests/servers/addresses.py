"""What a person would type to reach a server of the tests: a named remote in the config file."""

import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.servers.fake_web import WebFolders
from tests.servers.folder_on_server import Server
from tests.servers.ftp import FtpServer
from tests.servers.nginx import LOGIN, NginxServer
from tests.servers.proxy import Proxy
from tests.servers.s3 import BUCKET, S3Server
from tests.servers.ssh import SshServer

__all__ = ["Address", "address_of"]


@dataclass(frozen=True)
class Address:
    """A folder's URL, and the environment with the config file that names it and the password."""

    url: str
    environment: dict[str, str]

    def __str__(self) -> str:
        return "@server"

    def of(self, below: str) -> str:
        """Return the location of what is below the folder."""
        return f"{self}/{below}"

    def bundle(self, bundle: str) -> str:
        """Return the location of a bundle of the depot."""
        return f"{self}#{bundle}"


def address_of(server: Server, folder: str, config: Path, proxy: Proxy | None = None) -> Address:
    """Write into a config file how a folder is reached, through a proxy if one is given."""
    url, options, environment = _find_address(server, folder, proxy)
    config.write_text(f"[remotes.server]\nurl = {json.dumps(f'{url}?{options}')}\n")
    return Address(url, environment | {"AIRGAP_CONFIG": str(config)})


def _find_address(
    server: Server, folder: str, proxy: Proxy | None
) -> tuple[str, str, dict[str, str]]:
    """Return a folder's URL, its options, and the environment that holds the password."""
    if isinstance(server, FtpServer):
        scheme = {"none": "ftp", "explicit": "ftpes", "implicit": "ftps"}[server.security]
        host = proxy.address if proxy else "127.0.0.1"
        ca = "" if scheme == "ftp" else f"&ca={quote(str(server.authority.file))}"
        url = f"{scheme}://{server.user}@{host}:{server.port}/{folder}"
        return url, f"timeout=20{ca}", {"AIRGAP_PASSWORD": server.password}
    if isinstance(server, SshServer):
        options = server.options(folder, proxy.port if proxy else server.port)
        url = f"sftp://{options.user}@127.0.0.1:{options.port}{quote(options.folder)}"
        given = f"identity={quote(str(server.key))}&known_hosts={quote(str(options.known_hosts))}"
        return url, f"{given}&agent=no", {}
    if isinstance(server, WebFolders):
        port = proxy.port if proxy else server.port
        return f"http://127.0.0.1:{port}/{folder}", "timeout=20", {}
    if isinstance(server, NginxServer):
        user, password = LOGIN
        url = f"https://{user}@127.0.0.1:{proxy.port if proxy else server.port}/{folder}"
        ca = f"ca={quote(str(server.authority.file))}"
        return url, f"timeout=20&{ca}", {"AIRGAP_PASSWORD": password}
    assert isinstance(server, S3Server)
    endpoint = f"http://127.0.0.1:{proxy.port if proxy else server.port}"
    identity, secret = server.keys.identity, server.keys.secret
    keys = {"AWS_ACCESS_KEY_ID": identity, "AWS_SECRET_ACCESS_KEY": secret}
    said = f"endpoint={quote(endpoint, safe='')}" + "&conditional=no" * (not server.conditional)
    return f"s3://{BUCKET}/{folder}", said, keys
