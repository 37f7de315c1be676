"""Lines about the Python packages that a Bento names."""

from airgap.cli.output import count_text
from airgap.flow.environment.packages import NamedPackages

__all__ = ["package_line"]


def package_line(named: NamedPackages) -> str:
    """Say whether the packages of an installed Bento are here, and what to do next."""
    packages = count_text(named.count, "Python package")
    if not named.wheelhouses:
        return (
            f"The bundle has no Python packages for {named.bento}. If it does not start here,"
            " export it with --with-env."
        )
    if named.problem:
        return f"not for this host: the {packages} of bento {named.bento}. {named.problem}"
    return (
        f"here: the {packages} of bento {named.bento}; `airgap env create {named.bento}` installs"
        " them"
    )
