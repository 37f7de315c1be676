"""What every refusal must keep: one sentence, one exit code, and stores that did not change."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from airgap.errors import AirgapError
from airgap.ledger.check import read_entries
from tests.support.sides import Ran, Side
from tests.support.stores import snapshot


def expect_refusal(
    side: Side, *arguments: str | Path, error: type[AirgapError], staging: bool = False
) -> Ran:
    """Run a command that must be refused, with stores and state byte for byte as before.

    Args:
        side: where it runs.
        arguments: the command line.
        error: the class of the refusal; exit code and kind must be its own.
        staging: whether verified content may stay in staging for the next try.
    """
    without = ".airgap" if staging else ""
    if staging:  # staging needs the homes
        side.bentoml.mkdir(exist_ok=True)
        side.hugging_face.mkdir(exist_ok=True)
    before = _kept(side, without)
    with ledger_tells_refusals(side) if arguments[0] in ("import", "pull") else nullcontext():
        ran = side.run(*arguments, "--json")
    assert ran.code == error.exit_code, f"exit {ran.code}: {ran.err}"
    told = ran.json["error"]
    assert (told["kind"], told["exit_code"]) == (error.kind, error.exit_code)
    assert told["message"]
    assert told["hint"]
    assert _kept(side, without) == before
    return ran


def _kept(side: Side, without: str) -> dict[str, str]:
    """What a refusal may not change: all but what follows from other files.

    These are copies of manifests that were read in depots, and the stored nodes of ledgers.
    """
    cache = str(side.state / "cache")
    found = snapshot(side.top, without=without)
    return {
        path: about
        for path, about in found.items()
        if not path.startswith(cache) and Path(path).name not in ("nodes", "offsets")
    }


@contextmanager
def ledger_tells_refusals(side: Side) -> Iterator[None]:
    """Demand that ledgers grow by no more than refusals; then put them back as they were."""
    folders = [one for one in side.state.glob("sites/*") if (one / "ledger").is_file()]
    before = {path: path.read_bytes() for one in folders for path in one.iterdir()}
    yield
    for folder in folders:
        old, new = before[folder / "ledger"], (folder / "ledger").read_bytes()
        if new == old:
            continue
        assert new.startswith(old)
        count = len(list(read_entries(folder.name, old)))
        entries = [entry for entry, _ in read_entries(folder.name, new)][count:]
        assert [entry.event for entry in entries] == ["refused"]
        for path in folder.iterdir():
            path.write_bytes(before[path])
