"""Time stamps as a report has them: what each proves, and which have expired (format §33.4)."""

from collections.abc import Iterator, Sequence

from airgap.flow.audit.material import AuditedStamp
from airgap.flow.timestamps.describe import make_stamp_command
from airgap.signing.stamp_chains import JudgedChain

__all__ = ["describe_chains"]


def describe_chains(chains: Sequence[JudgedChain], folder: str, now: int) -> Iterator[AuditedStamp]:
    """Yield every stamp of some chains; ``folder`` is where their files lie in the evidence.

    Only the last stamp of a chain can have expired: the others are proven by the one after them.
    """
    for chain in chains:
        over = chain.file
        for at, link in enumerate(chain.stamps, 1):
            stamp, authority = link.stamp, link.authority
            is_last, expired = at == len(chain.stamps), None
            if is_last and stamp and stamp.expires is not None and stamp.expires < now:
                expired = stamp.expires
            command = ""
            if stamp is not None and authority is not None:
                command = make_stamp_command(folder, link.file, over, stamp, authority)
            proven = chain.proven if authority is not None else None
            yield AuditedStamp(
                f"{folder}{link.file}", f"{folder}{over}", proven, expired, link.problem, command
            )
            over = link.file
