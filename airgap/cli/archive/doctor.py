"""``airgap archive doctor``: look at what protects an archive, and say what to do."""

import re
from typing import TYPE_CHECKING, Final

import click

from airgap.cli.findings import report_findings
from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, answers, identity_option, location_options
from airgap.errors import UsageError
from airgap.printable import quote

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector

_PERCENT: Final = re.compile(r"(\d{1,3})(?:\.(\d{1,4}))?%")
_WHOLE: Final = 1_000_000


@click.command(name="doctor", cls=HelpCommand)
@click.argument("archive", metavar="ARCHIVE")
@click.option(
    "--sample",
    metavar="N%",
    help="Ask a server about the locks of so many files only, drawn anew each time.",
)
@click.option("--lock", is_flag=True, help="First lock every file as long as the records demand.")
@identity_option
@answers
@location_options
def doctor(
    *,
    archive: str,
    sample: str | None,
    lock: bool,
    identities: tuple[str, ...],
    connector: "Connector",
) -> Result:
    """Look at what protects ARCHIVE, and say what to fix. Changes nothing without --lock.

    In a bucket: object lock, versions, delete markers, and until when each file is locked, compared
    with what the records demand. In a folder: read-only mounts, chattr +i, owners, free space; all
    of that is advisory, since root can change it. Everywhere: records, parity, programs that read
    the archive, time stamps that end, checks that are overdue, and with --identity whether it still
    opens each seal. Packs are not read: `airgap archive check` does that.
    """
    from airgap.flow.archive.doctor.diagnose import DoctorRequest, diagnose_archive
    from airgap.flow.location.location import parse_depot

    location = parse_depot(archive)
    request = DoctorRequest(location, identities, _read_share(sample), lock)
    diagnosis = diagnose_archive(request, connector)
    more = {"archive": str(location), "locked": diagnosis.locked}
    return report_findings(diagnosis.findings, str(location), more)


def _read_share(text: str | None) -> int:
    """Return a percentage in parts of a million; None is all."""
    if text is None:
        return _WHOLE
    match = _PERCENT.fullmatch(text)
    share = int(match[1]) * 10_000 + int((match[2] or "").ljust(4, "0")) if match else 0
    if not 0 < share <= _WHOLE:
        raise UsageError(
            f"--sample is not a percentage: {quote(text)}.", "Give one such as 5% or 0.5%."
        )
    return share
