"""The functions have BentoML's signatures, but for what is listed here with its reason."""

import json
from typing import Final

import pytest

from tests.support.python_scripts import Scripts
from tests.support.sides import Side

pytestmark = pytest.mark.bentoml

STORE: Final = "airgap works with the store of BENTOML_HOME, which is the one that it locks"
CLOUD: Final = "a depot takes the place of BentoCloud: depot=, or AIRGAP_DEPOT"
MORE: Final = "what is returned for a depot is described, and is no object of BentoML"
WHAT: Final = "BentoML returns nothing, or perhaps nothing"
INTENDED: Final = {
    "no _bento_store": STORE,
    "no _model_store": STORE,
    "no _cloud_client": CLOUD,
    "no model_aliases": "BentoML fills it in while it serves; it is not an argument for callers",
    "no query": "a question to BentoCloud's web service",
    "bento_store=None instead of BentoML's own": STORE,
    "model_store=None instead of BentoML's own": STORE,
    "version=None instead of <class 'inspect._empty'>": "it may be left out",
    "returns str instead of nothing": WHAT,
    "returns str instead of None": WHAT,
    "returns None instead of nothing": "BentoML says nothing of it",
    "returns Bento instead of nothing": WHAT,
    "returns Model instead of Model | None": WHAT,
    "returns Model instead of StoredModel | None": WHAT,
    "returns Bento | results.FoundBundleDict instead of Bento": MORE,
    "returns Model | results.FoundBundleDict instead of Model": MORE,
    "returns list[Bento] | list[results.DepotBundleDict] instead of list[Bento]": MORE,
    "returns list[Model] | list[results.DepotBundleDict] instead of list[Model]": MORE,
    "returns DepotEntries instead of BentoWithRepositoryListSchema": MORE,
    "returns DepotEntries instead of ModelWithRepositoryListSchema": MORE,
    "returns DepotEntry instead of BentoSchema": MORE,
    "returns DepotEntry instead of ModelSchema": MORE,
}
"""Every difference that a caller of BentoML would notice, and its reason."""


def test_the_signatures_are_bentomls_but_for_what_is_intended(
    scripts: Scripts, connected: Side
) -> None:
    program = "from tests.support import bentoml_signatures as s; s.print_differences()"

    found = json.loads(scripts.print(program, connected.environment))

    differences = {text.partition(": ")[2] for text in found}
    assert [text for text in found if text.partition(": ")[2] not in INTENDED] == []
    assert INTENDED.keys() - differences == set()
