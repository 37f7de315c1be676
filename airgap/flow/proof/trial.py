"""What the supervisor is to run and what came of it: two JSON files in a private folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from airgap.flow.proof.example import ExampleRequest

__all__ = ["NETWORK_LOG", "PYTHON_LOG", "SERVICE_LOG", "Outcome", "ServiceAnswer", "Trial"]

NETWORK_LOG: Final = "network.jsonl"
PYTHON_LOG: Final = "python.jsonl"
SERVICE_LOG: Final = "service.log"
_TRIAL: Final = "trial.json"
_OUTCOME: Final = "outcome.json"


@dataclass(frozen=True, slots=True)
class Trial:
    """A service to run, with its logs in the private ``folder``. Times are in seconds."""

    folder: Path
    command: Sequence[str]
    """Serves the Bento on ``port`` of this machine."""
    environment: Mapping[str, str]
    port: int
    request: ExampleRequest | None = None
    """None: the examples that the service itself gives."""
    is_isolated: bool = True
    """Whether the supervisor is in namespaces of its own."""
    mounts: Sequence[tuple[str, str]] = ()
    """Folders that are mounted read-only: which, and where."""
    seconds_to_start: float = 300
    seconds_to_answer: float = 120

    def write(self) -> Path:
        """Write the trial for the supervisor; return the file's path. Raises OSError."""
        document = asdict(self) | {"folder": str(self.folder)}
        if self.request:
            document["request"]["body"] = self.request.body.decode("latin-1")
        path = self.folder / _TRIAL
        path.write_text(json.dumps(document))
        return path

    @classmethod
    def read(cls, path: Path) -> "Trial":
        """Read what ``write`` wrote. Raises OSError."""
        document: dict[str, Any] = json.loads(path.read_text())
        request = document.pop("request")
        if request:
            request = ExampleRequest(**request | {"body": request["body"].encode("latin-1")})
        mounts = [(source, target) for source, target in document.pop("mounts")]
        folder = Path(document.pop("folder"))
        return cls(folder=folder, request=request, mounts=mounts, **document)


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """What a request was answered. ``status`` is 0 if nothing was; then ``problem`` says why."""

    request: str
    status: int
    problem: str = ""

    @property
    def is_success(self) -> bool:
        """Tell whether the service did what it was asked."""
        return 200 <= self.status < 300  # noqa: PLR2004  (HTTP's)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the supervisor saw."""

    is_ready: bool
    seconds: float
    """Until it was ready, or was given up."""
    exit_code: int | None = None
    """Of the service, if it ended by itself."""
    keeps_failing: bool = False
    """Whether its workers ended again and again."""
    answers: Sequence[ServiceAnswer] = field(default_factory=tuple)
    problem: str = ""
    """Why the sandbox could not be set up; empty if it was."""

    def write(self, folder: Path) -> None:
        """Write the outcome for the parent. Raises OSError."""
        (folder / _OUTCOME).write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> "Outcome | None":
        """Read it; None if the supervisor did not write one."""
        try:
            document: dict[str, Any] = json.loads((folder / _OUTCOME).read_text())
        except (FileNotFoundError, ValueError):
            return None
        answers = tuple(ServiceAnswer(**answer) for answer in document.pop("answers"))
        return cls(answers=answers, **document)
