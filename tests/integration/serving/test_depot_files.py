"""A mirror as a depot for airgap's own commands, over https with a token."""

import http.client
import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from airgap.disk.digests import digest_file
from airgap.errors import (
    ConfigurationError,
    CorruptError,
    MissingError,
    NotTrustedError,
    TransportError,
)
from airgap.flow.location.location import parse_depot
from airgap.flow.serving.depot_files import DepotFiles
from airgap.flow.serving.mirror import NotReadyError, open_mirror
from airgap.server.mirror.server import ClientTerms
from tests.servers.certificates import Authority
from tests.support import refusals, stores
from tests.support.mirrors import (
    RunningMirror,
    export,
    find_pack,
    flip_byte,
    revoke_bundle,
    running,
    serving,
)
from tests.support.sides import Side, Site


@pytest.fixture
def mirror(isolated: Side, depot: Path) -> Iterator[RunningMirror]:
    with running(isolated, depot) as mirror:
        yield mirror


def ask(mirror: RunningMirror, path: str, **headers: str) -> tuple[int, bytes, str]:
    """Return status, body and reason of a path below the depot's prefix."""
    connection = http.client.HTTPConnection(urlsplit(mirror.url).netloc, timeout=60)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", f"/-/depot/{path}", headers=names)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.getheader("X-Airgap-Reason") or ""
    finally:
        connection.close()


@dataclass(frozen=True)
class Remote:
    """A mirror over TLS with tokens, and the named remote by which a side reaches it."""

    mirror: RunningMirror
    side: Side
    password_file: Path


@pytest.fixture
def remote(isolated: Side, depot: Path, tmp_path: Path) -> Iterator[Remote]:
    authority, tokens = Authority(tmp_path), tmp_path / "tokens.toml"
    issued, secret = authority.issue("server"), tmp_path / "secret"
    made = isolated.run("serve", "make-token", "node7")
    tokens.write_text(made.out)
    secret.write_text(made.err.split(": ")[1])
    with running(isolated, depot, ClientTerms(issued.certificate, issued.key, tokens)) as mirror:
        options = ("--password-file", secret, "--option", f"ca={authority.file}")
        ran = isolated.run("remote", "add", "mirror", f"{mirror.url}/-/depot", *options)
        assert ran.code == 0, ran.err
        yield Remote(mirror, isolated, secret)


@pytest.mark.parametrize(
    "words",
    [("verify", "@mirror"), ("import", "@mirror"), ("pull", "shop", "@mirror")],
    ids=lambda words: str(words[0]),
)
def test_commands_read_a_mirror_with_a_token(words: tuple[str, ...], remote: Remote) -> None:
    ran = remote.side.run(*words)
    assert ran.code == 0, ran.err
    token = remote.password_file.read_text().strip()
    assert token not in ran.out + ran.err + "".join(remote.mirror.lines)


def test_a_mirror_lists_and_gives_what_its_depot_has(remote: Remote, depot: Path) -> None:
    for command in (("list",), ("get", "shop:v1")):
        there = remote.side.run(*command, "@mirror", "--json").json
        here = remote.side.run(*command, depot, "--json").json
        for answer in (there, here):
            answer.pop("depot", None)
            answer.pop("location", None)
        assert there == here


def test_a_depot_is_copied_from_a_mirror_byte_for_byte(
    remote: Remote, depot: Path, tmp_path: Path
) -> None:
    ran = remote.side.run("copy", "@mirror", tmp_path / "copy")
    assert ran.code == 0, ran.err
    assert read_all(tmp_path / "copy") == read_all(depot)


def read_all(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_without_its_token_nothing_is_read(remote: Remote) -> None:
    remote.password_file.write_text("ag_wrong")
    ran = refusals.expect_refusal(remote.side, "import", "@mirror", error=TransportError)
    assert "does not accept this token" in ran.json["error"]["message"]


def test_nothing_is_written_to_a_mirror(
    remote: Remote, connected: Side, site: Site, depot: Path
) -> None:
    before = stores.snapshot(depot)
    stores.add_bento(remote.side, "other:v1", {"src/x": b"1"})
    words = ("push", "other:v1", "@mirror", "--key", site.key())
    ran = remote.side.run(*words)
    assert ran.code == TransportError.exit_code, ran.err
    assert "refuses to write" in ran.err
    assert stores.snapshot(depot) == before
    del connected


def test_a_pack_is_sent_by_ranges(mirror: RunningMirror, depot: Path) -> None:
    pack = find_pack(depot)
    path = str(pack.relative_to(depot))
    assert ask(mirror, path)[:2] == (200, pack.read_bytes())
    assert ask(mirror, path, Range="bytes=9-99")[:2] == (206, pack.read_bytes()[9:100])
    assert ask(mirror, path, If_None_Match=f'"{pack.stem}"')[0] == 304


def test_of_a_long_file_that_is_sent_only_pieces_are_in_memory(isolated: Side, depot: Path) -> None:
    (depot / "README.txt").write_bytes(b"0123456789" * 1_000_000)
    with serving(isolated, depot) as mirror:
        files = DepotFiles(mirror)
        files.open("README.txt")
        tracemalloc.start()
        sent = [files.open("README.txt") for _ in range(3)]
        in_use, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert in_use < 8_000_000
        assert {file.etag for file in sent} == {digest_file(depot / "README.txt").hex()}
        assert b"".join(sent[0].read(9, 5_000_011)) == b"9" + b"0123456789" * 500_000 + b"0"


def test_a_revoked_bundle_is_not_given_and_the_reason_is_said(
    connected: Side, site: Site, isolated: Side, depot: Path, tmp_path: Path
) -> None:
    stores.add_bento(connected, "other:v1", {"src/x": b"1"})
    bundle = export(connected, depot, site, "other:v1")
    with running(isolated, depot) as mirror:
        manifest = f"bundles/{bundle}/manifest.msgpack"
        assert ask(mirror, manifest)[0] == 200
        revoke_bundle(connected, site, bundle, tmp_path / "2.root.msgpack")
        assert isolated.run("trust", "update", tmp_path / "2.root.msgpack").code == 0
        mirror.server.examine()
        status, _, reason = ask(mirror, manifest)
        assert (status, "revoked" in reason) == (404, True)
        listed = json.loads(ask(mirror, "bundles/")[1])
        assert [one["name"] for one in listed] == sorted(set(ids(depot)) - {bundle})
        location = f"{mirror.url}/-/depot#{bundle}"
        refusals.expect_refusal(isolated, "import", location, error=MissingError)


def ids(depot: Path) -> list[str]:
    return [path.name for path in (depot / "bundles").iterdir()]


@pytest.mark.parametrize(
    "path",
    [
        "secret",
        "bundles/../secret",
        "%2e%2e/secret",
        "bundles/{id}/../../secret",
        "bundles/{id}/secret.txt",
        "bundles/{id}/manifest.msgpack.part",
        "bundles/{id}/secret/",
        "packs/",
        "packs/ab/secret",
        "packs/secret.pack",
        "gc/",
        "archive/",
        "roots/secret",
        "bundles/abc/",
        "",
        "//etc/passwd",
    ],
)
def test_nothing_but_a_depots_files_is_given(path: str, mirror: RunningMirror, depot: Path) -> None:
    (bundle,) = ids(depot)
    for folder in ("", "packs", f"bundles/{bundle}"):
        (depot / folder / "secret").write_text("secret")
        (depot / folder / "secret.txt").write_text("secret")
    status, body, _ = ask(mirror, path.format(id=bundle))
    assert (status, body == b"secret") == (404, False)


def test_a_pack_that_is_damaged_is_found_out_by_who_reads_it(isolated: Side, depot: Path) -> None:
    with serving(isolated, depot):
        pass
    with running(isolated, depot) as mirror:
        flip_byte(find_pack(depot), 300_000)
        location = f"{mirror.url}/-/depot"
        refusals.expect_refusal(isolated, "import", location, error=CorruptError, staging=True)


def test_a_machine_that_trusts_nobody_takes_nothing_from_a_mirror(
    mirror: RunningMirror, connected: Side
) -> None:
    ran = connected.run("import", f"{mirror.url}/-/depot")
    assert ran.code in (NotTrustedError.exit_code, ConfigurationError.exit_code), ran.err


def test_before_the_depot_was_examined_no_file_is_given(isolated: Side, depot: Path) -> None:
    with isolated.here(), open_mirror(parse_depot(str(depot))) as mirror:
        files = DepotFiles(mirror)
        names = [str(path.relative_to(depot)) for path in depot.rglob("*") if path.is_file()]
        for name in names:
            with pytest.raises(NotReadyError):
                files.open(name)
        for folder in ("bundles", "roots", f"bundles/{ids(depot)[0]}"):
            with pytest.raises(NotReadyError):
                files.list_names(folder)
