"""What cannot be sent as UTF-8 is refused where it is read, and by its name."""

# ruff: noqa: S106  (passwords of tests)

from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.errors import ConfigurationError
from airgap.flow.location.credentials import Credentials, log_in, log_in_to_host
from airgap.transport.ftp.options import FtpOptions
from airgap.transport.ftp.tls import make_context
from airgap.transport.open_transport import Login, open_transport
from airgap.transport.registry.options import RegistryOptions
from airgap.transport.registry.session import RegistrySession
from airgap.transport.s3.client import make_tls
from airgap.transport.s3.options import S3Options
from airgap.transport.tls import ClientCertificate
from airgap.transport.url import parse
from tests.servers.certificates import Authority

NOT_UTF_8 = "p\udcff\udcfess"  # as Python has the bytes p ff fe s s of a variable


def open_s3(**options: str) -> object:
    more = {"endpoint": "https://s3.ward", "cert": "/x", **options}
    return open_transport(parse("s3://models"), Login("ID", "KEY"), more)


@pytest.mark.parametrize(
    "read",
    [
        lambda: open_s3(passphrase_env="PW"),
        lambda: open_s3(proxy="http://ann@proxy", proxy_password_env="PW"),
        lambda: open_transport(
            parse("sftp://host/x"), Login("ann"), {"identity": "/x", "passphrase_env": "PW"}
        ),
        lambda: log_in(parse("ftp://host/x"), Credentials(password_env="PW"), {}, len),
        lambda: log_in(parse("ftp://host/x"), Credentials(), {"password_env": "PW"}, len),
    ],
)
def test_a_variable_whose_value_is_not_utf_8_is_named(
    read: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PW", NOT_UTF_8)

    with pytest.raises(ConfigurationError, match="variable 'PW' is not UTF-8") as refused:
        read()
    assert NOT_UTF_8 not in f"{refused.value.message}{refused.value.hint}"


def test_the_password_of_every_server_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRGAP_PASSWORD", NOT_UTF_8)

    with pytest.raises(ConfigurationError, match="variable 'AIRGAP_PASSWORD' is not UTF-8"):
        log_in(parse("ftp://host/x"), Credentials(), {}, len)
    with pytest.raises(ConfigurationError, match="variable 'AIRGAP_PASSWORD' is not UTF-8"):
        log_in_to_host("host", Credentials())


def make_ftp(ca: Path, client: ClientCertificate) -> object:
    certificate, key, passphrase = client.certificate, client.key, client.passphrase
    return make_context(
        FtpOptions(
            "host",
            ca_file=ca,
            client_certificate=certificate,
            client_key=key,
            client_passphrase=passphrase,
        )
    )


@pytest.mark.parametrize(
    "make",
    [
        make_ftp,
        lambda ca, client: make_tls(S3Options("bucket", ca_file=ca, client=client)),
        lambda ca, client: RegistrySession(
            RegistryOptions("host", ca_file=ca, client=client), "repository"
        ),
    ],
)
def test_a_passphrase_is_not_taken_for_the_ca(
    make: Callable[[Path, ClientCertificate], object], tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("client")
    client = ClientCertificate(issued.certificate, issued.key, NOT_UTF_8)

    with pytest.raises(ConfigurationError) as refused:
        make(authority.file, client)
    assert refused.value.message == f"The passphrase for {issued.key} is not UTF-8."


def test_a_path_of_a_key_is_not_taken_for_the_ca(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    client = ClientCertificate(Path("a\0b"))

    with pytest.raises(ConfigurationError, match=r"The client certificate a.* cannot be used"):
        make_tls(S3Options("bucket", ca_file=authority.file, client=client))
