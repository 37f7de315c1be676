"""Fixtures over ``tests.support``."""

import gc
import os
import re
import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from airgap.disk import durable
from airgap.server.intake.event_log import EventLog
from airgap.server.intake.event_schema import find_event_problem
from airgap.store import bentoml_process
from airgap.transport import secrets
from tests.support import (
    coverage_files,
    debian,
    environments,
    interruptions,
    kits,
    measuring,
    package_index,
    python_scripts,
    real_packages,
    sides,
    store_invariants,
    stores,
)
from tests.support.faults import Launcher
from tests.support.python_scripts import Scripts
from tests.support.sides import Side, Site

if TYPE_CHECKING:
    from _typeshed import TraceFunction


hypothesis.settings.register_profile("check", derandomize=True)
hypothesis.settings.load_profile("check")  # `make fuzz` gives another: examples at random


def _set_trace_patiently(function: "TraceFunction | None") -> None:
    """Install a trace function, again if another thread is at it just now.

    Python 3.11 refuses that, and the thread ends before its work begins, if coverage is measured.
    """
    while True:
        try:
            return _SET_TRACE(function)
        except RuntimeError as error:
            if "another trace function" not in str(error):
                raise


_SET_TRACE = sys.settrace
sys.settrace = _set_trace_patiently


LONG = re.compile(
    r"/test_(readers|crash_\w+|real_bentos|tampering|wheelhouses|demo|docs|remote_locations"
    r"|broken_connections|second_verifier|mutations|coverage|sandbox|rotation_oracle|two_years)\.py$"
)
"""Files that take longest. If one came last, all processors but one would wait for its end."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the long files where several processes share the tests."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not LONG.search(str(item.path)))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Let Python's garbage collector pass over the tests themselves, which live to the end.

    There are more than a million of their objects, and each full collection looked at all of them.
    """
    _pass_over_what_lives()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Do so after each file as well: a collection took 0.2 s in the end (a retry asks for one)."""
    result = yield
    if nextitem and nextitem.path != item.path:
        _pass_over_what_lives()
    return result


def _pass_over_what_lives() -> None:
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)  # after pytest-cov's, which starts it
def pytest_sessionstart(session: pytest.Session) -> None:
    """Measure the coverage of those tests that may reach other lines."""
    if measured := measuring.find_coverage():
        session.config.pluginmanager.register(measuring.Measuring(measured))


@pytest.hookimpl(wrapper=True, trylast=True)  # within pytest-cov's, which combines the files
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Remove files of coverage that a killed process left torn, before they are combined."""
    result = yield
    if not hasattr(session.config, "workerinput"):
        for name in coverage_files.remove_torn_files(session.config.rootpath):
            session.config.get_terminal_writer().line(
                f"\n{name} is torn: its process was killed while it wrote. It is not counted."
            )
    return result


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site with one builder. Its keys are used by many tests and changed by none."""
    return sides.make_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(autouse=True)
def _no_bentoml_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let imports of unsigned archives not start BentoML, which takes seconds each."""
    monkeypatch.setattr(bentoml_process, "find_version", lambda: None)


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no password of another test be redacted, which may be an ordinary word."""
    monkeypatch.setattr(secrets, "_SECRETS", set())


@pytest.fixture(autouse=True)
def _events_have_their_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare every event that a service reports in this process with the schema (format §21)."""
    notify, record = EventLog.notify, EventLog.record

    def check_notify(log: EventLog, event: str, **fields: object) -> None:
        assert not find_event_problem({"at": "", "event": event, **fields}, is_logged=False)
        notify(log, event, **fields)

    def check_record(log: EventLog, event: str, **fields: object) -> None:
        assert not find_event_problem({"at": "", "event": event, **fields}, is_logged=True)
        record(log, event, **fields)

    monkeypatch.setattr(EventLog, "notify", check_notify)
    monkeypatch.setattr(EventLog, "record", check_record)


@pytest.fixture(scope="session")
def debian_tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tar of a Debian with Python, for all tests that need one."""
    if reason := debian.why_not():
        pytest.skip(reason)
    return debian.make_tar(tmp_path_factory.mktemp("debian"))


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of real packages, which pip fetches once for all tests that need them."""
    return real_packages.fetch(tmp_path_factory.mktemp("packages"))


@pytest.fixture
def connected(tmp_path: Path) -> Side:
    """The connected side, with empty stores."""
    side = Side(tmp_path / "connected")
    side.top.mkdir()
    return side


@pytest.fixture(scope="session")
def _trusting(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Side:
    side = Side(tmp_path_factory.mktemp("trusting") / "isolated")
    side.top.mkdir()
    sides.trust(side, site)
    return side


@pytest.fixture
def isolated(tmp_path: Path, _trusting: Side) -> Side:
    """The isolated side: empty stores, trusting ``site``. It is copied, which is faster."""
    return store_invariants.copy(_trusting, tmp_path / "isolated")


@pytest.fixture
def small(connected: Side) -> Side:
    """The connected side with Bento ``shop:v1`` that names model ``ranker:v1``."""
    return _add_shop(connected)


def _add_shop(connected: Side) -> Side:
    stores.add_model(
        connected, "ranker:v1", {"weights.bin": stores.noise(400_000), "notes.txt": b"ab" * 9}
    )
    bento = stores.add_bento(
        connected,
        "shop:v1",
        {"src/service.py": b"print('hello')\n", "README.md": b"# shop\n" * 200, "src/empty": b""},
        models=["ranker:v1"],
    )
    (bento / "run.sh").write_bytes(b"#!/bin/sh\n")
    (bento / "run.sh").chmod(0o755)
    (bento / "src" / "link").symlink_to("../run.sh")
    (bento / "data").mkdir()
    return connected


@pytest.fixture(scope="session")
def _exported(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``depot`` and ``shop.airgap``. Each export takes 30 ms, a copy one."""
    folder = tmp_path_factory.mktemp("exported")
    side = Side(folder / "connected")
    side.top.mkdir()
    _add_shop(side)
    for name in ("depot", "shop.airgap"):
        ran = side.run("export", "shop:v1", "-o", folder / name, "--key", site.key())
        assert ran.code == 0, ran.err
    return folder


@pytest.fixture
def depot(small: Side, _exported: Path, tmp_path: Path) -> Path:
    """A depot that holds ``shop:v1`` and its model, signed."""
    del small
    return Path(shutil.copytree(_exported / "depot", tmp_path / "depot"))


@pytest.fixture
def archive(small: Side, _exported: Path, tmp_path: Path) -> Path:
    """The same bundle as ``depot``, as a single file."""
    del small
    return Path(shutil.copyfile(_exported / "shop.airgap", tmp_path / "shop.airgap"))


@pytest.fixture
def stock_archive(_exported: Path, site: Site, tmp_path: Path) -> Callable[[str], Path]:
    """Bring ``shop:v1`` as an archive for stock BentoML, in any form. It is exported once."""

    def bring(form: str) -> Path:
        made = _exported / form / f"shop.{form}"
        if not made.exists():
            made.parent.mkdir()
            side = Side(_exported / "connected")
            ran = side.run("export", "shop:v1", "-o", made, "--key", site.key())
            assert ran.code == 0, ran.err
        return shutil.copytree(made.parent, tmp_path, dirs_exist_ok=True) / made.name

    return bring


@pytest.fixture(scope="session")
def launcher(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """A starter of commands that break at a chosen moment."""
    folder = tmp_path_factory.mktemp("launcher")
    scenario = interruptions.make("fresh", folder / "rehearsal", site)
    sender, options = Side(folder / "rehearsal/sender"), ("--key", site.key(), "--jobs", "1")
    with Launcher(folder) as launched:
        launched.rehearse(sender, "export", "shop:v1", "-o", folder / "depot", *options)
        launched.rehearse(scenario.before, *scenario.arguments)
        yield launched


@pytest.fixture(scope="session")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripts]:
    """A starter of scripts that use the real BentoML."""
    with Scripts(tmp_path_factory.mktemp("scripts"), python_scripts.BENTOML) as started:
        yield started


@pytest.fixture
def shop(isolated: Side) -> Side:
    """The isolated side with Bento ``shop:v1`` and its wheelhouse for this host."""
    environments.install(isolated, environments.wheelhouse())
    environments.install(isolated, environments.bento())
    return isolated


@pytest.fixture(scope="session", autouse=True)
def _sync_nothing() -> Iterator[None]:
    """Sync nothing: that takes long, and only a power cut would tell the difference.

    Tests of the order of syncs stand in for ``os.fsync`` themselves, or see it in a child.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(durable, "_SYNCFS", lambda _: 0)
        yield


@pytest.fixture(scope="session")
def kit_of_tiny_wheels(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kit for this host and for another, in a folder ``kit``, and what its making printed.

    Beside it lies the stand-in for airgap's wheel. Nobody changes it.
    """
    folder = tmp_path_factory.mktemp("kits")
    side = Side(folder / "connected")
    side.top.mkdir()
    with package_index.serve(kits.make_index()) as index:
        options = ("--target", kits.OTHER_TARGET, "--wheel", kits.own_wheel(folder))
        ran = kits.make(side, site, index, folder / "kit", *options)
    assert ran.code == 0, ran.err
    (folder / "printed.json").write_text(ran.out)
    (folder / "notes.txt").write_text(ran.err)
    return folder / "kit"


@pytest.fixture
def kit(kit_of_tiny_wheels: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(kit_of_tiny_wheels, tmp_path / "kit"))
