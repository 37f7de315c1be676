"""What a person gets wrong in the first hour is refused before it costs something."""

from pathlib import Path

import pytest

from airgap import keys
from airgap.cli import terminal
from airgap.cli.passphrases import read_new_passphrase
from airgap.errors import (
    ConfigurationError,
    ConflictError,
    CorruptError,
    MissingError,
    StorageError,
    UsageError,
)
from airgap.flow.exporting.builders import refuse_unaccepted
from airgap.format import root as roots
from airgap.signing import private_keys
from tests.support import refusals, store_invariants
from tests.support.sides import Side, Site, make_site
from tests.support.terminal import run_at_terminal


@pytest.fixture
def other(tmp_path: Path) -> Site:
    (tmp_path / "other").mkdir()
    return make_site(tmp_path / "other", builders=2, threshold=2)


def test_a_key_that_is_no_builder_is_refused_before_anything_is_written(
    small: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert small.run("init", "ward-7", "--no-passphrase").code == 0
    words = ("export", "shop", "-o", tmp_path / "depot")
    monkeypatch.setenv("AIRGAP_KEY", str(small.state / "keys" / "site.key"))

    refused = refusals.expect_refusal(small, *words, error=ConfigurationError)

    message = refused.json["error"]["message"]
    assert "is not a builder of site ward-7 (root 1)" in message
    assert not (tmp_path / "depot").exists()
    monkeypatch.delenv("AIRGAP_KEY")
    assert small.run(*words, "--json").json["sequence"] == 1


def test_a_kit_needs_a_builder_as_well(small: Side, tmp_path: Path) -> None:
    assert small.run("init", "ward-7", "--no-passphrase").code == 0

    words = ("kit", "-o", tmp_path / "kit", "--key", small.state / "keys" / "site.key")

    ran = refusals.expect_refusal(small, *words, error=ConfigurationError)

    assert "is not a builder of site ward-7" in ran.json["error"]["message"]
    assert not (tmp_path / "kit").exists()


def test_without_a_root_any_key_may_sign(small: Side, other: Site, tmp_path: Path) -> None:
    words = ("export", "shop", "-o", tmp_path / "depot", "--key", other.folder / "site.key")

    assert small.run(*words).code == 0


def test_one_builder_of_several_is_enough_to_begin(
    small: Side, other: Site, tmp_path: Path
) -> None:
    words = ("export", "shop", "-o", tmp_path / "depot", "--include-root", other.root)

    assert small.run(*words, "--key", other.key(2)).code == 0


def test_a_builder_of_one_root_that_travels_is_enough(site: Site, other: Site) -> None:
    old, new = (roots.decode(each.root.read_bytes()) for each in (site, other))
    (old_builder,) = old.signers("builder")
    new_builder, _ = new.signers("builder")

    refuse_unaccepted([old_builder, new_builder], [old, new])
    refuse_unaccepted(["ab" * 32], [])
    with pytest.raises(ConfigurationError):
        refuse_unaccepted([old_builder], [new])


def test_a_rehearsal_without_trust_names_this_machine_s_root(
    small: Side, site: Site, tmp_path: Path
) -> None:
    words = ("export", "shop", "-o", tmp_path / "depot", "--key", site.key())
    assert small.run(*words).code == 0

    before = small.run("rehearse", tmp_path / "depot")
    assert small.run("init", "ward-7", "--no-passphrase").code == 0
    after = small.run("rehearse", tmp_path / "depot")

    assert before.code == after.code == 3
    assert "This machine does not trust a site yet" in before.err
    assert "airgap-proof-" not in before.err + after.err
    hint = " ".join(after.err.split())
    assert f"airgap trust init {small.state / 'keys' / 'root.msgpack'}" in hint


def test_init_says_how_to_verify_here_too(small: Side) -> None:
    ran = small.run("init", "ward-7", "--no-passphrase")

    line = ran.out.splitlines()[-1].split()
    assert line[:3] == ["airgap", "trust", "init"]
    fingerprint = small.run("init", "ward-7", "--json").json["fingerprint"]
    assert small.run(*line[1:], "--fingerprint", fingerprint).code == 0


def test_a_medium_that_cannot_be_written_costs_no_number(
    small: Side, site: Site, tmp_path: Path
) -> None:
    words = ("export", "shop", "--key", site.key(), "--channel", "c")

    refusals.expect_refusal(small, *words, "--volumes", "/proc/sys", error=StorageError)
    ran = small.run(*words, "-o", tmp_path / "depot", "--json")

    assert ran.json["sequence"] == 1


@pytest.mark.parametrize("words", [("export", "shop"), ("key", "generate", "k"), ("list",)])
def test_a_config_file_that_a_variable_names_must_exist(
    words: tuple[str, ...], small: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_CONFIG", str(tmp_path / "gone.toml"))

    ran = refusals.expect_refusal(small, *words, error=ConfigurationError)

    message = f"AIRGAP_CONFIG names {tmp_path / 'gone.toml'}, which does not exist."
    assert ran.json["error"]["message"] == message


def test_the_commands_that_write_the_config_file_may_make_it(
    small: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_CONFIG", str(tmp_path / "new.toml"))

    assert small.run("init", "ward-7", "--no-passphrase").code == 0
    assert "[export]" in (tmp_path / "new.toml").read_text()
    (tmp_path / "new.toml").unlink()
    assert small.run("remote", "add", "gateway", "ftp://gateway.example/in").code == 0


def test_a_variable_that_sets_nothing_is_named_once(
    small: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_EXPORT_CHANEL", "production")
    monkeypatch.setenv("AIRGAP_EXPORT_CHANNEL", "production")
    line = "AIRGAP_EXPORT_CHANEL sets nothing. Did you mean AIRGAP_EXPORT_CHANNEL?\n"

    assert small.run("list").err == line
    assert small.run("list", "-q").err == ""
    monkeypatch.delenv("AIRGAP_EXPORT_CHANEL")
    assert small.run("list").err == ""


def test_an_invalid_value_is_named_by_its_variable(
    small: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_EXPORT_JOBS", "abc")

    ran = refusals.expect_refusal(small, "export", "shop", error=UsageError)

    message = ran.json["error"]["message"]
    assert "Invalid value for AIRGAP_EXPORT_JOBS: 'abc' is not a valid" in message


@pytest.mark.parametrize("text", ['[export]\njobs = "abc"\n', '\njobs = "abc"\n[export]\n'])
def test_an_invalid_value_is_named_by_the_line_of_the_config_file(text: str, small: Side) -> None:
    small.state.mkdir(exist_ok=True)
    (small.state / "config.toml").write_text(text)

    ran = small.run("export", "shop")

    assert f"Invalid value for jobs in {small.state / 'config.toml'}:2: 'abc'" in ran.err
    assert "'--jobs'" in small.run("export", "shop", "--jobs", "abc").err


def test_parity_is_counted_as_written(small: Side, site: Site, tmp_path: Path) -> None:
    words = ("export", "shop", "--key", site.key(), "--parity", "100%", "--json")

    depot = small.run(*words, "-o", tmp_path / "depot").json
    volumes = small.run(*words, "-o", tmp_path / "volumes", "--volume-size", "DVD").json

    for top, ran in ((tmp_path / "depot", depot), (tmp_path / "volumes", volumes)):
        files = [path for path in top.rglob("*") if path.suffix in (".pack", ".parity")]
        assert any(path.suffix == ".parity" for path in files)
        assert ran["bytes_written"] == sum(path.stat().st_size for path in files)


def test_an_environment_of_a_bento_that_is_not_here_is_imported(isolated: Side) -> None:
    ran = isolated.run("env", "create", "nothing:v1")

    assert ran.code == MissingError.exit_code
    assert "pull" not in ran.err
    assert "import the bundle that has it" in ran.err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("shop", "--port", "3912"), "airgap env run shop -- serve --port 3912"),
        (("shop", "serve", "--port=3912"), "airgap env run shop -- serve --port=3912"),
    ],
)
def test_options_for_bentoml_go_after_two_hyphens(
    words: tuple[str, ...], line: str, isolated: Side
) -> None:
    ran = isolated.run("env", "run", *words)

    assert ran.code == 2
    assert f"Options for BentoML go after --: {line}" in ran.err


def test_pull_takes_the_depot_of_the_variable(
    small: Side, isolated: Side, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_DEPOT", str(tmp_path / "depot"))

    assert small.run("push", "shop", "--key", site.key()).code == 0
    assert isolated.run("pull", "shop").code == 0


def test_a_choice_is_on_one_line(isolated: Side) -> None:
    ran = isolated.run("completion")

    assert "\\x0a" not in ran.err
    assert "bash, fish, zsh" in ran.err


def test_a_passphrase_that_differs_is_asked_for_again(connected: Side, tmp_path: Path) -> None:
    words = ("key", "generate", "k", "--dir", tmp_path)
    new = "Passphrase for the new key k: "
    typed = [(new, "one\n"), ("Again: ", "two\n")]

    ran = run_at_terminal(
        connected, *words, answers=[*typed, (new, "three\n"), ("Again: ", "three\n")]
    )

    assert ran.code == 0
    assert "They differ. Type it again." in ran.err
    assert (tmp_path / "k.key").exists()


def test_three_times_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(b"abcdef".decode())
    monkeypatch.setattr(terminal, "can_ask", lambda: True)
    monkeypatch.setattr(terminal, "ask_hidden", lambda _: next(answers))

    with pytest.raises(UsageError, match="differ"):
        read_new_passphrase("", None)("k")
    assert next(answers, None) is None


def test_a_line_of_the_fingerprint_that_is_short_is_asked_for_again(
    site: Site, tmp_path: Path
) -> None:
    fresh = Side(tmp_path / "fresh")
    fresh.top.mkdir()
    digits = site.fingerprint.removeprefix("SHA256:")
    answers = [
        ("first line", f"{digits[:28]}\n"),
        ("That line has 7 groups; a line on the paper has 8. Again", f"{digits[:31]}\n"),
        ("That line has 31 digits; a line on the paper has 32. Again", f"{digits[:32]}\n"),
        ("Second line", f"{digits[32:]}\n"),
    ]

    ran = run_at_terminal(fresh, "trust", "init", site.root, answers=answers, columns=200)

    assert ran.code == 0, ran.err


def test_the_doctor_says_that_the_key_of_the_site_is_still_here(small: Side) -> None:
    assert small.run("init", "ward-7", "--no-passphrase").code == 0

    findings = small.run("doctor", "--json").json["findings"]

    (site_key,) = [each for each in findings if "site.key" in each["message"]]
    assert site_key["level"] == "note"
    assert site_key["hint"] == "Move it to a medium that you lock away."


def test_a_key_without_its_passphrase_is_one_error(
    connected: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_keys, "_ROUNDS", 1)
    monkeypatch.setenv("AIRGAP_PASSPHRASE", "a long passphrase")
    assert connected.run("key", "generate", "k", "--dir", tmp_path).code == 0
    monkeypatch.delenv("AIRGAP_PASSPHRASE")

    with pytest.raises(ConfigurationError, match="is encrypted") as refused:
        keys.load(tmp_path / "k.key")

    assert refused.value.__context__ is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("export", "shopp", "-o", "depot"), "The bento shopp is not in"),
        (("export", "shop", "-o", "none/depot"), "does not exist; nothing was written."),
        (("push", "shopp", "depot"), "The bento shopp is not in"),
        (("push", "shop", "none/depot"), "does not exist; nothing was written."),
    ],
)
def test_what_needs_no_key_is_refused_before_a_passphrase_is_asked_for(
    words: tuple[str, ...],
    message: str,
    small: Side,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(private_keys, "_ROUNDS", 1)
    monkeypatch.setenv("SECRET_OF_TEST", "a long passphrase")
    told = ("--passphrase-env", "SECRET_OF_TEST")
    assert small.run("key", "generate", "k", "--dir", tmp_path, *told).code == 0
    *line, output = words

    refused = refusals.expect_refusal(
        small, *line, tmp_path / output, "--key", tmp_path / "k.key", error=MissingError
    )

    assert message in refused.json["error"]["message"]


def test_a_fingerprint_is_not_asked_for_where_no_root_is(
    site: Site, depot: Path, tmp_path: Path
) -> None:
    fresh = Side(tmp_path / "fresh")
    fresh.top.mkdir()

    key = run_at_terminal(fresh, "trust", "init", site.key())
    inside = run_at_terminal(fresh, "trust", "init", depot / "bundles", columns=300)

    assert key.code == CorruptError.exit_code
    assert inside.code == MissingError.exit_code
    assert f"Give the depot that it lies in: {depot}." in inside.err
    assert "first line" not in key.err + inside.err
    assert not (fresh.state / "trust").exists()


def test_a_fingerprint_is_not_asked_for_where_another_site_is_trusted(
    isolated: Side, other: Site
) -> None:
    before = store_invariants.content(isolated.state)

    ran = run_at_terminal(isolated, "trust", "init", other.root)

    assert ran.code == ConflictError.exit_code
    assert "first line" not in ran.err
    assert store_invariants.content(isolated.state) == before


@pytest.mark.parametrize("command", ["import", "verify", "inspect"])
def test_a_tag_in_the_place_of_a_location_is_recognized(command: str, isolated: Side) -> None:
    ran = refusals.expect_refusal(isolated, command, "shop:v1", error=MissingError)

    assert "airgap pull shop:v1 DEPOT" in ran.json["error"]["hint"]


def test_a_folder_in_a_depot_and_one_above_it_name_the_depot(isolated: Side, depot: Path) -> None:
    runs = [
        refusals.expect_refusal(isolated, *words, error=MissingError)
        for words in (
            ("import", depot / "packs"),
            ("verify", next((depot / "bundles").iterdir())),
            ("list", depot.parent),
        )
    ]

    assert all(str(depot) in ran.json["error"]["hint"] for ran in runs)


def test_a_file_that_is_not_an_archive_is_named(isolated: Side, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"milk\n" * 200)

    ran = refusals.expect_refusal(isolated, "import", path, error=CorruptError)

    assert ran.json["error"]["message"].startswith(f"{path} is not a .airgap file")
