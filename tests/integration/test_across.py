"""The main job on stores made by hand: export, verify, import, compare."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import store_invariants, stores
from tests.support.sides import Side


@pytest.mark.parametrize("form", ["depot", "archive"])
def test_what_arrives_is_what_was_sent(
    form: str, small: Side, isolated: Side, request: pytest.FixtureRequest
) -> None:
    source: Path = request.getfixturevalue(form)

    assert isolated.run("verify", source).code == 0
    ran = isolated.run("import", source, "--json")

    assert [item["outcome"] for item in ran.json["items"]] == ["installed", "installed"]
    for store in ("bentos", "models"):
        sent = stores.snapshot(small.bentoml / store)
        came = stores.snapshot(isolated.bentoml / store)
        assert [*sent.values()] == [*came.values()]
        assert [Path(path).relative_to(small.bentoml) for path in sent] == [
            Path(path).relative_to(isolated.bentoml) for path in came
        ]
    assert not store_invariants.left_over(isolated)


def test_the_same_import_again_does_nothing(depot: Path, isolated: Side) -> None:
    assert isolated.run("import", depot).code == 0
    before = stores.snapshot(isolated.top)

    ran = isolated.run("import", depot, "--json")

    assert {item["outcome"] for item in ran.json["items"]} == {"already there"}
    assert stores.snapshot(isolated.top) == before


def test_a_pipe_is_read_to_its_end_when_nothing_is_to_be_done(
    archive: Path, isolated: Side
) -> None:
    # Else `cat` fails, and with it every script that looks at the whole pipeline.
    assert isolated.run("import", archive).code == 0
    pipeline = 'cat "$1" | "$2" -m airgap import - --quiet'

    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", pipeline, "bash", archive, sys.executable],
        env={**os.environ, **isolated.environment},
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert ran.returncode == 0, ran.stderr
