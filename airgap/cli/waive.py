"""``airgap waive``: permit a site to import one bundle in spite of its age."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airgap.cli.output import Result, key_options, place_options, read_passphrase, reports
from airgap.cli.times import read_moment
from airgap.errors import UsageError

if TYPE_CHECKING:
    from airgap.flow.location.credentials import Access
    from airgap.flow.trust.waivers import Draft, Signed


@click.command(name="waive")
@click.argument("source", metavar="SRC")
@click.option("--site", metavar="SITE", help="The site that may import it.")
@click.option("--reason", metavar="TEXT", help="One line for people, signed with the rest.")
@click.option("--expires", metavar="WHEN", help="How long it may: 7d, 12h, 2030-12-31.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="NAME.waiver",
    help="Where it is written; default: the beginning of the bundle's id, here.",
)
@key_options
@reports
@place_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    source: str,
    site: str | None,
    reason: str | None,
    expires: str | None,
    output: Path | None,
    key: str,
    passphrase_env: str | None,
    passphrase_fd: int | None,
    access: "Access",
) -> Result:
    """Permit a site to import the bundle in SRC although it is expired or older than what it has.

    With a NAME.waiver as SRC, add a further approver's signature; `airgap inspect` shows what to.
    The file and its .dsse files then go to the site, for `airgap import --waiver`. Who must sign is
    in the site's root. Nothing else is waived: no signature, revocation, audience or second number.
    """
    from airgap.flow.trust import keys, waivers

    signer = keys.load_signer(key, read_passphrase(passphrase_env, passphrase_fd))
    if source.endswith(waivers.SUFFIX):
        if any(one is not None for one in (site, reason, expires, output)):
            raise UsageError(
                f"{source} says already who may import what, until when and why.",
                "To add a signature, give it and --key alone.",
            )
        return _report(waivers.sign(Path(source), signer), signer.key.id)
    draft = _draft(site, reason, expires)
    return _report(waivers.create(source, draft, signer, output, access), signer.key.id)


def _draft(site: str | None, reason: str | None, expires: str | None) -> "Draft":
    from airgap.flow.trust.waivers import Draft

    if site is None or reason is None or expires is None:
        raise UsageError("A waiver names a site, a reason and an end.", _NEEDED)
    until = read_moment(expires)
    if until is None:
        raise UsageError("A waiver does not last for ever.", "Give --expires 7d.")
    return Draft(site, reason, until)


def describe_waiver(one: "Signed") -> dict[str, Any]:
    """Describe a waiver. Times as RFC 3339."""
    from airgap.flow.describe.times import format_time

    waiver = one.waiver
    return {
        "bundle": waiver.bundle.hex(),
        "site": waiver.site,
        "reason": waiver.reason,
        "time": format_time(waiver.time),
        "expires_at": format_time(waiver.expires_at),
        "signed_by": list(one.key_ids),
    }


def waiver_lines(one: "Signed") -> list[str]:
    """Say the same for people."""
    about = describe_waiver(one)
    return [
        f"site {about['site']} may import bundle {about['bundle']} until {about['expires_at']}",
        f"reason: {about['reason']} (written {about['time']})",
        *(f"claims to be signed: {key_id}" for key_id in one.key_ids),
    ]


def _report(done: "Signed", key_id: str) -> Result:
    said = "Signed" if done.new else "Signed already"
    lines = [
        f"{said} with key {key_id[:16]}…: {done.path}",
        *waiver_lines(done),
        "Take the .dsse files beside it along.",
    ]
    return Result({"waiver": str(done.path), **describe_waiver(done), "new": done.new}, lines)


_NEEDED = "Give --site, --reason and --expires; or name a .waiver file, to add a signature to it."
