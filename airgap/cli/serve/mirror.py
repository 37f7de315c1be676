"""``airgap serve mirror``: a server from which stock clients pull what was verified."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.events import warn_root
from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, location_options, reports
from airgap.cli.terminal import print_line

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(cls=HelpCommand)
@click.argument("depot", metavar="DEPOT")
@click.option(
    "--listen",
    metavar="ADDRESS:PORT",
    default="127.0.0.1:8640",
    show_default=True,
    help="Answer here. An address that other machines reach needs TLS and tokens.",
)
@click.option(
    "--certificate",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Speak TLS with this certificate and its chain (PEM).",
)
@click.option(
    "--private-key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The key of that certificate (PEM, no passphrase).",
)
@click.option(
    "--tokens",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Answer only clients with a token of this file (`airgap serve make-token`).",
)
@click.option(
    "--inbox",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Take what stock clients push, such as `bentoml push`, into this folder, until a builder"
    " signs it (`airgap inbox`). Nobody can pull it before.",
)
@click.option(
    "--inbox-size",
    metavar="SIZE",
    help="Refuse pushes by which the inbox would hold more: 500G, 2TiB. Default: as the disk has.",
)
@click.option(
    "--request-log",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Append a line for each request; `airgap serve check-log` finds lines that were changed.",
)
@reports
@location_options
def mirror(  # noqa: PLR0913  (one argument per option)
    *,
    depot: str,
    listen: str,
    certificate: Path | None,
    private_key: Path | None,
    tokens: Path | None,
    inbox: Path | None,
    inbox_size: str | None,
    request_log: Path | None,
    connector: "Connector",
) -> Result:
    """Serve the bundles of DEPOT to stock clients, such as `bentoml pull`.

    Serves what this machine would import, once every pack has been read and is right; what the
    site's root no longer accepts, within seconds no more. Each chunk is compared with its digest
    again while it is sent. SIGTERM and Ctrl-C stop the server.
    """
    from airgap.flow.location.location import parse_depot
    from airgap.flow.media.plan import parse_size
    from airgap.server.intake.daemon import stop_on_signals
    from airgap.server.mirror.server import ClientTerms, open_server, parse_address

    quiet = click.get_current_context().obj["quiet"]

    def note(line: str) -> None:
        if not quiet:
            print_line(line, err=True)

    warn_root()
    location, address = parse_depot(depot), parse_address(listen)
    most = None if inbox_size is None else parse_size(inbox_size)
    terms = ClientTerms(certificate, private_key, tokens, inbox, most, request_log)
    with (
        open_server(location, connector, address, terms, note) as server,
        stop_on_signals(server),
    ):
        server.serve()
    return Result({"stopped": True}, [])
