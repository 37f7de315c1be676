"""Stock bentoml 1.4 pushes into the inbox of a mirror; nobody pulls it before it is signed."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from airgap.flow.inbox.inbox import Inbox, PushedTag
from airgap.server.mirror import pushing
from airgap.server.mirror.pushing import Strategy
from airgap.server.mirror.server import ClientTerms
from airgap.server.mirror.tokens import describe_token, make_secret
from tests.support import stores
from tests.support.mirrors import RunningMirror, read_files, run_bentoml, running
from tests.support.sides import Side, Site

pytestmark = pytest.mark.bentoml
SHOP, RANKER = PushedTag("bento", "fresh", "v1"), PushedTag("model", "fresh-ranker", "v1")


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "inbox")


@pytest.fixture
def tokens(tmp_path: Path) -> tuple[str, str]:
    """A token that may push, and one that may not."""
    secrets = make_secret(), make_secret()
    lines = [
        *describe_token("ci", secrets[0], None, "push"),
        *describe_token("reader", secrets[1], None),
    ]
    (tmp_path / "tokens.toml").write_text("\n".join(lines))
    return secrets


@pytest.fixture
def mirror(
    isolated: Side, depot: Path, inbox: Inbox, tokens: tuple[str, str], tmp_path: Path
) -> Iterator[RunningMirror]:
    del tokens
    terms = ClientTerms(tokens=tmp_path / "tokens.toml", inbox=inbox.folder)
    with running(isolated, depot, terms) as mirror:
        yield mirror


@pytest.fixture
def fresh(small: Side) -> Side:
    """The connected side with a Bento that names a model, none of which was exported."""
    stores.add_model(small, "fresh-ranker:v1", {"weights.bin": stores.noise(300_000)})
    bento = stores.add_bento(
        small, "fresh:v1", {"src/service.py": b"print('hi')\n"}, models=["fresh-ranker:v1"]
    )
    (bento / "run.sh").write_bytes(b"#!/bin/sh\n")
    (bento / "run.sh").chmod(0o755)
    (bento / "src" / "link").symlink_to("../run.sh")
    return small


def push(side: Side, mirror: RunningMirror, secret: str, *words: str) -> str:
    """Push with stock bentoml, and return what it printed; it must succeed."""
    ran = run_bentoml(side.bentoml, mirror, *words, token=secret)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def refuse_push(side: Side, mirror: RunningMirror, secret: str, *words: str) -> str:
    """The same for a push that must fail."""
    ran = run_bentoml(side.bentoml, mirror, *words, token=secret)
    assert ran.returncode != 0, ran.stdout
    return ran.stdout + ran.stderr


def ask(
    mirror: RunningMirror, secret: str, method: str, path: str, **more: object
) -> httpx.Response:
    headers = {"X-YATAI-API-TOKEN": secret}
    return httpx.request(method, mirror.url + path, headers=headers, timeout=60, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", ["proxy", "presigned", "parts"])
def test_a_bento_is_pushed_signed_and_pulled(
    isolated: Side,
    site: Site,
    depot: Path,
    fresh: Side,
    inbox: Inbox,
    tokens: tuple[str, str],
    tmp_path: Path,
    strategy: Strategy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pushing, "DEFAULT_STRATEGY", strategy)
    terms = ClientTerms(tokens=tmp_path / "tokens.toml", inbox=inbox.folder)
    with running(isolated, depot, terms) as mirror:
        push(fresh, mirror, tokens[0], "push", "fresh:v1")
        for secret in tokens:  # neither pulls it
            refuse_push(isolated, mirror, secret, "pull", "fresh:v1")
            assert not (isolated.bentoml / "bentos/fresh/v1").exists()
            listed = ask(mirror, secret, "GET", "/api/v1/bentos").json()
            assert [item["repository"]["name"] for item in listed["items"]] == ["shop"]

        assert [item.tag for item in inbox.list_items()] == [SHOP, RANKER]
        signed = fresh.run(
            *("inbox", "sign", inbox.folder, "fresh:v1", depot, "--key", site.key(), "--json")
        )
        assert signed.code == 0, signed.err
        mirror.server.examine()
        push(isolated, mirror, tokens[1], "pull", "fresh:v1", "--with-models")

    for item in ("bentos/fresh/v1", "models/fresh-ranker/v1"):
        wanted, got = read_files(fresh.bentoml / item), read_files(isolated.bentoml / item)
        assert got.keys() == wanted.keys()
        assert {path for path in wanted if got[path] != wanted[path]} <= {"bento.yaml"}
    assert {item.bundle for item in inbox.list_items()} == {signed.json["bundle"]}
    assert not list(inbox.uploads.iterdir())


def test_what_is_there_is_skipped_and_force_replaces_what_nobody_has_signed(
    mirror: RunningMirror, fresh: Side, inbox: Inbox, tokens: tuple[str, str]
) -> None:
    words = ("models", "push", "fresh-ranker:v1")
    push(fresh, mirror, tokens[0], *words)
    before = inbox.require_item(RANKER)
    weights = fresh.bentoml / "models/fresh-ranker/v1/weights.bin"
    weights.write_bytes(b"others")

    assert "already exists" in push(fresh, mirror, tokens[0], *words)
    assert inbox.require_item(RANKER) == before

    push(fresh, mirror, tokens[0], *words, "--force")
    assert inbox.require_item(RANKER).digest != before.digest
    assert (inbox.find_folder(RANKER) / "weights.bin").read_bytes() == b"others"


def test_no_push_touches_what_is_signed(
    mirror: RunningMirror, small: Side, inbox: Inbox, tokens: tuple[str, str]
) -> None:
    assert "already exists" in push(small, mirror, tokens[0], "push", "shop:v1")

    for path in ("bentos/shop/v1/README.md", "models/ranker/v1/notes.txt"):
        (small.bentoml / path).write_text("changed")
    refused = refuse_push(small, mirror, tokens[0], "push", "shop:v1", "--force")
    assert "signed bundle" in refused
    assert inbox.list_items() == []


def test_a_token_that_may_only_pull_pushes_nothing(
    mirror: RunningMirror, fresh: Side, inbox: Inbox, tokens: tuple[str, str]
) -> None:
    refused = refuse_push(fresh, mirror, tokens[1], "push", "fresh:v1")
    assert "--scope push" in refused
    assert inbox.list_items() == []


def test_without_an_inbox_the_client_says_what_is_missing(
    isolated: Side, depot: Path, fresh: Side
) -> None:
    with running(isolated, depot) as mirror:
        assert "--inbox" in refuse_push(fresh, mirror, "any", "models", "push", "fresh-ranker:v1")


def test_a_bare_push_has_no_content(
    mirror: RunningMirror, inbox: Inbox, tokens: tuple[str, str]
) -> None:
    top = "/api/v1/bento_repositories/fresh/bentos"
    created = ask(mirror, tokens[0], "POST", top, json={"version": "v1", "manifest": {}})
    assert created.json()["upload_status"] == "pending"
    ended = ask(mirror, tokens[0], "PATCH", f"{top}/v1/finish_upload", json={"status": "success"})
    assert ended.status_code == 404
    assert "not bare" in ended.text
    assert inbox.list_items() == []


def test_only_what_the_builder_knows_is_signed(
    mirror: RunningMirror,
    fresh: Side,
    site: Site,
    inbox: Inbox,
    tokens: tuple[str, str],
    tmp_path: Path,
) -> None:
    push(fresh, mirror, tokens[0], "push", "fresh:v1")
    shutil.rmtree(fresh.bentoml / "models/fresh-ranker")
    depot = tmp_path / "new"
    words = ("inbox", "sign", inbox.folder, "fresh:v1", depot, "--key", site.key())

    absent = fresh.run(*words)
    assert absent.code == 11, absent.err
    assert "no model fresh-ranker:v1" in absent.err

    stores.add_model(fresh, "fresh-ranker:v1", {"weights.bin": b"another"})
    shown = fresh.run("inbox", "show", inbox.folder, "fresh-ranker:v1", "--model")
    assert shown.code == 11
    assert "another one of this tag" in shown.out
    other = fresh.run(*words, "--unseen")
    assert other.code == 11, other.err
    assert not depot.exists()

    shutil.rmtree(fresh.bentoml / "models/fresh-ranker")
    weights = inbox.find_folder(RANKER) / "weights.bin"
    original = weights.read_bytes()
    weights.write_bytes(b"changed in the inbox")
    changed = fresh.run(*words, "--unseen")
    assert changed.code == 10, changed.err
    assert not list(depot.glob("bundles/*/*.msgpack"))

    weights.write_bytes(original)
    signed = fresh.run(*words, "--unseen")
    assert signed.code == 0, signed.err
    assert fresh.run("inbox", "list", inbox.folder, "--json").json == {"items": []}
    gone = fresh.run("inbox", "discard", inbox.folder, "--signed")
    assert "Discarded the bento fresh:v1" in gone.out
    assert inbox.list_items() == []
