"""An object store behind a proxy that demands a login, and that demands a client certificate."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from airgap.errors import AirgapError, ConfigurationError, TransportError
from airgap.transport.open_transport import Login, open_transport
from airgap.transport.url import parse
from tests.servers.certificates import Authority, Issued
from tests.servers.connect_proxy import ConnectProxy
from tests.servers.fake_s3 import KEYS, Objects
from tests.servers.s3 import BUCKET
from tests.servers.scripted import Scripted
from tests.support import store_invariants
from tests.support.sides import Side, Site

PASSPHRASE = "correct horse"  # noqa: S105  (a test's)


@dataclass(frozen=True)
class Store:
    """An object store that demands a client certificate, and the CA of all certificates."""

    url: str
    authority: Authority
    server: Issued
    client: Issued


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    authority = Authority(tmp_path)
    server, client = authority.issue("server"), authority.issue("client")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.file)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.maximum_version = request.param
    tls.load_cert_chain(server.certificate, server.key)
    with Scripted(Objects().answer, tls=tls, persistent=True) as served:
        yield Store(served.url, authority, server, client)


def look(store: Store, **options: str) -> None:
    """Look for an object, with these options."""
    known = {"endpoint": store.url, "ca": str(store.authority.file), "timeout": "10", **options}
    transport = open_transport(parse(f"s3://{BUCKET}"), Login(KEYS.identity, KEYS.secret), known)
    try:
        assert transport.size("nothing") is None
    finally:
        transport.close()


def encrypt(key: Path) -> None:
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(PASSPHRASE.encode()),
        )
    )


def test_a_bundle_crosses_as_the_config_file_says(
    store: Store, small: Side, isolated: Side, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypt(store.client.key)
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS.identity)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS.secret)
    monkeypatch.setenv("CLIENT_PASSPHRASE", PASSPHRASE)
    with ConnectProxy("carrier:sesame") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://carrier:sesame@127.0.0.1:{proxy.port}")
        options = {
            "endpoint": store.url,
            "ca": store.authority.file,
            "proxy": "environment",
            "cert": store.client.certificate,
            "key": store.client.key,
            "passphrase_env": "CLIENT_PASSPHRASE",
        }
        words = [word for pair in options.items() for word in ("--option", "{}={}".format(*pair))]
        for side in (small, isolated):
            ran = side.run("remote", "add", "store", f"s3://{BUCKET}/depot", *words)
            assert ran.code == 0, ran.err

        exported = small.run("export", "shop:v1", "-o", "@store", "--key", site.key())
        imported = isolated.run("import", "@store")

        assert exported.code == 0, exported.err
        assert imported.code == 0, imported.err
        assert "sesame" not in f"{exported.out}{exported.err}{imported.out}{imported.err}"
        assert {f"https://{target}" for target in proxy.targets} == {store.url}
    assert store_invariants.items(isolated) == store_invariants.items(small)


def test_a_client_without_a_certificate_is_told_what_the_server_wants(store: Store) -> None:
    with pytest.raises(TransportError) as refused:
        look(store)

    assert "client certificate" in refused.value.message
    assert "cert" in refused.value.hint


@pytest.mark.parametrize("fault", ["expired", "another CA"])
def test_a_certificate_that_the_server_refuses_is_told(
    fault: str, store: Store, tmp_path: Path
) -> None:
    issued = (
        store.authority.issue("old", days=(-30, -1))
        if fault == "expired"
        else Authority(tmp_path, "other").issue("stranger")
    )

    with pytest.raises(TransportError) as refused:
        look(store, cert=str(issued.certificate), key=str(issued.key))

    expected = "has expired" if fault == "expired" else "does not accept the client certificate"
    assert expected in refused.value.message


def test_a_key_in_the_file_of_its_certificate_will_do(store: Store, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(store.client.certificate.read_bytes() + store.client.key.read_bytes())

    look(store, cert=str(both))


@pytest.mark.parametrize(
    ("passphrase", "text"),
    [
        (None, "is encrypted"),
        ("wrong", "passphrase is wrong"),
        ("x" * 2000, "more than 1,023 bytes"),
    ],
)
def test_an_encrypted_key_needs_its_passphrase(
    passphrase: str | None, text: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypt(store.client.key)
    options = {"cert": str(store.client.certificate), "key": str(store.client.key)}
    if passphrase is not None:
        monkeypatch.setenv("CLIENT_PASSPHRASE", passphrase)
        options |= {"passphrase_env": "CLIENT_PASSPHRASE"}

    with pytest.raises(ConfigurationError, match=text):
        look(store, **options)


def test_a_server_that_cannot_be_reached_reminds_of_the_ignored_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    options = {"endpoint": "https://127.0.0.1:9", "timeout": "5"}
    transport = open_transport(parse(f"s3://{BUCKET}"), Login("ID", "KEY"), options)

    with pytest.raises(AirgapError) as refused:
        transport.size("nothing")

    assert "HTTPS_PROXY is set, and not used without the option proxy" in refused.value.hint
