"""An export stops before a password or a token travels, and says where it is, not what it is."""

from pathlib import Path

import pytest

from tests.support import stores
from tests.support.sides import Side, Site

PASSWORD = "s3cret-of-joe"  # noqa: S105  (made up)
INDEX = f"--index-url https://joe:{PASSWORD}@pypi.example/simple\nnumpy==2.0\n".encode()
PLACES = ["env/python/requirements.txt", "env/python/requirements.in", "src/requirements.txt"]


@pytest.fixture
def careless(connected: Side) -> Side:
    stores.add_model(connected, "ranker:v1", {"weights.bin": b"://u:p@h", "load.py": INDEX})
    stores.add_bento(connected, "shop:v1", dict.fromkeys(PLACES, INDEX), models=["ranker:v1"])
    return connected


def _export(site: Site, out: Path, *options: str) -> tuple[str | Path, ...]:
    return ("export", "shop:v1", "-o", out, "--key", site.key(), *options)


def test_an_export_of_a_password_is_refused_with_every_file_and_line(
    careless: Side, site: Site, tmp_path: Path
) -> None:
    out = tmp_path / "shop.airgap"

    ran = careless.run(*_export(site, out, "--json"))

    error = ran.json["error"]
    assert ran.code == 12
    assert error["details"] == [
        "a password in a URL in model ranker:v1, load.py, line 1",
        *(f"a password in a URL in bento shop:v1, {path}, line 1" for path in sorted(PLACES)),
    ]
    assert "would contain 4 passwords, tokens or keys" in error["message"]
    assert PASSWORD not in ran.out + ran.err
    assert not out.exists()


def test_a_person_can_let_it_go_on(careless: Side, site: Site, tmp_path: Path) -> None:
    out = tmp_path / "shop.airgap"
    assert careless.run(*_export(site, out, "--allow-credentials")).code == 0
    assert out.exists()


def test_a_push_is_refused_as_well(careless: Side, site: Site, tmp_path: Path) -> None:
    push = ("push", "shop:v1", tmp_path / "depot", "--key", site.key())
    assert careless.run(*push).code == 12
    assert careless.run(*push, "--allow-credentials").code == 0


def test_a_token_in_the_environment_of_a_bento_is_found(
    connected: Side, site: Site, tmp_path: Path
) -> None:
    bento = stores.add_bento(connected, "shop:v1", {})
    with (bento / "bento.yaml").open("a") as file:
        file.write(f"envs:\n- name: HF_TOKEN\n  value: hf_{'a1B2' * 9}\n")

    ran = connected.run(*_export(site, tmp_path / "x.airgap"))

    assert ran.code == 12
    assert "contain a Hugging Face token in bento shop:v1, bento.yaml, line" in ran.err
    assert "a1B2" not in ran.err


def test_files_that_the_dockerfile_needs_and_the_bento_lacks_are_named(
    connected: Side, site: Site, tmp_path: Path
) -> None:
    dockerfile = (
        b"COPY --chown=bentoml:bentoml ./env/docker ./env/docker/\n"
        b"COPY --chown=bentoml:bentoml ./src/wheels ./src/wheels\n"
        b"RUN chmod +x ./env/docker/script__0123 && ./env/docker/script__0123\n"
        b"RUN uv pip install -r $BENTO_PATH/env/python/requirements.txt\n"
    )
    files = {"env/docker/Dockerfile": dockerfile, "env/python/requirements.txt": b"numpy\n"}
    stores.add_bento(connected, "shop:v1", files)

    ran = connected.run(*_export(site, tmp_path / "x.airgap"))

    assert ran.code == 0, ran.err
    lacking = [line for line in ran.err.splitlines() if " lacks " in line]
    assert [line.split(" lacks ")[1].split(",")[0] for line in lacking] == [
        "env/docker/script__0123",
        "src/wheels",
    ]
