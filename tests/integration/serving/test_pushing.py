"""Stock bentoml 1.4 pushes into the inbox of a mirror; nobody pulls it before it is signed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.flow.inbox.inbox import Inbox, PushedTag
from airgap.server.mirror.server import ClientTerms
from airgap.server.mirror.tokens import describe_token, make_secret
from tests.support import stores
from tests.support.mirrors import RunningMirror, run_bentoml, running
from tests.support.sides import Side

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


def test_a_bento_is_pushed_with_its_model(
    mirror: RunningMirror, fresh: Side, inbox: Inbox, tokens: tuple[str, str]
) -> None:
    ran = run_bentoml(fresh.bentoml, mirror, "push", "fresh:v1", token=tokens[0])
    assert ran.returncode == 0, ran.stdout + ran.stderr

    assert [item.tag for item in inbox.list_items()] == [SHOP, RANKER]
    print(inbox.list_items())
    assert 0
