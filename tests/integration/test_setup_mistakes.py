"""What a person gets wrong in the first hour is refused before it costs something."""

from pathlib import Path

import pytest

from airgap.errors import ConfigurationError
from airgap.flow.exporting.builders import refuse_unaccepted
from airgap.format import root as roots
from tests.support.sides import Side, Site, make_site


@pytest.fixture
def other(tmp_path: Path) -> Site:
    (tmp_path / "other").mkdir()
    return make_site(tmp_path / "other", builders=2, threshold=2)


def test_a_key_that_is_no_builder_is_refused_before_anything_is_written(
    small: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert small.run("init", "ward-7", "--no-passphrase").code == 0
    words = ("export", "shop", "-o", tmp_path / "depot")
    monkeypatch.setenv("AIRGAP_KEY", str(small.state / "keys" / "site.key"))

    refused = small.run(*words, "--json")

    assert refused.code == 3
    message = refused.json["error"]["message"]
    assert "is not a builder of site ward-7 (root 1)" in message
    assert not (tmp_path / "depot").exists()
    monkeypatch.delenv("AIRGAP_KEY")
    assert small.run(*words, "--json").json["sequence"] == 1


def test_a_kit_needs_a_builder_as_well(small: Side, tmp_path: Path) -> None:
    assert small.run("init", "ward-7", "--no-passphrase").code == 0

    ran = small.run("kit", "-o", tmp_path / "kit", "--key", small.state / "keys" / "site.key")

    assert ran.code == 3
    assert "is not a builder of site ward-7" in ran.err
    assert not (tmp_path / "kit").exists()


def test_without_a_root_any_key_may_sign(small: Side, other: Site, tmp_path: Path) -> None:
    words = ("export", "shop", "-o", tmp_path / "depot", "--key", other.folder / "site.key")

    assert small.run(*words).code == 0


def test_one_builder_of_several_is_enough_to_begin(
    small: Side, other: Site, tmp_path: Path
) -> None:
    words = ("export", "shop", "-o", tmp_path / "depot", "--include-root", other.root)

    assert small.run(*words, "--key", other.key(2)).code == 0


def test_a_builder_of_one_root_that_travels_is_enough(site: Site, other: Site) -> None:
    old, new = (roots.decode(each.root.read_bytes()) for each in (site, other))
    (old_builder,) = old.signers("builder")
    new_builder, _ = new.signers("builder")

    refuse_unaccepted([old_builder, new_builder], [old, new])
    refuse_unaccepted(["ab" * 32], [])
    with pytest.raises(ConfigurationError):
        refuse_unaccepted([old_builder], [new])


def test_a_rehearsal_without_trust_names_this_machine_s_root(
    small: Side, site: Site, tmp_path: Path
) -> None:
    words = ("export", "shop", "-o", tmp_path / "depot", "--key", site.key())
    assert small.run(*words).code == 0

    before = small.run("rehearse", tmp_path / "depot")
    assert small.run("init", "ward-7", "--no-passphrase").code == 0
    after = small.run("rehearse", tmp_path / "depot")

    assert before.code == after.code == 3
    assert "This machine does not trust a site yet" in before.err
    assert "airgap-proof-" not in before.err + after.err
    hint = " ".join(after.err.split())
    assert f"airgap trust init {small.state / 'keys' / 'root.msgpack'}" in hint


def test_init_says_how_to_verify_here_too(small: Side) -> None:
    ran = small.run("init", "ward-7", "--no-passphrase")

    line = ran.out.splitlines()[-1].split()
    assert line[:3] == ["airgap", "trust", "init"]
    fingerprint = small.run("init", "ward-7", "--json").json["fingerprint"]
    assert small.run(*line[1:], "--fingerprint", fingerprint).code == 0
