"""Did a signature stand at the time of an import, whose key was revoked? (format §33.6). Pure."""

from collections.abc import Iterator, Sequence

from airgap.flow.audit.join import Movement, MovementStep
from airgap.flow.audit.material import AuditedRoots
from airgap.format.root import Root
from airgap.times import format_time

__all__ = ["explain_revoked"]


def explain_revoked(roots: AuditedRoots, movement: Movement, step: MovementStep) -> Iterator[str]:
    """Yield a sentence for each key that an import counted and an accepted root revokes.

    Only roots count that are as new as the one by which the import was judged, or newer.
    """
    later = [one.root for one in roots.accepted if one.root.version >= step.entry.root]
    for role, key_ids in step.entry.signed_by.items():
        for key_id in key_ids:
            revoking = [root for root in later if key_id in root.revoked_keys]
            if revoking:
                name = roots.name_person(key_id)
                person = f" ({name})" if name else ""
                verdict = _judge(revoking, key_id, _find_proven(movement, role, key_id), step)
                yield f"counted as {role}: key {key_id}{person}; {verdict}"


def _judge(revoking: Sequence[Root], key_id: str, proven: int | None, step: MovementStep) -> str:
    first = min(root.version for root in revoking)
    if first == step.entry.root:
        return f"root version {first}, by which the import was judged, revokes it."
    since = [root.rules.revoked_since.get(key_id) for root in revoking]
    known = [at for at in since if at is not None]
    if len(known) < len(since):
        return f"root version {first} revokes it: not known since when. It counts at no time."
    begun = min(known)
    revoked = f"root version {first} revokes it since {format_time(begun)}"
    if proven is None:
        return f"{revoked}; no time stamp that was read proves that its signature is older."
    stamped = f"its signature is stamped, {format_time(proven)}"
    if proven >= begun:
        return f"{revoked}; {stamped}, and not before that."
    if proven > step.entry.at:
        return f"{revoked}; {stamped}: before that, but after this import."
    return f"{revoked}; {stamped}: before that and before this import. It stood then."


def _find_proven(movement: Movement, role: str, key_id: str) -> int | None:
    """Return by when a signature over the bundle existed, as its time stamps prove."""
    signatures = movement.carried.signatures if movement.carried else ()
    times = [one.proven for one in signatures if (one.role, one.key_id) == (role, key_id)]
    return min((at for at in times if at is not None), default=None)
