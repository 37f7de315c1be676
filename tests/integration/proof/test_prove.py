"""A Bento is proved where it is installed, and rehearsed from its bundle, before it leaves."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from airgap.errors import ConfigurationError, MissingError, NotTrustedError
from airgap.flow.proof import sandbox
from tests.support import closure_items, environments, forge, refusals, sides, stores
from tests.support.disk_watch import watch
from tests.support.forge import Draft, Forge, Item
from tests.support.sides import Side, Site

SERVICE = (Path(__file__).parents[2] / "support" / "proof_service.py").read_bytes()
MODEL = {"weights.bin": stores.noise(50_000)}
# What `bentoml serve TAG --host HOST --port PORT` is here: the Bento's service is run.
SCRIPT = """\
import os, pathlib, runpy, sys

def main():
    name, version = sys.argv[2].split(":")
    bento = pathlib.Path(os.environ["BENTOML_HOME"], "bentos", name, version)
    sys.argv = ["serve", sys.argv[sys.argv.index("--port") + 1]]
    runpy.run_path(str(bento / "src/service.py"), run_name="__main__")
"""


def bentoml_wheel() -> tuple[str, bytes]:
    file, data = closure_items.wheel("bentoml", "1.4", bentoml_script=SCRIPT)
    made = io.BytesIO(data)
    with zipfile.ZipFile(made, "a") as archive:
        text = "[console_scripts]\nbentoml = bentoml_script:main\n"
        archive.writestr(zipfile.ZipInfo("bentoml-1.4.dist-info/entry_points.txt"), text)
    return file, made.getvalue()


def bento(*words: str, more: str = "", tag: str = "shop:v1") -> Item:
    plain = environments.bento(more="models:\n- tag: ranker:v1\n" + more, tag=tag)
    return forge.bento(
        {
            **plain.entries,
            "src/service.py": SERVICE,
            "src/words.txt": " ".join(words or ("quiet",)).encode(),
        },
        tag,
    )


def bundle(*words: str, more: str = "") -> Draft:
    return bundle_of(bento(*words, more=more))


def bundle_of(*bentos: Item) -> Draft:
    wheels = dict([closure_items.wheel(), bentoml_wheel()])
    house = environments.wheelhouse(wheels)
    model = forge.model(MODEL, "ranker:v1")
    return forge.draft(model, house, *bentos, reader=2)


@pytest.fixture
def forged(tmp_path: Path, site: Site) -> Forge:
    return Forge(tmp_path, forge.load_signer(site.key()))


def test_a_bundle_is_rehearsed_without_a_trace(
    isolated: Side, forged: Forge, tmp_path: Path
) -> None:
    depot = forged.depot(bundle())
    report = tmp_path / "report.json"

    ran = isolated.run("rehearse", depot, "--report", report)

    assert ran.code == 0, ran.out + ran.err
    lines = ran.out.splitlines()
    assert lines[0].startswith("bento shop:v1: served, and asked for nothing (ready after ")
    assert lines[1] == "  POST /norm: 200"
    assert "--name rehearsal --findings" in lines[-1]
    (proof,) = json.loads(report.read_text())["proofs"]
    assert (proof["bento"], proof["verdict"], proof["requests"]) == ("shop:v1", "served", [])
    assert not list(isolated.bentoml.glob("*/*/*"))
    assert not isolated.run("list", "--json").json["items"]
    assert isolated.run("import", depot).code == 0  # its number was not taken


def test_what_it_asks_for_is_named_with_the_line(isolated: Side, forged: Forge) -> None:
    depot = forged.depot(bundle("at-start", "at-request"))

    ran = isolated.run("rehearse", depot, "--json")

    assert ran.code == 13
    (proof,) = ran.json["proofs"]
    assert proof["verdict"] == "served, but asked for"
    hosts = {request["host"]: request for request in proof["requests"]}
    assert set(hosts) == {"start.example", "lazy.example"}
    assert list(hosts["start.example"]["lines"]) == [
        "service.py:25 in fetch, service.py:73 in main"
    ]
    allowed = ("--allow-host", "start.example", "--allow-host", "lazy.example")
    assert isolated.run("rehearse", depot, *allowed).code == 0


def test_bentos_with_the_same_packages_share_an_environment_and_nothing_else(
    isolated: Side, forged: Forge
) -> None:
    bentos = bento("at-start", "caches"), bento("caches", tag="zoo:v1")
    depot = forged.depot(bundle_of(*bentos))

    ran = isolated.run("rehearse", depot, "--json")

    assert ran.code == 13
    assert ran.err.count("Installing 2 packages") == 1
    verdicts = {proof["bento"]: proof["verdict"] for proof in ran.json["proofs"]}
    assert verdicts == {"shop:v1": "served, but asked for", "zoo:v1": "served"}


def test_an_environment_that_a_service_has_changed_is_not_used_again(
    isolated: Side, forged: Forge
) -> None:
    depot = forged.depot(bundle_of(bento("installs"), bento("caches", tag="zoo:v1")))

    ran = isolated.run("rehearse", depot, "--json")

    assert ran.code == 0, ran.json
    assert ran.err.count("Installing 2 packages") == 2


def test_a_bento_gets_the_variables_that_it_demands_and_no_others(
    isolated: Side, forged: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = "envs:\n- name: SHOP_KEY\n- name: COLOR\n  value: red\n"
    depot = forged.depot(bundle("tells", more=more))
    monkeypatch.setenv("OTHER_KEY", "hidden")

    refused = refusals.expect_refusal(isolated, "rehearse", depot, error=ConfigurationError)
    monkeypatch.setenv("SHOP_KEY", "k1")
    told = isolated.run("rehearse", depot, "--json")

    assert refused.json["error"]["message"] == (
        "The Bento shop:v1 needs environment variables that are not set: SHOP_KEY."
    )
    assert told.code == 13
    assert told.json["proofs"][0]["log"][-2:] == ["SHOP_KEY=k1", "OTHER_KEY=None"]


def test_large_models_are_links_to_what_is_here(isolated: Side, site: Site, tmp_path: Path) -> None:
    commit, weights = "c" * 40, {"weights.bin": stores.noise(3_000_000, 1)}
    snapshot = stores.add_snapshot(isolated, "team/large", commit, weights)
    entry = stores.hugging_face_entry("team/large", commit)
    model = stores.add_model(isolated, "ranker:v1", {"weights.bin": stores.noise(3_000_001, 2)})
    wheels = dict([closure_items.wheel(), bentoml_wheel()])
    environments.install(isolated, environments.wheelhouse(wheels))
    files = {"src/service.py": SERVICE, "src/words.txt": b"tells"}
    files["env/python/requirements.txt"] = environments.REQUIREMENTS
    stores.add_bento(isolated, "shop:v1", files, models=["ranker:v1", entry])
    before = stores.snapshot(isolated.bentoml)

    proved = isolated.run("prove", "shop:v1", "--json")
    key = ("--with-env", "--key", site.key(), "--target", environments.host_target())
    exported = isolated.run("export", "shop:v1", "-o", tmp_path / "depot", *key)
    rehearsed = isolated.run("rehearse", tmp_path / "depot", "--json")

    assert exported.code == 0, exported.err
    real = (snapshot / "weights.bin").resolve()
    expected = {
        f"3000000 bytes in {real}",
        f"3000001 bytes in {model / 'weights.bin'}",
    }
    for ran in (proved, rehearsed):
        assert ran.code == 13, ran.err
        assert expected <= set(ran.json["proofs"][0]["log"])
    assert stores.snapshot(isolated.bentoml) == before


def test_an_installed_bento_is_proved_with_what_airgap_would_carry(
    isolated: Side, forged: Forge
) -> None:
    assert isolated.run("import", forged.depot(bundle("at-start"))).code == 0
    before = stores.snapshot(isolated.bentoml)

    ran = isolated.run("prove", "shop")

    assert ran.code == 13
    text = " ".join(ran.out.split())
    assert "served, but asked for 1 host" in text
    assert "asked for start.example, port 80 (1 look-up)" in text or not sandbox.find_namespaces()
    assert "from service.py:25 in fetch" in text
    assert stores.snapshot(isolated.bentoml) == before


def test_a_model_that_is_here_is_neither_copied_nor_changed(isolated: Side, forged: Forge) -> None:
    if not sandbox.find_namespaces():
        pytest.skip("this host gives no namespaces")
    assert isolated.run("import", forged.depot(bundle())).code == 0
    installed = isolated.bentoml / "models/ranker/v1/weights.bin"

    ran = isolated.run("rehearse", forged.depot(bundle("writes")), "--json")

    assert ran.json["proofs"][0]["verdict"] == "did not start"
    assert "Read-only file system" in "\n".join(ran.json["proofs"][0]["log"])
    assert installed.read_bytes() == MODEL["weights.bin"]


def test_a_model_of_the_same_size_and_other_content_is_not_used(
    isolated: Side, forged: Forge
) -> None:
    assert isolated.run("import", forged.depot(bundle())).code == 0
    installed = isolated.bentoml / "models/ranker/v1/weights.bin"
    installed.write_bytes(bytes(len(MODEL["weights.bin"])))

    assert isolated.run("rehearse", forged.depot(bundle())).code == 0
    assert installed.read_bytes() == bytes(len(MODEL["weights.bin"]))


def test_a_bento_for_a_gpu_is_not_provable_without_one(isolated: Side, forged: Forge) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this host has a GPU")
    more = "services:\n- name: a\n  service: a\n  config:\n    resources:\n      gpu: 1\n"
    depot = forged.depot(bundle_of(bento(), bento(more=more, tag="zoo:v1")))

    ran = refusals.expect_refusal(isolated, "rehearse", depot, error=MissingError)

    assert ran.json["error"]["message"] == (
        "zoo:v1 is not provable here: it asks for a GPU, and this host has none."
    )
    assert ran.json["error"]["hint"].endswith("The others can be proved here: name shop:v1.")
    assert "Serving" not in ran.err


def test_a_bento_for_another_architecture_is_not_provable_here(
    isolated: Side, forged: Forge
) -> None:
    wheels = dict([closure_items.wheel(), bentoml_wheel()])
    target = environments.host_target().replace("x86_64", "aarch64x").replace("aarch64", "x86_64")
    target = target.replace("x86_64x", "aarch64")
    house = environments.wheelhouse(wheels, target=target)
    model = forge.model(MODEL, "ranker:v1")
    depot = forged.depot(forge.draft(model, house, bento(), reader=2))

    ran = refusals.expect_refusal(isolated, "rehearse", depot, error=MissingError)

    assert "shop:v1 is not provable here: its packages are for " in ran.json["error"]["message"]


def test_code_that_nobody_signed_is_not_run(isolated: Side, tmp_path: Path) -> None:
    stranger = Forge(tmp_path, forge.load_signer(sides.make_site(tmp_path / "other").key()))
    depot = stranger.depot(bundle())

    ran = refusals.expect_refusal(isolated, "rehearse", depot, error=NotTrustedError)

    assert "Serving" not in ran.err


def heavy_bundle() -> Draft:
    """A bundle whose model has 3 MB, and whose packages have 2 MB."""
    file, data = bentoml_wheel()
    made = io.BytesIO(data)
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr(zipfile.ZipInfo("bentoml_data/data.bin"), stores.noise(2_000_000))
    house = environments.wheelhouse(dict([closure_items.wheel(), (file, made.getvalue())]))
    model = forge.model({"weights.bin": stores.noise(3_000_000)}, "ranker:v1")
    return forge.draft(model, house, bento(), reader=2)


def test_a_rehearsal_takes_what_it_said_and_copies_no_model_that_is_here(
    isolated: Side, forged: Forge, tmp_path: Path
) -> None:
    depot = forged.depot(heavy_bundle())
    spool = tmp_path / "spool"
    spool.mkdir()
    model = forge.draft(forge.model({"weights.bin": stores.noise(3_000_000)}, "ranker:v1"))
    single = Forge(tmp_path / "single", forged.signer).depot(model)
    words = ("rehearse", depot, "--tmpdir", spool, "--json")
    copied = isolated.run(*words)
    assert isolated.run("import", single).code == 0

    with watch(spool) as seen:
        linked = isolated.run(*words)

    assert linked.code == 0, linked.err
    (before,), (disk,) = copied.json["disk_use"], linked.json["disk_use"]
    assert [step["step"] for step in disk["steps"]] == [
        "staging",
        "installing",
        "making the environment",
    ]
    assert 3_000_000 <= before["peak"] - disk["peak"] <= 3_100_000
    assert 0.9 * disk["peak"] <= seen.peak(spool) <= disk["peak"]
    assert linked.err.count(f"Peak disk use at {spool}") == 2


def test_a_rehearsal_needs_no_room_for_a_model_that_is_here(
    isolated: Side, forged: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot = forged.depot(heavy_bundle())
    assert isolated.run("import", depot).code == 0
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2_900_000))
    rehearsed = isolated.run("rehearse", depot, "--json")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_900_000))
    refused = isolated.run("rehearse", depot, "--json")

    assert rehearsed.code == 0, rehearsed.err
    assert refused.code == 15
    assert refused.json["error"]["message"].endswith(" MB more and has 1.9 MB free.")


def test_a_proof_says_what_it_copies_and_installs(
    isolated: Side, forged: Forge, tmp_path: Path
) -> None:
    assert isolated.run("import", forged.depot(heavy_bundle())).code == 0
    spool = tmp_path / "spool"
    spool.mkdir()

    with watch(spool) as seen:
        ran = isolated.run("prove", "shop:v1", "--tmpdir", spool, "--json")

    assert ran.code == 0, ran.err
    (disk,) = ran.json["disk_use"]
    steps = [step["step"] for step in disk["steps"]]
    assert steps == ["copying small files", "making the environment"]
    assert 0.9 * disk["peak"] <= seen.peak(spool) <= disk["peak"]
