"""``airgap archive release``: lift a hold, or let a bundle go."""

from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli import terminal
from airgap.cli.help import HelpCommand
from airgap.cli.output import (
    OutputPath,
    Result,
    key_options,
    location_options,
    reports,
    require_key,
)
from airgap.cli.passphrases import read_passphrase
from airgap.cli.signing import SigningPurpose, show
from airgap.cli.terminal import ClaimLine
from airgap.cli.times import read_start
from airgap.errors import UsageError

if TYPE_CHECKING:
    from airgap.flow.archive.release import SignedRelease
    from airgap.flow.location.connector import Connector
    from airgap.flow.trust.keys import Signer


@click.command(name="release", cls=HelpCommand)
@click.argument("source", metavar="ARCHIVE#ID|FILE")
@click.option("--hold", metavar="ID", help="Lift this hold; without it, let the bundle itself go.")
@click.option("--reason", metavar="TEXT", help="One line for people, signed with the rest.")
@click.option(
    "--today",
    metavar="DATE",
    allow_from_autoenv=False,  # said each time, by a person
    help="Say which day it is, if the clock is far ahead of all that is known.",
)
@click.option(
    "--from",
    "signed_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Put a release that enough approvers have signed into ARCHIVE.",
)
@click.option(
    "-o",
    "--output",
    type=OutputPath(),
    metavar="NAME.release.json",
    help="The file for the other approvers; default: the beginning of the bundle's ID.",
)
@click.option(
    "--digest",
    metavar="SHA256:HEX",
    allow_from_autoenv=False,  # of what was read, each time: not from a variable or a file
    help="Digest of the FILE that you sign; required in scripts.",
)
@partial(key_options, is_required=False)
@reports
@location_options
def release(  # noqa: PLR0913  (one argument per option)
    *,
    source: str,
    hold: str | None,
    reason: str | None,
    today: str | None,
    signed_file: Path | None,
    output: Path | None,
    digest: str | None,
    key: str | None,
    passphrase_env: str | None,
    passphrase_fd: int | None,
    connector: "Connector",
) -> Result:
    """Lift a hold, or let a bundle of ARCHIVE go whose time has come. Deletes nothing.

    Needs as many approvers as the site's root says, or one recorder if the site has no approvers.
    If one signature is not enough, writes a file: the others sign it with `airgap archive release
    FILE`, and `--from FILE` puts it into the archive. `airgap delete` then deletes the bundle, and
    `airgap gc` its packs; records and evidence stay.
    """
    from airgap.cli.signers import load_signer
    from airgap.flow.archive import release as releasing
    from airgap.flow.archive.release import ReleaseRequest
    from airgap.flow.location.location import parse_depot

    if signed_file is not None:
        _refuse_others(hold, reason, today, output, digest)
        signed = releasing.read_release(signed_file)
        archive = parse_depot(source)
        return _report(releasing.publish_release(archive, signed, connector))
    signer = load_signer(require_key(key), read_passphrase(passphrase_env, passphrase_fd))
    if source.endswith(releasing.SUFFIX):
        _refuse_others(hold, reason, today, output)
        return _sign(Path(source), digest, signer)
    if digest is not None or reason is None:
        raise UsageError(
            f"{source} is an archive: a new release needs a reason, and has no digest yet.",
            f"Give --reason TEXT; or name a file that ends in {releasing.SUFFIX}, to sign it.",
        )
    day = None if today is None else _read_day(today)
    request = ReleaseRequest(parse_depot(source), reason, signer, hold or "", day, output)
    return _report(releasing.release(request, connector))


def _refuse_others(*values: object) -> None:
    if any(value is not None for value in values):
        raise UsageError(
            "The file says already what is released and why.",
            "Give only the file and --key; or the archive and --from FILE.",
        )


def _sign(path: Path, digest: str | None, signer: "Signer") -> Result:
    """Show a release that is to be signed, and sign it.

    Raises:
        UsageError: there is no terminal, and no digest.
        click.Abort: the answer is no.
    """
    from airgap.flow.archive.release import read_release, sign_release
    from airgap.format import fingerprints

    signed = read_release(path)
    if digest is not None:
        digest = fingerprints.normalize_digest(digest, "digest of a release", "`archive release`")
    elif not terminal.can_ask():
        raise UsageError(
            f"A signature of {path} needs its digest.",
            "Give --digest SHA256:HEX, as `airgap archive release` printed it.",
        )
    purpose = SigningPurpose("To be released", "Release", "as approver")
    show(purpose, _list_lines(signed), signed.record.bundle, is_named=digest is not None)
    return _report(sign_release(signed, signer, digest or f"SHA256:{signed.id}"))


def _read_day(text: str) -> date:
    return datetime.fromtimestamp(read_start(text), UTC).date()


def _report(signed: "SignedRelease") -> Result:
    from airgap.flow.archive.describe_work import describe_release

    data = describe_release(signed)
    lines = _list_lines(signed)
    if signed.path is None:
        done = "The hold is lifted." if data["hold"] else "Nothing keeps the bundle any more."
        return Result(data, [done, *lines])
    if signed.is_enough:
        lines.append(
            f"Put it into the archive: airgap archive release ARCHIVE --from {signed.path}"
        )
    else:
        lines.append(f"Others sign it with: airgap archive release {signed.path} --key KEY")
    return Result(data, [f"Written: {signed.path}", *lines])


def _list_lines(signed: "SignedRelease") -> list[str]:
    record = signed.record
    what = f"hold {record.hold}" if record.hold else "the bundle itself"
    return [
        f"bundle {record.bundle}",
        f"  released: {what}",
        ClaimLine(f"  reason: {record.reason}"),
        f"  written {record.time}",
        f"  digest SHA256:{signed.id}",
        f"  {len(signed.signers)} of {signed.needed} signatures of the role {signed.role}",
    ]
