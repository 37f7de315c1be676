"""`airgap image push`: blobs, then manifests, the tag last; what is there is not sent again."""

import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import MissingError, TransportError, UsageError
from airgap.flow.image.push_image import PushOptions, parse_target, push_image
from airgap.flow.location.credentials import Credentials
from airgap.flow.progress import Silent
from airgap.transport.registry.options import RegistryOptions
from airgap.transport.registry.push import BlobUpload, RegistryPusher
from airgap.transport.registry.session import RegistrySession
from airgap.transport.retry import RetryPolicy
from tests.servers import fake_registry
from tests.servers.certificates import Authority
from tests.servers.connect_proxy import ConnectProxy
from tests.servers.fake_registry import Answer, FakeRegistry, bearer, token
from tests.support import oci_images, refusals, stores
from tests.support.closure_items import hex_of
from tests.support.oci_images import install
from tests.support.sides import Side

LAYERS = (stores.noise(50_000), b"second")
AMD, AMD_BLOBS = oci_images.image_for("amd64", *LAYERS)
ARM, ARM_BLOBS = oci_images.image_for("arm64", LAYERS[1])
INDEX = oci_images.index_of((AMD, "linux/amd64"), (ARM, "linux/arm64"))


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry.serve() as served:
        yield served


@pytest.fixture
def shop(isolated: Side, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in isolated.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NETRC", "/nonexistent")
    return install(isolated, AMD, AMD_BLOBS)


def push(tag: str, registry: FakeRegistry, **options: object) -> dict[str, object]:
    target = parse_target(f"{registry.host}/team/shop:1.4")
    return push_image(tag, target, PushOptions(**options), Silent())  # type: ignore[arg-type]


def test_the_tag_comes_last_and_nothing_is_sent_twice(shop: str, registry: FakeRegistry) -> None:
    first = push(shop, registry)
    order = [asked for asked in registry.asked if asked.startswith("PUT")]
    asked = len(registry.requests)
    again = push(shop, registry)

    assert first["digest"] == f"sha256:{hex_of(AMD)}"
    assert (first["blobs_sent"], first["blobs_there"]) == (3, 0)
    assert (again["blobs_sent"], again["blobs_there"]) == (0, 3)
    assert set(registry.blobs.values()) == {*AMD_BLOBS} - {AMD}
    assert registry.manifests["1.4"] == AMD
    assert order[-1] == "PUT /v2/team/shop/manifests/1.4"
    assert not [a for a in registry.asked[asked:] if a.startswith(("POST", "PATCH"))]


def test_an_index_follows_its_images(isolated: Side, shop: str, registry: FakeRegistry) -> None:
    both = install(isolated, INDEX, [INDEX, *AMD_BLOBS, *ARM_BLOBS], "both")

    done = push(both, registry)

    assert shop
    assert done["digest"] == f"sha256:{hex_of(INDEX)}"
    puts = [asked.rpartition("/")[2] for asked in registry.asked if "PUT" in asked]
    assert [p for p in puts if not p.isdigit()] == [
        f"sha256:{hex_of(AMD)}",
        f"sha256:{hex_of(ARM)}",
        "1.4",
    ]
    assert push(both, registry, platforms=["linux/arm64"])["replaced"] == done["digest"]
    assert registry.manifests["1.4"] == ARM
    with pytest.raises(MissingError, match="linux/s390x"):
        push(both, registry, platforms=["linux/s390x"])


def test_a_registry_that_wants_all_platforms_gets_one(
    isolated: Side, shop: str, registry: FakeRegistry
) -> None:
    sparse = install(isolated, INDEX, [INDEX, *AMD_BLOBS], "sparse")
    unknown = Answer(400, body=b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"x"}]}')
    registry.override = lambda method, _, body: (
        unknown if method == "PUT" and body == INDEX else None
    )

    with pytest.raises(TransportError, match="linux/arm64, which did not travel") as refused:
        push(sparse, registry)

    assert shop
    assert refused.value.hint == "Push the image for one platform: --platform linux/amd64."
    assert refused.value.details == ("MANIFEST_BLOB_UNKNOWN: x",)
    assert push(sparse, registry, platforms=["linux/amd64"])["digest"] == f"sha256:{hex_of(AMD)}"


def test_an_interrupted_push_leaves_no_tag_and_goes_on(shop: str, registry: FakeRegistry) -> None:
    layer = hex_of(LAYERS[0])

    def refuse(method: str, target: str, _: bytes) -> Answer | None:
        return Answer(400) if method == "PUT" and hex_of(LAYERS[1]) in target else None

    registry.override = refuse
    with pytest.raises(TransportError):
        push(shop, registry)
    assert registry.blobs.keys() == {layer}
    assert not registry.manifests
    registry.override = lambda *_: None

    done = push(shop, registry)

    assert (done["blobs_sent"], done["blobs_there"]) == (2, 1)
    assert registry.manifests["1.4"] == AMD


def test_a_user_logs_in_as_the_registry_asks(
    shop: str, registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.challenge = 'Basic realm="shop"'
    with pytest.raises(TransportError, match="asks for a user"):
        push(shop, registry)
    push(shop, registry, credentials=Credentials("anna", "secret"))
    assert registry.requests[-1][2]["authorization"] == "Basic YW5uYTpzZWNyZXQ="
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login bob password word")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    push(shop, registry)
    assert registry.requests[-1][2]["authorization"] == "Basic Ym9iOndvcmQ="


def test_a_token_is_fetched_for_what_is_pushed(shop: str, registry: FakeRegistry) -> None:
    registry.challenge = bearer(registry.host)
    registry.override = lambda _, target, __: token("t0ken") if target[:6] == "/token" else None

    push(shop, registry, credentials=Credentials("anna", "secret"), mount_from="team/base")

    asked = next(request for request in registry.requests if request[1].startswith("/token"))
    assert asked[1] == (
        "/token?scope=repository%3Ateam%2Fshop%3Apull%2Cpush"
        "&scope=repository%3Ateam%2Fbase%3Apull&service=registry"
    )
    assert asked[2]["authorization"] == "Basic YW5uYTpzZWNyZXQ="
    assert registry.requests[-1][2]["authorization"] == "Bearer t0ken"


@pytest.mark.parametrize(
    ("text", "encrypted"),
    [
        ("registry.example/shop:1", True),
        ("127.0.0.1:5000/shop:1", False),
        ("https://localhost/shop:1", True),
        ("http://registry.example/shop:1", False),
    ],
)
def test_only_this_machine_is_reached_without_encryption(text: str, *, encrypted: bool) -> None:
    assert parse_target(text).encrypted == encrypted


def test_http_to_another_machine_is_asked_for(shop: str) -> None:
    target = parse_target("http://registry.example/shop:1")
    with pytest.raises(UsageError, match="not encrypted"):
        push_image(shop, target, PushOptions(), Silent())
    for text in ("registry.example/shop", "registry.example/shop@sha256:" + "a" * 64):
        with pytest.raises(UsageError, match="has no tag"):
            parse_target(text)


# ---- large blobs

BIG = stores.noise(10_000)


def pusher(registry: FakeRegistry, chunk_bytes: int = 4096) -> RegistryPusher:
    policy = replace(RetryPolicy(tries=3), wait=lambda _: None)
    session = RegistrySession(
        RegistryOptions(registry.host, encrypted=False, timeout=10), "team/shop", policy=policy
    )
    return RegistryPusher(session, chunk_bytes=chunk_bytes)


def upload_of(data: bytes, digest: str = "") -> BlobUpload:
    return BlobUpload(digest or hex_of(data), len(data), lambda at, count: data[at : at + count])


def test_a_large_blob_is_sent_in_chunks(registry: FakeRegistry) -> None:
    assert pusher(registry).push_blob(upload_of(BIG))
    assert registry.blobs == {hex_of(BIG): BIG}
    assert [a.split()[0] for a in registry.asked] == [
        *("HEAD", "POST", "PATCH", "PATCH", "PATCH", "PUT")
    ]


@pytest.mark.parametrize("stored", [0, 1000, 4096])
def test_a_broken_chunk_goes_on_where_it_broke(stored: int, registry: FakeRegistry) -> None:
    broken: list[str] = []

    def break_second(method: str, _: str, body: bytes) -> Answer | None:
        if method == "PATCH" and len(registry.uploads["1"]) == 4096 and not broken:
            broken.append(method)
            registry.uploads["1"] += body[:stored]
            return Answer(0)
        return None

    registry.override = break_second

    assert pusher(registry).push_blob(upload_of(BIG))
    assert broken
    assert registry.blobs == {hex_of(BIG): BIG}


def test_an_upload_that_is_lost_begins_again(registry: FakeRegistry) -> None:
    lost: list[str] = []

    def lose(method: str, _: str, __: bytes) -> Answer | None:
        if method == "PATCH" and len(registry.uploads.get("1", b"")) == 4096 and not lost:
            lost.append(registry.uploads.pop("1").hex())
            registry.uploads["x"] = b""  # so that the next one has another name
            return Answer(503)
        return None

    registry.override = lose

    assert pusher(registry).push_blob(upload_of(BIG))
    assert lost
    assert registry.blobs == {hex_of(BIG): BIG}


def test_a_registry_may_want_larger_chunks(registry: FakeRegistry) -> None:
    def want(method: str, _: str, __: bytes) -> Answer | None:
        if method != "POST":
            return None
        registry.uploads["9"] = b""
        location = "/v2/team/shop/blobs/uploads/9"
        return Answer(202, {"Location": location, "OCI-Chunk-Min-Length": "9000"})

    registry.override = want
    assert pusher(registry).push_blob(upload_of(BIG))
    assert [a.split()[0] for a in registry.asked] == ["HEAD", "POST", "PATCH", "PATCH", "PUT"]


def test_a_busy_registry_is_asked_a_few_times(registry: FakeRegistry) -> None:
    registry.override = lambda *_: Answer(503)
    with pytest.raises(TransportError, match=r"busy .* Gave up after 3 tries"):
        pusher(registry).push_blob(upload_of(BIG))
    assert len(registry.requests) == 3


def test_the_command_says_what_it_did(isolated: Side, registry: FakeRegistry) -> None:
    install(isolated, AMD, AMD_BLOBS)
    listed = isolated.run("image", "list")
    ran = isolated.run("image", "push", "shop", f"{registry.host}/team/shop:1.4", "--json")

    assert "registry.example/shop:1" in listed.out
    assert hex_of(AMD) in listed.out
    assert ran.json == {
        "image": f"shop:{oci_images.version_of(AMD, AMD_BLOBS)}",
        "reference": f"{registry.host}/team/shop:1.4",
        "digest": f"sha256:{hex_of(AMD)}",
        "blobs_sent": 3,
        "blobs_there": 0,
        "bytes_sent": sum(map(len, AMD_BLOBS)) - len(AMD),
        "replaced": None,
    }
    words = ("image", "push", "none", f"{registry.host}/team/shop:1.4")
    refusals.expect_refusal(isolated, *words, error=MissingError)


def test_it_goes_through_a_proxy_with_a_client_certificate(
    isolated: Side, shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    server, client = authority.issue("server"), authority.issue("client")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.file)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_cert_chain(server.certificate, server.key)
    monkeypatch.setenv("PROXY_PASSWORD", "open sesame")
    with fake_registry.serve(tls) as registry, ConnectProxy("carrier:open sesame") as proxy:
        reference = f"https://{registry.host}/team/shop:1.4"
        words = ("image", "push", shop, reference, "--ca", authority.file, "--json")
        way = (
            *("--proxy", f"http://carrier@127.0.0.1:{proxy.port}"),
            *("--proxy-password-env", "PROXY_PASSWORD"),
        )

        refused = isolated.run(*words, *way)
        keyless = isolated.run(*words, *way, "--client-key", client.key)
        done = isolated.run(
            *words, *way, "--client-cert", client.certificate, "--client-key", client.key
        )

        assert refused.json["error"]["kind"] == "transport"
        assert "client certificate" in refused.json["error"]["message"]
        assert "--client-cert is not" in keyless.json["error"]["message"]
        assert done.code == 0, done.err
        assert set(proxy.targets) == {registry.host}
        assert registry.manifests["1.4"] == AMD
