"""Threat model: a registry that lies, or whoever answers in its place, gains nothing."""

from collections.abc import Iterator

import pytest

from airgap.errors import CorruptError, TransportError
from airgap.flow.location.credentials import Credentials
from tests.integration.image.test_push import (
    AMD,
    AMD_BLOBS,
    BIG,
    LAYERS,
    push,
    pusher,
    upload_of,
)
from tests.servers import fake_registry
from tests.servers.fake_registry import Answer, FakeRegistry, bearer, token
from tests.support.closure_items import hex_of
from tests.support.oci_images import install
from tests.support.sides import Side


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry.serve() as served:
        yield served


@pytest.fixture
def other() -> Iterator[FakeRegistry]:
    """Another server, which should hear nothing."""
    with fake_registry.serve() as served:
        yield served


@pytest.fixture
def shop(isolated: Side, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in isolated.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NETRC", "/nonexistent")
    return install(isolated, AMD, AMD_BLOBS)


ANNA = Credentials("anna", "secret")


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_an_upload_is_not_sent_to_another_server(
    method: str, registry: FakeRegistry, other: FakeRegistry
) -> None:
    for location in (
        f"http://{other.host}/v2/team/shop/blobs/uploads/1",
        f"//{other.host}/v2/x",
        "http://evil.example/v2/x",
        f"http://anna@{registry.host}/v2/x",
    ):
        registry.override = lambda asked, *_, to=location: (
            Answer(202, {"Location": to, "Range": "0-4095"}) if asked == method else None
        )
        with pytest.raises(TransportError, match="another server, which gets nothing"):
            pusher(registry).push_blob(upload_of(BIG))
    assert not other.requests


@pytest.mark.parametrize("location", ["", "http://[", "/a b\r\nx: y", "/é"])
def test_a_malformed_location_is_refused(location: str, registry: FakeRegistry) -> None:
    text = location.encode().decode("latin-1").replace("\r\n", "\r\n ")
    registry.override = lambda asked, *_: (
        Answer(202, {"Location": text}) if asked == "POST" else None
    )
    with pytest.raises(TransportError):
        pusher(registry).push_blob(upload_of(BIG))


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "PATCH"])
def test_no_redirect_is_followed(
    method: str, shop: str, registry: FakeRegistry, other: FakeRegistry
) -> None:
    registry.override = lambda asked, *_: (
        Answer(307, {"Location": f"http://{other.host}/"}) if asked == method else None
    )

    def push_all() -> None:
        push(shop, registry, credentials=ANNA)
        pusher(registry).push_blob(upload_of(BIG))

    with pytest.raises(TransportError, match="not followed"):
        push_all()
    assert not other.requests


def test_a_password_goes_only_where_a_person_said(
    shop: str, registry: FakeRegistry, other: FakeRegistry
) -> None:
    away = f"localhost:{other.port}"
    registry.challenge = bearer(away)
    other.override = lambda *_: token("t0ken")

    with pytest.raises(TransportError, match=f"sends us to {away} for a token"):
        push(shop, registry, credentials=ANNA)
    assert not other.requests
    assert not [h for *_, h in registry.requests if "authorization" in h]

    push(shop, registry, credentials=ANNA, token_hosts=[away])
    assert other.requests


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "Digest realm=x",
        "Bearer",
        'Bearer realm="ftp://127.0.0.1/x"',
        'Bearer realm="http://anna:x@127.0.0.1/x"',
        'Bearer realm="http://127.0.0.1:99999/x"',
        'Bearer realm="http://127.0.0.1/\x7f"',
        'Bearer realm="' + "x" * 5000 + '"',
        "Bearer realm=unquoted",
    ],
)
def test_a_challenge_that_is_malformed_is_refused(
    challenge: str, shop: str, registry: FakeRegistry
) -> None:
    registry.override = lambda *_: Answer(401, {"WWW-Authenticate": challenge})
    with pytest.raises(TransportError, match=r"login|token"):
        push(shop, registry, credentials=ANNA)
    assert not [h for *_, h in registry.requests if "authorization" in h]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"token":1}', b'{"token":"a b"}', b"[" * 10**5, b"x" * 10**6]
)
def test_what_is_not_a_token_is_refused(body: bytes, shop: str, registry: FakeRegistry) -> None:
    registry.challenge = bearer(registry.host)
    registry.override = lambda _, target, __: (
        Answer(200, body=body) if target.startswith("/token") else None
    )
    with pytest.raises(TransportError, match="does not answer with a token"):
        push(shop, registry, credentials=ANNA)


def test_a_registry_that_names_another_digest_is_refused(shop: str, registry: FakeRegistry) -> None:
    false = {"Docker-Content-Digest": "sha256:" + "0" * 64}
    for blob in (True, False):
        registry.override = lambda method, target, _, blob=blob: (  # type: ignore[misc]
            Answer(201, false) if method == "PUT" and ("/blobs/" in target) == blob else None
        )
        with pytest.raises(CorruptError, match="answered with the digest sha256:0000"):
            push(shop, registry)


def test_a_registry_that_stores_another_manifest_is_found_out(
    shop: str, registry: FakeRegistry
) -> None:
    def replace(method: str, target: str, _: bytes) -> Answer | None:
        if method == "GET" and target.endswith("/1.4") and "1.4" in registry.manifests:
            return Answer(200, body=b"{}")
        return None

    registry.override = replace
    with pytest.raises(CorruptError, match=r"under 1\.4"):
        push(shop, registry)


def test_a_blob_that_is_damaged_here_is_not_completed_there(
    isolated: Side, shop: str, registry: FakeRegistry
) -> None:
    name, version = shop.split(":")
    layer = isolated.bentoml / "images" / name / version / "blobs/sha256" / hex_of(LAYERS[0])
    layer.write_bytes(b"x" + LAYERS[0][1:])

    with pytest.raises(CorruptError, match="is damaged"):
        push(shop, registry)

    assert not registry.blobs
    assert not registry.manifests
    with pytest.raises(CorruptError, match="is damaged"):
        pusher(registry).push_blob(upload_of(BIG, "0" * 64))
    assert not registry.blobs


def test_an_answer_has_an_end(shop: str, registry: FakeRegistry) -> None:
    endless = {"Content-Length": str(10**15)}
    for method in ("GET", "POST"):
        registry.override = lambda asked, *_, method=method: (
            Answer(202, endless) if asked == method else None
        )
        with pytest.raises(TransportError):
            push(shop, registry)


def test_what_a_registry_says_cannot_control_a_terminal(shop: str, registry: FakeRegistry) -> None:
    said = b'{"errors":[{"code":"\\u001b[2J","message":"' + b"x" * 1000 + b'"}]}'
    registry.override = lambda *_: Answer(400, body=said)
    with pytest.raises(TransportError) as refused:
        push(shop, registry)
    (line,) = refused.value.details
    assert "\x1b" not in line
    assert len(line) == 200
