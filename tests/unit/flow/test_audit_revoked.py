"""A report says whether a revoked key's signature stood when the bundle was imported (§33.6)."""

from dataclasses import replace
from typing import Final

import pytest

from airgap.flow.audit.join import Movement, MovementStep
from airgap.flow.audit.material import AuditedRoots
from airgap.flow.audit.revoked import explain_revoked
from airgap.format.site_rules import SiteRules
from airgap.signing.as_of import AcceptedRoot
from tests.unit.flow.test_audit_exceptions import (
    BOB,
    BUNDLE,
    make_bundle,
    make_entry,
    make_ledger,
    make_roots,
)

SINCE: Final = 500
IMPORTED: Final = 103  # the time of the entry


def explain(
    *revoked_since: int | None, proven: int | None = None, judged_by: int = 1, role: str = "builder"
) -> list[str]:
    """Explain an import by root ``judged_by``; root 1 revokes nothing, and each later one does."""
    roots = make_roots(rules=SiteRules(people={BOB: "Bob"}))
    accepted = list(roots.accepted)
    for version, since in enumerate(revoked_since, 2):
        rules = SiteRules(revoked_since={} if since is None else {BOB: since})
        root = replace(roots.root, version=version, revoked_keys=(BOB,), rules=rules)
        accepted.append(AcceptedRoot(root, "SHA256:", "pinned"))
    signature = replace(make_bundle().signatures[0], role=role, key_id=BOB, proven=proven)
    unstamped = replace(signature, proven=None)
    bundle = make_bundle(signatures=(unstamped, signature))
    movement = Movement(BUNDLE.hex(), carried=bundle)
    entry = make_entry(3, "imported", root=judged_by, signed_by={"builder": (BOB,)})
    step = MovementStep(make_ledger([entry]), entry)
    return list(
        explain_revoked(AuditedRoots(roots.today, roots.files, accepted, ()), movement, step)
    )


@pytest.mark.parametrize(
    ("since", "proven", "end"),
    [
        (SINCE, IMPORTED, "before that and before this import. It stood then."),
        (SINCE, IMPORTED + 1, "before that, but after this import."),
        (SINCE, SINCE - 1, "before that, but after this import."),
        (SINCE, SINCE, "and not before that."),
        (IMPORTED, IMPORTED, "and not before that."),
        (SINCE, None, "no time stamp that was read proves that its signature is older."),
        (None, 1, "not known since when. It counts at no time."),
    ],
)
def test_a_stamp_decides(since: int | None, proven: int | None, end: str) -> None:
    (sentence,) = explain(since, proven=proven)
    assert sentence.startswith(f"counted as builder: key {BOB} (Bob); root version 2 revokes it")
    assert sentence.endswith(end)


def test_of_several_roots_the_earliest_time_and_the_least_known_one_count() -> None:
    assert explain(SINCE, IMPORTED, proven=IMPORTED)[0].endswith("and not before that.")
    assert explain(SINCE, None, proven=1)[0].endswith("It counts at no time.")


def test_only_the_root_of_the_import_and_later_ones_are_asked() -> None:
    assert explain() == []
    (sentence,) = explain(SINCE, proven=1, judged_by=2)
    assert sentence.endswith("root version 2, by which the import was judged, revokes it.")
    assert explain(SINCE, proven=1, judged_by=3) == []


def test_a_stamp_over_another_roles_signature_of_the_key_proves_nothing() -> None:
    assert "no time stamp" in explain(SINCE, proven=1, role="approver")[0]
