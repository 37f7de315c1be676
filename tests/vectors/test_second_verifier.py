"""The second verifier says of every vector what airgap says."""

import json
from pathlib import Path

import pytest

from tests.support import second_verifier

HERE = Path(__file__).parent
BAD: list[dict[str, str]] = json.loads((HERE / "bad.json").read_text())
NOT_DECODED = {  # accepted by it, which means: packs authentic, content not decoded
    "083-other-content.airgap": "a good frame of other bytes, which only a decoder can tell",
}


def verify(location: Path) -> tuple[str, str]:
    fingerprint = (HERE / "root" / "fingerprint.txt").read_text().strip()
    return second_verifier.verify(location, HERE / "root" / "root.msgpack", fingerprint)


@pytest.mark.parametrize("form", ["", ".airgap"], ids=["depot", "file"])
@pytest.mark.parametrize("name", ["exported", "handmade"])
def test_a_golden_bundle_is_accepted_and_listed_in_full(name: str, form: str) -> None:
    verdict, printed = verify(HERE / f"{name}{form}")

    assert verdict == "accepted", printed
    about = json.loads((HERE / f"{name}.json").read_text())
    expected = [f"signed by builder {key}" for key in about["signed_by"]]
    for item in about["items"]:
        expected.append(f"{item['kind']} {item['name']}:{item['version']} sha256:{item['digest']}")
        for entry in item["entries"]:
            what = entry.get("sha256") or (
                f"link to {entry['target']}" if "target" in entry else "empty folder"
            )
            expected.append(f"  {what} {entry['path']}")
    assert [line for line in printed.splitlines() if line in set(expected)] == expected


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad['section']} {bad['what']}")
def test_a_bad_bundle_is_refused_as_airgap_refuses_it(bad: dict[str, str]) -> None:
    verdict, printed = verify(HERE / "bad" / bad["file"])

    assert verdict == ("accepted" if bad["file"] in NOT_DECODED else bad["kind"]), printed
    # Whatever breaks it counts as corrupt; a slip of its own must not pass for a refusal.
    assert "TypeError" not in printed
    assert "AttributeError" not in printed


def test_what_it_does_not_decode_it_says() -> None:
    for file in NOT_DECODED:
        assert "1 of 2 files compared in the plain" in verify(HERE / "bad" / file)[1]
