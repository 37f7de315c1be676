"""Lines about signatures: who signed, who still can, and with which command."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from airgap.format.attestation import DEFAULT_NAMES
from airgap.format.envelope import Role
from airgap.format.root import Root
from airgap.format.site_rules import Demand, format_age
from airgap.signing.thresholds import DemandCount

__all__ = ["describe_demand", "describe_role", "find_command", "list_signers"]

_COMMANDS: Final[Mapping[Role, str]] = MappingProxyType(
    {
        "scanner": "airgap attest SRC --role scanner{name} --findings FILE --key K",
        "approver": "airgap approve SRC{name} --key K",
    }
)


def list_signers(
    root: Root, builders: tuple[str, ...], counts: Sequence[DemandCount] = ()
) -> list[str]:
    """Return lines for the builders, and for each attestation: who signed, who still can."""
    lines = describe_role("builder", root, builders)
    return lines + [line for count in counts for line in _describe_count(count, root)]


def describe_demand(demand: Demand) -> str:
    """Return what is demanded, after a number: ``scanner signatures for rehearsal``."""
    text = f"{demand.role} signatures"
    if demand.name != DEFAULT_NAMES[demand.role] or demand.max_age is not None:
        text += f" for {demand.name}"
    return text if demand.max_age is None else f"{text} of the last {format_age(demand.max_age)}"


def find_command(demand: Demand) -> str:
    """Return the command that signs such an attestation, for a hint."""
    name = "" if demand.name == DEFAULT_NAMES[demand.role] else f" --name {demand.name}"
    return f"`{_COMMANDS[demand.role].format(name=name)}`"


def describe_role(role: Role, root: Root, signed: tuple[str, ...]) -> list[str]:
    """Return lines about the signatures of a role: who signed, who still can."""
    return _describe_keys(role, root.threshold(role), signed, root.signers(role))


def _describe_count(count: DemandCount, root: Root) -> list[str]:
    demand = count.demand
    label: str = demand.role
    if demand.name != DEFAULT_NAMES[demand.role] or demand.max_age is not None:
        label += f" ({demand.name})"
    lines = _describe_keys(label, demand.threshold, count.key_ids, root.signers(demand.role))
    if count.outdated:
        lines.append(f"  signed, but not in the last {format_age(demand.max_age or 0)}:")
        lines += [f"    {key_id}" for key_id in count.outdated]
    return lines


def _describe_keys(
    label: str, threshold: int, signed: tuple[str, ...], keys: Mapping[str, object]
) -> list[str]:
    """Return a count, then a line of at most 80 columns for each key id."""
    lines = [f"{label}: {len(signed)} of {threshold}" if threshold else f"{label}: not required"]
    lines += [f"  signed by {key_id}" for key_id in signed]
    if len(signed) < threshold:
        lines[0] += f", {threshold - len(signed)} more needed"
        lines += [f"  can sign: {key_id}" for key_id in sorted(keys.keys() - set(signed))]
    return lines
