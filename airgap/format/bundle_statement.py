"""In-toto statements that airgap makes about bundles (format §31.1 to §31.3)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from airgap.format.attestation import Attestation
from airgap.format.intoto import NAMESPACE, InTotoStatement
from airgap.format.inventory import Item
from airgap.format.kinds import HUGGING_FACE

__all__ = [
    "PROVENANCE",
    "VERIFICATION_RESULT",
    "Asked",
    "bundle_subject",
    "describe_item_resource",
    "is_about",
    "provenance_statement",
    "verification_statement",
]

PROVENANCE: Final = "https://slsa.dev/provenance/v1"
VERIFICATION_RESULT: Final = "https://in-toto.io/attestation/svr/v0.2"
BUILD_TYPE: Final = f"{NAMESPACE}export/v1"
ATTESTATION_MEMBER: Final = f"{NAMESPACE}attestation/v1"
ITEM_DIGEST: Final = "airgapItem"
_DECISIONS: Final = {"accept": "ACCEPTED", "reject": "REJECTED"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of an export, and how it was done: plain values of JSON (format §31.2)."""

    builder_id: str
    external: Mapping[str, Any]
    internal: Mapping[str, Any]


def bundle_subject(bundle: str, name: str = "bundle") -> dict[str, Any]:
    """Return the resource descriptor of a bundle."""
    return {"digest": {"sha256": bundle}, "name": name}


def describe_item_resource(item: Item) -> dict[str, Any]:
    """Return the resource descriptor of an item."""
    digest = {ITEM_DIGEST: item.digest.hex()}
    resource: dict[str, Any] = {"digest": digest, "name": f"{item.kind} {item.tag}"}
    if item.kind == HUGGING_FACE.name:
        digest["gitCommit"] = item.version
        repository = "/".join(item.name.split("--", 1))
        resource["uri"] = f"pkg:huggingface/{repository}@{item.version}"
    return resource


def provenance_statement(
    bundle: str,
    asked: Asked,
    items: Sequence[Item],
    bases: Iterable[str] = (),
    byproducts: Mapping[str, str] | None = None,
) -> InTotoStatement:
    """Say how a bundle was made.

    Args:
        bundle: its id.
        asked: what was asked for.
        items: of the bundle.
        bases: the ids of the bundles that it builds on.
        byproducts: the SHA-256, in hex, of each attachment of the same export, by file name.
    """
    dependencies = [
        *map(describe_item_resource, items),
        *(bundle_subject(base, "base bundle") for base in bases),
    ]
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": asked.external,
            "internalParameters": asked.internal,
            "resolvedDependencies": dependencies,
        },
        "runDetails": {
            "builder": {"id": asked.builder_id},
            "byproducts": [
                {"digest": {"sha256": digest}, "name": file}
                for file, digest in sorted((byproducts or {}).items())
            ],
        },
    }
    return InTotoStatement([bundle_subject(bundle)], PROVENANCE, predicate)


def verification_statement(
    signed: Attestation, key_id: str, digest: str, time: str
) -> InTotoStatement:
    """Say for other programs what an attestation says.

    Args:
        signed: the attestation.
        key_id: who signs it.
        digest: the SHA-256 of its bytes, in hex.
        time: its time, as RFC 3339.
    """
    words = (signed.role, signed.name)
    scope = "_".join(word.upper().replace("-", "_") for word in words)
    findings = None if signed.findings is None else {"sha256": signed.findings.hex()}
    predicate = {
        "properties": [f"AIRGAP_{scope}_{_DECISIONS[signed.decision]}"],
        "timeCreated": time,
        "verifier": {"id": f"{NAMESPACE}{signed.role}/{key_id}", "policies": []},
        ATTESTATION_MEMBER: {
            "attestation": digest,
            "decision": signed.decision,
            "findings": findings,
            "name": signed.name,
            "note": signed.note,
            "role": signed.role,
        },
    }
    return InTotoStatement([bundle_subject(signed.bundle.hex())], VERIFICATION_RESULT, predicate)


def is_about(statement: InTotoStatement, bundle: str) -> bool:
    """Tell whether a subject of a statement is a bundle."""
    return any(subject["digest"].get("sha256") == bundle for subject in statement.subjects)
