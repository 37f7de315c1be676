"""FIPS mode: whether this machine is in it, and which keys of the site work there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from airgap.errors import AirgapError
from airgap.flow.doctor.finding import Finding, note, ok, problem
from airgap.flow.doctor.site_state import list_key_files
from airgap.flow.trust import keys
from airgap.format.root import Root, decode, fingerprint
from airgap.signing import key_files, openssl_mode, private_keys
from airgap.signing.public_keys import CURVES
from airgap.state import pinned_root

__all__ = ["check_fips"]

_NEW_KEY: Final = "Make a key with `airgap key generate NAME --fips`"
_NEW_ROOT: Final = f"{_NEW_KEY}, and let the site's next root name it instead."
_MOST_KEY_BYTES: Final = 64 * 1024


def check_fips(here: Path) -> Iterator[Finding]:
    """Report FIPS mode, and in it each key of the pinned root and each key file of this machine.

    Args:
        here: a folder whose key files count, too.
    """
    demanded, enforced = openssl_mode.is_fips_machine(), openssl_mode.is_fips_enforced()
    if not demanded and not enforced:
        yield ok("fips", "This machine is not in FIPS mode.")
        return
    yield _report_mode(demanded=demanded, enforced=enforced)
    yield from _check_root_keys(enforced=enforced)
    for path in list_key_files(here):
        yield from _check_key_file(path, enforced=enforced)


def _report_mode(*, demanded: bool, enforced: bool) -> Finding:
    library = openssl_mode.describe_openssl()
    if enforced:
        where = "This machine" if demanded else "OpenSSL here"
        return ok("fips", f"{where} is in FIPS mode, and airgap computes with its {library}.")
    return note(
        "fips",
        f"This machine is in FIPS mode, and airgap computes with {library}, which is not: it came"
        " with the package cryptography.",
        "What airgap does then is right, but not done by a validated module. Install a cryptography"
        " that uses the system's OpenSSL: that of the distribution, or pip install --no-binary"
        " cryptography cryptography.",
    )


def _check_root_keys(*, enforced: bool) -> Iterator[Finding]:
    """Report the keys of the root; one that cannot be decoded makes the whole root unusable."""
    root = _read_root()
    if root is None:
        return
    for key in root.keys:
        roles = [name for name, role in root.roles.items() if key.id in role.key_ids]
        named = f"The {' and '.join(sorted(roles))} key {key.id} of the root ({key.algorithm})"
        yield _judge(named, key.algorithm, enforced=enforced)


def _read_root() -> Root | None:
    """Return the pinned root, which need not be usable here."""
    try:
        pinned = pinned_root.load_root()
        if pinned is None or fingerprint(pinned.raw) != pinned.fingerprint:
            return None
        return decode(pinned.raw)
    except AirgapError:  # reported by the check of the root
        return None


def _check_key_file(path: Path, *, enforced: bool) -> Iterator[Finding]:
    try:
        text = path.read_bytes()[:_MOST_KEY_BYTES]
    except OSError:  # reported by the check of keys
        return
    protection = key_files.read_protection(text)
    algorithm = _find_algorithm(path)
    named = f"The key file {path} ({algorithm or 'of unknown algorithm'}"
    named += f", encrypted with {protection})" if protection else ")"
    if protection in ("scrypt", "MD5"):
        report = problem if enforced else note
        yield report(
            "fips", f"{named} does not work in FIPS mode: {protection} is not allowed.", _NEW_ROOT
        )
    elif protection in ("bcrypt", "unknown") and algorithm in (None, *CURVES):
        yield note(
            "fips",
            f"{named} can be read in FIPS mode, but FIPS 140 does not approve {protection}.",
            _NEW_ROOT,
        )
    else:
        yield _judge(named, algorithm, enforced=enforced)


def _find_algorithm(path: Path) -> str | None:
    """Return the algorithm of a key file, by its public half or if it is not encrypted."""

    def ask(_: str) -> bytes:
        raise AirgapError("It is encrypted.")

    try:
        return keys.load_public_key(str(path), ask).algorithm
    except AirgapError:
        return None


def _judge(named: str, algorithm: str | None, *, enforced: bool) -> Finding:
    """Report whether a key works: where FIPS is enforced it is tried, else by what is approved."""
    if algorithm in CURVES:
        return ok("fips", f"{named} works in FIPS mode.")
    if algorithm is None:
        return note("fips", f"{named} may not work in FIPS mode.", _NEW_ROOT)
    if not enforced:
        return note("fips", f"{named} does not work with every OpenSSL in FIPS mode.", _NEW_ROOT)
    if private_keys.works_here(algorithm):
        return note(
            "fips",
            f"{named} works with this machine's FIPS module, but not with every one.",
            _NEW_ROOT,
        )
    return problem("fips", f"{named} does not work in FIPS mode on this machine.", _NEW_ROOT)
