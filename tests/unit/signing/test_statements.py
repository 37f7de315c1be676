"""Statements about bundles: signed for programs of others, and judged by a root (format §31)."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer._key import SSlibKey

from airgap.errors import UsageError
from airgap.format import limits
from airgap.format.attestation import Attestation, Decision
from airgap.format.bundle_statement import (
    PROVENANCE,
    Asked,
    describe_item_resource,
    is_about,
    provenance_statement,
    verification_statement,
)
from airgap.format.intoto import InTotoStatement
from airgap.format.inventory import Item
from airgap.signing.statements import judge_statement, read_statement, sign_statement
from tests.support.signers import make_root, person, private_key, team

BUNDLE = "ab" * 32
ASKED = Asked("https://ci.example/", {"bentos": ["shop:latest"]}, {"tool": "airgap"})
SNAPSHOT = Item("hugging-face", "acme--tiny", "0" * 40, (), b"d" * 32)
MODEL = Item("model", "ranker", "v1", (), b"m" * 32)
ROOT = make_root(scanner=team("sam"), approver=team("dan"))


def made(statement: InTotoStatement | None = None, name: str = "bob") -> bytes:
    said = statement or provenance_statement(BUNDLE, ASKED, [SNAPSHOT, MODEL], ["cd" * 32])
    return sign_statement(said, person(name))


def test_programs_of_others_verify_what_is_signed() -> None:
    raw, bob = made(), person("bob").key.id
    key = SSlibKey.from_crypto(private_key("bob").public_key(), keyid=bob)

    accepted = Envelope.from_dict(json.loads(raw)).verify([key], 1)
    changed = json.loads(raw)
    changed["payload"] = base64.b64encode(b"{}").decode()

    assert list(accepted) == [bob]
    with pytest.raises(VerificationError):
        Envelope.from_dict(changed).verify([key], 1)


@pytest.mark.parametrize(
    "statement",
    [
        provenance_statement(BUNDLE, ASKED, [SNAPSHOT, MODEL], ["cd" * 32], {"x": "ef" * 32}),
        verification_statement(
            Attestation(bytes.fromhex(BUNDLE), "scanner", "reject", 7, "bad", b"f" * 32),
            "12" * 32,
            "34" * 32,
            "2026-11-30T12:00:00Z",
        ),
    ],
    ids=["provenance", "verification"],
)
def test_programs_of_others_read_the_statement(statement: InTotoStatement) -> None:
    parts = read_statement(made(statement))
    assert parts
    message = statement_pb2.Statement()

    json_format.Parse(parts[0].payload, message)

    Statement.copy_from_pb(message).validate()
    assert is_about(parts[1], BUNDLE)
    assert not is_about(parts[1], "00" * 32)


def test_provenance_names_items_commits_and_base_bundles() -> None:
    predicate: Any = provenance_statement(BUNDLE, ASKED, [SNAPSHOT], ["cd" * 32]).predicate

    assert predicate["buildDefinition"]["resolvedDependencies"] == [
        {
            "digest": {"airgapItem": SNAPSHOT.digest.hex(), "gitCommit": "0" * 40},
            "name": f"hugging-face acme--tiny:{'0' * 40}",
            "uri": f"pkg:huggingface/acme/tiny@{'0' * 40}",
        },
        {"digest": {"sha256": "cd" * 32}, "name": "base bundle"},
    ]
    assert "uri" not in describe_item_resource(MODEL)


@pytest.mark.parametrize(
    ("name", "decision", "expected"),
    [
        ("", "accept", "AIRGAP_SCANNER_MALWARE_ACCEPTED"),
        ("a-b", "reject", "AIRGAP_SCANNER_A_B_REJECTED"),
    ],
)
def test_the_property_says_role_name_and_decision(
    name: str, decision: Decision, expected: str
) -> None:
    said = Attestation(bytes(32), "scanner", decision, 7, name=name)

    predicate: Any = verification_statement(said, "12" * 32, "34" * 32, "").predicate

    assert predicate["properties"] == [expected]
    assert predicate["verifier"] == {"id": f"airgap:scanner/{'12' * 32}", "policies": []}


def test_a_statement_by_a_key_of_the_root_about_this_bundle_is_signed() -> None:
    judged = judge_statement(made(), BUNDLE, ROOT)

    assert (judged.verdict, judged.predicate_type) == ("signed", PROVENANCE)
    assert (judged.role, judged.key_id) == ("builder", person("bob").key.id)


def test_provenance_of_another_bundle_is_named_as_such() -> None:
    assert judge_statement(made(), "00" * 32, ROOT).verdict == "another bundle"


def test_a_statement_that_claims_a_key_of_the_root_does_not_match() -> None:
    document = json.loads(made(name="eve"))
    document["signatures"][0]["keyid"] = person("bob").key.id

    judged = judge_statement(json.dumps(document).encode(), BUNDLE, ROOT)

    assert (judged.verdict, judged.role) == ("does not match", "builder")


@pytest.mark.parametrize(
    "raw",
    [
        made(name="eve"),
        made(name="ann"),  # a root key signs roots, and nothing about bundles
        b"",
        b"trusted: yes",
        json.dumps({"payload": "", "payloadType": "x", "signatures": []}).encode(),
        made().replace(b"in-toto+json", b"in-toto+text"),
        made(InTotoStatement([], "x", {})),
        b"[" * 1000,
    ],
    ids=["stranger", "root key", "empty", "text", "no one", "type", "no subject", "deep"],
)
def test_whatever_else_it_says_it_is_not_checked(raw: bytes) -> None:
    assert judge_statement(raw, BUNDLE, ROOT).verdict == "not checked"
    assert judge_statement(made(), BUNDLE, None).verdict == "not checked"


def test_a_revoked_key_counts_for_nothing() -> None:
    revoked = replace(ROOT, revoked_keys=(person("bob").key.id,))

    assert judge_statement(made(), BUNDLE, revoked).verdict == "not checked"


def test_a_statement_that_is_too_long_is_not_made() -> None:
    with pytest.raises(UsageError, match="bytes"):
        made(InTotoStatement([{"digest": {}}], "x", {"x": "y" * limits.STATEMENT_BYTES}))
