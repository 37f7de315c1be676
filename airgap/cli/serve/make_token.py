"""``airgap serve make-token``: a token for the mirror's file of tokens."""

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, answers
from airgap.cli.terminal import print_line


@click.command(name="make-token", cls=HelpCommand)
@click.argument("name", metavar="NAME")
@click.option("--expires", metavar="WHEN", help="How long it counts: 90d, 12h, 2030-12-31.")
@click.option(
    "--scope",
    type=click.Choice(["read", "push"]),
    default="read",
    show_default=True,
    help="What it permits: to pull; or to push to the inbox as well.",
)
@answers
def make_token(*, name: str, expires: str | None, scope: str) -> Result:
    """Make a token with which a client may pull from the mirror, or push to its inbox.

    Prints it once, on standard error; and the lines for the file of tokens, which have only its
    SHA-256, on standard output.
    """
    from airgap.cli.times import read_expiry
    from airgap.server.mirror.server import demand_extra

    demand_extra()
    from airgap.server.mirror.tokens import describe_token, make_secret

    secret = make_secret()
    lines = describe_token(name, secret, read_expiry(expires), scope)
    if not click.get_current_context().obj["json"]:
        print_line(f"The token, which is shown only now: {secret}", err=True)
    return Result({"name": name, "token": secret, "lines": lines}, lines)
