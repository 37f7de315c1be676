"""The vectors of root format 2 and of attestations with names are read for ever (format §7.6, §14).

The time is that of the vectors: what a demand says of an age must not make them fail one day.
"""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from airgap import errors
from airgap.errors import AirgapError, PolicyError
from airgap.flow.admission.policy import AdmissionPolicy
from airgap.flow.bundle import open_bundle
from airgap.flow.location.location import parse_location
from airgap.format import root as roots
from airgap.format.ledger import State
from airgap.format.root import Root
from airgap.signing import trust
from airgap.signing.trust import Verified
from airgap.state import pinned_root
from tests.support import second_verifier

HERE = Path(__file__).parent / "root-2"
BAD: list[dict[str, str]] = json.loads((HERE / "bad.json").read_text())
KINDS: dict[str, type[AirgapError]] = {
    error.kind: error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, AirgapError)
}
WHEN = 1_800_000_000
MONTH = 2_592_000
each_bad = pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad["what"])


def accept(version: int) -> Verified[Root]:
    pinned = (HERE / f"root-{version}.fingerprint.txt").read_text().strip()
    return trust.accept_root(*pinned_root.read_root_files(HERE / f"root-{version}.msgpack"), pinned)


def admit(name: str, root: Verified[Root], now: int) -> dict[tuple[str, str], int]:
    """Return how many keys accept the bundle, by role and name."""
    policy = AdmissionPolicy(root, State(root.value.site, 0, 0, b"", 0), now)
    with open_bundle.open_bundle(parse_location(str(HERE / name)), policy) as opened:
        counts = opened.manifest.counts
    return {(count.demand.role, count.demand.name): len(count.key_ids) for count in counts}


def verify(name: str, version: int, now: int) -> tuple[int, str]:
    printed, pinned = io.StringIO(), (HERE / f"root-{version}.fingerprint.txt").read_text()
    words = ["--root", str(HERE / f"root-{version}.msgpack"), "--fingerprint", pinned.strip()]
    with contextlib.redirect_stdout(printed):
        code = second_verifier.program().main([str(HERE / name), *words, "--at", str(now)])
    return code, printed.getvalue()


def test_the_root_says_what_it_was_written_to_say() -> None:
    root = accept(2).value

    assert (root.format, accept(1).value.format) == (2, 1)
    assert [demand.name for demand in root.demands()] == ["malware", "licence", "rehearsal"]
    assert root.rules.forbidden_options == ("allow-unsigned", "http")
    assert root.rules.trust_anchors == ("ca", "known_hosts")
    assert sorted(root.rules.people.values()) == ["Former scan server", "Scan server"]
    assert [one.recipient for one in root.rules.recipients] == ["age1qqqq", "age1zzzz"]
    assert roots.encode(root) == (HERE / "root-2.msgpack").read_bytes()


def test_a_root_of_format_2_succeeds_one_of_format_1() -> None:
    raw, envelopes = pinned_root.read_root_files(HERE / "root-2.msgpack")

    assert trust.succeed(accept(1), raw, envelopes, WHEN).value == accept(2).value


@pytest.mark.parametrize("name", ["attested", "attested.airgap"])
def test_the_bundle_is_admitted_by_its_named_attestations(name: str) -> None:
    counted = admit(name, accept(2), WHEN)

    assert counted == {
        ("scanner", "malware"): 1,
        ("approver", "licence"): 1,
        ("scanner", "rehearsal"): 1,
        ("scanner", "toxicity"): 1,
    }
    code, printed = verify(name, 2, WHEN)
    assert code == 0, printed
    for label in ("scanner", "scanner (rehearsal)", "scanner (toxicity)", "approver (licence)"):
        assert f"signed by {label} " in printed


@pytest.mark.parametrize("name", ["attested", "attested.airgap"])
def test_a_rehearsal_that_is_too_old_or_of_tomorrow_does_not_count(name: str) -> None:
    admit(name, accept(2), WHEN + MONTH)
    assert verify(name, 2, WHEN + MONTH)[0] == 0

    with pytest.raises(PolicyError, match="rehearsal"):
        admit(name, accept(2), WHEN + MONTH + 1)
    assert verify(name, 2, WHEN + MONTH + 1)[0] == PolicyError.exit_code


def test_a_root_of_format_1_demands_a_review() -> None:
    with pytest.raises(PolicyError, match="approver signatures"):
        admit("attested", accept(1), WHEN)
    assert verify("attested", 1, WHEN)[0] == PolicyError.exit_code


@each_bad
def test_a_bad_root_is_refused_for_its_one_fault(bad: dict[str, str]) -> None:
    with pytest.raises(KINDS[bad["kind"]]):
        roots.decode((HERE / "bad" / bad["file"]).read_bytes())


@each_bad
def test_the_second_verifier_refuses_a_bad_root_as_airgap_does(bad: dict[str, str]) -> None:
    program: Any = second_verifier.program()
    raw = (HERE / "bad" / bad["file"]).read_bytes()

    with pytest.raises(program.Refused) as caught:
        program.check_root(raw, [], roots.fingerprint(raw))

    assert caught.value.args[0] == bad["kind"]


def test_the_table_names_every_bad_root() -> None:
    assert {bad["file"] for bad in BAD} == {path.name for path in (HERE / "bad").iterdir()}
