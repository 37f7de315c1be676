"""Imports, kills, backups and resets in any order: nothing older gets in without a waiver (§17)."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airgap.disk import durable
from airgap.errors import NotTrustedError, PolicyError
from airgap.flow.admission import history, reset
from airgap.flow.admission.policy import AdmissionPolicy
from airgap.flow.progress import Silent
from airgap.format import manifest as manifests
from airgap.format import root as roots
from airgap.format.ledger import digest
from airgap.format.manifest import ChunkTable, Manifest
from airgap.state import pinned_root
from tests.support import signers
from tests.support.signers import make_root

WRITES = 6
ROOT = signers.accepted(make_root())


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


Step = tuple[str, int, int]
"""What happens; a number; and before which write it is killed (``WRITES``: not at all)."""
IMPORTS = st.tuples(st.just("import"), st.integers(0, 6), st.integers(0, WRITES))
OTHERS = st.tuples(
    st.sampled_from(["second", "backup", "restore", "lose", "tear", "reset"]),
    st.integers(0, 6),
    st.integers(0, WRITES),
)
STEPS = st.lists(st.one_of(IMPORTS, IMPORTS, OTHERS), max_size=25)


class Machine:
    """A machine, and what an observer who forgets nothing knows of it."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.highest = 0
        self.harmed = False
        history.begin_history(ROOT.value)
        raw = ROOT.raw
        (envelope,) = signers.signatures("root", raw, "ann")
        pinned_root.save_root(
            raw, {signers.person("ann").key.id: envelope}, roots.fingerprint(raw), None
        )

    @property
    def folder(self) -> Path:
        return self.top / "airgap/sites/ward"

    def take(self, step: Step) -> None:
        what, number, at = step
        if what in ("import", "second"):
            with killing(at):
                self.bring(number, "again" if what == "import" else "other")
        elif what == "reset":
            with killing(at):
                self.reset()
        else:
            self.harmed = True
            getattr(self, what)(number)
        assert self.harmed or history.check_history("ward").consistent, (
            "a kill alone made it unreadable"
        )

    def bring(self, sequence: int, content: str) -> None:
        """Import a bundle, but for its packs."""
        made = Manifest((), ChunkTable(b"", ()), (), 0, content, "nightly", sequence)
        bundle = digest(manifests.encode(made))
        try:
            state = history.require_consistent("ward")
            judge = AdmissionPolicy(ROOT, state, 0)
            judge.recheck(made, bundle, state, None)
            said = judge.make_entry(made, bundle)

            def check(now: object) -> None:
                judge.recheck(made, bundle, now, None)  # type: ignore[arg-type]

            with history.record_import(said, check, Silent(), changes=True):
                pass
        except (PolicyError, NotTrustedError):
            return
        assert sequence >= self.highest, "an older bundle got in"
        self.highest = max(self.highest, sequence)

    def reset(self) -> None:
        health = history.check_history("ward")
        if health.fault is not None:
            # What a backup does not hold is lost, and was told to be: from here on only what is
            # kept is promised.
            self.highest = min(
                self.highest, health.state.last_sequence("nightly") if health.state else 0
            )
            reset.reset_history(health.head)

    def backup(self, _: int) -> None:
        shutil.rmtree(self.top / "backup", ignore_errors=True)
        shutil.copytree(self.folder, self.top / "backup")

    def restore(self, _: int) -> None:
        if (self.top / "backup").exists():
            shutil.rmtree(self.folder)
            shutil.copytree(self.top / "backup", self.folder)

    def lose(self, number: int) -> None:
        (self.folder / ("state", "ledger")[number % 2]).unlink(missing_ok=True)

    def tear(self, number: int) -> None:
        with (self.folder / "ledger").open("ab") as ledger:
            ledger.write(bytes(range(number)))


@contextmanager
def killing(at: int) -> Iterator[None]:
    """Kill before write number ``at``: of an entry, or of a file that is replaced."""
    count = 0

    def before(real: object) -> object:
        def stand_in(*args: object, **named: object) -> object:
            nonlocal count
            count += 1
            if count > at < WRITES:
                raise Killed
            return real(*args, **named)  # type: ignore[operator]

        return stand_in

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durable, "replace_file", before(durable.replace_file))
        patch.setattr(durable, "append", before(durable.append))
        patch.setattr(durable, "overwrite", before(durable.overwrite))
        with suppress(Killed):
            yield


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
@example(steps=[("import", 3, 1), ("import", 4, 1), ("import", 2, WRITES)])
@example(steps=[("import", 3, WRITES), ("lose", 0, 0), ("reset", 0, WRITES), ("import", 2, WRITES)])
@example(steps=[("import", 3, 1), ("import", 2, WRITES), ("import", 3, WRITES)])
@example(
    steps=[
        ("import", 3, WRITES),
        ("backup", 0, 0),
        ("import", 5, WRITES),
        ("restore", 0, 0),
        ("import", 4, WRITES),
    ]
)
def test_nothing_older_gets_in_whatever_happens(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as top, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRGAP_HOME", os.path.join(top, "airgap"))  # noqa: PTH118
        patch.setenv("BENTOML_HOME", os.path.join(top, "bentoml"))  # noqa: PTH118
        machine = Machine(Path(top))
        for step in steps:
            machine.take(step)
