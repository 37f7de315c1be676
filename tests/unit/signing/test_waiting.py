"""A signature that waits for a person says what for: once, and on a terminal only."""

import threading
from typing import ClassVar

import pytest

from airgap.cli import signers, terminal
from airgap.flow.trust import keys
from airgap.signing import signer
from airgap.signing.pkcs11_token import TokenSigner
from airgap.signing.signer import Signer
from airgap.signing.ssh_agent import AgentSigner
from tests.support.signers import person


class PatientSigner(Signer):
    """Signs once somebody has been told what it waits for."""

    wait_text: ClassVar[str] = "Touch the key."

    def __init__(self) -> None:
        super().__init__(person("ann").key)
        self.told = threading.Event()
        self.texts: list[str] = []
        self.on_wait = self.tell

    def tell(self, text: str) -> None:
        self.texts.append(text)
        self.told.set()

    def _sign_bytes(self, message: bytes) -> bytes:
        assert self.told.wait(10)
        return person("ann")._sign_bytes(message)


def test_a_signature_that_takes_seconds_says_what_it_waits_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signer, "_WAIT_SECONDS", 0.01)
    patient = PatientSigner()

    patient.sign("builder", b"manifest")

    assert patient.texts == ["Touch the key."]


def test_a_signature_that_is_there_at_once_says_nothing() -> None:
    patient = PatientSigner()
    patient.told.set()
    before = threading.active_count()

    patient.sign("builder", b"manifest")

    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(10)  # far less than the timer's time if it was not cancelled
    assert threading.active_count() <= before
    assert patient.texts == []


@pytest.mark.parametrize("kind", [AgentSigner, TokenSigner])
def test_keepers_of_keys_may_wait_for_a_person(kind: type[Signer]) -> None:
    assert kind.wait_text.startswith("Waiting for the ")


@pytest.mark.parametrize("is_terminal", [False, True])
def test_only_a_terminal_is_told(
    is_terminal: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(signer, "_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(terminal, "is_progress_shown", lambda: is_terminal)
    patient = PatientSigner()
    monkeypatch.setattr(keys, "load_signer", lambda _spec, _passphrase: patient)

    loaded = signers.load_signer("ssh-agent:", str.encode)
    print_wait = loaded.on_wait

    def tell(text: str) -> None:
        print_wait(text)
        patient.tell(text)

    loaded.on_wait = tell
    loaded.sign("builder", b"manifest")

    assert capsys.readouterr().err == ("Touch the key.\n" if is_terminal else "")
