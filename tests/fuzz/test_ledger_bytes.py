"""Any mutation of what a site or an exporter remembers: refused, or without any effect (§17)."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airgap.errors import PolicyError
from tests.support import forge, sides
from tests.support.forge import Forge
from tests.support.sides import Side, Site

FILES = ("airgap/sites/ward/ledger", "airgap/sites/ward/state", "bentoml/.airgap/witness/ward")
Mutation = Callable[[bytes], bytes]


def cut(at: float, size: int, put: bytes) -> Mutation:
    """Put bytes where some others were."""

    def mutate(raw: bytes) -> bytes:
        start = int(at * len(raw))
        return raw[:start] + put + raw[start + size :]

    return mutate


mutations = st.builds(
    cut, st.floats(0, 1), st.sampled_from([0, 1, 4, 40, 10_000]), st.binary(max_size=40)
)


@pytest.fixture(scope="module")
def used(site: Site, tmp_path_factory: pytest.TempPathFactory) -> tuple[Side, Path, Path]:
    """A side that has numbers 1 and 3, and bundles with the numbers 2 and 4."""
    top = tmp_path_factory.mktemp("used")
    side = Side(top / "isolated")
    side.top.mkdir()
    sides.trust(side, site)
    forged = Forge(top, forge.load_signer(site.key()))
    depots = {
        number: forged.depot(
            forge.draft(forge.model({}, f"m{number}:v1"), sequence=number, channel="nightly")
        )
        for number in range(1, 5)
    }
    for number in (1, 3):
        assert side.run("import", depots[number]).code == 0
    return side, depots[2], depots[4]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutate=mutations, file=st.sampled_from(FILES))
def test_a_mutated_memory_never_lets_an_older_bundle_in_and_never_crashes(
    mutate: Mutation, file: str, used: tuple[Side, Path, Path]
) -> None:
    side, older, newer = used
    path = side.top / file
    raw = path.read_bytes()
    path.write_bytes(mutate(raw))
    try:
        assert side.run("verify", older).code == PolicyError.exit_code
        assert side.run("verify", newer).code in (0, PolicyError.exit_code)
        assert side.run("trust", "show", "--json").code == 0
    finally:
        path.write_bytes(raw)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutate=mutations, file=st.sampled_from(FILES))
def test_an_import_after_a_reset_of_whatever_was_left_goes_on(
    mutate: Mutation,
    file: str,
    used: tuple[Side, Path, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    side = Side(tmp_path_factory.mktemp("copy") / "side")
    shutil.copytree(used[0].top, side.top)
    path = side.top / file
    path.write_bytes(mutate(path.read_bytes()))

    memory = side.run("trust", "show", "--json").json["history"]
    assert side.run("trust", "reset-state", "--yes", memory["head"]).code == 0

    assert side.run("import", used[2]).code == 0
    assert side.run("verify", used[1]).code == PolicyError.exit_code
