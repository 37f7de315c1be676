"""A signed bundle whose item BentoML could not list must not reach the store."""

from pathlib import Path

import pytest

from airgap.errors import CorruptError
from airgap.store.kinds import find_kind
from airgap.store.models import Models
from tests.support import refusals, stores
from tests.support.sides import Side, Site


@pytest.mark.parametrize(
    "text", [b"name: other\nversion: v1\ncreation_time: '2026-01-02T03:04:05+00:00'\n", b"- what"]
)
def test_an_item_that_would_break_bentomls_list_is_refused(
    text: bytes,
    connected: Side,
    isolated: Side,
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = stores.add_model(connected, "ranker:v1", {"weights.bin": b"w"})
    honest = find_kind("model").describe(folder)
    (folder / "model.yaml").write_bytes(text)
    with monkeypatch.context() as lying:  # a sender whose airgap does not look
        lying.setattr(Models, "describe", lambda *_, **__: honest)
        export = ("export", "--model", "ranker:v1", "-o", tmp_path / "depot", "--key", site.key())
        assert connected.run(*export).code == 0

    refusals.expect_refusal(
        isolated, "import", tmp_path / "depot", error=CorruptError, staging=True
    )
