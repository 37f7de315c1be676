"""The second verifier, docs/verify.py, called as a function: what it prints and how it ends."""

import importlib.util
import io
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

from tests.support import sides

PROGRAM = sides.REPOSITORY / "docs" / "verify.py"
KINDS = {
    2: "usage",
    3: "cannot check",
    10: "corrupt",
    11: "not-trusted",
    12: "policy",
    13: "missing",
}


@cache
def program() -> Any:  # noqa: ANN401  (a module without types)
    """Load it from its file: it is no part of a package."""
    spec = importlib.util.spec_from_file_location("second_verifier", PROGRAM)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def verify(location: Path | str, root: Path, fingerprint: str) -> tuple[str, str]:
    """Return "accepted" or the kind of the refusal, and all that it printed."""
    main: Callable[[list[str]], int] = program().main
    printed = io.StringIO()
    with redirect_stdout(printed):
        code = main([str(location), "--root", str(root), "--fingerprint", fingerprint])
    return KINDS.get(code, "accepted" if code == 0 else f"exit {code}"), printed.getvalue()
