"""The wheelhouse that the image of a Bento is made with."""

from pathlib import Path

from airgap.disk.digests import digest_file
from airgap.disk.os_errors import translate_errors
from airgap.errors import CorruptError, MissingError, UsageError
from airgap.format.wheelhouse import WHEELS
from airgap.store.bento_runtime import digest_requirements
from airgap.store.wheelhouses import StoredWheelhouse, find_wheelhouses

__all__ = ["check_wheels", "choose_wheelhouse"]


def choose_wheelhouse(bento: Path, tag: str, target: str) -> StoredWheelhouse:
    """Return the wheelhouse of a Bento for a target; of any, if there is one.

    Raises:
        MissingError: there is none.
        UsageError: there are several.
        CorruptError, StorageError: a lock or the Bento cannot be read.
    """
    fitting = [
        wheelhouse
        for wheelhouse in find_wheelhouses(digest_requirements(bento))
        if target in ("", str(wheelhouse.lock.target))
    ]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        where = f" on {target}" if target else ""
        raise MissingError(
            f"This machine has no wheelhouse for the Bento {tag}{where}.",
            f"On the connected side, run `airgap export {tag} --with-env`; import that bundle"
            " here.",
        )
    raise UsageError(
        f"There are {len(fitting)} wheelhouses of {tag}.",
        f"Choose one with --target {fitting[0].lock.target}.",
        [f"there is {wheelhouse.tag}" for wheelhouse in fitting],
    )


def check_wheels(wheelhouse: StoredWheelhouse) -> list[Path]:
    """Compare the wheels with the lock, and return them in its order.

    Raises:
        CorruptError: one differs.
        StorageError: one cannot be read.
    """
    paths = []
    for package in wheelhouse.lock.packages:
        path = wheelhouse.folder / WHEELS / package.file
        with translate_errors(path):
            actual = digest_file(path)
        if actual != package.sha256:
            raise CorruptError(
                f"{path} is damaged (SHA-256 is {actual.hex()}, expected {package.sha256.hex()}).",
                "Import the bundle that brought the wheelhouse again, with --replace.",
            )
        paths.append(path)
    return paths
