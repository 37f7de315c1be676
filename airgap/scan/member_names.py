"""Names of members of archives: they lie below the folder that the archive is unpacked into."""

from typing import Final

from airgap.scan.pickle_values import demand

__all__ = ["demand_member_name"]

_LONGEST: Final = 1024


def demand_member_name(name: str) -> None:
    """Demand a relative path without `..`, and without what systems read in different ways."""
    parts = name.removesuffix("/").split("/")
    demand(0 < len(name) <= _LONGEST and name.isprintable(), "the name of a member is not a path")
    demand(not {"", ".", ".."} & {*parts}, "the name of a member leads outside")
    demand(not {"\\", ":"} & {*name}, "the name of a member leads outside")
