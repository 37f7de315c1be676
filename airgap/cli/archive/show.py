"""``airgap archive show``: why a bundle is kept, and who said so."""

from typing import TYPE_CHECKING, Any

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, answers, count_text, location_options
from airgap.cli.terminal import ClaimLine, Line
from airgap.errors import CorruptError

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="show", cls=HelpCommand)
@click.argument("archive", metavar="ARCHIVE#ID")
@answers
@location_options
def show(*, archive: str, connector: "Connector") -> Result:
    """Show the records of one bundle of ARCHIVE, also of one that was deleted.

    Says who signed each record, by the site's roots, and compares each file of evidence with its
    digest. Exits with 10 if one is damaged or missing.
    """
    from airgap.flow.archive.describe import describe_bundle_records
    from airgap.flow.location.location import parse_depot

    data = describe_bundle_records(parse_depot(archive), connector)
    bad = [file for file in data["evidence"] if file["verdict"] != "intact"]
    code = CorruptError.exit_code if bad or data["missing_records"] else 0
    return Result(data, _list_lines(data, bad), code)


def _list_lines(data: dict[str, Any], bad: list[dict[str, Any]]) -> list[Line]:
    lines: list[Line] = [f"bundle {data['bundle']}", f"  {_say_standing(data)}"]
    lines += [f"  needed by bundle {bundle}" for bundle in data["needed_by"]]
    for record in data["records"]:
        lines.append(f"{record['time']} {record['event']}{_say_terms(record)}")
        lines.append(f"  record {record['id']}")
        if record["reason"]:
            lines.append(ClaimLine(f"  reason: {record['reason']}"))
        if record["by"]:
            lines.append(ClaimLine(f"  by {record['by']}"))
        lines += [
            f"  signed by {one['role']} {one['key']} (root version {one['root']})"
            for one in record["signed_by"]
        ] or ["  signed by nobody whom this machine's roots name"]
        if record["does_not_count"]:
            lines.append(ClaimLine(f"  does not count: {record['does_not_count']}"))
    lines += [f"MISSING record {identity}" for identity in data["missing_records"]]
    lines.append(f"{count_text(len(data['evidence']), 'file')} of evidence, {len(bad)} bad")
    lines += [f"  {file['verdict']}: {file['name']}" for file in bad]
    return lines


def _say_terms(record: dict[str, Any]) -> str:
    if record["class_name"]:
        return f" until {record['keep_until']} (class {record['class_name']})"
    if record["event"] == "released":
        return f" hold {record['hold'][:16]}" if record["hold"] else " the bundle"
    return ""


def _say_standing(data: dict[str, Any]) -> str:
    if not data["records"]:
        return "not archived: nothing keeps it"
    if data["tombstone"]:
        return "deleted; the archive has its manifest, its records and its evidence"
    if not data["kept"]:
        return "let go: it may be deleted"
    if data["holds"]:
        return f"kept under {count_text(len(data['holds']), 'hold')}"
    return f"kept until {data['keep_until']}" if data["keep_until"] else "kept"
