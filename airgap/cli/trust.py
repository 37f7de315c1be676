"""``airgap trust``: choose whom this machine trusts."""

from pathlib import Path
from typing import Any

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
    from airgap.flow import trust  # noqa: PLC0415

    accepted, folder, is_new = trust.pin_root(root, fingerprint)
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
    from airgap.format.root import fingerprint  # noqa: PLC0415

    pinned = bundles.require_root()
    root = pinned.value
    roles: dict[str, Any] = {
        role: {"threshold": keys.threshold, "keys": list(keys.key_ids)}
        for role, keys in root.roles.items()
    }
    lines = [f"Site {root.site}, root version {root.version}", fingerprint(pinned.raw)]
    for role, keys in root.roles.items():
        lines.append(f"{role}: {keys.threshold} of {len(keys.key_ids)}")
        lines += [f"  {key_id}" for key_id in keys.key_ids]
    data = {
        "site": root.site,
        "version": root.version,
        "fingerprint": fingerprint(pinned.raw),
        "roles": roles,
    }
    return Result(data, lines)
