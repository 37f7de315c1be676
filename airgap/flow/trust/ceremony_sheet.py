"""One page of paper about a root, to be read aloud, signed by hand and filed."""

import textwrap
from typing import Final

from airgap.flow.trust.roots import Proposal
from airgap.format.fingerprints import group_digits
from airgap.format.root import Key, Root
from airgap.printable import count_text
from airgap.times import format_time

__all__ = ["PAGE_LINES", "PAGE_WIDTH", "render_sheet"]

PAGE_WIDTH: Final = 78
PAGE_LINES: Final = 60
_WHOLE_KEYS: Final = 11  # with two lines for each, the page is full
_SHORT_KEYS: Final = 22
_PEOPLE: Final = 4
_USUAL_ROLES: Final = 4


def render_sheet(proposal: Proposal) -> list[str]:
    """Return the ceremony sheet of a root: at most 60 lines of 78 columns.

    For up to eleven keys it has complete fingerprints, else their first 32 digits: the fingerprint
    of the root covers all of them.
    """
    root = proposal.root
    lines = [
        "=" * PAGE_WIDTH,
        f"ROOT OF TRUST   site {root.site}   version {root.version}".center(PAGE_WIDTH).rstrip(),
        "=" * PAGE_WIDTH,
        f"drawn up    {'not stated' if root.created_at is None else format_time(root.created_at)}",
        f"expires     {'never' if root.not_after is None else format_time(root.not_after)}",
        *_limit_lines(root),
        *_rule_lines(root),
        "",
        "ROLES (how many of whom must sign)",
        *_role_lines(root),
        "",
        "KEYS (read aloud, compare with the key's owner)",
        *_key_lines(root.keys, len(_rule_lines(root)) + max(len(root.roles) - _USUAL_ROLES, 0)),
        "",
        "FINGERPRINT OF THE ROOT (read aloud; `airgap trust init` asks for it)",
        *(f"    {line}" for line in group_digits(proposal.fingerprint)),
        "",
        *_signature_lines(root),
        "=" * PAGE_WIDTH,
    ]
    return [line.rstrip() for line in lines]


def _limit_lines(root: Root) -> list[str]:
    """Return what the root refuses; a long list of channels is shortened."""
    channels = ", ".join(f"{name} from {least}" for name, least in sorted(root.channels.items()))
    listed = textwrap.shorten(channels or "none", PAGE_WIDTH - 12, placeholder=" ... and more")
    keys, bundles = len(root.revoked_keys), len(root.revoked_bundles)
    revoked = f"{count_text(keys, 'key')}, {count_text(bundles, 'bundle')}"
    return [f"revoked     {revoked}", f"channels    {listed}"]


def _rule_lines(root: Root) -> list[str]:
    """Return the most important rules of a root of format 2; the fingerprint covers all."""
    demands = ", ".join(demand.name for demand in root.rules.demands)
    lines = [f"demands     {textwrap.shorten(demands, PAGE_WIDTH - 12, placeholder=' ...')}"]
    options = ", ".join(root.rules.forbidden_options)
    lines.append(f"forbids     {textwrap.shorten(options, PAGE_WIDTH - 12, placeholder=' ...')}")
    lines = [line for line, text in zip(lines, (demands, options), strict=True) if text]
    if root.format > 1:
        lines.append("            all rules: `airgap root show`")
    return lines


def _role_lines(root: Root) -> list[str]:
    numbers = {key.id: f"K{number}" for number, key in enumerate(root.keys, 1)}
    lines = []
    for role, keys in root.roles.items():
        members = " ".join(numbers[key_id] for key_id in keys.key_ids)
        listed = textwrap.shorten(members, PAGE_WIDTH - 24, placeholder=" ...")
        lines.append(f"    {role:<10}{keys.threshold} of {len(keys.key_ids):<3} {listed}")
    return lines


def _key_lines(keys: tuple[Key, ...], taken: int) -> list[str]:
    """List keys; ``taken`` is how many lines of the page other things need."""
    whole, short = _WHOLE_KEYS - (taken + 1) // 2, _SHORT_KEYS - taken
    lines = []
    for number, key in enumerate(keys[:short], 1):
        first, second = group_digits(key.id)
        lines.append(f"    {f'K{number}':<5}{key.algorithm:<19} {first}")
        if len(keys) <= whole:
            lines.append(f"{'':29}{second}")
    if len(keys) > short:
        lines.append(f"    and {len(keys) - short} more: see `airgap root show`")
    return lines


def _signature_lines(root: Root) -> list[str]:
    """Leave room for the signatures of root key holders and at least one witness."""
    keys = root.roles["root"]
    lines = [
        f"PRESENT (root keys that must sign: {keys.threshold}; and one witness or more)",
        "    name                       role          date          signature",
    ]
    for _ in range(min(max(keys.threshold + 1, 3), _PEOPLE)):
        lines += ["", f"    {'_' * 25}  {'_' * 12}  {'_' * 12}  {'_' * 17}"]
    return lines
