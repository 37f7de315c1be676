"""``airgap completion``: what a shell offers for a word, in real shells and by their protocol."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from airgap.flow import candidates
from tests.support import sides, stores
from tests.support.sides import Side

SHELLS = ("bash", "fish", "zsh")
IDS = ("1ebb" + "0" * 60, "90ee" + "0" * 60)


@pytest.fixture
def home(connected: Side, tmp_path: Path) -> Side:
    """A side with a Bento in two versions, a model, a remote, a key, and so on."""
    for version in ("v1", "v2"):
        stores.add_bento(connected, f"summarizer:{version}", {})
    stores.add_model(connected, "ranker:v1", {})
    assert connected.run("remote", "add", "gateway", "sftp://192.0.2.1/x").code == 0
    for folder, name in (("keys", "builder.key"), ("keys", "builder.pub"), ("channels", "staging")):
        (connected.state / folder).mkdir(exist_ok=True)
        (connected.state / folder / name).touch()
    for folder, name in (("sites", "ward-7"), ("ledgers", "ward-7"), ("receipts", "icu-2")):
        (connected.state / folder / name).mkdir(parents=True)
    (connected.state / "manifests").mkdir()
    (connected.state / "manifests" / f"{IDS[1]}.msgpack").touch()
    (connected.bentoml / "environments" / "shop" / "v9").mkdir(parents=True)
    for bundle in IDS:
        (tmp_path / "depot" / "bundles" / bundle).mkdir(parents=True)
    return connected


def ask(side: Side, line: str, shell: str = "bash") -> sides.Ran:
    """Ask for the candidates of the last word of a line, as the script of a shell does."""
    words = line.split(" ")
    word = words[-1]
    protocol = {"COMP_WORDS": line, "COMP_CWORD": word, "_AIRGAP_COMPLETE": f"{shell}_complete"}
    if shell == "zsh":
        protocol["COMP_CWORD"] = str(len(words) - 1)
    return sides.run_cli((), {**side.environment, **protocol})


def offered(side: Side, line: str) -> list[str]:
    ran = ask(side, line)
    assert (ran.code, ran.err) == (0, "")
    return [text.removeprefix("plain,") for text in ran.out.splitlines() if text]


@pytest.mark.parametrize(
    ("line", "candidates"),
    [
        ("airgap exp", ["export"]),
        ("airgap root set-m", ["set-min-sequence"]),
        ("airgap help exp", ["export"]),
        ("airgap export --mod", ["--model", "--model-signature-key"]),
        ("airgap export --compression f", ["fast"]),
        ("airgap export summarizer:", ["summarizer:v1", "summarizer:v2"]),
        ("airgap export summarizer:v2 s", ["summarizer:v1", "summarizer:v2"]),
        ("airgap export --model ", ["ranker:v1"]),
        ("airgap push --model r", ["ranker:v1"]),
        ("airgap push r", []),
        ("airgap remove r", ["ranker:v1"]),
        ("airgap delete summarizer:v1", ["summarizer:v1", "file,summarizer:v1"]),
        ("airgap import @", ["@gateway"]),
        ("airgap pull summarizer @g", ["@gateway"]),
        ("airgap remote show g", ["gateway"]),
        ("airgap remote add g", []),
        ("airgap export -o dep", ["file,dep"]),
        ("airgap export --channel ", ["staging"]),
        ("airgap env run s", ["shop:v9", "file,s"]),
        ("airgap ledger prove 9", [IDS[1]]),
        ("airgap ledger pr", ["prove"]),
        ("airgap ledger export --site w", ["ward-7"]),
        ("airgap receipt holds ", ["icu-2", "ward-7"]),
        ("airgap init w", []),
        ("airgap export --identity ward", ["file,ward"]),
        ("airgap export --seal-to ward", ["file,ward"]),
        ("airgap seal dep", ["file,dep"]),
        ("airgap timestamp @", ["@gateway"]),
        ("airgap scan @", ["@gateway"]),
        ("airgap archive check arch", ["file,arch"]),
        ("airgap audit --item r", ["ranker:v1"]),
        ("airgap key generate --algorithm ml", ["ml-dsa-65", "ml-dsa-87"]),
        ("airgap image save r", []),
        ("airgap import @gateway#1", []),
        ("airgap nothing x", []),
        ("airgap --color=n", ["never"]),
    ],
)
def test_a_word_gets_the_names_that_it_may_become(
    line: str, candidates: list[str], home: Side
) -> None:
    assert offered(home, line) == candidates


def test_the_bundles_of_a_depot_follow_its_path(home: Side, tmp_path: Path) -> None:
    depot = tmp_path / "depot"

    assert offered(home, f"airgap import {depot}#") == [f"{depot}#{bundle}" for bundle in IDS]
    assert offered(home, f"airgap import {depot}#9") == [f"{depot}#{IDS[1]}"]
    assert offered(home, f"airgap sign {depot} --bundle 1") == [IDS[0]]


def test_keys_are_those_of_this_machine_and_else_files(home: Side) -> None:
    assert offered(home, "airgap sign x --key ") == [str(home.state / "keys" / "builder.key")]
    assert offered(home, "airgap sign x --key ./b") == ["file,./b"]
    assert offered(home, "airgap import x --recorder-key ./b") == ["file,./b"]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_its_form_of_an_answer(shell: str, home: Side) -> None:
    lines = ask(home, "airgap export summ", shell).out.splitlines()

    form = {"zsh": ["plain", "summarizer:v1", "_"]}.get(shell, ["plain,summarizer:v1"])
    assert lines[: len(form)] == form


@pytest.mark.parametrize("line", ["airgap list @", "airgap export x", "airgap"])
def test_what_is_broken_gives_no_candidates_and_no_text(line: str, home: Side) -> None:
    (home.state / "config.toml").write_text("not = = toml")

    ran = ask(home, line)

    assert (ran.code, ran.err) == (0, "")
    assert "toml" not in ran.out


def test_an_unknown_shell_gets_nothing(home: Side) -> None:
    assert ask(home, "airgap exp", "tcsh").out == ""


def test_completing_imports_no_network(home: Side) -> None:
    script = "import sys; from airgap.flow import candidates as c; c.list_tags(''); c.list_keys('')"
    ran = subprocess.run(
        [sys.executable, "-c", f"{script}; print(*sys.modules)"],
        env=sides.unmeasured_environment() | home.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    loaded = set(ran.stdout.split())
    assert not loaded & {"socket", "ssl", "cryptography", "bentoml", "numpy", "rich", "asyncio"}


def test_of_very_many_names_only_some_are_offered(
    home: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "_MOST", 1)

    assert offered(home, "airgap export s") == ["summarizer:v1"]


# ---- the scripts


def run_shell(side: Side, words: Sequence[str], script: str) -> str:
    done = subprocess.run(
        [*words, "-c", script],
        env=sides.unmeasured_environment()
        | side.environment
        | {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout


BASH = """
source <(airgap completion bash)
compopt() { echo "compopt $*"; }
for line in "airgap export summarizer:v" "airgap export --channel=st" "airgap import x"; do
    COMP_LINE=$line COMP_POINT=${#line}
    _airgap_completion airgap
    echo "${COMPREPLY[@]}"
done
COMP_WORDBREAKS=" " COMP_LINE="airgap export summarizer:v1 --jobs" COMP_POINT=26
_airgap_completion airgap
echo "${COMPREPLY[@]}"
"""


def test_bash_gets_what_follows_the_colon(home: Side) -> None:
    assert run_shell(home, ["bash", "--norc"], BASH).splitlines() == [
        "v1 v2",
        "staging",
        *("compopt -o default", ""),
        "summarizer:v1 summarizer:v2",
    ]


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_gets_the_whole_word(home: Side) -> None:
    script = 'airgap completion fish | source; complete -C "airgap export summarizer:"'

    out = run_shell(home, ["fish", "--no-config"], script)

    assert out.splitlines() == ["summarizer:v1", "summarizer:v2"]


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_can_read_the_script(home: Side, tmp_path: Path) -> None:
    (tmp_path / "_airgap").write_text(home.run("completion", "zsh").out)

    run_shell(home, ["zsh", "-f"], f"zsh -n {tmp_path}/_airgap")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_calls_airgap_and_names_its_shell(shell: str, home: Side) -> None:
    ran = home.run("completion", shell)

    assert f"_AIRGAP_COMPLETE={shell}_complete" in ran.out
    assert home.run("completion", shell, "--json").json == {"shell": shell, "script": ran.out}
