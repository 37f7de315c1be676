"""``airgap scan``: what the files of a Bento and its models would run; what a policy permits."""

import hashlib
import json
import pickle  # noqa: TID251 -- it is written, and never loaded
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.sides import Side, Site
from tests.unit.scan.files import call, external, node, onnx, safetensors

PICKLE = call("os", "system")
DIGEST = hashlib.sha256(PICKLE).hexdigest()
SERVICE = b"import bentoml\n"


@pytest.fixture
def shop(connected: Side) -> Side:
    """A side with a Bento, a model that is data, and a model with a program in it."""
    stores.add_model(
        connected, "calm:v1", {"a.safetensors": safetensors({}), "b.pkl": pickle.dumps(1)}
    )
    stores.add_model(connected, "evil:v1", {"model.pkl": PICKLE, "hooks/load.py": SERVICE})
    stores.add_bento(connected, "shop:v1", {"src/service.py": SERVICE}, models=["calm:v1"])
    stores.add_bento(connected, "trap:v1", {"src/service.py": SERVICE}, models=["evil:v1"])
    return connected


def write_policy(folder: Path, *permissions: str) -> Path:
    policy = folder / "scan.toml"
    policy.write_text("".join(f"[[permit]]\n{text}\n" for text in permissions))
    return policy


def test_a_bento_may_be_a_program_and_its_models_are_data(shop: Side) -> None:
    ran = shop.run("scan", "shop:v1", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["accepted"] is True
    files = {file["path"]: file for item in ran.json["items"] for file in item["files"]}
    assert [item["item"] for item in ran.json["items"]] == ["model calm:v1", "bento shop:v1"]
    assert files["src/service.py"]["verdict"] == "program"
    assert files["src/service.py"]["permitted"] == "the Bento's own program"
    assert files["src/service.py"]["sha256"] == hashlib.sha256(SERVICE).hexdigest()
    assert files["a.safetensors"]["form"] == "safetensors"


def test_a_model_with_a_program_is_refused_with_every_file_and_reason(shop: Side) -> None:
    ran = shop.run("scan", "trap:v1")
    assert ran.code == 12
    assert "  REFUSED: model.pkl (pickle)\n    it asks for os.system\n" in ran.out
    assert "  PROGRAM: hooks/load.py (Python source)\n" in ran.out
    assert f"    SHA-256 {DIGEST}\n" in ran.out
    assert "service.py" not in ran.out


def test_models_can_be_left_out_and_named(shop: Side) -> None:
    assert shop.run("scan", "trap:v1", "--no-models").code == 0
    assert shop.run("scan", "--model", "evil:v1").code == 12


def test_a_policy_permits_what_was_reviewed(shop: Side, tmp_path: Path) -> None:
    policy = write_policy(
        tmp_path,
        f'item = "model evil:*"\npath = "model.pkl"\nsha256 = "{DIGEST}"\nreason = "read by Ann"',
        'path = "hooks/*"\nreason = "ours"\nuntil = 2999-12-31',
    )
    ran = shop.run("scan", "trap:v1", "--policy", policy, "--json")
    assert ran.code == 0
    files = {file["path"]: file for item in ran.json["items"] for file in item["files"]}
    assert files["model.pkl"]["permitted"] == "read by Ann"
    assert files["hooks/load.py"]["permitted"] == "ours"


@pytest.mark.parametrize(
    "permission",
    [
        'path = "model.pkl"\nreason = "no digest"',
        f'path = "model.pkl"\nsha256 = "{"0" * 64}"\nreason = "another file"',
        f'path = "model.pkl"\nsha256 = "{DIGEST}"\nreason = "over"\nuntil = 2020-01-01',
        f'item = "model calm:*"\npath = "*"\nsha256 = "{DIGEST}"\nreason = "another item"',
    ],
)
def test_a_policy_does_not_permit_more_than_it_says(
    shop: Side, tmp_path: Path, permission: str
) -> None:
    policy = write_policy(tmp_path, permission, 'path = "hooks/*"\nreason = "ours"')
    assert shop.run("scan", "trap:v1", "--policy", policy).code == 12


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[permit", "cannot be used"),
        ("permit = 5", "not written as [[permit]]"),
        ("[other]", "'other' is not a part of a policy"),
        ('[[permit]]\nway = "x"', "'way' is not a part of [[permit]]"),
        ('[[permit]]\npath = "x"', "has no `reason`"),
        ('[[permit]]\npath = 5\nreason = "x"', "`path` is not a text"),
        ('[[permit]]\npath = "x"\nreason = "x"\nsha256 = "ab"', "64 hex digits"),
        ('[[permit]]\npath = "x"\nreason = "x"\nuntil = "soon"', "`until` is not a day"),
    ],
)
def test_a_policy_that_says_something_else_is_refused(
    shop: Side, tmp_path: Path, text: str, reason: str
) -> None:
    policy = tmp_path / "scan.toml"
    policy.write_text(text)
    ran = shop.run("scan", "shop:v1", "--policy", policy, "--json")
    assert ran.code == 3
    assert reason in ran.json["error"]["message"]


def test_weights_of_onnx_are_looked_for_in_the_item(connected: Side) -> None:
    model = onnx(node("Add"), tensors=external("w.bin"))
    weights = bytes(range(256))
    stores.add_model(connected, "net:v1", {"net.onnx": model, "w.bin": weights})
    stores.add_model(connected, "bare:v1", {"net.onnx": model})
    assert connected.run("scan", "--model", "net:v1").code == 0
    ran = connected.run("scan", "--model", "bare:v1")
    assert ran.code == 12
    assert "its weights, w.bin, are not in the item" in ran.out


def test_the_report_can_be_signed_as_the_findings_of_a_scanner(
    shop: Side, site: Site, tmp_path: Path
) -> None:
    report, depot = tmp_path / "scan.json", tmp_path / "depot"
    assert shop.run("scan", "shop:v1", "--report", report).code == 0
    assert json.loads(report.read_text()) == shop.run("scan", "shop:v1", "--json").json
    assert shop.run("export", "shop:v1", "-o", depot, "--key", site.key()).code == 0
    words = ("attest", depot, "--role", "scanner", "--findings", report, "--key", site.key())
    assert shop.run(*words).code == 0
    assert list(depot.glob("bundles/*/*.findings"))


def test_many_files_are_counted_and_not_listed(connected: Side) -> None:
    stores.add_model(connected, "many:v1", {f"{number}.pkl": PICKLE for number in range(30)})
    ran = connected.run("scan", "--model", "many:v1")
    assert ran.out.count("REFUSED") == 20
    assert "  and 10 more\n" in ran.out


def test_nothing_to_scan_is_an_error(connected: Side) -> None:
    assert connected.run("scan").code == 2
