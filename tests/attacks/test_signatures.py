"""Threat model, signatures: who must have signed, and what does not count as a signature."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from airgap.errors import NotTrustedError
from airgap.signing.private_keys import FileSigner
from airgap.signing.signer import Signer
from tests.support import forge, refusals, sides
from tests.support.forge import Forge
from tests.support.sides import Side, Site

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


@dataclass(frozen=True)
class Case:
    """A manifest, and whose signatures an attack may start from."""

    raw: bytes
    builder: Signer
    site_key: Signer
    stranger: Signer

    @property
    def good(self) -> bytes:
        (one,) = forge.sign(self.raw, self.builder).values()
        return one

    @property
    def signature(self) -> bytes:
        return self.builder.sign("builder", self.raw).signature

    @property
    def id(self) -> str:
        return self.builder.key.id

    def named(self, *envelopes: bytes) -> dict[str, bytes]:
        """Give envelopes file names that are all the builder's kind."""
        names = [self.id, *(f"{number:064x}" for number in range(len(envelopes)))]
        return {f"builder.{name}.dsse": one for name, one in zip(names, envelopes, strict=False)}

    def text(self, old: str, new: str) -> dict[str, bytes]:
        """Change the text of the good envelope."""
        changed = self.good.decode().replace(old, new)
        assert changed != self.good.decode()
        return self.named(changed.encode())

    def over(self, payload: bytes, kind: str = forge.MANIFEST_TYPE) -> dict[str, bytes]:
        """Let the builder's own key sign other bytes."""
        return self.named(forge.envelope(self.id, raw_sign(self.builder, payload), kind))


def raw_sign(signer: Signer, message: bytes) -> bytes:
    assert isinstance(signer, FileSigner)
    private = signer._private
    assert isinstance(private, ed25519.Ed25519PrivateKey)
    return private.sign(message)


def plus_order(signature: bytes) -> bytes:
    """Add the order of the group to S: the same equation, another signature."""
    larger = int.from_bytes(signature[32:], "little") + ED25519_ORDER
    return signature[:32] + larger.to_bytes(32, "little")


SIGNATURES: dict[str, Callable[[Case], dict[str, bytes]]] = {
    "none": lambda _: {},
    "an empty file": lambda one: one.named(b""),
    "an empty list": lambda one: one.named(
        b'{"payloadType":"%s","signatures":[]}\n' % forge.MANIFEST_TYPE.encode()
    ),
    "null for a list": lambda one: one.named(
        b'{"payloadType":"%s","signatures":null}\n' % forge.MANIFEST_TYPE.encode()
    ),
    "two in one envelope": lambda one: one.text("}]}", "},{}]}"),
    "a stranger's": lambda one: forge.sign(one.raw, one.stranger),
    "a stranger's under the builder's id": lambda one: one.named(
        forge.envelope(one.id, raw_sign(one.stranger, forge.pae(forge.MANIFEST_TYPE, one.raw)))
    ),
    "the root key's": lambda one: forge.sign(one.raw, one.site_key),
    "the root key's as a root's": lambda one: forge.sign(one.raw, one.site_key, role="root"),
    "a builder's as a root's": lambda one: one.named(
        *forge.sign(one.raw, one.builder, role="root").values()
    ),
    "a builder's as an approval": lambda one: one.named(
        *forge.sign(one.raw, one.builder, role="approver").values()
    ),
    "an approval that says it is a builder's": lambda one: one.named(
        forge.envelope(one.id, one.builder.sign("approver", one.raw).signature)
    ),
    "only a root's file": lambda one: forge.sign(one.raw, one.builder, role="root"),
    "over the bytes alone": lambda one: one.over(one.raw),
    "over their digest": lambda one: one.over(hashlib.sha256(one.raw).digest()),
    "over the digest of what is signed": lambda one: one.over(
        hashlib.sha256(forge.pae(forge.MANIFEST_TYPE, one.raw)).digest()
    ),
    "over another manifest": lambda one: one.over(forge.pae(forge.MANIFEST_TYPE, one.raw + b"\0")),
    "with the length left out": lambda one: one.over(
        b"DSSEv1 " + forge.MANIFEST_TYPE.encode() + b" " + one.raw
    ),
    "over DSSE version 0": lambda one: one.over(
        forge.pae(forge.MANIFEST_TYPE, one.raw).replace(b"DSSEv1", b"DSSEv0", 1)
    ),
    "over another payload type": lambda one: one.over(
        forge.pae("application/octet-stream", one.raw), "application/octet-stream"
    ),
    "of no bytes": lambda one: one.named(forge.envelope(one.id, b"")),
    "of zeros": lambda one: one.named(forge.envelope(one.id, bytes(64))),
    "a byte short": lambda one: one.named(forge.envelope(one.id, one.signature[:-1])),
    "a byte long": lambda one: one.named(forge.envelope(one.id, one.signature + b"\0")),
    "twice": lambda one: one.named(forge.envelope(one.id, one.signature * 2)),
    "malleated": lambda one: one.named(forge.envelope(one.id, plus_order(one.signature))),
    "a bad one beside the good one": lambda one: {
        **one.named(one.good),
        "builder." + "0" * 64 + ".dsse": forge.envelope(one.id, bytes(64)),
    },
    "garbage beside the good one": lambda one: {
        **one.named(one.good),
        "builder." + "0" * 64 + ".dsse": b"garbage",
    },
}

TEXTS = {
    "an algorithm of its own": ('{"payloadType"', '{"alg":"none","payloadType"'),
    "a payload of its own": ('"signatures"', '"payload":"","signatures"'),
    "a key of its own": ('"sig"', '"key":"MCowBQYDK2VwAyEA","sig"'),
    "spaces": (":", ": "),
    "no newline": ("}]}\n", "}]}"),
    "a space at the end": ("}]}\n", "}]} \n"),
    "Windows line ends": ("\n", "\r\n"),
    "a byte-order mark": ('{"payload', '\ufeff{"payload'),
    "an escape": ("application", "\\u0061pplication"),
    "a key twice": ('{"payloadType"', '{"payloadType":"x","payloadType"'),
    "no padding": ("==", ""),
    "another character in the padding": ("==", "=-"),
    "an upper-case key id": ('"keyid":"', '"keyid":"A'),
    "a number for the key id": ('"keyid":"', '"keyid":1,"x":"'),
    "no payload type": ('"payloadType":', '"payloadTyp":'),
    "a list at the top": ("{", "[{"),
    "deep nesting": ('"signatures":[', '"signatures":' + "[" * 5000),
    "a number of many digits": ('"signatures":[', '"n":' + "9" * 5000 + ',"signatures":['),
}


@pytest.fixture
def case(forged: Forge, site: Site) -> Case:
    made = forge.draft(forge.model({"weights.bin": b"w"}))
    return Case(
        made.raw(),
        forged.signer,
        forge.load_signer(site.folder / "site.key"),
        FileSigner(ed25519.Ed25519PrivateKey.generate()),
    )


def write(forged: Forge, raw: bytes, envelopes: dict[str, bytes]) -> tuple[Path, Path]:
    """Write a bundle in both forms."""
    packs = forge.draft(forge.model({"weights.bin": b"w"})).packs
    files = forge.members(raw, envelopes, packs)
    archive = forged.folder / "one.airgap"
    archive.write_bytes(forge.tar(files))
    return forge.write_depot(forged.folder / "one", files), archive


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_bundle_is_not_trusted_with_a_signature(
    name: str, case: Case, forged: Forge, isolated: Side
) -> None:
    for location in write(forged, case.raw, SIGNATURES[name](case)):
        refusals.expect_refusal(isolated, "verify", location, error=NotTrustedError)
        refusals.expect_refusal(isolated, "import", location, error=NotTrustedError)


@pytest.mark.parametrize("name", TEXTS)
def test_an_envelope_has_one_form_and_not_one_with(
    name: str, case: Case, forged: Forge, isolated: Side
) -> None:
    depot, _ = write(forged, case.raw, case.text(*TEXTS[name]))

    refusals.expect_refusal(isolated, "import", depot, error=NotTrustedError)


def test_base64_has_one_form(case: Case, forged: Forge, isolated: Side) -> None:
    # 64 bytes leave four bits in the last character, which a lenient reader drops.
    sig = base64.b64encode(case.signature).decode()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = sig[:-3] + alphabet[alphabet.index(sig[-3]) + 1] + "=="
    assert base64.b64decode(other) == case.signature
    depot, _ = write(forged, case.raw, case.text(sig, other))

    refusals.expect_refusal(isolated, "import", depot, error=NotTrustedError)


def test_a_strangers_signature_beside_enough_others_harms_nothing(
    case: Case, forged: Forge, isolated: Side
) -> None:
    envelopes = {**case.named(case.good), **forge.sign(case.raw, case.stranger)}

    for location in write(forged, case.raw, envelopes):
        assert isolated.run("verify", location).code == 0


def test_a_key_that_travels_with_the_bundle_is_not_asked(
    case: Case, forged: Forge, isolated: Side, tmp_path: Path
) -> None:
    own = sides.make_site(tmp_path / "own")
    depot, _ = write(forged, case.raw, forge.sign(case.raw, forge.load_signer(own.key())))
    (bundle,) = depot.glob("bundles/*")
    for folder in (depot, depot / "roots", bundle):
        folder.mkdir(exist_ok=True)
        (folder / "1.root.msgpack").write_bytes(own.root.read_bytes())
        (folder / "root.msgpack").write_bytes(own.root.read_bytes())
        (folder / "builder.pub").write_bytes(own.key().with_suffix(".pub").read_bytes())

    refusals.expect_refusal(isolated, "import", depot, error=NotTrustedError)


# Thresholds


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site that demands two of three builders."""
    return sides.make_site(tmp_path_factory.mktemp("strict"), builders=3, threshold=2)


@pytest.fixture
def guarded(tmp_path: Path, strict: Site) -> Side:
    side = Side(tmp_path / "guarded")
    side.top.mkdir()
    sides.trust(side, strict)
    return side


def test_two_of_three_are_enough(case: Case, forged: Forge, guarded: Side, strict: Site) -> None:
    signers = [forge.load_signer(strict.key(number)) for number in (1, 3)]

    for location in write(forged, case.raw, forge.sign(case.raw, *signers)):
        assert guarded.run("verify", location).code == 0


def test_one_of_three_is_below_the_threshold(
    case: Case, forged: Forge, guarded: Side, strict: Site
) -> None:
    envelopes = forge.sign(case.raw, forge.load_signer(strict.key(1)), case.stranger)

    for location in write(forged, case.raw, envelopes):
        refusals.expect_refusal(guarded, "verify", location, error=NotTrustedError)
        refusals.expect_refusal(guarded, "import", location, error=NotTrustedError)


def test_the_same_key_twice_is_one_signer(
    case: Case, forged: Forge, guarded: Side, strict: Site
) -> None:
    one = forge.load_signer(strict.key(1))
    (name, envelope), *_ = forge.sign(case.raw, one).items()
    envelopes = {name: envelope, "builder." + "f" * 64 + ".dsse": envelope}

    for location in write(forged, case.raw, envelopes):
        refusals.expect_refusal(guarded, "import", location, error=NotTrustedError)


def test_the_same_key_under_two_ids_is_one_signer(
    case: Case, forged: Forge, guarded: Side, strict: Site
) -> None:
    one, other = (forge.load_signer(strict.key(number)) for number in (1, 2))
    signature = one.sign("builder", case.raw).signature
    envelopes = {
        f"builder.{key_id}.dsse": forge.envelope(key_id, signature)
        for key_id in (one.key.id, other.key.id)
    }

    for location in write(forged, case.raw, envelopes):
        refusals.expect_refusal(guarded, "import", location, error=NotTrustedError)


def test_a_second_builder_signs_later(
    case: Case, forged: Forge, guarded: Side, strict: Site
) -> None:
    first = forge.sign(case.raw, forge.load_signer(strict.key(1)))
    depot, _ = write(forged, case.raw, first)
    refusals.expect_refusal(guarded, "import", depot, error=NotTrustedError)

    assert guarded.run("sign", depot, "--key", strict.key(2)).code == 0

    assert guarded.run("import", depot).code == 0


# ECDSA has many signatures of one message; only one form of each counts.


def _long_length(der: bytes) -> bytes:
    return der[:1] + b"\x81" + der[1:]


def _leading_zero(der: bytes) -> bytes:
    length = der[3]
    r = b"\x02" + bytes([length + 1]) + b"\0" + der[4 : 4 + length]
    rest = der[4 + length :]
    return b"\x30" + bytes([len(r) + len(rest)]) + r + rest


def _raw_pair(der: bytes) -> bytes:
    r, s = decode_dss_signature(der)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _other_half(der: bytes) -> bytes:
    r, s = decode_dss_signature(der)
    return encode_dss_signature(r, P256_ORDER - s)


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "in the upper half": _other_half,
    "with a long length": _long_length,
    "with a leading zero": _leading_zero,
    "with bytes behind it": lambda der: der + b"\0",
    "with bytes inside behind it": lambda der: (
        der[:1] + bytes([der[1] + 2]) + der[2:] + b"\x05\x00"
    ),
    "as two numbers": _raw_pair,
    "of zeros": lambda _: encode_dss_signature(0, 0),
    "of ones": lambda _: encode_dss_signature(1, 1),
    "of the order": lambda _: encode_dss_signature(P256_ORDER, P256_ORDER),
    "plus the order": lambda der: encode_dss_signature(
        decode_dss_signature(der)[0] + P256_ORDER, decode_dss_signature(der)[1]
    ),
    "of nothing": lambda _: b"",
    "of an empty sequence": lambda _: b"\x30\x00",
}


@pytest.fixture(scope="module")
def nist(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site whose builder has a P-256 key."""
    return sides.make_site(tmp_path_factory.mktemp("nist"), algorithm="ecdsa-p256-sha256")


@pytest.fixture
def nist_side(tmp_path: Path, nist: Site) -> Side:
    side = Side(tmp_path / "nist")
    side.top.mkdir()
    sides.trust(side, nist)
    return side


@pytest.mark.parametrize("form", FORMS)
def test_an_ecdsa_signature_is_refused(
    form: str, case: Case, forged: Forge, nist_side: Side, nist: Site
) -> None:
    signer = forge.load_signer(nist.key())
    der = signer.sign("builder", case.raw).signature
    changed = forge.envelope(signer.key.id, FORMS[form](der))
    depot, _ = write(forged, case.raw, {f"builder.{signer.key.id}.dsse": changed})

    refusals.expect_refusal(nist_side, "import", depot, error=NotTrustedError)

    (envelope,) = depot.glob("bundles/*/*.dsse")
    envelope.write_bytes(forge.envelope(signer.key.id, der))
    assert nist_side.run("import", depot).code == 0


def test_an_ecdsa_signature_over_another_hash_is_refused(
    case: Case, forged: Forge, nist_side: Side, nist: Site
) -> None:
    from cryptography.hazmat.primitives import hashes

    signer = forge.load_signer(nist.key())
    assert isinstance(signer, FileSigner)
    private = signer._private
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    message = forge.pae(forge.MANIFEST_TYPE, case.raw)
    der = private.sign(message, ec.ECDSA(hashes.SHA384()))
    r, s = decode_dss_signature(der)
    low = encode_dss_signature(r, min(s, P256_ORDER - s))
    envelope = {f"builder.{signer.key.id}.dsse": forge.envelope(signer.key.id, low)}
    depot, _ = write(forged, case.raw, envelope)

    refusals.expect_refusal(nist_side, "import", depot, error=NotTrustedError)
