"""Who may pull from a mirror: those with a token, in the dresses of all clients, over TLS."""

import base64
import http.client
import os
import signal
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from airgap.errors import ConfigurationError, UsageError
from airgap.flow.location.connector import LOCAL
from airgap.flow.location.location import parse_depot
from airgap.flow.serving.mirror import Mirror
from airgap.server.mirror.server import ClientTerms, open_server
from airgap.server.mirror.tokens import TokenFile, make_secret
from tests.servers.certificates import Authority, Issued
from tests.support import store_invariants
from tests.support.mirrors import RunningMirror, running
from tests.support.sides import Side, unmeasured_environment

MODELS = "/api/v1/models"


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    return tmp_path / "tokens.toml"


@pytest.fixture
def secret(connected: Side, tokens: Path) -> str:
    return add_token(connected, tokens, "node7")


def add_token(side: Side, tokens: Path, name: str, *options: str) -> str:
    """Make a token, and permit it as the documentation says."""
    ran = side.run("serve", "make-token", name, *options)
    assert ran.code == 0, ran.err
    with tokens.open("a") as file:
        file.write(ran.out)
    return ran.err.split(": ")[1].strip()


@pytest.fixture
def mirror(isolated: Side, depot: Path, tokens: Path, secret: str) -> Iterator[RunningMirror]:
    del secret
    with running(isolated, depot, ClientTerms(tokens=tokens)) as mirror:
        yield mirror


@pytest.fixture(scope="module")
def open_mirror(
    _trusting: Side, _exported: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningMirror]:
    """A mirror that asks for no token."""
    side = store_invariants.copy(_trusting, tmp_path_factory.mktemp("open") / "isolated")
    with running(side, _exported / "depot") as mirror:
        yield mirror


def ask(
    mirror: RunningMirror, headers: dict[str, str], path: str = MODELS
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(urlsplit(mirror.url).netloc, timeout=60)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def dress(secret: str) -> list[dict[str, str]]:
    """Return the headers of bentoml, huggingface_hub, and pip or skopeo."""
    basic = base64.b64encode(f"anyone:{secret}".encode()).decode()
    return [
        {"X-YATAI-API-TOKEN": secret},
        {"Authorization": f"Bearer {secret}"},
        {"Authorization": f"Basic {basic}"},
    ]


def test_a_token_is_taken_in_every_dress(mirror: RunningMirror, secret: str) -> None:
    assert [ask(mirror, headers)[0].status for headers in dress(secret)] == [200] * 3


@pytest.mark.parametrize("path", [MODELS, "/v2/", "/simple/", "/api/models", "/none", "//-/health"])
def test_without_a_token_nobody_learns_what_there_is(
    mirror: RunningMirror, secret: str, path: str
) -> None:
    wrong = [*dress(secret[:-1]), *dress(""), {"Authorization": "Basic ?"}, {}]
    for headers in wrong:
        answer, data = ask(mirror, headers, path)
        assert answer.status == 401
        assert answer.getheader("WWW-Authenticate") == 'Basic realm="airgap"'
        assert b"shop" not in data
    assert ask(mirror, {}, "/-/health")[0].status == 200


def test_a_token_ends_when_it_expires_and_when_its_lines_are_removed(
    connected: Side, tokens: Path, secret: str
) -> None:
    short = add_token(connected, tokens, "visitor", "--expires", "12h")
    file = TokenFile(tokens)
    end = tomllib.loads(tokens.read_text())["visitor"]["expires"].timestamp()
    found = file.find(short, end)
    assert found is not None
    assert found.name == "visitor"
    assert file.find(short, end + 1) is None
    assert file.find(secret, end + 1) is not None

    tokens.write_text("")
    assert file.find(secret, 0) is None


def test_a_file_that_cannot_be_used_any_more_permits_nobody(tokens: Path, secret: str) -> None:
    file = TokenFile(tokens)
    text = tokens.read_text()
    tokens.write_text("nonsense")
    assert file.find(secret, 0) is None
    tokens.unlink()
    assert file.find(secret, 0) is None
    tokens.write_text(text)
    assert file.find(secret, 0) is not None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[a", "not a file of tokens"),
        ("a = 1", "must have sha256 and scope"),
        ('[a]\nsha256 = "00"\nscope = "read"', "64 hex digits"),
        (f'[a]\nsha256 = "{"0" * 64}"\nscope = "write"', "is not one of read"),
        (f'[a]\nsha256 = "{"0" * 64}"\nscope = "read"\nrole = 1', "may have expires"),
        (f'[a]\nsha256 = "{"0" * 64}"\nscope = "read"\nexpires = 2030-01-01', "with its zone"),
    ],
)
def test_a_wrong_file_of_tokens_is_refused(tokens: Path, text: str, problem: str) -> None:
    tokens.write_text(text)
    with pytest.raises(ConfigurationError, match=problem):
        TokenFile(tokens)


def test_a_missing_file_of_tokens_is_refused(tokens: Path) -> None:
    with pytest.raises(ConfigurationError, match="Cannot read"):
        TokenFile(tokens)


def test_tokens_differ_and_are_not_stored(connected: Side, tokens: Path) -> None:
    secrets = {add_token(connected, tokens, f"node{number}") for number in range(3)}
    assert len(secrets | {make_secret()}) == 4
    assert not any(secret in tokens.read_text() for secret in secrets)
    assert connected.run("serve", "make-token", "Not A Name").code != 0


def test_over_tls_stock_bentoml_pulls_with_its_token_which_is_told_to_nobody(
    isolated: Side, depot: Path, tokens: Path, secret: str, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("mirror")
    with running(isolated, depot, ClientTerms(issued.certificate, issued.key, tokens)) as mirror:
        assert mirror.url.startswith("https://")
        environment = {
            **unmeasured_environment(),
            "BENTOML_HOME": str(tmp_path / "home"),
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTO_CLOUD_API_ENDPOINT": mirror.url,
            "SSL_CERT_FILE": str(authority.file),
        }
        pull = [sys.executable, "-m", "bentoml", "models", "pull", "ranker:v1"]
        codes = [
            subprocess.run(
                pull,
                env={**environment, "BENTO_CLOUD_API_KEY": key},
                capture_output=True,
                check=False,
                timeout=120,
            ).returncode
            for key in ("wrong", secret)
        ]
    assert codes[0] != 0
    assert codes[1] == 0
    assert (tmp_path / "home/models/ranker/v1/weights.bin").exists()
    assert not any(secret in line for line in mirror.lines)


def test_a_depot_without_bundles_is_named(isolated: Side, tmp_path: Path) -> None:
    """It may be a path that was mistyped."""
    with running(isolated, tmp_path / "absent") as mirror:
        pass
    assert f"{tmp_path / 'absent'} has no bundle yet." in mirror.lines[0]


def test_a_renewed_certificate_is_taken_and_an_unfit_one_is_not(
    isolated: Side, depot: Path, tokens: Path, secret: str, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    old, new = authority.issue("old"), authority.issue("new")
    place = authority.issue("served")

    def show(mirror: RunningMirror) -> str:
        """Return the certificate that a new connection is shown, as PEM."""
        mirror.server.renew_certificate()
        port = urlsplit(mirror.url).port
        assert port is not None
        return ssl.get_server_certificate(("127.0.0.1", port))

    def serve(issued: Issued) -> None:
        place.key.write_bytes(issued.key.read_bytes())
        place.certificate.write_bytes(issued.certificate.read_bytes())

    del secret
    serve(old)
    with running(isolated, depot, ClientTerms(place.certificate, place.key, tokens)) as mirror:
        assert show(mirror) == old.certificate.read_text()
        place.key.write_text("no key")
        assert show(mirror) == old.certificate.read_text()
        assert "The one before stays." in mirror.lines[-1]
        serve(new)
        assert show(mirror) == new.certificate.read_text()


def test_old_tls_is_refused(tmp_path: Path) -> None:
    issued = Authority(tmp_path).issue("mirror")
    context = ClientTerms(issued.certificate, issued.key).make_tls()
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    one, other = Authority(tmp_path).issue("one"), Authority(tmp_path, "b").issue("other")
    with pytest.raises(UsageError, match="belong together"):
        ClientTerms(one.certificate).make_tls()
    with pytest.raises(ConfigurationError, match="cannot be used with the key"):
        ClientTerms(one.certificate, other.key).make_tls()
    with pytest.raises(ConfigurationError, match="No such file"):
        ClientTerms(tmp_path / "none", other.key).make_tls()


def test_the_command_serves_until_it_is_stopped(isolated: Side, depot: Path) -> None:
    command = [sys.executable, "-m", "airgap", "serve", "mirror", str(depot)]
    with subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0"],
        env={**os.environ, **isolated.environment},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            url = next(line for line in lines if "Serving" in line).split()[-1]
            assert next(line for line in lines if "#" in line).endswith("served\n")
            connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
            connection.request("GET", MODELS)
            assert connection.getresponse().status == 200
            connection.close()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.stderr.read().endswith("Stopped.\n")
        assert process.wait(60) == 0


def test_a_port_that_is_in_use_is_told(mirror: RunningMirror, isolated: Side, depot: Path) -> None:
    ran = isolated.run("serve", "mirror", depot, "--listen", urlsplit(mirror.url).netloc)
    assert ran.code == 3
    assert "Choose another port" in ran.err


def test_a_bug_in_the_examination_ends_the_service(
    isolated: Side, depot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Mirror, "keep_up", fail)
    location, listen = parse_depot(str(depot)), ("127.0.0.1", 0)
    with (
        isolated.here(),
        open_server(location, LOCAL, listen, ClientTerms(), print) as server,
        pytest.raises(RuntimeError, match="a bug"),
    ):
        server.serve()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *((name, 200) for name in ("127.0.0.1", "127.0.0.1:8640", "localhost:1", "LOCALHOST.")),
        *((name, 200) for name in ("[::1]:8640", "[::1]", "127.3.2.1")),
        *((name, 421) for name in ("evil.example", "evil.example:8640", "10.0.0.1", "[fe80::1]:1")),
        *((name, 421) for name in ("127.0.0.1.evil.example", "localhost.evil.example", ":", "[")),
    ],
)
def test_without_tokens_only_names_of_this_machine_are_answered(
    open_mirror: RunningMirror, host: str, status: int
) -> None:
    """Else a page of another site, whose name leads here, could read it all (DNS rebinding)."""
    for path in (MODELS, "/console/ledger", "/-/depot/bundles/"):
        assert ask(open_mirror, {"Host": host}, path)[0].status == status
