"""``airgap trust``: choose whom this machine trusts."""

from pathlib import Path

import click

from airgap.cli.shell import Result, reports


@click.group()
def command() -> None:
    """Choose whom this machine trusts."""


@command.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.option(
    "--fingerprint",
    required=True,
    help="SHA256:HEX, as it was told to you by another way than the file.",
)
@reports
def init(*, root: Path, fingerprint: str) -> Result:
    """Trust the site described by ROOT, if it has this fingerprint."""
    from airgap.flow import pinning  # noqa: PLC0415

    accepted, folder, is_new = pinning.pin_root(root, fingerprint)
    said = "now trusts" if is_new else "trusts already, and still,"
    return Result(
        {"site": accepted.site, "version": accepted.version, "new": is_new, "state": str(folder)},
        [f"This machine {said} the builders of site {accepted.site} (root {accepted.version})."],
    )


@command.command()
@reports
def show() -> Result:
    """Show the root that this machine trusts."""
    from airgap.flow import bundles  # noqa: PLC0415
    from airgap.flow import reports as flow_reports  # noqa: PLC0415
    from airgap.format.root import fingerprint  # noqa: PLC0415

    pinned = bundles.require_root()
    root = pinned.value
    lines = [
        f"Site {root.site}, root version {root.version}",
        fingerprint(pinned.raw),
        *flow_reports.root_lines(root),
    ]
    return Result(
        flow_reports.describe_root(root) | {"fingerprint": fingerprint(pinned.raw)}, lines
    )


@command.command()
@click.argument("places", metavar="ROOT...", nargs=-1, required=True)
@reports
def update(*, places: tuple[str, ...]) -> Result:
    """Let newer roots take over from the one that this machine trusts: all of them, or none.

    ROOT is a root file with its signatures beside it, or a depot or .airgap file that holds roots.
    Each version follows the one before, signed by enough root keys of both.
    """
    from airgap.flow import pinning  # noqa: PLC0415
    from airgap.flow import reports as flow_reports  # noqa: PLC0415
    from airgap.format.root import fingerprint  # noqa: PLC0415

    done = pinning.update_root(places)
    before, after = done.before.value, done.after.value
    changes = flow_reports.root_changes(before, after)
    data = {
        "site": after.site,
        "before": before.version,
        "version": after.version,
        "fingerprint": fingerprint(done.after.raw),
        "new": before.version != after.version,
        "changes": changes,
        "signed_by": list(done.after.signers["root"]),
    }
    if before.version == after.version:
        return Result(data, [f"Nothing new: root version {after.version} is trusted already."])
    lines = [
        f"Site {after.site}: root version {after.version} has taken over from {before.version}.",
        fingerprint(done.after.raw),
        *changes,
    ]
    return Result(data, lines)
