"""What a root of format 2 says beyond keys and roles: demands, prohibitions, people (format §7.6).

``demands``, ``forbidden_options``, ``labels``, ``people``, ``receipts``, ``revoked_since`` and
``trust_anchors`` have an effect in this version. The form of the others is checked, so that later
versions can use them without another root.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from airgap.format import attestation, limits, names
from airgap.format.attestation import ATTESTING_ROLES
from airgap.format.envelope import Role
from airgap.format.fields import Fields

__all__ = [
    "ALL_OPTIONS",
    "PURPOSES",
    "RULE_KEYS",
    "Demand",
    "LabelRule",
    "ReceiptRules",
    "Recipient",
    "SiteRules",
    "TimestampAuthority",
    "decode_rules",
    "encode_rules",
    "format_age",
    "is_option_name",
]

ALL_OPTIONS: Final = "all"
PURPOSES: Final = ("site", "escrow", "gate")
_OPTION: Final = re.compile(r"[a-z][-_a-z0-9]*")
_RECIPIENT: Final = re.compile(r"age1[0-9a-z]+")


@dataclass(frozen=True, slots=True)
class Demand:
    """An attestation that every bundle needs: its name, whose, of how many keys, how recent.

    ``max_age`` is in seconds; None: any age.
    """

    name: str
    role: Role
    threshold: int
    max_age: int | None = None


@dataclass(frozen=True, slots=True)
class LabelRule:
    """Which values a label of a manifest may have (None: any), and whether it must be there."""

    values: tuple[str, ...] | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class Recipient:
    """An age recipient that sealed bundles are encrypted to; ``purpose`` is one of ``PURPOSES``."""

    recipient: str
    label: str
    purpose: str


@dataclass(frozen=True, slots=True)
class TimestampAuthority:
    """The SHA-256 of an authority's certificate, and between which times its stamps count.

    Times are in seconds since 1970; None: no limit.
    """

    certificate: bytes
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class ReceiptRules:
    """How many approvers sign a receipt before it may leave, and whether it may have free text."""

    approvals: int = 0
    notes: bool = False


@dataclass(frozen=True, slots=True)
class SiteRules:
    """The fields that a root has only in format 2. The default value is what format 1 says."""

    demands: tuple[Demand, ...] = ()
    forbidden_options: tuple[str, ...] = ()
    labels: Mapping[str, LabelRule] | None = None
    people: Mapping[str, str] = field(default_factory=dict)
    """Whose key it is, by key id."""
    revoked_since: Mapping[str, int] = field(default_factory=dict)
    """When a revoked key left its owner's control, by key id; absent: not known."""
    trust_anchors: tuple[str, ...] | None = None
    policies: Mapping[str, bytes] = field(default_factory=dict)
    receipts: ReceiptRules = ReceiptRules()
    recipients: tuple[Recipient, ...] = ()
    timestamp_authorities: tuple[TimestampAuthority, ...] = ()

    def forbids(self, option: str) -> bool:
        """Tell whether the option ``insecure-OPTION`` is forbidden."""
        return not {option, ALL_OPTIONS}.isdisjoint(self.forbidden_options)


def is_option_name(text: str) -> bool:
    """Tell whether this can be the name of a forbidden option or of a trust anchor's option."""
    return len(text) <= limits.OPTION_CHARACTERS and _OPTION.fullmatch(text) is not None


def format_age(seconds: int) -> str:
    """Write a span of time for people: in days if it is whole days, else in seconds."""
    days, rest = divmod(seconds, 86_400)
    return f"{seconds:,} seconds" if rest else "day" if days == 1 else f"{days:,} days"


def encode_rules(rules: SiteRules, revoked_keys: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of format 2 as plain values; they replace those of format 1."""
    return {
        "demands": {
            demand.name: {
                "max_age": demand.max_age,
                "role": demand.role,
                "threshold": demand.threshold,
            }
            for demand in rules.demands
        },
        "forbidden_options": rules.forbidden_options,
        "labels": None
        if rules.labels is None
        else {
            label: {"required": rule.required, "values": rule.values}
            for label, rule in rules.labels.items()
        },
        "people": dict(rules.people),
        "policies": dict(rules.policies),
        "receipts": {"approvals": rules.receipts.approvals, "notes": rules.receipts.notes},
        "recipients": [
            {"label": one.label, "purpose": one.purpose, "recipient": one.recipient}
            for one in rules.recipients
        ],
        "revoked_keys": {
            key_id: {"since": rules.revoked_since.get(key_id)} for key_id in revoked_keys
        },
        "timestamp_authorities": [
            {"certificate": one.certificate, "from": one.start, "until": one.end}
            for one in rules.timestamp_authorities
        ],
        "trust_anchors": rules.trust_anchors,
    }


RULE_KEYS: Final = frozenset(encode_rules(SiteRules(), ())) | {"created_at"}


def decode_rules(fields: Fields) -> tuple[SiteRules, tuple[str, ...]]:
    """Decode the fields of format 2; return them, and the ids of the revoked keys.

    What they say of other fields is left to the caller.

    Raises:
        CorruptError: one breaks a rule of format §7.6.
    """
    revoked = {
        key_id: Fields(value, frozenset({"since"}), "root's revoked key").time_or_none("since")
        for key_id, value in fields.table("revoked_keys", limits.ROOT_KEYS).items()
    }
    receipts = Fields(
        fields.table("receipts", 2), frozenset({"approvals", "notes"}), "root's rule for receipts"
    )
    rules = SiteRules(
        demands=tuple(_decode_demands(fields)),
        forbidden_options=_decode_options(fields, "forbidden_options"),
        labels=_decode_labels(fields),
        people=_decode_people(fields),
        revoked_since={key_id: since for key_id, since in revoked.items() if since is not None},
        trust_anchors=(
            None if fields.is_nil("trust_anchors") else _decode_options(fields, "trust_anchors")
        ),
        policies=_decode_policies(fields),
        receipts=ReceiptRules(receipts.integer("approvals"), receipts.boolean("notes")),
        recipients=_decode_recipients(fields),
        timestamp_authorities=_decode_authorities(fields),
    )
    return rules, tuple(revoked)


def _decode_demands(fields: Fields) -> Iterator[Demand]:
    keys = frozenset({"max_age", "role", "threshold"})
    for name, value in fields.table("demands", limits.ROOT_RULES).items():
        demand = Fields(value, keys, "root's demand")
        role = next((one for one in ATTESTING_ROLES if one == demand.text("role")), None)
        if role is None or not attestation.is_name(name):
            raise demand.error("has an invalid name, or another role than scanner and approver")
        max_age = None if demand.is_nil("max_age") else demand.integer("max_age", low=1)
        yield Demand(name, role, demand.integer("threshold", low=1), max_age)


def _decode_options(fields: Fields, key: str) -> tuple[str, ...]:
    options = fields.sorted_texts(key, limits.ROOT_RULES)
    if not all(map(is_option_name, options)):
        raise fields.error(f"has an invalid name in '{key}'")
    return options


def _decode_labels(fields: Fields) -> dict[str, LabelRule] | None:
    if fields.is_nil("labels"):
        return None
    labels = {}
    for label, value in fields.table("labels", limits.ROOT_RULES).items():
        rule = Fields(value, frozenset({"required", "values"}), "root's rule for a label")
        values = None if rule.is_nil("values") else rule.sorted_texts("values", limits.RULE_VALUES)
        is_valid = values is None or (values and all(map(_is_label_value, values)))
        if not names.is_tag_part(label) or not is_valid:
            raise rule.error("has an invalid name or value")
        labels[label] = LabelRule(values, rule.boolean("required"))
    return labels


def _decode_people(fields: Fields) -> dict[str, str]:
    people = fields.table("people", limits.ROOT_KEYS)
    if not all(map(names.is_bundle_id, people)) or not all(map(_is_person, people.values())):
        raise fields.error("names people by something that is not a key id, or by invalid names")
    return people


def _decode_policies(fields: Fields) -> dict[str, bytes]:
    table = fields.table("policies", limits.ROOT_RULES)
    policies = Fields(table, frozenset(table), "root's table of policies")
    if not all(map(attestation.is_name, table)):
        raise policies.error("has an invalid name")
    return {name: policies.digest(name) for name in table}


def _decode_recipients(fields: Fields) -> tuple[Recipient, ...]:
    keys, recipients = frozenset({"label", "purpose", "recipient"}), []
    for value in fields.array("recipients", limits.ROOT_RULES):
        one = Fields(value, keys, "root's recipient")
        text, purpose = one.text("recipient", limits.RECIPIENT_CHARACTERS), one.text("purpose")
        label = one.text("label")
        if not (_RECIPIENT.fullmatch(text) and purpose in PURPOSES and _is_person(label)):
            raise one.error("is not an age recipient, or has an invalid label or purpose")
        recipients.append(Recipient(text, label, purpose))
    if not _is_sorted([one.recipient for one in recipients]):
        raise fields.error("has recipients that are not sorted, or not unique")
    return tuple(recipients)


def _decode_authorities(fields: Fields) -> tuple[TimestampAuthority, ...]:
    keys, authorities = frozenset({"certificate", "from", "until"}), []
    for value in fields.array("timestamp_authorities", limits.ROOT_RULES):
        one = Fields(value, keys, "root's time-stamping authority")
        start, end = one.time_or_none("from"), one.time_or_none("until")
        if start is not None and end is not None and start > end:
            raise one.error("begins after its end")
        authorities.append(TimestampAuthority(one.digest("certificate"), start, end))
    if not _is_sorted([one.certificate for one in authorities]):
        raise fields.error("has time-stamping authorities that are not sorted, or not unique")
    return tuple(authorities)


def _is_person(name: Any) -> bool:  # noqa: ANN401
    return (
        type(name) is str
        and 0 < len(name) <= limits.PERSON_CHARACTERS
        and not names.has_invisible(name)
    )


def _is_label_value(value: str) -> bool:
    return 0 < len(value) <= limits.LABEL_CHARACTERS and not names.has_invisible(value)


def _is_sorted(values: list[Any]) -> bool:
    return values == sorted(set(values))
