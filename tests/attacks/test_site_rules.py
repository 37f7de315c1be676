"""A URL, an option, an attestation of another kind: they do not get past a site (format §7.6)."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import PolicyError, UsageError
from airgap.flow.location.connector import Connector, TransferOptions
from airgap.flow.location.location import RemoteDepot, parse_location
from airgap.format.root import Root
from airgap.format.site_rules import Demand, SiteRules
from airgap.transport.open_transport import TRUST_ANCHORS
from tests.servers.certificates import Authority
from tests.support import refusals, second_verifier, stores
from tests.support import signers as people
from tests.support.sides import Side
from tests.support.signers import make_root, person, team

ANCHORS = {
    "ca": "ftpes://host/depot?ca=/tmp/evil.pem",
    "endpoint": "s3://bucket/depot?endpoint=https://evil.example",
    "insecure_http": "s3://bucket/depot?insecure_http=yes",
    "known_hosts": "sftp://host/depot?known_hosts=/tmp/evil",
    "proxy_command": "sftp://host/depot?proxy_command=id",
    "ssh_config": "sftp://host/depot?ssh_config=/tmp/evil",
}
COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "import": lambda url: ["import", url],
    "verify": lambda url: ["verify", url],
    "inspect": lambda url: ["inspect", url],
    "list": lambda url: ["list", url],
    "pull": lambda url: ["pull", "shop:v1", url],
    "copy": lambda url: ["copy", url, "copy"],
    "gc": lambda url: ["gc", url],
    "trust update": lambda url: ["trust", "update", url],
}


@pytest.fixture
def ward(tmp_path: Path) -> Side:
    side = Side(tmp_path / "ward")
    side.top.mkdir()
    return side


def with_rules(rules: SiteRules) -> Root:
    return replace(make_root(scanner=team("sam kim")), created_at=0, rules=rules)


def test_every_option_that_decides_whom_to_trust_is_tried() -> None:
    assert set(ANCHORS) == TRUST_ANCHORS


@pytest.mark.parametrize("option", ANCHORS)
def test_a_url_does_not_bring_its_own_trust_anchor(option: str, ward: Side) -> None:
    told = refusals.expect_refusal(ward, "import", ANCHORS[option], error=UsageError)

    assert told.json["error"]["message"].startswith(f"{option} cannot be given in a URL")
    assert f"--option {option}=" in told.json["error"]["hint"]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_takes_a_trust_anchor_from_a_url(command: str, ward: Side) -> None:
    refusals.expect_refusal(ward, *COMMANDS[command](ANCHORS["ca"]), error=UsageError)


@pytest.mark.parametrize("option", ANCHORS)
def test_the_config_file_may_have_it(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"[remotes.there]\nurl = {json.dumps(ANCHORS[option])}\n")
    monkeypatch.setenv("AIRGAP_CONFIG", str(config))

    location = parse_location("@there/sub")

    assert isinstance(location, RemoteDepot)
    assert (set(location.settings), location.url.options) == ({option}, {})


@pytest.mark.parametrize(
    ("rules", "settings"),
    [
        (SiteRules(trust_anchors=()), {"ca": "/x"}),
        (SiteRules(trust_anchors=("ca",)), {"ca": "/x", "endpoint": "https://x"}),
        (SiteRules(forbidden_options=("http",)), {"insecure_http": "yes"}),
        (SiteRules(forbidden_options=("all",)), {"insecure_http": "yes"}),
    ],
)
def test_a_root_limits_what_the_config_file_may_have(
    rules: SiteRules, settings: dict[str, str], ward: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.pin(ward, with_rules(rules))
    monkeypatch.setenv("AIRGAP_HOME", str(ward.state))
    location = parse_location("s3://bucket/depot")
    assert isinstance(location, RemoteDepot)

    connector = Connector(transfer=TransferOptions(options=settings))

    with pytest.raises(PolicyError, match="root of site ward"):
        Connector().open_depot(replace(location, settings=settings))
    with pytest.raises(PolicyError, match="root of site ward"):
        connector.open_depot(location)


VARIABLES = (
    *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE", "AWS_PROFILE"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR"),
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without settings of other programs, and no variables of this machine."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


KEYS = "aws_access_key_id = A\naws_secret_access_key = B\n"
SETTINGS: dict[str, tuple[str, str, dict[str, str], str, str]] = {
    # what says who the server is: option, URL, variables, file below HOME, its text
    "AWS_ENDPOINT_URL": ("endpoint", "s3://bucket", {"AWS_ENDPOINT_URL": "https://evil"}, "", ""),
    "AWS_ENDPOINT_URL_S3": (
        "endpoint",
        "s3://bucket",
        {"AWS_ENDPOINT_URL_S3": "https://evil"},
        "",
        "",
    ),
    "AWS_CA_BUNDLE": ("ca", "s3://bucket", {"AWS_CA_BUNDLE": "{ca}"}, "", ""),
    "SSL_CERT_FILE": ("ca", "s3://bucket", {"SSL_CERT_FILE": "{ca}"}, "", ""),
    "SSL_CERT_DIR": ("ca", "ftpes://anonymous@host", {"SSL_CERT_DIR": "/x"}, "", ""),
    "endpoint_url of the profile default": (
        *("endpoint", "s3://bucket", {}, ".aws/config"),
        f"[default]\n{KEYS}endpoint_url = https://evil\n",
    ),
    "services of the profile default": (
        *("endpoint", "s3://bucket", {}, ".aws/config"),
        f"[default]\n{KEYS}services = x\n[services x]\ns3 =\n  endpoint_url = https://evil\n",
    ),
    "ca_bundle of the profile default": (
        *("ca", "s3://bucket", {}, ".aws/credentials"),
        f"[default]\n{KEYS}ca_bundle = {{ca}}\n",
    ),
    "UserKnownHostsFile in ~/.ssh/config": (
        *("known_hosts", "sftp://u@host", {}, ".ssh/config"),
        "Host *\n  UserKnownHostsFile /tmp/evil\n",
    ),
    "HostKeyAlias in ~/.ssh/config": (
        *("known_hosts", "sftp://u@host", {}, ".ssh/config"),
        "Host host\n  HostKeyAlias evil\n",
    ),
    "ProxyCommand or ProxyJump in ~/.ssh/config": (
        *("proxy_command", "sftp://u@host", {}, ".ssh/config"),
        "Host *\n  ProxyJump evil\n",
    ),
}


@pytest.mark.parametrize("limit", ["none", "the option", "no limit"])
@pytest.mark.parametrize("source", SETTINGS)
def test_variables_and_files_of_other_programs_are_limited_too(
    source: str, limit: str, ward: Side, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    option, url, variables, name, text = SETTINGS[source]
    ca = Authority(home).file
    for variable, value in {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B"}.items():
        monkeypatch.setenv(variable, value)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value.format(ca=ca))
    if name:
        (home / name).parent.mkdir()
        (home / name).write_text(text.format(ca=ca))
    anchors = {"none": (), "the option": (option,), "no limit": None}[limit]
    people.pin(ward, with_rules(SiteRules(trust_anchors=anchors)))
    monkeypatch.setenv("AIRGAP_HOME", str(ward.state))
    location = parse_location(url)
    assert isinstance(location, RemoteDepot)

    if limit == "none":
        with pytest.raises(PolicyError, match="root of site ward") as caught:
            Connector().open_depot(location)
        assert source in caught.value.message
        assert f"permits {option}" in caught.value.hint
    else:
        Connector().open_depot(location).close()


@pytest.mark.usefixtures("home")
def test_an_option_that_is_permitted_counts_more_than_a_variable(
    ward: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.pin(ward, with_rules(SiteRules(trust_anchors=("endpoint",))))
    monkeypatch.setenv("AIRGAP_HOME", str(ward.state))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://other")
    location = parse_location("s3://bucket/depot")
    assert isinstance(location, RemoteDepot)

    settings = {"endpoint": "https://s3.ward", "anonymous": "yes"}
    Connector().open_depot(replace(location, settings=settings)).close()
    monkeypatch.setenv("AWS_CA_BUNDLE", "/evil.pem")
    with pytest.raises(PolicyError, match="AWS_CA_BUNDLE"):
        Connector().open_depot(replace(location, settings=settings))


@pytest.mark.parametrize("option", ["allow-unsigned", "all"])
def test_a_root_forbids_unsigned_archives(
    option: str, small: Side, ward: Side, tmp_path: Path
) -> None:
    location = tmp_path / "shop.tar"
    key = people.write_key(tmp_path / "keys", "bob")
    assert small.run("export", "shop:v1", "-o", location, "--format", "tar", "--key", key).code == 0
    for beside in tmp_path.glob("shop.tar.airgap-manifest*"):
        beside.unlink()
    words = ("import", location, "--insecure-allow-unsigned")
    people.pin(ward, with_rules(SiteRules(forbidden_options=(option,))))

    told = refusals.expect_refusal(ward, *words, error=PolicyError)

    assert "forbids --insecure-allow-unsigned" in told.json["error"]["message"]


def test_a_forbidden_option_is_refused_where_it_would_change_nothing_too(
    ward: Side, depot: Path
) -> None:
    people.pin(ward, with_rules(SiteRules(forbidden_options=("all",))))

    refusals.expect_refusal(ward, "import", depot, "--insecure-allow-unsigned", error=PolicyError)


@pytest.mark.parametrize("name", ["depot", "shop.airgap"])
def test_one_attestation_is_not_taken_for_another(
    name: str, small: Side, ward: Side, tmp_path: Path
) -> None:
    """A licence report is not a malware scan; airgap and the second verifier agree on it."""
    location, keys = tmp_path / name, tmp_path / "keys"
    bob, findings = people.write_key(keys, "bob"), tmp_path / "report.json"
    findings.write_bytes(b"{}")
    assert small.run("export", "shop:v1", "-o", location, "--key", bob).code == 0
    root = with_rules(SiteRules(demands=(Demand("licence", "scanner", 1, 86_400),)))
    people.pin(ward, root)
    path = tmp_path / "pinned-ward" / "root.msgpack"
    fingerprint = people.write_root(path, root, "ann")

    def attest(who: str, *words: str) -> int:
        key = people.write_key(keys, who)
        given: tuple[str | Path, ...] = (
            "--role",
            "scanner",
            "--findings",
            findings,
            "--key",
            key,
            *words,
        )
        return small.run("attest", location, *given).code

    assert attest("sam", "--name", "licence") == 0
    refusals.expect_refusal(ward, "import", location, error=PolicyError)
    assert second_verifier.verify(location, path, fingerprint)[0] == "policy"

    assert attest("sam") == 0
    before = stores.snapshot(location)
    assert attest("sam", "--name", "licence", "--reject") != 0
    assert stores.snapshot(location) == before
    ran = ward.run("import", location, "--json")
    assert ran.code == 0, ran.err
    signed = {(one["role"], one["name"]): one["signed_by"] for one in ran.json["attestations"]}
    sam = person("sam").key.id
    assert signed == {("scanner", "malware"): [sam], ("scanner", "licence"): [sam]}
    verdict, printed = second_verifier.verify(location, path, fingerprint)
    assert verdict == "accepted"
    assert {f"signed by scanner {sam}", f"signed by scanner (licence) {sam}"} < {
        *printed.splitlines()
    }

    assert attest("kim", "--name", "rehearsal", "--reject") == 0
    refusals.expect_refusal(ward, "verify", location, error=PolicyError)
    assert second_verifier.verify(location, path, fingerprint)[0] == "policy"
