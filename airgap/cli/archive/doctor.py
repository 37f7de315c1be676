"""``airgap archive doctor``: look at what protects an archive, and say what to do."""

from typing import TYPE_CHECKING

import click

from airgap.cli.findings import report_findings
from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, answers, identity_option, location_options

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="doctor", cls=HelpCommand)
@click.argument("archive", metavar="ARCHIVE")
@click.option(
    "--sample",
    metavar="PERCENT",
    help="Ask a server about the locks of this part of the files only, such as 5%.",
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
    from airgap.flow.archive.parts import read_sample
    from airgap.flow.location.location import parse_depot

    location = parse_depot(archive)
    request = DoctorRequest(location, identities, read_sample(sample, "the files"), lock)
    diagnosis = diagnose_archive(request, connector)
    more = {"archive": str(location), "locked": diagnosis.locked}
    return report_findings(diagnosis.findings, str(location), more)
