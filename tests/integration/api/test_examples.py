"""Every example of docs/python-api.md runs, in order, and prints what it says that it prints."""

import re
from functools import reduce
from pathlib import Path

import pytest

import airgap
from tests.servers import fake_s3
from tests.servers.s3 import BUCKET
from tests.support.python_scripts import Scripts
from tests.support.sides import REPOSITORY, Side
from tests.support.stock_shop import make_shop

pytestmark = pytest.mark.bentoml

MODULES = {"archive", "bentos", "cloud", "keys", "models", "receipts", "results", "roots", "trust"}
PAGE = REPOSITORY / "docs" / "python-api.md"


def read_examples() -> list[tuple[str, str]]:
    """Return the examples: the side that each is for, and its program."""
    guide, _, _ = PAGE.read_text().partition("\n## Reference\n")
    blocks = re.findall(r"^```python\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    found = [re.match(r"# on the (connected|isolated) side\n", block) for block in blocks]
    assert all(found)
    return [(side[1], block) for side, block in zip(found, blocks, strict=True) if side]


def read_output(program: str) -> list[str]:
    """Return what the comments of an example say that it prints."""
    return re.findall(r"^(?:(?:    )?print\(.*\)\s+|)# (?!on the)(.*)$", program, re.MULTILINE)


def order(examples: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Begin with the keys and the root: the page begins with what needs them."""
    return [*examples[2:4], *examples[:2], *examples[4:]]


def test_the_page_has_examples_for_both_sides() -> None:
    examples = read_examples()

    assert {side for side, _ in examples} == {"connected", "isolated"}
    assert all(read_output(program) for _, program in examples)


def test_every_example_prints_what_it_says(
    scripts: Scripts, connected: Side, tmp_path: Path
) -> None:
    make_shop(connected)
    isolated = Side(tmp_path / "isolated")
    for folder in ("connected", "isolated", "stick", "work"):
        (tmp_path / folder).mkdir(exist_ok=True)
    with fake_s3.serve(tmp_path) as server:
        replaced = {
            "/media/stick": str(tmp_path / "stick"),
            "https://store.example": f"http://127.0.0.1:{server.port}",
            "s3://bundles/": f"s3://{BUCKET}/",
            '"bundles"': f'"{BUCKET}"',
        }
        variables = {
            "AIRGAP_KEY": "builder.key",
            "AWS_ACCESS_KEY_ID": server.keys.identity,
            "AWS_SECRET_ACCESS_KEY": server.keys.secret,
            "AWS_REGION": "us-east-1",
        }
        start = f"import os\nos.chdir({str(tmp_path / 'work')!r})\n"
        for side, example in order(read_examples()):
            program = reduce(lambda text, pair: text.replace(*pair), replaced.items(), example)
            where = connected if side == "connected" else isolated
            printed = scripts.print(start + program, {**where.environment, **variables})
            assert printed.splitlines() == read_output(program), program
            if "roots.create" in program:
                variables["FINGERPRINT"] = _read_fingerprint(tmp_path / "work")


def _read_fingerprint(folder: Path) -> str:
    from airgap import roots

    return roots.read(folder / "root.msgpack")["fingerprint"]


def test_the_reference_has_every_name_and_a_text_for_every_field() -> None:
    _, _, reference = PAGE.read_text().partition("\n## Reference\n")
    names = set(re.findall(r"^#### (?:airgap\.)(\w+)$", reference, re.MULTILINE))
    own = {name for name in airgap.__all__ if not hasattr(airgap.errors, name)}

    assert own - names == {"__version__", "errors", "exceptions", *MODULES}
    assert re.findall(r"^\| `.*\|  \|$", reference, re.MULTILINE) == []
