"""``airgap init``: keys, a root and defaults, in one step."""

import shlex

import click

from airgap.cli import terminal
from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.passphrases import passphrase_options, read_new_passphrase
from airgap.errors import CommandLine, UsageError


@click.command(cls=HelpCommand)
@click.argument("site", required=False)
@click.option(
    "--channel",
    metavar="NAME",
    default="production",
    show_default=True,
    help="The channel that numbers the bundles of this machine.",
)
@click.option(
    "--algorithm",
    metavar="NAME",
    show_default="ed25519, with --fips ecdsa-p384-sha384",
    help="Of both keys; see `airgap key generate`.",
)
@click.option("--fips", is_flag=True, help="Make keys that work on machines in FIPS mode.")
@click.option("--no-passphrase", is_flag=True, help="Do not encrypt the private keys.")
@passphrase_options
@reports
def command(  # noqa: PLR0913  (one argument per option)
    *,
    site: str | None,
    channel: str,
    algorithm: str | None,
    fips: bool,
    no_passphrase: bool,
    passphrase_env: str | None,
    passphrase_fd: int | None,
) -> Result:
    """Set up this machine to export bundles for SITE, such as hospital-north.

    Makes a key for the site, a key for the builder, and the root, in AIRGAP_HOME (~/.airgap), and
    makes them the defaults of export and push. The root travels with each bundle; its fingerprint
    must reach the other side another way. Other ways to begin: `airgap key` and `airgap root`.
    """
    from airgap.flow.trust import begin, keys
    from airgap.format.fingerprints import group_digits

    ask = read_new_passphrase(passphrase_env, passphrase_fd)
    begun = begin.begin_site(
        site or _ask_site(),
        channel,
        keys.choose_kind(algorithm, fips=fips),
        lambda name: None if no_passphrase else ask(name),
    )
    lines = [
        f"Site {begun.root.root.site} {'is' if begun.is_new else 'was already'} set up here.",
        f"{begun.builder_key}  signs your bundles",
        f"{begun.site_key}  signs roots: lock it away from this machine",
        "",
        "The fingerprint of the root, for the other side. Give it on paper or by phone:",
        *(f"    {line}" for line in group_digits(begun.root.fingerprint)),
        "",
        "Here, for each release:",
        "    airgap export TAG -o /media/usb/depot",
        "There, the first time:",
        "    airgap trust init /media/usb/depot",
        "There, for each release:",
        "    airgap import /media/usb/depot",
        "To verify and rehearse here, too:",
        f"    airgap trust init {shlex.quote(str(begun.root.path))}",
    ]
    if begun.lacks:
        lines += ["", f"Add this to {begun.config}, which has such sections already:"]
        lines += [CommandLine(f"    {line}") for line in begun.lacks]
    data = {
        "site": begun.root.root.site,
        "new": begun.is_new,
        "fingerprint": begun.root.fingerprint,
        "root": str(begun.root.path),
        "site_key": str(begun.site_key),
        "builder_key": str(begun.builder_key),
        "config": str(begun.config),
        "config_lacks": list(begun.lacks),
    }
    return Result(data, lines)


def _ask_site() -> str:
    """Ask for the site's id.

    Raises:
        UsageError: there is no terminal.
    """
    if not terminal.can_ask():
        raise UsageError("The site is not named.", "Give its id, as in: airgap init hospital-north")
    return terminal.ask("Id of the site, such as hospital-north")
