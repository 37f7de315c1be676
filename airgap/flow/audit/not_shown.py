"""What a report does not show, in sentences: always, and because of what was read (§38.3). Pure."""

from collections.abc import Iterator, Sequence

from airgap.flow.audit.join import Movement
from airgap.flow.audit.material import AuditMaterial
from airgap.printable import count_text

__all__ = ["list_not_shown"]


def list_not_shown(material: AuditMaterial, movements: Sequence[Movement]) -> Iterator[str]:
    """Yield the sentences."""
    yield from _list_of_material(material, movements)
    yield (
        "That nothing was done without airgap: a file that was copied onto a machine by other means"
        " is in no ledger."
    )
    yield (
        "Who was at the keyboard. A key id says which key signed; user and host are what the"
        " machine says of itself."
    )
    yield (
        "That a clock was right. Claimed times are those of the machine that wrote them; only the"
        " stamped times come from somebody else."
    )
    yield (
        "What options of a command weakened: the ledger records that an archive was unsigned, and"
        " not which server was reached without TLS."
    )
    yield (
        "That a model is good, or that a file does no harm: a signature means that its owner"
        " vouches for it."
    )
    yield (
        "Which disc, stick or courier carried a bundle, beyond what the section on media has:"
        " ledgers do not record it."
    )
    yield (
        "That any standard or law is complied with. The table of controls says where evidence is,"
        " and nothing else."
    )


def _list_of_material(material: AuditMaterial, movements: Sequence[Movement]) -> Iterator[str]:
    if not material.wanted.is_empty:
        yield "What the filter leaves out, which the head of the report names."
    yield from _list_of_ledgers(material)
    yield from _list_of_bundles(movements)
    hidden = sum(one.bundle in material.hidden for one in movements)
    if hidden:
        yield (
            f"The evidence of what is inside {count_text(hidden, 'bundle')} that"
            f" {'was' if hidden == 1 else 'were'} sealed: it would be plain text. The same command"
            " with `--include-sealed` adds it."
        )
    if not material.roots.root.rules.timestamp_authorities:
        yield "When anything was signed: the root names no authority for time stamps."


def _list_of_ledgers(material: AuditMaterial) -> Iterator[str]:
    sides = material.sides()
    if "imports" not in sides:
        yield "What the isolated side did: no ledger of imports was read."
    if "exports" not in sides:
        yield "What the connected side did: no ledger of exports was read."
    if any(not ledger.signed for ledger in material.ledgers):
        yield (
            "That a ledger without a checkpoint is complete: an administrator of its machine could"
            " have written it anew."
        )
    elif material.ledgers:
        yield (
            "Anything against the administrator of a machine before somebody else had a checkpoint"
            " of its ledger: a receipt, a witness or a time stamp."
        )


def _list_of_bundles(movements: Sequence[Movement]) -> Iterator[str]:
    carried = [one.carried for one in movements if one.carried]
    if len(carried) < len(movements):
        missing = count_text(len(movements) - len(carried), "bundle")
        yield f"What is in {missing} of {len(movements):,}: no location was read that has them."
    if carried:
        yield (
            "The content of packs: manifests and signatures were checked, packs were not read."
            " `airgap verify`, or verify.py with the depot, reads every byte."
        )
    sealed = sum(one.is_closed for one in carried)
    if sealed:
        yield (
            f"What is inside {count_text(sealed, 'sealed bundle')}: the encrypted parts were not"
            " looked into, and neither items, scans nor approvals inside were checked here."
            " `airgap audit --identity` looks inside, with an identity that opens them."
        )
