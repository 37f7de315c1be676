"""``airgap root limit-label``: say which labels bundles may have."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.root.proposal import edit, edits


@click.command(name="limit-label", cls=HelpCommand)
@edits
@click.argument("label")
@click.argument("values", metavar="[VALUE]...", nargs=-1)
@click.option("--required", is_flag=True, help="Refuse bundles without this label.")
@click.option("--lift", is_flag=True, help="Remove what the root says of this label.")
@reports
def command(  # noqa: PLR0913  (one argument per option)
    *,
    root: Path,
    output: Path | None,
    label: str,
    values: tuple[str, ...],
    required: bool,
    lift: bool,
) -> Result:
    """Accept LABEL of bundles with one of these values only; without a value, with any.

    A root that says something of one label refuses bundles that have any other.
    """
    from airgap.format import root_edits
    from airgap.format.site_rules import LabelRule

    rule = None if lift else LabelRule(tuple(sorted(set(values))) or None, required)
    return edit(root, lambda old: root_edits.set_label_rule(old, label, rule), output)
