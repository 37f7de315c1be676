"""The programs that lie in a kit, beside its bundle: they verify and install it there."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from airgap.carrier.texts import texts
from airgap.format import layout

__all__ = ["INSTALLER", "list_programs"]

INSTALLER, _CURVES = layout.KIT_NAMES
_README: Final = b"""\
This is a kit of airgap: what a machine without a package index needs to install it. Run

  python3 install.py

with the fingerprint of your site's root, which came by phone or on paper. Before that, compare

  sha256sum install.py

with what `airgap kit` printed where this kit was made: anyone who can change this folder can change
install.py, too. It verifies everything else, and `python3 install.py --help` says how.

  install.py     verifies and installs; it has the SHA-256 of the two programs that it uses:
  verify.py      checks the signatures and every byte, with openssl
  curves.py      checks signatures in Python, where there is no openssl
  bundles/, packs/, roots/   a signed bundle with the Python packages; `airgap inspect` shows it
"""
_PLACE: Final = 'PROGRAMS: "dict[str, str]" = {}'
"""Where the installer gets the digests of the others."""


def list_programs() -> Mapping[str, bytes]:
    """Return the programs of a kit, and its README, by name: the same for each kit of a version.

    The installer names the SHA-256 of the others: who trusts its bytes may trust theirs.
    """
    folder = Path(__file__).parent
    others = {
        layout.VERIFIER_NAME: texts()[layout.VERIFIER_NAME],
        _CURVES: (folder / _CURVES).read_bytes(),
    }
    digests = {name: hashlib.sha256(raw).hexdigest() for name, raw in others.items()}
    text = (folder / INSTALLER).read_text()
    filled = text.replace(_PLACE, f"PROGRAMS = {json.dumps(digests, indent=4, sort_keys=True)}")
    return {**others, INSTALLER: filled.encode(), layout.README_NAME: _README}
