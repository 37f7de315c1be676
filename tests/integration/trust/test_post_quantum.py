"""ML-DSA keys, and a site on its way to them: a classical and a post-quantum signature at once."""

from pathlib import Path

import pytest

from airgap.errors import ConfigurationError, NotTrustedError
from airgap.signing import public_keys
from tests.support import key_backends, refusals, sides
from tests.support.sides import Side, Site


@pytest.fixture
def transition(tmp_path: Path) -> tuple[Site, Path, Path]:
    """A site that wants both signatures, its Ed25519 key and its ML-DSA key."""
    folder = tmp_path / "keys"
    for name, algorithm in (("classical", "ed25519"), ("quantum", "ml-dsa-65")):
        options = ("--dir", folder, "--no-passphrase", "--algorithm", algorithm)
        assert key_backends.airgap("key", "generate", name, *options).code == 0
    keys = folder / "classical.key", folder / "quantum.key"
    return key_backends.site_for(tmp_path / "both", keys), *keys


@pytest.fixture
def beyond(transition: tuple[Site, Path, Path], tmp_path: Path) -> Side:
    side = key_backends.bare_side(tmp_path / "beyond")
    sides.trust(side, transition[0])
    return side


@pytest.mark.parametrize("algorithm", ["ml-dsa-65", "ml-dsa-87"])
@pytest.mark.parametrize("form", ["depot", "shop.airgap"])
def test_a_site_may_have_nothing_but_ml_dsa(
    algorithm: str, form: str, small: Side, tmp_path: Path
) -> None:
    site = sides.make_site(tmp_path / "site", algorithm=algorithm)
    beyond = key_backends.bare_side(tmp_path / "beyond")
    sides.trust(beyond, site)
    small.run("export", "shop:v1", "-o", tmp_path / form, "--key", site.key())

    imported = beyond.run("import", tmp_path / form)

    assert imported.code == 0, imported.err
    assert (beyond.bentoml / "bentos" / "shop" / "v1" / "bento.yaml").exists()


@pytest.mark.parametrize("form", ["depot", "shop.airgap"])
def test_both_signatures_together_are_enough(
    form: str, transition: tuple[Site, Path, Path], small: Side, beyond: Side, tmp_path: Path
) -> None:
    _, classical, quantum = transition
    small.run("export", "shop:v1", "-o", tmp_path / form, "--key", classical)
    signed = small.run("sign", tmp_path / form, "--key", quantum)

    imported = beyond.run("import", tmp_path / form)

    assert signed.code == 0, signed.err
    assert imported.code == 0, imported.err


@pytest.mark.parametrize("which", [0, 1], ids=["classical", "quantum"])
def test_either_signature_alone_is_refused(
    which: int, transition: tuple[Site, Path, Path], small: Side, beyond: Side, tmp_path: Path
) -> None:
    keys = transition[1:]
    small.run("export", "shop:v1", "-o", tmp_path / "depot", "--key", keys[which])

    refusals.expect_refusal(beyond, "import", tmp_path / "depot", error=NotTrustedError)


def test_a_broken_ml_dsa_signature_is_refused_beside_a_good_classical_one(
    transition: tuple[Site, Path, Path], small: Side, beyond: Side, tmp_path: Path
) -> None:
    _, classical, quantum = transition
    depot = tmp_path / "depot"
    small.run("export", "shop:v1", "-o", depot, "--key", classical)
    signed = small.run("sign", depot, "--key", quantum, "--json").json
    envelope = depot / "bundles" / signed["bundle"] / signed["envelope"]
    text = envelope.read_bytes()
    middle = len(text) // 2
    other = b"A" if text[middle : middle + 1] != b"A" else b"B"
    envelope.write_bytes(text[:middle] + other + text[middle + 1 :])

    refusals.expect_refusal(beyond, "import", depot, error=NotTrustedError)


def test_a_machine_without_ml_dsa_says_what_it_lacks(
    transition: tuple[Site, Path, Path],
    small: Side,
    beyond: Side,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small.run("export", "shop:v1", "-o", tmp_path / "depot", "--key", transition[1])
    monkeypatch.setattr(public_keys, "mldsa", None)

    ran = refusals.expect_refusal(beyond, "import", tmp_path / "depot", error=ConfigurationError)

    assert "ml-dsa-65" in ran.err
    assert "pip install --upgrade cryptography" in ran.err
