"""The golden path: what a person sees who types ``make demo``."""

from pathlib import Path

import pytest

from tests.support.sides import Side

pytestmark = pytest.mark.bentoml


def test_the_demo_serves_a_prediction_and_refuses_a_changed_byte(
    connected: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    ran = connected.run("demo", "--json")

    assert ran.code == 0, ran.err
    told = ran.json
    assert told["prediction"] == {"mood": "glad", "certainty": 0.992}
    assert told["refusal"]["exit_code"] == 10
    assert "changed or damaged" in told["refusal"]["output"]
    assert f"bundle {told['bundle']}" in ran.err
    model = "hugging-face ward-7--tiny-words:"
    commands = {step["command"]: step["output"] for step in told["steps"]}
    assert f"installed: {model}" in commands["airgap import ../usb-stick/mood.airgap"]
    lists = [step["output"] for step in told["steps"] if step["command"].endswith("bentoml list")]
    assert ["mood:v1" in output for output in lists] == [False, True, False, False]
    assert "HTTP/1.1 200 OK" in ran.err
    printed = {line for step in told["steps"] for line in step["output"].splitlines()}
    own = [line for line in ran.err.splitlines() if line not in printed]
    assert max(map(len, own)) <= 80
    assert not [path for path in tmp_path.iterdir() if path != connected.top], "all is cleared away"
    assert not any(connected.top.iterdir()), "the user's own stores are not touched"


@pytest.mark.slow
def test_the_demo_with_packages_serves_in_an_environment_of_the_bundle(
    connected: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    ran = connected.run("demo", "--with-env", "--json")

    assert ran.code == 0, ran.err
    assert ran.json["prediction"] == {"mood": "glad", "certainty": 0.992}
    commands = {step["command"]: step["output"] for step in ran.json["steps"]}
    assert "The environment of mood:v1 is ready" in commands["airgap env create mood:v1"]
    assert any(command.startswith("airgap env run mood:v1 -- serve") for command in commands)
    assert ran.json["refusal"]["exit_code"] == 10
    assert not [path for path in tmp_path.iterdir() if path != connected.top], "all is cleared away"
