"""Keys, roots and trust in Python: a site from nothing, nobody asked, nothing printed."""

import getpass
from collections.abc import Iterator
from pathlib import Path

import pytest

import airgap
from airgap import keys, results, roots, trust
from airgap.errors import ConfigurationError, NotTrustedError, UsageError
from tests.support.sides import Side, Site
from tests.support.typed_dicts import find_problems


@pytest.fixture(autouse=True)
def _nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[None]:
    """Fail if anything asks or prints."""

    def ask(*_: object) -> str:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr(getpass, "getpass", ask)
    monkeypatch.setattr("builtins.input", ask)
    monkeypatch.delenv("AIRGAP_PASSPHRASE", raising=False)
    yield
    assert capfd.readouterr() == ("", "")


def _fail(_: str) -> str:
    raise ValueError("not a number")


def test_a_site_from_nothing_to_an_import(small: Side, tmp_path: Path) -> None:
    asked: list[str] = []

    def tell(name: str) -> str:
        asked.append(name)
        return "a long passphrase"

    site = keys.generate("site", tmp_path, passphrase=tell)
    builder = keys.generate("builder", tmp_path, passphrase=None)
    made = roots.create(
        tmp_path / "root.msgpack",
        site="ward",
        root_keys=[site.private],
        builders=[builder.key],
        passphrase=tell,
    )
    assert made["complete"]
    assert asked == ["site", f"the key {site.private}"]
    ward = Side(tmp_path / "ward")
    with ward.here():
        with pytest.raises(NotTrustedError):
            trust.pin(made["root"], fingerprint=f"SHA256:{'0' * 64}")
        assert trust.pin(made["root"], fingerprint=made["fingerprint"])["new"]
    with small.here():
        where = airgap.export_bento("shop:v1", tmp_path, key=keys.load(builder.private))
    with ward.here():
        assert airgap.import_bundle(where)["site"] == "ward"


def test_a_new_root_takes_over(isolated: Side, site: Site, archive: Path, tmp_path: Path) -> None:
    root_key = keys.load(site.folder / "site.key")
    second = keys.generate("second", tmp_path, passphrase=None, algorithm="ecdsa-p256-sha256")
    following = roots.change(
        site.root,
        roots.add_key("builder", second.public),
        roots.revoke_key(keys.read_public(site.key())),
        roots.set_threshold("builder", 1),
        output=tmp_path / "root-2.msgpack",
    )
    with pytest.raises(NotTrustedError):
        roots.sign(following["root"], fingerprint=site.fingerprint, key=root_key)

    signed = roots.sign(
        following["root"], fingerprint=following["fingerprint"], key=root_key, before=site.root
    )

    assert (signed["new"], signed["complete"], signed["signed_by"]) == (True, True, root_key.id)
    with isolated.here():
        updated = trust.update(following["root"])
        assert list(find_problems(updated, results.UpdateDict)) == []
        assert (updated["before"], updated["version"], updated["new"]) == (1, 2, True)
        assert trust.show()["roles"]["builder"]["keys"] == [second.key.id]
        with pytest.raises(NotTrustedError):
            airgap.verify(archive)


def test_a_root_key_may_sign_later(site: Site, tmp_path: Path) -> None:
    owner = keys.generate("owner", tmp_path, passphrase=None)
    public: list[Path | keys.PublicKey] = [owner.public, keys.read_public(site.key())]

    made = roots.create(
        tmp_path / "root.msgpack",
        site="ward",
        root_keys=public,
        builders=[site.key().with_suffix(".pub")],
        thresholds={"root": 1},
        expires_at=2**33,
    )

    assert made["complete"] is False
    assert made["signatures"][0]["may_still_sign"] == sorted(
        [owner.key.id, keys.load(site.key()).id]
    )
    signed = roots.sign(made["root"], fingerprint=made["fingerprint"], key=owner.private)
    assert signed["complete"]


def test_a_passphrase_in_the_variable_may_have_any_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = keys.generate("builder", tmp_path, passphrase=b"\xff", algorithm="ecdsa-p384-sha384")
    monkeypatch.setenv("AIRGAP_PASSPHRASE", "\udcff")

    assert keys.load(made.private).public.algorithm == "ecdsa-p384-sha384"


def test_an_encrypted_key_needs_its_passphrase(tmp_path: Path) -> None:
    made = keys.generate("builder", tmp_path, passphrase=b"right", algorithm="ecdsa-p384-sha384")

    with pytest.raises(ConfigurationError, match="encrypted"):
        keys.load(made.private)
    with pytest.raises(ConfigurationError):
        keys.load(made.private, passphrase="wrong")  # noqa: S106  (a test's own)
    with pytest.raises(TypeError, match="must return str or bytes, not int"):
        keys.load(made.private, passphrase=lambda _: 7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not a number"):
        keys.load(made.private, passphrase=_fail)
    opened = keys.load(made.private, passphrase="right")  # noqa: S106
    assert opened.public == keys.read_public(made.private)
    assert "right" not in repr(opened)


def test_a_public_half_is_written(tmp_path: Path) -> None:
    made = keys.generate("builder", tmp_path, passphrase=None, fips=True)

    written = keys.export_public(made.private, tmp_path / "again.pub")

    assert written == keys.read_public(tmp_path / "again.pub") == made.key
    assert made.key.algorithm == "ecdsa-p384-sha384"
    with pytest.raises(ConfigurationError):
        keys.export_public(made.private, tmp_path / "again.pub")


@pytest.mark.parametrize("name", ["", "a/b", ".hidden"])
def test_a_key_has_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        keys.generate(name, tmp_path, passphrase=None)


def test_changes_that_undo_others(site: Site, tmp_path: Path) -> None:
    output = tmp_path / "next.msgpack"
    extra = keys.generate("extra", tmp_path, passphrase=None)
    roots.change(
        site.root,
        roots.add_key("builder", extra.key),
        roots.add_key("scanner", keys.load(extra.private)),
        roots.demand("licence", "scanner"),
        roots.forbid_options("http"),
        roots.limit_label("project", required=True),
        output=output,
    )

    changed = roots.change(
        output,
        roots.remove_demand("licence"),
        roots.permit_options("http"),
        roots.limit_label("project", lift=True),
        roots.limit_trust_anchors(None),
        roots.name_key(extra.key.id[:8], "E. Xtra"),
        roots.remove_key("builder", extra.public),
        roots.set_expiry(None),
    )

    assert [demand["name"] for demand in changed["demands"]] == ["malware"]
    assert (changed["forbidden_options"], changed["labels"]) == ([], None)
    assert changed["people"] == {extra.key.id: "E. Xtra"}
    assert changed["roles"]["builder"]["keys"] == [keys.read_public(site.key()).id]
    with pytest.raises(UsageError, match="attests nothing"):
        roots.demand("licence", "builder")
    with pytest.raises(UsageError, match="bundle id"):
        roots.revoke_bundle("12")
