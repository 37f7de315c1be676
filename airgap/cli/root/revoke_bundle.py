"""``airgap root revoke-bundle``: refuse a bundle for good."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.root.proposal import edit, edits
from airgap.errors import UsageError
from airgap.format import names


@click.command(name="revoke-bundle", cls=HelpCommand)
@edits
@click.argument("bundle", metavar="BUNDLE_ID")
@reports
def command(*, root: Path, output: Path | None, bundle: str) -> Result:
    """Refuse the bundle with this ID (64 hex digits) for good, no matter who signed it."""
    from airgap.format import root_edits

    if not names.is_bundle_id(bundle.lower()):
        raise UsageError(f"{bundle!r} is not a bundle ID.", "Give all its 64 hex digits.")
    revoked = bytes.fromhex(bundle)
    return edit(root, lambda old: root_edits.revoke_bundle(old, revoked), output)
