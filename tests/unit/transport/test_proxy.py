"""Which proxy HTTPS_PROXY and NO_PROXY choose, and what the option says."""

import pytest

from airgap.errors import ConfigurationError
from airgap.transport.open_transport import Login, open_transport
from airgap.transport.proxy import Proxy, find_proxy, name_ignored_variable, parse_proxy
from airgap.transport.s3.transport import S3Transport
from airgap.transport.url import parse

HOST = "depot.site.example"


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTP_PROXY": "http://other", "ALL_PROXY": "http://other"}, None),
        ({"HTTPS_PROXY": "http://proxy.example:3128"}, Proxy("proxy.example", 3128)),
        ({"HTTPS_PROXY": "proxy.example:3128"}, Proxy("proxy.example", 3128)),
        ({"HTTPS_PROXY": "http://proxy.example/"}, Proxy("proxy.example", 80)),
        ({"HTTPS_PROXY": "http://[::1]:3128"}, Proxy("::1", 3128)),
        ({"HTTPS_PROXY": "http://upper", "https_proxy": "http://lower"}, Proxy("lower", 80)),
        (
            {"HTTPS_PROXY": "http://ann%40x:p%3Aw@proxy:8080"},
            Proxy("proxy", 8080, "ann@x", "p:w"),
        ),
    ],
)
def test_the_variables_name_a_proxy(variables: dict[str, str], proxy: Proxy | None) -> None:
    assert find_proxy(variables, HOST, 443) == proxy


@pytest.mark.parametrize(
    ("exceptions", "direct"),
    [
        ("", False),
        ("*", True),
        ("site.example", True),
        (".site.example", True),
        ("*.site.example", True),
        ("other.example, SITE.EXAMPLE", True),
        ("depot.site.example:443", True),
        ("depot.site.example:8443", False),
        ("te.example", False),
        ("site.example.com", False),
        ("10.0.0.0/8", False),
        (",", False),
        ("depot.site.example:0443", True),
        ("a:" + "1" * 5000, False),
        ("depot.site.example:" + "4" * 5000, False),
    ],
)
def test_exceptions_are_names_and_all_below_them(exceptions: str, *, direct: bool) -> None:
    variables = {"HTTPS_PROXY": "http://proxy", "NO_PROXY": exceptions}

    assert (find_proxy(variables, HOST, 443) is None) == direct


@pytest.mark.parametrize(
    ("host", "exceptions", "direct"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("fd00::1", "fd00::/8", True),
        ("fd00::1", "[fd00::1]", True),
    ],
)
def test_exceptions_are_addresses_and_networks(host: str, exceptions: str, *, direct: bool) -> None:
    variables = {"https_proxy": "http://proxy", "no_proxy": exceptions}

    assert (find_proxy(variables, host, 443) is None) == direct


def test_a_variable_that_cannot_be_used_is_named_and_not_repeated() -> None:
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY does not name") as refused:
        find_proxy({"HTTPS_PROXY": "socks5://ann:geheim@proxy"}, HOST, 443)

    assert "geheim" not in f"{refused.value} {refused.value.hint}"


def test_the_option_names_a_proxy_and_the_variable_its_password() -> None:
    assert parse_proxy("http://ann@proxy:3128", "pw") == Proxy("proxy", 3128, "ann", "pw")
    assert "ann" not in str(parse_proxy("http://ann@proxy:3128", "pw"))
    assert "pw" not in repr(parse_proxy("http://ann@proxy:3128", "pw"))


def test_an_ignored_variable_is_worth_a_sentence() -> None:
    assert name_ignored_variable({}) == ""
    assert "HTTPS_PROXY is set" in name_ignored_variable({"HTTPS_PROXY": "http://proxy"})


def open_s3(**options: str) -> S3Transport:
    endpoint = {"endpoint": "https://depot.site.example", **options}
    transport = open_transport(parse("s3://bucket"), Login("ID", "KEY"), endpoint)
    assert isinstance(transport, S3Transport)
    return transport


def test_variables_count_only_where_the_option_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "")

    assert open_s3()._options.proxy is None
    assert open_s3(proxy="environment")._options.proxy == Proxy("proxy", 3128)
    monkeypatch.setenv("no_proxy", "site.example")
    assert open_s3(proxy="environment")._options.proxy is None


def test_a_server_without_tls_is_not_reached_through_a_proxy() -> None:
    with pytest.raises(ConfigurationError, match="is not encrypted, and is not reached"):
        open_s3(proxy="http://proxy", endpoint="http://127.0.0.1:9")


def test_a_variable_that_is_named_must_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)

    options = {"proxy": "http://ann@proxy", "proxy_password_env": "NOWHERE"}

    with pytest.raises(ConfigurationError, match="'NOWHERE', which proxy_password_env names"):
        open_s3(**options)


def test_a_key_needs_its_certificate() -> None:
    with pytest.raises(ConfigurationError, match="cert is not"):
        open_s3(key="client.key")
