"""Keys, roots and pins: what is made, and what is refused."""

from pathlib import Path

import pytest

from airgap.errors import (
    ConfigurationError,
    ConflictError,
    MissingError,
    NotTrustedError,
    StorageError,
    UsageError,
)
from tests.support import refusals, sides
from tests.support.sides import Ran, Side, Site

ALGORITHMS = ("ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384")


def create(side: Side, site: Site, output: Path, *words: str | Path, name: str = "ward") -> Ran:
    key = ("--root-key", site.folder / "site.key")
    return side.run("root", "create", "--site", name, *key, *words, "-o", output, "--json")


def builder(site: Site, number: int = 1) -> tuple[str, Path]:
    return "--builder", site.folder / f"builder{number}.pub"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_journey_with_every_algorithm(algorithm: str, small: Side, tmp_path: Path) -> None:
    site = sides.make_site(tmp_path / "s", algorithm=algorithm)
    other = Side(tmp_path / "other")
    other.top.mkdir()
    sides.trust(other, site)

    assert small.run("export", "shop", "-o", tmp_path / "d", "--key", site.key()).code == 0
    assert other.run("import", tmp_path / "d").code == 0


def test_an_unknown_algorithm_makes_no_key(connected: Side, tmp_path: Path) -> None:
    ran = connected.run(
        "key", "generate", "k", "--dir", tmp_path / "k", "--no-passphrase", "--algorithm", "rsa"
    )

    assert ran.code in {2, 3}
    assert not (tmp_path / "k").exists()


@pytest.mark.parametrize("name", ["", "a/b", "../k", ".k"])
def test_a_name_that_is_no_plain_name_makes_no_key(
    name: str, connected: Side, tmp_path: Path
) -> None:
    words = ("key", "generate", name, "--dir", tmp_path / "k", "--no-passphrase")

    refusals.expect_refusal(connected, *words, error=UsageError)


@pytest.mark.parametrize("half", ["k.key", "k.pub"])
def test_a_key_is_never_overwritten(half: str, connected: Side, tmp_path: Path) -> None:
    (tmp_path / half).write_bytes(b"precious")
    words = ("key", "generate", "k", "--dir", tmp_path, "--no-passphrase")

    refusals.expect_refusal(connected, *words, error=ConfigurationError)

    assert [path.name for path in tmp_path.glob("k.*")] == [half]
    assert (tmp_path / half).read_bytes() == b"precious"


def test_a_key_goes_nowhere_where_there_is_no_folder(connected: Side, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    words = ("key", "generate", "k", "--dir", tmp_path / "file", "--no-passphrase")

    refusals.expect_refusal(connected, *words, error=StorageError)


def test_both_halves_have_one_fingerprint(connected: Side, site: Site) -> None:
    ids = {
        connected.run("key", "fingerprint", site.folder / half, "--json").json["key_id"]
        for half in ("site.key", "site.pub")
    }

    assert len(ids) == 1


@pytest.mark.parametrize("content", [None, b"", b"garbage", b"-----BEGIN PUBLIC KEY-----\n"])
def test_what_is_no_public_key_has_no_fingerprint(
    content: bytes | None, connected: Side, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "k.pub").write_bytes(content)

    refusals.expect_refusal(
        connected, "key", "fingerprint", tmp_path / "k.pub", error=ConfigurationError
    )


@pytest.mark.parametrize("name", ["Ward", "", "a b", "latest", "x" * 64])
def test_a_site_has_a_plain_name(name: str, connected: Side, site: Site, tmp_path: Path) -> None:
    ran = create(connected, site, tmp_path / "r", *builder(site), name=name)

    assert ran.json["error"]["kind"] == "usage"
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("threshold", ["builder=0", "builder=2", "builder=x", "builder", "chef=1"])
def test_a_threshold_can_be_reached(
    threshold: str, connected: Side, site: Site, tmp_path: Path
) -> None:
    ran = create(connected, site, tmp_path / "r", *builder(site), "--threshold", threshold)

    assert ran.json["error"]["kind"] == "usage"
    assert not (tmp_path / "r").exists()


def test_a_builder_that_is_named_twice_is_one(connected: Side, site: Site, tmp_path: Path) -> None:
    words = (*builder(site), *builder(site), "--threshold", "builder=2")

    assert create(connected, site, tmp_path / "r", *words).json["error"]["kind"] == "usage"


def test_a_root_is_never_overwritten(connected: Side, site: Site, tmp_path: Path) -> None:
    (tmp_path / "r").write_bytes(b"precious")

    ran = create(connected, site, tmp_path / "r", *builder(site))

    assert ran.code == ConflictError.exit_code
    assert (tmp_path / "r").read_bytes() == b"precious"


def test_a_root_goes_nowhere_where_there_is_no_folder(
    connected: Side, site: Site, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    ran = create(connected, site, tmp_path / "file" / "r", *builder(site))

    assert ran.code == StorageError.exit_code


def test_the_same_keys_give_the_same_root(connected: Side, site: Site, tmp_path: Path) -> None:
    drawn_up = ("--created-at", "2026-01-02")
    made = [
        create(connected, site, tmp_path / f"{name}.msgpack", *builder(site), *drawn_up).json
        for name in "ab"
    ]

    assert made[0]["fingerprint"] == made[1]["fingerprint"]


def test_a_root_is_pinned_once_and_again(connected: Side, site: Site) -> None:
    words = ("trust", "init", site.root, "--fingerprint", site.fingerprint, "--json")

    assert [connected.run(*words).json["new"] for _ in range(2)] == [True, False]


def test_a_fingerprint_may_be_typed_as_people_type(connected: Side, site: Site) -> None:
    digits = site.fingerprint.removeprefix("SHA256:").upper()
    typed = "sha256: " + " ".join(digits[at : at + 8] for at in range(0, 64, 8))

    assert connected.run("trust", "init", site.root, "--fingerprint", typed).code == 0


def test_a_root_without_its_envelope_is_not_pinned(
    connected: Side, site: Site, tmp_path: Path
) -> None:
    alone = tmp_path / "alone" / "root.msgpack"
    alone.parent.mkdir()
    alone.write_bytes(site.root.read_bytes())
    words = ("trust", "init", alone, "--fingerprint", site.fingerprint)

    refusals.expect_refusal(connected, *words, error=NotTrustedError)


def test_a_root_that_is_not_there_is_not_pinned(
    connected: Side, site: Site, tmp_path: Path
) -> None:
    words = ("trust", "init", tmp_path / "gone", "--fingerprint", site.fingerprint)

    refusals.expect_refusal(connected, *words, error=MissingError)


def test_a_pin_without_its_root_is_told(depot: Path, isolated: Side) -> None:
    (pinned,) = (isolated.state / "trust").glob("*.msgpack")
    pinned.unlink()

    refusals.expect_refusal(isolated, "import", depot, error=ConfigurationError)


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_damaged_pin_is_told(content: bytes | None, depot: Path, isolated: Side) -> None:
    pin = isolated.state / "trust" / "fingerprint"
    pin.unlink()
    if content is None:
        pin.mkdir()
    else:
        pin.write_bytes(content)

    refusals.expect_refusal(isolated, "import", depot, error=ConfigurationError)


def test_a_pinned_root_that_was_changed_admits_nothing(depot: Path, isolated: Side) -> None:
    (pinned,) = (isolated.state / "trust").glob("*.msgpack")
    pinned.write_bytes(pinned.read_bytes() + b"\0")

    refusals.expect_refusal(isolated, "import", depot, error=NotTrustedError)


def test_state_that_cannot_be_written_is_told(connected: Side, site: Site) -> None:
    connected.state.write_bytes(b"a file where a folder belongs")
    words = ("trust", "init", site.root, "--fingerprint", site.fingerprint)

    ran = connected.run(*words, "--json")

    assert ran.code in {StorageError.exit_code, ConfigurationError.exit_code}
    assert connected.state.read_bytes() == b"a file where a folder belongs"


def test_what_is_trusted_is_shown(isolated: Side, site: Site) -> None:
    ran = isolated.run("trust", "show")

    assert ran.out.startswith("Site ward, root version 1\n")
    assert site.fingerprint in ran.out
    assert "builder: 1 of 1" in ran.out
