"""Coverage-guided fuzzing of every reader of bytes of strangers: ``make fuzz``.

Each reader of ``tests.support.untrusted_readers`` is fed in a process of its own for FUZZ_SECONDS,
beginning with its seeds. A finding ends it with a traceback and the bytes that made it, in base64.
"""

import base64
import importlib
import logging
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

INSTRUMENTED = [
    *("airgap", "msgpack", "yaml", "paramiko", "pyftpdlib"),
    *("configparser", "ftplib", "http.client", "json", "netrc", "shlex", "tomllib"),
]
"""What is written in Python and parses: a fuzzer sees which lines of it an input reaches."""
UNINSTRUMENTED = ["airgap.chunking.content"]
"""It compares arrays, and the result of a comparison that is seen is never freed."""
SECONDS = int(os.environ.get("FUZZ_SECONDS", "60"))


def feed(name: str, corpus: Path) -> None:
    """Fuzz one reader in this process, which libFuzzer ends."""
    atheris = importlib.import_module("atheris")
    logging.disable(logging.INFO)
    with atheris.instrument_imports(include=INSTRUMENTED, exclude=UNINSTRUMENTED):
        readers = importlib.import_module("tests.support.untrusted_readers")
        for number, seed in enumerate(readers.READERS[name].seeds()):
            (corpus / f"seed-{number}").write_bytes(seed)
            if not readers.accepts(name, seed):  # imports what is imported late
                raise SystemExit(f"the seed {seed!r} is refused")

    words = readers.READERS[name].words
    if words:
        lines = ("".join(f"\\x{byte:02x}" for byte in word) for word in words)
        corpus.with_name("words").write_text("".join(f'"{line}"\n' for line in lines))

    def once(raw: bytes) -> None:
        try:
            readers.accepts(name, raw)
        except BaseException:
            sys.stdout.write(f"the bytes, in base64: {base64.b64encode(raw).decode()}\n")
            sys.stdout.flush()
            raise

    options = [f"-max_total_time={SECONDS}", "-print_final_stats=1", "-rss_limit_mb=4096"]
    options += ["-max_len=20000", "-timeout=30", f"-artifact_prefix={corpus}/"]
    options += [f"-dict={corpus.with_name('words')}"] if words else []
    atheris.Setup([sys.argv[0], *options, str(corpus)], once)
    atheris.Fuzz()


def feed_all(names: list[str]) -> int:
    """Fuzz readers one after the other; return how many found something."""
    found = 0
    for name in names:
        with tempfile.TemporaryDirectory() as scratch:
            corpus = Path(scratch) / "corpus"
            corpus.mkdir()
            ran = subprocess.run(
                [sys.executable, "-m", "tests.fuzz.with_atheris", "--feed", name, str(corpus)],
                env={**os.environ, "TMPDIR": scratch},  # whatever it leaves goes as well
                timeout=SECONDS + 300,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
        runs = re.search(r"number_of_executed_units: *(\d+)", ran.stdout)
        verdict = "a FINDING" if ran.returncode else "nothing found"
        sys.stdout.write(f"{name}: {int(runs[1]) if runs else 0:,} executions, {verdict}\n")
        if ran.returncode:
            found += 1
            sys.stdout.write(ran.stdout[-6000:])
        sys.stdout.flush()
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["--feed"]:
        feed(sys.argv[2], Path(sys.argv[3]))
    else:
        names = sys.argv[1:]
        if not names:
            names = list(importlib.import_module("tests.support.untrusted_readers").READERS)
        sys.exit(1 if feed_all(names) else 0)
