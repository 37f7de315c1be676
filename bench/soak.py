"""Whether a mirror grows: memory and descriptors over many requests of a recorded mix.

    python bench/soak.py [REQUESTS]

The mix is what stock bentoml, huggingface_hub, pip and skopeo ask for, beside pages of the console,
questions for what is not there, ranges, downloads that are broken off, wrong tokens and pushes,
from four clients at once (50,000 requests). Every tenth of them, the resident memory of the server
and the number of its open descriptors are printed.
"""

import http.client
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent))

from airgap.server.mirror.tokens import describe_token, make_secret
from tests.support import pushes, sides, stores
from tests.support.mirrors import export
from tests.support.sides import Side

V1 = "/api/v1"
MODEL = f"{V1}/model_repositories/ranker/models/v1"
PUSHED = pushes.TOP
MIX = (
    (30, "GET", f"{V1}/bento_repositories/shop/bentos/v1", {}),
    (30, "GET", MODEL, {}),
    (10, "PATCH", f"{MODEL}/presign_download_url", {}),
    (8, "GET", f"{MODEL}/download", {}),
    (4, "GET", f"{MODEL}/download", {"Range": "bytes=1000-200000"}),
    (6, "GET", f"{V1}/bentos", {}),
    (6, "GET", f"{V1}/model_repositories/absent/models/v1", {}),
    (6, "GET", "/api/models/acme/absent/revision/main", {}),
    (6, "HEAD", "/acme/absent/resolve/main/config.json", {}),
    (6, "GET", "/simple/", {"Accept": "application/vnd.pypi.simple.v1+json"}),
    (6, "GET", "/v2/", {}),
    (4, "GET", "/v2/team/shop/manifests/latest", {}),
    (6, "GET", "/console/", {}),
    (3, "GET", "/console/approvals", {}),
    (3, "GET", "/console/inbox", {}),
    (3, "GET", "/console/health", {}),
    (6, "GET", "/-/health", {}),
    (6, "GET", "/-/depot/bundles", {}),
    (3, "GET", f"{V1}/bentos", {"X-YATAI-API-TOKEN": "wrong"}),
    (2, "GET", f"{MODEL}/download", {"Connection": "broken off"}),
    (1, "PUSH", PUSHED, {}),
)


FAILED = 500
"""Answers from this status on are failures of the server."""


class Client:
    """Asks over one connection, as the stock clients do."""

    def __init__(self, url: str, secret: str, seed: int) -> None:
        self._host, self._secret = urlsplit(url).netloc, secret
        self._random = random.Random(seed)  # noqa: S311  (of a benchmark)
        self._connection = http.client.HTTPConnection(self._host, timeout=120)

    def ask(self, count: int) -> int:
        """Send so many requests; return how many were answered with 5xx."""
        kinds, weights = MIX, [weight for weight, *_ in MIX]
        return sum(self._send(*kind[1:]) for kind in self._random.choices(kinds, weights, k=count))

    def _send(self, method: str, path: str, headers: dict[str, str]) -> bool:
        if method == "PUSH":
            return self._push(path)
        if headers.get("Connection"):
            self._break_off(path)
            return False
        return self._request(method, path, {"X-YATAI-API-TOKEN": self._secret, **headers}) >= FAILED

    def _request(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> int:
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return 0
        return answer.status

    def _push(self, path: str) -> bool:
        token = {"X-YATAI-API-TOKEN": self._secret}
        created = self._request("POST", path, token, b'{"version": "v1", "manifest": {}}')
        data = pushes.pack(pushes.MODEL, pushes.file("weights.bin", os.urandom(20_000)))
        sent = self._request("PUT", f"{path}/v1/upload", token, data)
        return max(created, sent) >= FAILED

    def _break_off(self, path: str) -> None:
        connection = http.client.HTTPConnection(self._host, timeout=120)
        connection.request("GET", path, headers={"X-YATAI-API-TOKEN": self._secret})
        connection.getresponse().read(5_000)
        connection.close()


def measure(pid: int) -> tuple[float, int]:
    """Return the resident memory in MB, and the number of open descriptors."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (resident,) = (int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return resident * 1024 / 1e6, len(list(Path(f"/proc/{pid}/fd").iterdir()))


def soak(url: str, secret: str, pid: int, requests: int) -> None:
    clients = [Client(url, secret, seed) for seed in range(4)]
    first, share = 0.0, [requests // 10 // len(clients)] * len(clients)
    for tenth in range(1, 11):
        begin = time.monotonic()
        with ThreadPoolExecutor(len(clients)) as pool:
            failed = sum(pool.map(Client.ask, clients, share))
        time.sleep(1)  # until connections that were broken off are closed
        memory, descriptors = measure(pid)
        first = first or (memory if tenth > 1 else 0.0)  # the first 10,000 of 50,000
        rate = requests / 10 / (time.monotonic() - begin)
        ratio = f", {memory / first:.3f} of that after the second tenth" if first else ""
        print(f"{tenth}/10: {memory:.1f} MB{ratio}, {descriptors} descriptors, {failed} failed,"
              f" {rate:.0f} requests/s", flush=True)  # fmt: skip


def main() -> None:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        site, office, ward = sides.make_site(top / "site"), Side(top / "o"), Side(top / "w")
        for side in (office, ward):
            side.top.mkdir()
        sides.trust(ward, site)
        stores.add_model(office, "ranker:v1", {"weights.bin": stores.noise(400_000)})
        stores.add_bento(office, "shop:v1", {"src/a.py": b"1\n"}, models=["ranker:v1"])
        export(office, top / "depot", site, "shop:v1")
        secret = make_secret()
        tokens = top / "tokens.toml"
        tokens.write_text("\n".join(describe_token("soak", secret, None, "push")))
        words = ["serve", "mirror", str(top / "depot"), "--listen", "127.0.0.1:0"]
        words += ["--tokens", str(tokens), "--inbox", str(top / "inbox")]
        words += ["--request-log", str(top / "requests.jsonl")]
        with subprocess.Popen(
            [sys.executable, "-m", "airgap", *words],
            env={**os.environ, **ward.environment},
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            lines = iter(process.stderr.readline, "") if process.stderr else iter(())
            url = next(line for line in lines if "Serving" in line).split()[-1]
            next(line for line in lines if line.endswith("served\n"))
            soak(url, secret, process.pid, requests)
            process.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    main()
