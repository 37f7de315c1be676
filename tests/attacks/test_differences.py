"""Threat model, mixing: a difference on the wrong base yields what was signed, or nothing."""

from collections.abc import Callable

import pytest

from airgap.codec import table
from airgap.errors import AirgapError, CorruptError, MissingError
from tests.support import forge, refusals, stores
from tests.support.forge import Draft, Forge, u32
from tests.support.sides import Side

OLD = stores.noise(4000)
OTHER = stores.noise(4000, 1)
NEW = OLD[:1000] + bytes(100) + OLD[1100:]
STORED = table.encode_difference(NEW, OLD, 1)


def difference(stored: bytes = STORED, *needed: bytes, base: int = 2) -> Draft:
    """A model whose file is stored as a difference from a needed chunk, 2 being the first."""
    made = forge.stored_block(stored, NEW, codec=table.DIFFERENCE)
    chunks = made.manifest["chunks"]
    for one in needed or (OLD,):
        chunks["digests"] += forge.sha256(one)
        chunks["lengths"] += u32(len(one))
    made.manifest["blocks"]["bases"] = u32(forge.NO_BASE, base)
    return made


def holding(content: bytes, version: str = "v0") -> Draft:
    """A bundle that carries a base."""
    return forge.draft(forge.model({"weights.bin": content}, f"base:{version}"))


def bring(side: Side, forged: Forge, *drafts: Draft) -> None:
    for made in drafts:
        assert side.run("import", forged.depot(made)).code == 0


def test_what_is_changed_below_is_good_before(forged: Forge, isolated: Side) -> None:
    bring(isolated, forged, holding(OLD), difference())

    assert (isolated.bentoml / "models/ranker/v1/weights.bin").read_bytes() == NEW


def blocks(**columns: bytes) -> Callable[[Draft], object]:
    return lambda made: made.manifest["blocks"].update(columns)


def longer_base(made: Draft) -> None:
    made.manifest["chunks"]["lengths"] = made.manifest["chunks"]["lengths"][:-4] + u32(4001)


TABLES: dict[str, Callable[[Draft], object]] = {
    "a base that is carried": blocks(bases=u32(forge.NO_BASE, 0)),
    "itself for a base": blocks(bases=u32(forge.NO_BASE, 1)),
    "a base that is not in the table": blocks(bases=u32(forge.NO_BASE, 3)),
    "no base": blocks(bases=u32(forge.NO_BASE, forge.NO_BASE)),
    "a base of another length": longer_base,
    "a base for a raw block": blocks(bases=u32(2, 2)),
    "a base for a frame": blocks(codecs=bytes([0, 1])),
    "two chunks in a difference": blocks(
        chunk_counts=u32(2),
        codecs=b"\3",
        offsets=u32(0),
        bases=u32(2),
        stored_lengths=u32(len(STORED)),
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_difference_is_refused_with(name: str, forged: Forge, isolated: Side) -> None:
    bring(isolated, forged, holding(OLD))
    made = difference()
    TABLES[name](made)

    location = forged.depot(made)

    refusals.expect_refusal(isolated, "verify", location, error=CorruptError)
    refusals.expect_refusal(isolated, "import", location, error=CorruptError)


@pytest.mark.parametrize(
    ("made", "error"),
    [
        pytest.param(difference(STORED, OTHER), CorruptError, id="that is not what it was made of"),
        pytest.param(difference(STORED, OLD, OTHER, base=3), CorruptError, id="next to the right"),
        pytest.param(difference(STORED, b"n" * 4000), MissingError, id="that is not here"),
    ],
)
def test_a_difference_is_refused_on_a_base(
    made: Draft, error: type[AirgapError], forged: Forge, isolated: Side
) -> None:
    bring(isolated, forged, holding(OLD), holding(OTHER, "v1"))
    location = forged.depot(made)

    refusals.expect_refusal(isolated, "verify", location, error=error)
    refusals.expect_refusal(isolated, "import", location, error=error, staging=True)


def test_a_bundle_that_lies_about_a_base_gives_none(forged: Forge, isolated: Side) -> None:
    lying = holding(OTHER)
    chunks = lying.manifest["chunks"]["digests"]
    digests = chunks.replace(forge.sha256(OTHER), forge.sha256(OLD))
    lying.manifest["chunks"]["digests"] = digests
    depot = forged.depot(lying)
    location = forged.depot(difference())

    refusals.expect_refusal(isolated, "import", location, "--depot", depot, error=MissingError)

    assert isolated.run("import", location, "--depot", forged.depot(holding(OLD))).code == 0


@pytest.mark.parametrize(
    "stored",
    [STORED[:-1], STORED + b"\0", b"\3" + STORED[1:], b"\1\2" + STORED[2:], b"\1", b"\0" * 40],
    ids=["cut off", "a byte more", "another width", "another kind", "a width alone", "zeros"],
)
def test_a_difference_is_refused_that_is_stored_as(
    stored: bytes, forged: Forge, isolated: Side
) -> None:
    bring(isolated, forged, holding(OLD))
    location = forged.depot(difference(stored))

    refusals.expect_refusal(isolated, "verify", location, error=CorruptError)
    refusals.expect_refusal(isolated, "import", location, error=CorruptError, staging=True)
