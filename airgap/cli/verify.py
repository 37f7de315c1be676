"""``airgap verify``: read and check everything an import would read; write nothing."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import (
    Result,
    admission_options,
    count_text,
    depot_option,
    identity_option,
    jobs_option,
    location_options,
    reports,
    size_text,
)
from airgap.cli.terminal import ClaimLine
from airgap.cli.times import read_asked
from airgap.errors import CorruptError, MissingError, NotTrustedError, UsageError

if TYPE_CHECKING:
    from airgap.flow.importing.use_case import VerifyResult
    from airgap.flow.location.connector import Connector


@click.command(name="verify", cls=HelpCommand)
@click.argument("sources", nargs=-1, required=True, metavar="SRC...")
@click.option(
    "--partial",
    "is_partial",
    is_flag=True,
    help="Exit with 0 if what is here is good, though whole volumes are missing.",
)
@click.option(
    "--as-of",
    metavar="TIME",
    allow_from_autoenv=False,
    help="Answer three questions instead: is it intact, was it authentic at TIME by its time"
    " stamps, and is it trusted today? Today's date means now.",
)
@click.option(
    "--root",
    "older_roots",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="With --as-of: an older root of the site, which does not travel with the bundle; repeat"
    " it.",
)
@click.option(
    "--fingerprint",
    "fingerprints",
    metavar="SHA256:HEX",
    multiple=True,
    help="With --as-of: rely on the older root with this fingerprint; repeat it.",
)
@admission_options
@identity_option
@depot_option
@jobs_option
@reports
@location_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    sources: tuple[str, ...],
    is_partial: bool,
    as_of: str | None,
    older_roots: tuple[Path, ...],
    fingerprints: tuple[str, ...],
    waivers: tuple[Path, ...],
    channel: str | None,
    identities: tuple[str, ...],
    depots: tuple[str, ...],
    jobs: int | None,
    connector: "Connector",
) -> Result:
    """Check signatures and every byte of the bundle in SRC; write nothing.

    SRC is a depot (its newest bundle), DEPOT#ID, a .airgap file, - for standard input, an archive
    or folder for stock BentoML with its .airgap-manifest beside it, or volumes of one bundle. Says
    for each role who signed; where signatures are missing, whose they may be and how they are made.
    The verdict is that of `airgap import`: a bundle that is older than what this site has is
    refused. Of a sealed bundle without --identity, says what was not checked. With --as-of, exits
    with 10 if it is not intact, and with 11 if it was not authentic then; what today's root says is
    printed only.
    """
    if as_of is not None:
        return _verify_as_of(sources, as_of, older_roots, fingerprints, connector)
    if older_roots or fingerprints:
        raise UsageError("--root and --fingerprint are for --as-of.", "Give --as-of too.")
    from airgap.flow.importing.use_case import VerifyRequest, verify_bundle
    from airgap.flow.location.location import parse_location

    request = VerifyRequest(
        [parse_location(source) for source in sources],
        waivers=waivers,
        channel=channel,
        identities=identities,
        depots=[parse_location(depot) for depot in depots],
        jobs=jobs,
        credentials=connector.credentials,
        transfer=connector.transfer,
    )
    return _make_result(verify_bundle(request, connector.progress), is_partial=is_partial)


def _verify_as_of(
    sources: tuple[str, ...],
    at: str,
    roots: tuple[Path, ...],
    fingerprints: tuple[str, ...],
    connector: "Connector",
) -> Result:
    from airgap.cli.lines.stamps import as_of_lines
    from airgap.flow.location.location import parse_location
    from airgap.flow.timestamps.as_of import AsOfRequest, verify_as_of
    from airgap.flow.timestamps.describe import describe_as_of

    locations = [parse_location(source) for source in sources]
    request = AsOfRequest(locations, read_asked(at), roots, fingerprints)
    result = verify_as_of(request, connector)
    data = describe_as_of(result)
    code = 0 if result.authenticity.is_authentic else NotTrustedError.exit_code
    return Result(
        data, list(as_of_lines(data)), code if result.is_intact else CorruptError.exit_code
    )


def _make_result(done: "VerifyResult", *, is_partial: bool) -> Result:
    from airgap.cli.lines.bundles import volume_lines
    from airgap.flow.describe.bundle import describe_volumes, signer_lines

    data, opened = _describe(done), done.opened
    signed = signer_lines(opened)
    if done.missing:
        data["volumes"] = describe_volumes(done.missing)
        lines = [*volume_lines(done.missing), *_parity_lines(done, is_partial=True), *signed]
        code = 0 if is_partial else MissingError.exit_code
        return Result(data, [*lines, f"bundle {opened.bundle}"], code)
    return Result(data, _lines(done, signed))


def _describe(done: "VerifyResult") -> dict[str, Any]:
    from airgap.flow.bundle import model_signatures
    from airgap.flow.bundle.reports import describe_files, describe_reports
    from airgap.flow.describe.bundle import (
        describe_admission,
        describe_bundle,
        describe_signers,
        list_unchecked,
    )

    opened = done.opened
    data = describe_bundle(opened.bundle, opened.manifest.value)
    data |= {"verified": done.missing is None, "bytes_read": done.bytes_read}
    data |= describe_signers(opened)
    data |= describe_admission(opened)
    data["not_checked"] = list_unchecked(opened)
    data["model_signatures"] = model_signatures.describe(done.model_signatures)
    data["reports"] = describe_reports(done.attachments.reports)
    data["attachments"] = describe_files(done.attachments.files)
    data["parity"] = {
        "intact": done.parity.intact,
        "missing": done.parity.missing,
        "damaged": list(done.parity.damaged),
        "packs_restored": done.parity.packs_restored,
    }
    return data


def _lines(done: "VerifyResult", signed: list[str]) -> list[str]:
    from airgap.cli.lines.bundles import admission_lines
    from airgap.flow.bundle import model_signatures
    from airgap.flow.bundle.reports import attachment_lines, report_lines
    from airgap.flow.describe.bundle import list_unchecked

    opened = done.opened
    manifest, site = opened.manifest.value, opened.root.value.site
    lines = [f"OK: {item} ({size_text(item.size)})" for item in manifest.items]
    if manifest.sealed is not None:
        lines.append(
            f"SEALED to {count_text(manifest.sealed.recipients, 'recipient')}: signatures and packs"
            " are good; without an identity, what is inside was not looked at."
        )
    lines += signed
    lines += map(ClaimLine, report_lines(done.attachments.reports))
    lines += map(ClaimLine, attachment_lines(done.attachments.files))
    lines += model_signatures.lines(done.model_signatures)
    lines += admission_lines(opened)
    lines += _parity_lines(done)
    what = _count_packs(done) if manifest.packs else "Bytes read"
    unchecked = list_unchecked(opened)
    if unchecked:
        lines.append(
            f"Not checked, and site {site} may refuse it for that: {', '.join(unchecked)}. Give"
            " --identity, or run `airgap import --dry-run` where the identity is."
        )
    verdict = "" if unchecked else f"Meets every requirement of site {site}. "
    lines.append(f"{verdict}{what} ({size_text(done.bytes_read)}).")
    return [*lines, f"bundle {opened.bundle}"]


def _count_packs(done: "VerifyResult") -> str:
    count, restored = len(done.opened.manifest.value.packs), done.parity.packs_restored
    more = f" of {count:,}, restored: {restored:,}" if restored else ""
    return f"Packs intact: {count - restored:,}{more}"


def _parity_lines(done: "VerifyResult", *, is_partial: bool = False) -> list[str]:
    from airgap.cli.lines.bundles import parity_lines

    return parity_lines(done.parity, is_partial=is_partial)
