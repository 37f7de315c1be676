"""The licence policy: what a site takes, what needs a person, and what it refuses (§30.4).

Pure: a policy file is bytes, and a decision follows from it, from what items say, and from a day.
"""

import hashlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, Literal

from airgap.bom.claims import LicenceClaim, Licences
from airgap.bom.expression import evaluate, parse_expression
from airgap.bom.licence_text import RECOGNIZED
from airgap.bom.spdx import find_spdx_id
from airgap.errors import ConfigurationError
from airgap.printable import is_printable, quote

__all__ = [
    "POLICY_BYTES",
    "Decision",
    "Exemption",
    "LicencePolicy",
    "Subject",
    "Verdict",
    "decide",
    "decode_policy",
    "find_difference",
]

POLICY_BYTES: Final = 1024 * 1024
_MOST: Final = 10_000
_CHARACTERS: Final = 200
_REASON_CHARACTERS: Final = 1_000

Verdict = Literal["allowed", "warning", "review", "refused"]
_ORDER: Final[tuple[Verdict, ...]] = ("allowed", "warning", "review", "refused")
_UNKNOWN: Final[Mapping[str, Verdict]] = {
    "warn": "warning",
    "review": "review",
    "refuse": "refused",
}
_LISTS: Final[Mapping[str, Verdict]] = {"allow": "allowed", "review": "review", "deny": "refused"}
_FIELDS: Final = frozenset({*_LISTS, "unknown", "kinds", "exceptions"})
_EXCEPTION_FIELDS: Final = frozenset({"item", "reason", "until"})


@dataclass(frozen=True, slots=True)
class Exemption:
    """An item that a person has permitted by name, until the end of a day (UTC)."""

    item: str
    """``kind name`` or ``kind name:version``; for a package ``wheel name`` or ``wheel name==1``."""
    reason: str
    until: date

    def names(self, subject: "Subject") -> bool:
        """Tell whether it is for an item."""
        return self.item in (subject.label, subject.unversioned)


@dataclass(frozen=True, slots=True)
class LicencePolicy:
    """A policy file, parsed. ``verdicts`` is by licence, in lower case."""

    verdicts: Mapping[str, Verdict]
    unknown: Verdict
    exemptions: tuple[Exemption, ...]
    kinds: frozenset[str] | None
    """The kinds of items that it is about; None: all."""
    digest: bytes
    """SHA-256 of the file."""

    def judge(self, name: str) -> Verdict:
        """Return the verdict on one licence: its own, or without its exception, or of unknowns."""
        for key in (name, name.partition(" WITH ")[0]):
            verdict = self.verdicts.get(key.lower())
            if verdict:
                return verdict
        return self.unknown


@dataclass(frozen=True, slots=True)
class Subject:
    """What is decided about: an item or a package, and what it says of its licence."""

    kind: str
    name: str
    version: str
    licences: Licences = field(default_factory=Licences)

    @property
    def label(self) -> str:
        """What people and policies call it."""
        return f"{self.unversioned}{'==' if self.kind == 'wheel' else ':'}{self.version}"

    @property
    def unversioned(self) -> str:
        """The same without its version."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on one item, and why; ``ended`` are exceptions for it that no longer hold."""

    subject: Subject
    verdict: Verdict
    reason: str
    exemption: Exemption | None = None
    ended: tuple[Exemption, ...] = ()


def decide(policy: LicencePolicy, subjects: Iterable[Subject], today: date) -> list[Decision]:
    """Decide about items, in their order; those of kinds that the policy leaves out are not in it.

    Of several licences in one item all apply, and so the strictest verdict does. One that is absent
    or not named is never allowed by a list.
    """
    return [
        _decide(policy, subject, today)
        for subject in subjects
        if policy.kinds is None or subject.kind in policy.kinds
    ]


def decode_policy(raw: bytes, source: str) -> LicencePolicy:
    """Parse a policy file.

    Raises:
        ConfigurationError: it is not TOML, or has what no policy has.
    """
    try:
        return _read_policy(_parse_toml(raw), hashlib.sha256(raw).digest())
    except ValueError as error:
        raise ConfigurationError(
            f"The licence policy {source} cannot be used: {error}.",
            "Correct the file; docs/bills-and-licences.md describes it. Nothing was written.",
        ) from error


def _decide(policy: LicencePolicy, subject: Subject, today: date) -> Decision:
    named = [exemption for exemption in policy.exemptions if exemption.names(subject)]
    valid = next((exemption for exemption in named if today <= exemption.until), None)
    ended = tuple(exemption for exemption in named if today > exemption.until)
    if valid:
        return Decision(subject, "allowed", f"exception: {valid.reason}", valid, ended)
    verdict, reason = _judge_licences(policy, subject.licences)
    return Decision(subject, verdict, reason, None, ended)


def _judge_licences(policy: LicencePolicy, licences: Licences) -> tuple[Verdict, str]:
    """Return the strictest verdict, and its reason."""
    verdicts = [_judge_claim(policy, claim) for claim in licences.claims]
    verdicts += [
        (policy.judge(text.name), f"{text.name} ({text.path})")
        for text in licences.texts
        if text.name
    ]
    if licences.unreadable:
        verdicts.insert(0, (policy.unknown, f"{licences.unreadable[0]}, and may name a licence"))
    if not verdicts:
        verdicts = [(policy.unknown, "it states no licence")]
    difference = find_difference(licences)
    if difference:
        verdicts.append(("review", difference))
    return max(verdicts, key=lambda verdict: _ORDER.index(verdict[0]))


def find_difference(licences: Licences) -> str:
    """Say how what an item states differs from the text that it carries; empty if it does not.

    A text of which the licence is not known differs from a licence of which the text is known.
    """
    stated = {_simplify(name) for name in licences.names}
    if not stated:
        return ""
    shown = ", ".join(licences.names)
    texts = [text for text in licences.texts if not _is_notice(text.path)]
    for text in texts:
        if text.name and _simplify(text.name) not in stated and not _is_part(text.name, licences):
            return f"it states {shown}, and {text.path} is the text of {text.name}"
    is_known = len(stated) == 1 and stated <= _SIMPLE_RECOGNIZED
    if texts and is_known and not any(text.name for text in texts):
        return f"it states {shown}, and {texts[0].path} is another text"
    return ""


def _judge_claim(policy: LicencePolicy, claim: LicenceClaim) -> tuple[Verdict, str]:
    reason = f"{claim.name or repr(claim.raw)} ({claim.source})"
    if claim.form == "unknown":
        return policy.unknown, reason
    whole = policy.verdicts.get(claim.name.lower())
    postfix = parse_expression(claim.name) if claim.form == "expression" else ()
    if whole or not postfix:
        return whole or policy.judge(claim.name), reason
    return evaluate(postfix, policy.judge, _stricter, _milder), reason


def _stricter(left: Verdict, right: Verdict) -> Verdict:
    return max(left, right, key=_ORDER.index)


def _milder(left: Verdict, right: Verdict) -> Verdict:
    return min(left, right, key=_ORDER.index)


def _simplify(name: str) -> str:
    """Return a licence without what its text does not tell: ``or-later`` and the like."""
    lower = name.lower().rstrip("+")
    return lower.removesuffix("-only").removesuffix("-or-later")


def _is_part(name: str, licences: Licences) -> bool:
    """Tell whether a text's licence is one of an expression that the item states."""
    parts = {
        _simplify(part)
        for claim in licences.claims
        if claim.form == "expression"
        for part in parse_expression(claim.name)
    }
    return _simplify(name) in parts


def _is_notice(path: str) -> bool:
    return path.rpartition("/")[2].lower().startswith(("notice", "copyright"))


def _parse_toml(raw: bytes) -> dict[str, Any]:
    if len(raw) > POLICY_BYTES:
        raise ValueError(f"it has more than {POLICY_BYTES:,} bytes")
    try:
        return tomllib.loads(raw.decode("utf-8-sig"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise ValueError("it is not in UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"it is not TOML ({error})") from error


def _read_policy(document: dict[str, Any], digest: bytes) -> LicencePolicy:
    unknown_field = next((key for key in document if key not in _FIELDS), None)
    if unknown_field is not None:
        raise ValueError(f"it sets {quote(unknown_field, 60)}, which no policy has")
    verdicts: dict[str, Verdict] = {}
    for name, verdict in _LISTS.items():
        for licence in _read_names(document, name):
            key = (find_spdx_id(licence) or licence).lower()
            if verdicts.setdefault(key, verdict) != verdict:
                raise ValueError(f"it names {quote(licence, 60)} in two lists")
    unknown = document.get("unknown")
    if not isinstance(unknown, str) or unknown not in _UNKNOWN:
        raise ValueError('unknown must be "refuse", "review" or "warn"')
    kinds = frozenset(_read_names(document, "kinds")) if "kinds" in document else None
    exemptions = tuple(map(_read_exemption, _read_tables(document)))
    return LicencePolicy(verdicts, _UNKNOWN[unknown], exemptions, kinds, digest)


def _read_names(document: dict[str, Any], field_name: str) -> Sequence[str]:
    names = document.get(field_name, [])
    if not isinstance(names, list) or len(names) > _MOST or not all(map(_is_text, names)):
        raise ValueError(f"{field_name} must be a list of names")
    return names


def _read_tables(document: dict[str, Any]) -> list[dict[str, Any]]:
    tables = document.get("exceptions", [])
    is_list = isinstance(tables, list) and len(tables) <= _MOST
    if not is_list or not all(isinstance(table, dict) for table in tables):
        raise ValueError("exceptions must be tables: [[exceptions]]")
    return list(tables)


def _read_exemption(table: dict[str, Any]) -> Exemption:
    if table.keys() != _EXCEPTION_FIELDS:
        raise ValueError("an exception needs item, reason and until, and nothing else")
    item, reason, until = table["item"], table["reason"], table["until"]
    if not _is_text(item) or not _is_text(reason, _REASON_CHARACTERS):
        raise ValueError("item and reason of an exception must be short texts")
    if type(until) is not date:  # a datetime is one too, and has a time zone or none
        raise ValueError("until of an exception must be a date: until = 2027-06-30")
    return Exemption(item, reason, until)


def _is_text(value: Any, most: int = _CHARACTERS) -> bool:  # noqa: ANN401  (what TOML has)
    return isinstance(value, str) and 0 < len(value) <= most and is_printable(value)


_SIMPLE_RECOGNIZED: Final = frozenset(map(_simplify, RECOGNIZED))
