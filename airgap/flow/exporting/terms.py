"""On which terms a bundle is signed: its channel and number, for whom it is, how long."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from airgap.errors import UsageError
from airgap.flow import pipeline
from airgap.flow.exporting.write_bundle import BundleOptions
from airgap.format import limits, names
from airgap.format.labels import label_problem
from airgap.printable import quote

__all__ = ["UNNUMBERED", "Terms", "parse_labels"]

UNNUMBERED: Final = "default"
"""The channel of bundles for which no one names one."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What an exporter says of a bundle. ``expires_at`` is in seconds since 1970; None: never."""

    channel: str | None = None
    """None: the bundle has no number, so that no site can tell it from an older one."""
    sequence: int | None = None
    """The number in the channel; None: its next one (format §17.8); 0: none."""
    audience: Sequence[str] = ()
    """The sites that may import it; empty: all that trust the builder."""
    expires_at: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    """What people and policies are to know of the bundle (format §4.4)."""
    allow_credentials: bool = False
    """Whether the bundle may hold what looks like a password or a token."""

    @property
    def channel_name(self) -> str:
        """The channel as the manifest has it."""
        return self.channel or UNNUMBERED

    def make_options(self, jobs: int | None) -> BundleOptions:
        """Return how a bundle on these terms is made; ``jobs`` of None are the processors.

        Raises:
            UsageError: the channel or a site is not a name, a label is invalid, or there are too
                many sites or labels.
        """
        self._refuse_names()
        return BundleOptions(
            jobs or pipeline.default_jobs(),
            channel=self.channel_name,
            sequence=0 if self.channel is None and self.sequence is None else self.sequence,
            audience=tuple(self.audience),
            expires_at=self.expires_at,
            labels=dict(self.labels),
        )

    def _refuse_names(self) -> None:
        named = (("channel", self.channel_name), *(("site", site) for site in self.audience))
        for what, name in named:
            if not names.is_tag_part(name):
                raise UsageError(
                    f"{name!r} cannot be a {what}.",
                    "Use lower-case letters, digits, '-', '_', '.'; at most 63.",
                )
        if len(self.audience) > limits.SITES:
            raise UsageError(f"{len(self.audience)} sites are too many.", "Name none, for all.")
        for name, value in self.labels.items():
            problem = label_problem(name, value)
            if problem:
                raise UsageError(f"The label {problem}.", "Write NAME=VALUE, in one short line.")
        if len(self.labels) > limits.LABELS:
            raise UsageError(
                f"{len(self.labels)} labels are too many.", f"Give at most {limits.LABELS}."
            )


def parse_labels(texts: Sequence[str]) -> dict[str, str]:
    """Parse labels that a person wrote as ``NAME=VALUE``.

    Raises:
        UsageError: one has no ``=``, or a name is given twice with different values.
    """
    labels: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"{quote(text)} is not a label.", "Write NAME=VALUE.")
        if labels.setdefault(name, value) != value:
            raise UsageError(
                f"The label {quote(name)} has two values: {quote(labels[name])}, {quote(value)}.",
                "Give each label once.",
            )
    return labels
