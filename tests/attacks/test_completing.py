"""Threat model, replay: a bundle that completes another does not evade its number (format §22)."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from airgap.errors import CorruptError, MissingError, NotTrustedError, PolicyError, UsageError
from airgap.format import want as wants
from airgap.format.want import Want
from tests.support import forge, refusals, sides, signers, stores
from tests.support.completing import CONTENT, bundle_id, completing, numbered, without_packs
from tests.support.forge import Forge
from tests.support.sides import Side, Site
from tests.support.signers import make_root, team


@dataclass(frozen=True)
class Pair:
    """A numbered bundle that lacks its chunks, and one that completes it."""

    first: Path
    rest: Path
    bundle: str

    def order(self, name: str) -> tuple[Path, str, Path]:
        """Return what is imported, and what with."""
        pair = (self.first, self.rest) if name == "first" else (self.rest, self.first)
        return pair[0], "--depot", pair[1]


@pytest.fixture
def make_pair(forged: Forge) -> Callable[..., Pair]:
    def make(number: int, content: dict[str, bytes] = CONTENT, **fields: object) -> Pair:
        first = without_packs(numbered(number, content))
        rest = completing(bundle_id(first), content, **fields)
        return Pair(forged.depot(first), forged.depot(rest), bundle_id(first).hex())

    return make


both_orders = pytest.mark.parametrize("order", ["first", "rest"])


@both_orders
def test_the_two_together_have_the_number_of_the_first(
    order: str, make_pair: Callable[..., Pair], forged: Forge, isolated: Side
) -> None:
    pair = make_pair(7)

    verified = isolated.run("verify", *pair.order(order), "--json")
    ran = isolated.run("import", *pair.order(order), "--json")

    assert verified.code == 0, verified.err
    assert ran.code == 0, ran.err
    assert (ran.json["bundle"], ran.json["channel"], ran.json["sequence"]) == (
        pair.bundle,
        "production",
        7,
    )
    assert (isolated.bentoml / "models/tuned/v2/new.bin").read_bytes() == CONTENT["new.bin"]
    older = forged.depot(numbered(1, {"old.bin": b"o"}, "tuned:v1"))
    refusals.expect_refusal(isolated, "import", older, error=PolicyError)


@both_orders
def test_an_older_bundle_is_not_let_in_by_a_new_one_that_completes_it(
    order: str, make_pair: Callable[..., Pair], forged: Forge, isolated: Side
) -> None:
    newer = forged.depot(numbered(8, {"a.bin": b"a"}, "tuned:v3"))
    assert isolated.run("import", newer).code == 0
    pair = make_pair(7)

    refusals.expect_refusal(isolated, "import", *pair.order(order), error=PolicyError)
    refusals.expect_refusal(isolated, "verify", *pair.order(order), error=PolicyError)


@pytest.mark.parametrize("command", ["import", "verify"])
def test_it_installs_nothing_by_itself_though_it_has_every_chunk(
    command: str, make_pair: Callable[..., Pair], isolated: Side
) -> None:
    pair = make_pair(7)

    ran = isolated.run(command, pair.rest)

    assert ran.code == 13
    assert f"completes bundle {pair.bundle}" in " ".join(ran.err.split())
    refusals.expect_refusal(isolated, command, pair.rest, error=MissingError)


def test_it_completes_no_other_bundle_than_the_one_it_names(
    make_pair: Callable[..., Pair], forged: Forge, isolated: Side
) -> None:
    other = forged.depot(without_packs(numbered(9, CONTENT)))

    refusals.expect_refusal(
        isolated, "import", make_pair(7).rest, "--depot", other, error=MissingError
    )


def test_it_brings_chunks_and_no_items(forged: Forge, isolated: Side) -> None:
    first = without_packs(numbered(7, CONTENT))
    rest = completing(bundle_id(first), {**CONTENT, "more.bin": b"not in the first"})

    ran = isolated.run("import", forged.depot(rest), "--depot", forged.depot(first))

    assert ran.code == 0, ran.err
    assert not (isolated.bentoml / "models/tuned/v2/more.bin").exists()


def test_it_has_no_number_of_its_own(make_pair: Callable[..., Pair], isolated: Side) -> None:
    pair = make_pair(7, sequence=7, channel="production")

    refusals.expect_refusal(isolated, *("import", *pair.order("rest")), error=CorruptError)


def test_its_channel_needs_no_number_from_it(
    make_pair: Callable[..., Pair], forged: Forge, isolated: Side
) -> None:
    assert isolated.run("import", forged.depot(numbered(6, {"a": b"a"}, "tuned:v1"))).code == 0
    pair = make_pair(7, channel="production")

    assert isolated.run("import", *pair.order("rest"), "--channel", "production").code == 0


def test_a_stranger_completes_nothing(
    make_pair: Callable[..., Pair], isolated: Side, tmp_path: Path
) -> None:
    pair = make_pair(7)
    stranger = sides.make_site(tmp_path / "strangers")
    made = completing(bytes.fromhex(pair.bundle), CONTENT)
    folder = tmp_path / "strange"
    folder.mkdir()
    rest = Forge(folder, forge.load_signer(stranger.key())).depot(made)

    for words in ((rest, "--depot", pair.first), (pair.first, "--depot", rest)):
        refusals.expect_refusal(isolated, "import", *words, error=NotTrustedError)


def make_careful_site(folder: Path) -> tuple[Side, Pair, Path]:
    """A machine whose site demands an approver, two bundles for it, and the approver's key."""
    side = Side(folder / "careful")
    side.top.mkdir()
    signers.pin(side, make_root(approver=team("cas")))
    builder = Forge(folder, signers.person("bob"))
    first = without_packs(numbered(7, CONTENT))
    rest = builder.depot(completing(bundle_id(first), CONTENT))
    pair = Pair(builder.depot(first), rest, bundle_id(first).hex())
    key = signers.write_key(folder / "keys", "cas")
    return side, pair, key


@both_orders
def test_an_approval_of_it_is_none_of_the_first(order: str, tmp_path: Path) -> None:
    side, pair, key = make_careful_site(tmp_path)
    assert side.run("approve", pair.rest, "--key", key).code == 0

    refusals.expect_refusal(side, "import", *pair.order(order), error=PolicyError)

    assert side.run("approve", pair.first, "--key", key).code == 0
    ran = side.run("import", *pair.order(order))
    assert ran.code == 0, ran.err


def test_a_rejection_refuses_it_by_its_own_name(tmp_path: Path) -> None:
    side, pair, key = make_careful_site(tmp_path)
    assert side.run("approve", pair.first, "--key", key).code == 0
    assert side.run("approve", pair.rest, "--key", key, "--reject").code == 0

    refusals.expect_refusal(side, "import", *pair.order("rest"), error=PolicyError)
    (listed,) = side.run("list", pair.rest, "--json").json["bundles"]

    assert (listed["trusted"], listed["standing"]) == (False, "not acceptable")
    assert "rejected by 1 approver" in listed["reason"]
    # As a source of chunks it needs no approval: the other bundle's digests decide.
    assert side.run("import", *pair.order("first")).code == 0


def test_it_is_not_the_newest_of_a_depot(forged: Forge, isolated: Side, tmp_path: Path) -> None:
    whole = numbered(7, CONTENT)
    rest = completing(bundle_id(whole), CONTENT, created_at=1_800_000_000)
    depot = tmp_path / "depot"
    for made in (whole, rest):
        raw = made.raw()
        forge.write_depot(depot, forge.members(raw, forge.sign(raw, forged.signer), made.packs))

    listed = isolated.run("list", depot, "--json").json["bundles"]
    ran = isolated.run("import", depot, "--json")

    assert [row["completes"] for row in listed] == [None, bundle_id(whole).hex()]
    assert ran.json["bundle"] == bundle_id(whole).hex()


def test_a_want_says_which_bundle_is_completed(
    small: Side, site: Site, isolated: Side, tmp_path: Path
) -> None:
    old, new, rest, want = (tmp_path / name for name in ("old", "new", "rest.airgap", "want"))
    key = ("--key", site.key(), "--json")
    assert small.run("export", "shop:v1", "-o", old, *key, "--channel", "production").code == 0
    stores.add_model(small, "ranker:v2", {"weights.bin": stores.noise(400_000), "note": b"new"})
    words = ("--model", "ranker:v2", *key)
    made = small.run(
        "export", *words, "-o", new, "--base", old, "--channel", "production", "--sequence", "7"
    )
    refusals.expect_refusal(isolated, "import", new, "--want", want, error=MissingError)

    sent = small.run("export", "--model", "ranker:v2", "--for", want, "-o", rest, *key)
    ran = isolated.run("import", new, "--depot", rest, "--json")

    assert wants.decode(want.read_bytes()).bundle.hex() == made.json["bundle"]
    assert (sent.json["completes"], sent.json["sequence"]) == (made.json["bundle"], 0)
    assert ran.code == 0, ran.err
    assert ran.json["sequence"] == 7
    refusals.expect_refusal(isolated, "import", old, error=PolicyError)


@pytest.mark.parametrize("tags", [("model ranker:v1",), ("model ranker:v1", "bento \x1b[2Jx:v1")])
def test_a_want_does_not_say_what_leaves(
    tags: tuple[str, ...], small: Side, site: Site, tmp_path: Path
) -> None:
    want = tmp_path / "want"
    want.write_bytes(wants.encode(Want(bytes(32), tags, (bytes(32),))))
    words = ("--for", want, "-o", tmp_path / "rest", "--key", site.key())

    ran = refusals.expect_refusal(small, "export", *words, error=UsageError)

    assert "asks for model ranker:v1" in ran.json["error"]["message"]
    assert "\x1b" not in small.run("export", *words).err


def test_a_want_and_a_number_contradict_each_other(small: Side, site: Site, tmp_path: Path) -> None:
    want = tmp_path / "want"
    want.write_bytes(wants.encode(Want(bytes(32), ("model ranker:v1",), ())))

    words = ("--model", "ranker:v1", "--for", want, "-o", tmp_path / "rest", "--key", site.key())
    ran = small.run("export", *words, "--sequence", "8")

    assert ran.code == 2
    assert json.dumps("no number")[1:-1] in ran.err


def test_a_push_does_not_take_a_completing_bundle_for_the_item(
    connected: Side, site: Site, tmp_path: Path
) -> None:
    stores.add_model(connected, "tuned:v2", {"weights.bin": b"new" * 500})
    want, depot = tmp_path / "want.msgpack", tmp_path / "depot"
    want.write_bytes(wants.encode(Want(b"\2" * 32, ("model tuned:v2",), (b"\1" * 32,))))
    words = ("--model", "tuned:v2", "--for", want, "-o", depot, "--key", site.key())
    made = connected.run("export", *words)
    assert made.code == 0, made.err

    push = ("push", "tuned:v2", depot, "--model", "--bare", "--key", site.key(), "--json")
    first, again = connected.run(*push), connected.run(*push)

    assert [ran.json["was_there"] for ran in (first, again)] == [False, True]
