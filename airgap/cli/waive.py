"""``airgap waive``: permit a site to import one bundle despite its age."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli import terminal
from airgap.cli.help import HelpCommand
from airgap.cli.lines.labels import join_words
from airgap.cli.output import OutputPath, Result, key_options, location_options, reports
from airgap.cli.passphrases import read_passphrase
from airgap.cli.signing import SigningPurpose, bundle_option, open_shown, show
from airgap.cli.terminal import ClaimLine
from airgap.cli.times import read_moment
from airgap.errors import MissingError, UsageError

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector
    from airgap.flow.trust.waivers import SignedWaiver, WaiverDraft
    from airgap.format.waiver import Waiver


@click.command(name="waive", cls=HelpCommand)
@click.argument("source", metavar="SRC")
@bundle_option
@click.option("--site", metavar="SITE", help="The site that may import it.")
@click.option("--reason", metavar="TEXT", help="One line for people, signed with the rest.")
@click.option("--expires", metavar="WHEN", help="How long it may: 7d, 12h, 2030-12-31.")
@click.option(
    "-o",
    "--output",
    type=OutputPath(),
    metavar="NAME.waiver",
    help="The file to write; default: the beginning of the bundle's ID, in this folder.",
)
@click.option(
    "--digest",
    metavar="SHA256:HEX",
    allow_from_autoenv=False,  # of what was read, each time: not from a variable or a file
    help="Digest of the NAME.waiver that you sign, as `waive` and `inspect` print it; required in"
    " scripts.",
)
@key_options
@reports
@location_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    source: str,
    bundle: str | None,
    digest: str | None,
    site: str | None,
    reason: str | None,
    expires: str | None,
    output: Path | None,
    key: str,
    passphrase_env: str | None,
    passphrase_fd: int | None,
    connector: "Connector",
) -> Result:
    """Permit a site to import the bundle in SRC although it is expired or old.

    With a NAME.waiver as SRC, add another approver's signature to what the file says: the file with
    this --digest and no other; without it, you are asked on a terminal. Shows what is signed, and
    signs these bytes. Send the file and its .dsse files to the site, for `airgap import --waiver`.
    The site's root says who must sign. Signatures, revocations, audiences and used numbers are
    never waived.
    """
    from airgap.cli.signers import load_signer
    from airgap.flow.trust import waivers
    from airgap.format import fingerprints

    signer = load_signer(key, read_passphrase(passphrase_env, passphrase_fd))
    if source.endswith(waivers.SUFFIX):
        if any(option is not None for option in (site, reason, expires, output)):
            raise UsageError(
                f"{source} already says who may import what, until when and why.",
                "To add a signature, give only the file and --key.",
            )
        if digest is not None:
            digest = fingerprints.normalize_digest(digest, "digest of a waiver", "`airgap waive`")
        signed = waivers.read_waiver(Path(source))
        digest = _show_waiver(signed, bundle, digest)
        return _report(waivers.sign_waiver(signed, signer, digest), signer.key.id)
    if digest is not None:
        raise UsageError(
            f"--digest is for a NAME.waiver file, and {source} is not one.",
            "Give --bundle ID to say which bundle you mean.",
        )
    draft = _draft(site, reason, expires)
    purpose = _make_purpose(f"To be waived for site {draft.site}", draft)
    with open_shown(source, bundle, purpose, connector) as candidate:
        made = waivers.create_waiver(candidate, draft, signer, output)
    return _report(made, signer.key.id)


def _show_waiver(signed: "SignedWaiver", bundle: str | None, digest: str | None) -> str:
    """Show a waiver that is to be signed; return the digest of the one that is meant.

    On a terminal, ask whether to sign what is shown if no digest says so.

    Raises:
        MissingError: it is for another bundle than the one that is named.
        UsageError: there is no terminal, and no digest.
        click.Abort: the answer is no.
    """
    if digest is None and not terminal.can_ask():
        raise UsageError(
            f"A signature of {signed.path} needs its digest.",
            "Read it with `airgap inspect`, and give --digest SHA256:HEX.",
        )
    named = signed.waiver.bundle.hex()
    if bundle not in (None, named):
        raise MissingError(f"{signed.path} is for bundle {named}, not {bundle}.", "Check both.")
    purpose = _make_purpose("To be signed as approver", signed.waiver)
    show(purpose, waiver_lines(signed), named, is_named=digest is not None)
    return digest or signed.digest


def _make_purpose(title: str, waiver: "Waiver | WaiverDraft") -> SigningPurpose:
    from airgap.times import format_time

    end = format_time(waiver.expires_at)
    return SigningPurpose(title, "Waive", f"for site {waiver.site} until {end}")


def _draft(site: str | None, reason: str | None, expires: str | None) -> "WaiverDraft":
    from airgap.flow.trust.waivers import WaiverDraft

    if site is None or reason is None or expires is None:
        raise UsageError("A waiver needs a site, a reason and an end.", _NEEDED)
    until = read_moment(expires)
    if until is None:
        raise UsageError("A waiver cannot last forever.", "Give --expires 7d.")
    return WaiverDraft(site, reason, until)


def waiver_lines(signed: "SignedWaiver") -> list[str]:
    """Describe a waiver for people."""
    from airgap.flow.trust.describe import describe_waiver

    waiver = describe_waiver(signed)
    return [
        f"site {waiver['site']} may import until {waiver['expires_at']}",
        f"bundle {waiver['bundle']}",
        ClaimLine(f"reason: {join_words(waiver['reason'])}"),
        f"written {waiver['time']}",
        f"digest {waiver['digest']}",
        "claims to be signed by",
        *(f"  {key_id}" for key_id in signed.key_ids),
    ]


def _report(signed: "SignedWaiver", key_id: str) -> Result:
    from airgap.flow.trust.describe import describe_waiver

    verdict = "Signed" if signed.new else "Already signed"
    lines = [
        f"{verdict}: {signed.path}",
        f"  with key {key_id}",
        *waiver_lines(signed),
        "Send the .dsse files beside it along.",
    ]
    return Result({"waiver": str(signed.path), **describe_waiver(signed), "new": signed.new}, lines)


_NEEDED = "Give --site, --reason and --expires; or name a .waiver file, to add a signature to it."
