"""What travels with a Bento beside its models, as people write it in Python."""

from collections.abc import Sequence

from airgap.flow.exporting.closure import Closure, parse_files
from airgap.flow.exporting.images import parse_image, parse_platforms
from airgap.flow.exporting.packages import PackageOptions

__all__ = ["make_closure"]


def make_closure(
    packages: PackageOptions | None,
    files: Sequence[str],
    images: Sequence[str],
    platforms: Sequence[str],
) -> Closure:
    """Parse the arguments of ``export_bento`` and ``push``.

    Raises:
        UsageError, MissingError: one of them is malformed, or is not there.
    """
    return Closure(
        files=[parse_files(text) for text in files],
        packages=packages,
        images=[parse_image(text) for text in images],
        platforms=parse_platforms(platforms),
    )
