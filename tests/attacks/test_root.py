"""Threat model, root: what a site's trust document may not say, and who may change it."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519

from airgap.errors import (
    AirgapError,
    ConfigurationError,
    ConflictError,
    CorruptError,
    MissingError,
    NotTrustedError,
    PolicyError,
)
from airgap.format import limits
from airgap.signing.private_keys import FileSigner
from airgap.signing.signer import Signer
from tests.support import forge, refusals, second_verifier
from tests.support.forge import Forge, Verbatim
from tests.support.sides import Side

DER = serialization.Encoding.DER
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")
P = 2**255 - 19


class Keys:
    """The private keys of a site that a test makes for itself."""

    def __init__(self) -> None:
        self.site = FileSigner(ed25519.Ed25519PrivateKey.generate())
        self.builder = FileSigner(ed25519.Ed25519PrivateKey.generate())

    def map(self) -> dict[str, Any]:
        """A good root as plain values."""
        keys = sorted((self.site.key, self.builder.key), key=lambda key: key.id)
        return {
            "channels": {},
            "format": 1,
            "hash": "sha256",
            "keys": [{"algorithm": key.algorithm, "spki": key.spki} for key in keys],
            "not_after": None,
            "revoked_bundles": [],
            "revoked_keys": [],
            "roles": {
                "root": {"keys": [self.site.key.id], "threshold": 1},
                "builder": {"keys": [self.builder.key.id], "threshold": 1},
            },
            "site": "ward",
            "version": 1,
        }


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def bare(tmp_path: Path) -> Side:
    """A machine that trusts nobody yet."""
    side = Side(tmp_path / "bare")
    side.top.mkdir()
    return side


def write_root(folder: Path, raw: bytes, *signers: Signer) -> tuple[str, str | Path, str, str]:
    """Write a root and its envelopes; return the command that pins it."""
    folder.mkdir(exist_ok=True)
    (folder / "root.msgpack").write_bytes(raw)
    for name, envelope in forge.sign(raw, *signers, role="root").items():
        (folder / name).write_bytes(envelope)
    fingerprint = "SHA256:" + hashlib.sha256(raw).hexdigest()
    return "trust", "init", str(folder / "root.msgpack"), f"--fingerprint={fingerprint}"


def pin(side: Side, keys: Keys, tmp_path: Path, **fields: object) -> None:
    """Pin a good root, but for these fields."""
    raw = forge.pack({**keys.map(), **fields})
    ran = side.run(*write_root(tmp_path / "root", raw, keys.site))
    assert ran.code == 0, ran.err


def add_key(spki: bytes, algorithm: str = "ed25519") -> Callable[[dict[str, Any]], None]:
    """Add one more builder's key to a root."""

    def change(root: dict[str, Any]) -> None:
        root["keys"].append({"algorithm": algorithm, "spki": spki})
        root["keys"].sort(key=lambda key: hashlib.sha256(key["spki"]).hexdigest())
        builder = root["roles"]["builder"]
        builder["keys"] = sorted([*builder["keys"], hashlib.sha256(spki).hexdigest()])

    return change


def set_role(name: str, **fields: object) -> Callable[[dict[str, Any]], None]:
    return lambda root: root["roles"].setdefault(name, {"keys": [], "threshold": 1}).update(fields)


def approver_too(root: dict[str, Any]) -> None:
    root["roles"]["approver"] = dict(root["roles"]["builder"])


def duplicate_key(root: dict[str, Any]) -> None:
    root["keys"].insert(0, root["keys"][0])


def revoke_builder(root: dict[str, Any]) -> None:
    root["revoked_keys"] = list(root["roles"]["builder"]["keys"])


def unknown_key(root: dict[str, Any]) -> None:
    root["roles"]["builder"]["keys"] = ["0" * 64]


BAD: dict[str, Callable[[dict[str, Any]], object]] = {
    "an unreachable threshold": set_role("builder", threshold=2),
    "a threshold of zero": set_role("builder", threshold=0),
    "a threshold that is true": set_role("builder", threshold=True),
    "a huge threshold": set_role("builder", threshold=2**53 - 1),
    "no builders": set_role("builder", keys=[]),
    "a role that there is not": set_role("admin", keys=["0" * 64]),
    "an approver who is a builder": approver_too,
    "a builder that it has no key of": unknown_key,
    "a key twice": duplicate_key,
    "a builder twice": lambda root: set_role(
        "builder", keys=root["roles"]["builder"]["keys"] * 2, threshold=2
    )(root),
    "keys in another order": lambda root: root["keys"].reverse(),
    "no builder that is not revoked": revoke_builder,
    "no role root": lambda root: root["roles"].pop("root"),
    "no role builder": lambda root: root["roles"].pop("builder"),
    "the algorithm none": lambda root: root["keys"][0].update(algorithm="none"),
    "the algorithm HS256": lambda root: root["keys"][0].update(algorithm="HS256"),
    "the algorithm rsa": lambda root: root["keys"][0].update(algorithm="rsa"),
    "the digest md5": lambda root: root.update(hash="md5"),
    "the version 0": lambda root: root.update(version=0),
    "format 0": lambda root: root.update(format=0),
    "format 2 without its fields": lambda root: root.update(format=2),
    "a site that is no name": lambda root: root.update(site="../ward"),
    "no site": lambda root: root.pop("site"),
    "a field too many": lambda root: root.update(insecure=True),
    "a channel that is no name": lambda root: root.update(channels={"": {"minimum_sequence": 1}}),
    "a negative minimum": lambda root: root.update(
        channels={"default": {"minimum_sequence": Verbatim(b"\xff")}}
    ),
    "a short digest of a revoked bundle": lambda root: root.update(revoked_bundles=[bytes(31)]),
    "an upper-case revoked key": lambda root: root.update(revoked_keys=["A" * 64]),
    "a time that is a float": lambda root: root.update(not_after=Verbatim(b"\xcb" + bytes(8))),
    "1,001 keys": lambda root: root.update(keys=[{"algorithm": "x", "spki": b""}] * 1001),
}


@pytest.mark.parametrize("name", BAD)
def test_a_root_is_refused_that_has(name: str, keys: Keys, bare: Side, tmp_path: Path) -> None:
    made = keys.map()
    BAD[name](made)

    command = write_root(tmp_path / "root", forge.pack(made), keys.site)

    refusals.expect_refusal(bare, *command, error=CorruptError)


def _p256(form: serialization.PublicFormat) -> bytes:
    """A P-256 key with its point in another form than the usual one."""
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = public.public_bytes(serialization.Encoding.X962, form)
    algorithm = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
    bits = b"\x03" + bytes([len(point) + 1]) + b"\0" + point
    return b"\x30" + bytes([len(algorithm) + len(bits)]) + algorithm + bits


def _spki(private: Any) -> bytes:  # noqa: ANN401  (any key)
    spki: bytes = private.public_key().public_bytes(DER, SPKI)
    return spki


def _point(y: int, sign: int = 0) -> bytes:
    return ED25519_SPKI + (y | sign << 255).to_bytes(32, "little")


def _mixed_order() -> bytes:
    """A good key plus the point of order two: (x, y) becomes (-x, -y)."""
    raw = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    number = int.from_bytes(raw, "little")
    y, sign = number & (2**255 - 1), number >> 255
    return _point(P - y, 1 - sign)


def _with_null_parameters() -> bytes:
    """An Ed25519 key whose algorithm has parameters, as RSA's do: another id for the same key."""
    raw = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    return bytes.fromhex("302c300706032b65700500032100") + raw


ORDER_EIGHT = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7

KEYS: dict[str, Callable[[], tuple[bytes, str]]] = {
    "the neutral element": lambda: (_point(1), "ed25519"),
    "the neutral element with a sign": lambda: (_point(1, 1), "ed25519"),
    "order two": lambda: (_point(P - 1), "ed25519"),
    "order four": lambda: (_point(0), "ed25519"),
    "order four with a sign": lambda: (_point(0, 1), "ed25519"),
    "order eight": lambda: (_point(ORDER_EIGHT), "ed25519"),
    "order eight with a sign": lambda: (_point(ORDER_EIGHT, 1), "ed25519"),
    "the other order eight": lambda: (_point(P - ORDER_EIGHT), "ed25519"),
    "mixed order": lambda: (_mixed_order(), "ed25519"),
    "a neutral element above p": lambda: (_point(P + 1), "ed25519"),
    "zero above p": lambda: (_point(P), "ed25519"),
    "all ones": lambda: (_point(2**255 - 1), "ed25519"),
    "no point of the curve": lambda: (_point(2), "ed25519"),
    "a key a byte short": lambda: (_point(1)[:-1], "ed25519"),
    "bytes behind the key": lambda: (
        _spki(ed25519.Ed25519PrivateKey.generate()) + b"\0",
        "ed25519",
    ),
    "parameters where there are none": lambda: (_with_null_parameters(), "ed25519"),
    "a compressed point": lambda: (
        _p256(serialization.PublicFormat.CompressedPoint),
        "ecdsa-p256-sha256",
    ),
    "Ed25519 called P-256": lambda: (
        _spki(ed25519.Ed25519PrivateKey.generate()),
        "ecdsa-p256-sha256",
    ),
    "P-256 called Ed25519": lambda: (_spki(ec.generate_private_key(ec.SECP256R1())), "ed25519"),
    "P-256 called P-384": lambda: (
        _spki(ec.generate_private_key(ec.SECP256R1())),
        "ecdsa-p384-sha384",
    ),
    "P-521": lambda: (_spki(ec.generate_private_key(ec.SECP521R1())), "ecdsa-p384-sha384"),
    "secp256k1": lambda: (_spki(ec.generate_private_key(ec.SECP256K1())), "ecdsa-p256-sha256"),
    "RSA": lambda: (_spki(rsa.generate_private_key(65537, 2048)), "ecdsa-p256-sha256"),
    "Ed448": lambda: (_spki(ed448.Ed448PrivateKey.generate()), "ed25519"),
    "X25519": lambda: (_spki(x25519.X25519PrivateKey.generate()), "ed25519"),
    "no key": lambda: (b"", "ed25519"),
    "text": lambda: (b"-----BEGIN PUBLIC KEY-----", "ed25519"),
}


def test_a_good_key_more_is_accepted(keys: Keys, bare: Side, tmp_path: Path) -> None:
    made = keys.map()
    add_key(_spki(ed25519.Ed25519PrivateKey.generate()))(made)
    add_key(_p256(serialization.PublicFormat.UncompressedPoint), "ecdsa-p256-sha256")(made)

    assert bare.run(*write_root(tmp_path / "root", forge.pack(made), keys.site)).code == 0


@pytest.mark.parametrize("name", KEYS)
def test_a_root_is_not_trusted_with_a_key_that_is(
    name: str, keys: Keys, bare: Side, tmp_path: Path
) -> None:
    made = keys.map()
    add_key(*KEYS[name]())(made)

    command = write_root(tmp_path / "root", forge.pack(made), keys.site)

    refusals.expect_refusal(bare, *command, error=NotTrustedError)


@pytest.mark.parametrize("who", ["nobody", "a builder", "a stranger", "the root key as a builder"])
def test_a_root_is_signed_by_its_own_root_keys(
    who: str, keys: Keys, bare: Side, tmp_path: Path
) -> None:
    raw = forge.pack(keys.map())
    signers = {
        "nobody": (),
        "a builder": (keys.builder,),
        "a stranger": (Keys().site,),
        "the root key as a builder": (),
    }
    command = write_root(tmp_path / "root", raw, *signers[who])
    if who == "the root key as a builder":
        (envelope,) = forge.sign(raw, keys.site).values()
        (tmp_path / "root" / f"root.{keys.site.key.id}.dsse").write_bytes(envelope)

    refusals.expect_refusal(bare, *command, error=NotTrustedError)


def invent_envelopes(folder: Path, start: str, count: int) -> None:
    """Write envelopes by keys that nobody has; their names come before those of others."""
    for number in range(count):
        key_id = f"{number:064x}"
        (folder / f"{start}.{key_id}.dsse").write_bytes(
            forge.envelope(key_id, bytes(64), forge.ROOT_TYPE)
        )


def test_invented_envelopes_do_not_displace_a_signature(
    keys: Keys, bare: Side, tmp_path: Path
) -> None:
    folder = tmp_path / "root"
    command = write_root(folder, forge.pack(keys.map()), keys.site)
    invent_envelopes(folder, "root", limits.ENVELOPES_BESIDE)

    root, fingerprint = folder / "root.msgpack", command[-1].partition("=")[2]
    refusals.expect_refusal(bare, *command, error=CorruptError)
    assert second_verifier.verify(folder, root, fingerprint)[0] == "corrupt"

    (folder / f"root.{0:064x}.dsse").unlink()
    (folder / "root.no-key-id.dsse").write_bytes(b"not an envelope")

    assert bare.run(*command).code == 0
    assert second_verifier.verify(folder, root, fingerprint)[0] == "missing"  # it holds no bundle


def test_a_root_with_another_fingerprint_is_not_trusted(
    keys: Keys, bare: Side, tmp_path: Path
) -> None:
    command = write_root(tmp_path / "root", forge.pack(keys.map()), keys.site)

    wrong = (*command[:3], "--fingerprint=SHA256:" + "0" * 64)

    refusals.expect_refusal(bare, *wrong, error=NotTrustedError)


def test_each_byte_of_a_root_is_pinned(keys: Keys, bare: Side, tmp_path: Path) -> None:
    raw = forge.pack(keys.map())
    command = write_root(tmp_path / "root", raw, keys.site)
    for offset in range(0, len(raw), 7):
        changed = bytearray(raw)
        changed[offset] ^= 1
        forge.put(tmp_path / "root" / "root.msgpack", bytes(changed))
        refusals.expect_refusal(bare, *command, error=NotTrustedError)


def _link_to_zeros(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _tebibyte(path: Path) -> None:
    try:
        os.truncate(path, 2**40)
    except OSError:
        pytest.skip("no sparse files here")


@pytest.mark.parametrize("what", ["root.msgpack", "envelope"])
@pytest.mark.parametrize(
    ("replace", "errors"),
    [
        (_link_to_zeros, (ConfigurationError, ConfigurationError)),
        (_fifo, (ConfigurationError, ConfigurationError)),
        (_folder, (MissingError, ConfigurationError)),  # it could be a depot, and holds no roots
        (Path.unlink, (MissingError, NotTrustedError)),
        (_tebibyte, (NotTrustedError, NotTrustedError)),
    ],
    ids=["link to zeros", "FIFO", "folder", "nothing", "a tebibyte"],
)
def test_a_root_is_read_bounded_and_from_regular_files(
    replace: Callable[[Path], None],
    errors: tuple[type[AirgapError], type[AirgapError]],
    what: str,
    keys: Keys,
    bare: Side,
    tmp_path: Path,
) -> None:
    command = write_root(tmp_path / "root", forge.pack(keys.map()), keys.site)
    name = what if what == "root.msgpack" else f"root.{keys.site.key.id}.dsse"
    replace(tmp_path / "root" / name)

    refusals.expect_refusal(bare, *command, error=errors[what == "envelope"])


# Once it is pinned


@pytest.fixture
def bundle(keys: Keys, tmp_path: Path) -> Path:
    made = forge.draft(forge.model({"weights.bin": b"w"}), sequence=5)
    return Forge(tmp_path, keys.builder).depot(made)


def test_what_is_changed_below_is_good_before(
    keys: Keys, bare: Side, bundle: Path, tmp_path: Path
) -> None:
    pin(bare, keys, tmp_path)
    assert bare.run("import", bundle).code == 0


def state_file(side: Side, name: str) -> Path:
    """Return a file of the pinned root's; its names hold the root's digest."""
    patterns = {"root": "*.msgpack", "envelope": "*.dsse", "fingerprint": "fingerprint"}
    (found,) = (side.state / "trust").glob(patterns[name])
    return found


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("root", NotTrustedError),
        ("fingerprint", ConfigurationError),
        ("envelope", NotTrustedError),
    ],
)
def test_a_pinned_root_that_was_changed_on_disk_is_not_trusted(
    name: str, error: type[AirgapError], keys: Keys, bare: Side, bundle: Path, tmp_path: Path
) -> None:
    pin(bare, keys, tmp_path)
    path = state_file(bare, name)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)

    refusals.expect_refusal(bare, "import", bundle, error=error)
    refusals.expect_refusal(bare, "verify", bundle, error=error)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("root", ConfigurationError),
        ("fingerprint", ConfigurationError),
        ("envelope", NotTrustedError),
    ],
)
def test_a_pinned_root_that_is_not_whole_is_refused(
    name: str, error: type[AirgapError], keys: Keys, bare: Side, bundle: Path, tmp_path: Path
) -> None:
    pin(bare, keys, tmp_path)
    state_file(bare, name).unlink()

    refusals.expect_refusal(bare, "import", bundle, error=error)


def test_a_machine_that_trusts_nobody_imports_nothing(bare: Side, bundle: Path) -> None:
    refusals.expect_refusal(bare, "import", bundle, error=ConfigurationError)
    refusals.expect_refusal(bare, "verify", bundle, error=ConfigurationError)


def test_another_root_does_not_take_the_place_of_the_pinned_one(
    keys: Keys, bare: Side, tmp_path: Path
) -> None:
    pin(bare, keys, tmp_path)
    other = Keys()
    command = write_root(tmp_path / "other", forge.pack(other.map()), other.site)

    refusals.expect_refusal(bare, *command, error=ConflictError)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        pytest.param({"not_after": 1_600_000_000}, PolicyError, id="expired"),
        pytest.param({"not_after": 0}, PolicyError, id="expired in 1970"),
        pytest.param(
            {"channels": {"default": {"minimum_sequence": 6}}}, PolicyError, id="below minimum"
        ),
        pytest.param(
            {"channels": {"default": {"minimum_sequence": 2**53 - 1}}}, PolicyError, id="far below"
        ),
    ],
)
def test_a_root_stops_bundles_by_policy(
    fields: dict[str, Any],
    error: type[AirgapError],
    keys: Keys,
    bare: Side,
    bundle: Path,
    tmp_path: Path,
) -> None:
    pin(bare, keys, tmp_path, **fields)

    refusals.expect_refusal(bare, "verify", bundle, error=error)
    refusals.expect_refusal(bare, "import", bundle, error=error)


def test_a_revoked_bundle_is_not_trusted(
    keys: Keys, bare: Side, bundle: Path, tmp_path: Path
) -> None:
    (folder,) = bundle.glob("bundles/*")
    pin(bare, keys, tmp_path, revoked_bundles=[bytes.fromhex(folder.name)])

    refusals.expect_refusal(bare, "import", bundle, error=NotTrustedError)


def test_the_signature_of_a_revoked_key_counts_for_nothing(
    keys: Keys, bare: Side, bundle: Path, tmp_path: Path
) -> None:
    made = keys.map()
    add_key(_spki(ed25519.Ed25519PrivateKey.generate()))(made)
    made["revoked_keys"] = [keys.builder.key.id]
    assert bare.run(*write_root(tmp_path / "root", forge.pack(made), keys.site)).code == 0

    refusals.expect_refusal(bare, "import", bundle, error=NotTrustedError)
