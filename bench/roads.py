"""What a road costs: a slow link, S3, FTPS, SFTP and single files, beside what people use there.

python bench/roads.py FOLDER [SCALE] [ROUNDS] [ROAD ...]

FOLDER is made, and removed at the end; one in memory (/dev/shm) keeps the disk out of it. At
scale 1, a model of 1,000 MB of bf16, and packs of 64 MiB, together 1 GiB. Clients take turns in
each round, in another order each time; each is a process of its own, whose processor seconds are
counted with those of its children. A ratio is a median of ratios within a round. Servers run as
root; S3 needs obstore (`pip install obstore`).

The link is the loopback of a network namespace of its own with a token bucket of 1 Gbit/s, then of
200 Mbit/s. There, an export is compared with the longer of two things alone: the same export to a
local depot, and lftp sending what it wrote.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent / "compare"))

import results
import s3
import threads
from scaling import site

from airgap.transport.connections import run_in_parallel
from airgap.transport.port import Transport
from tests.servers import ftp, rgw, ssh
from tests.servers.ftp import FtpServer

MIB: Final = 1024 * 1024
PACK: Final = 64 * MIB
GB: Final = 1_000_000_000
LINKS: Final = ("1gbit", "200mbit")
SHAPE: Final = ("burst", "512kb", "latency", "50ms")
Client = Callable[[], None]

libc: Final = ctypes.CDLL(None, use_errno=True)
NEW_NETWORK: Final = 0x40000000
"""CLONE_NEWNET; Python has both calls from 3.12."""


@dataclass(frozen=True)
class Took:
    """One run: seconds by the clock, and of processors."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Step:
    """Clients that do the same; ``airgap`` is compared with each of the others."""

    name: str
    clients: Mapping[str, Client]
    gigabytes: float
    clean: Callable[[], None] = field(default=lambda: None)
    """Runs before each client, and is not counted."""
    alone: tuple[str, ...] = ()
    """Those of which the longer one counts, where that is asked."""


def main() -> None:
    folder, scale, rounds, *names = [*sys.argv[1:], *["1", "3"][len(sys.argv) - 2 :]]
    top = Path(folder).absolute()
    top.mkdir(parents=True)
    top.chmod(0o711)
    tempfile.tempdir = str(top)
    try:
        for name in names or ROADS:
            work = top / name
            work.mkdir(mode=0o711)
            found = results.head(float(scale), int(rounds)) | {"rows": []}
            for step in ROADS[name](work, float(scale)):
                found["rows"] += show(step, interleaved(step, int(rounds)))
            shutil.rmtree(work)
            print(results.write(f"road-{name}", float(scale), found), flush=True)
    finally:
        shutil.rmtree(top)


def interleaved(step: Step, rounds: int) -> dict[str, list[Took]]:
    """Let the clients take turns, after a first turn that is not counted."""
    took: dict[str, list[Took]] = {name: [] for name in step.clients}
    order = list(step.clients)
    for number in range(rounds + 1):
        for name in order[number % len(order) :] + order[: number % len(order)]:
            step.clean()
            one = measure(step.clients[name])
            if number:
                took[name].append(one)
    return took


def measure(client: Client) -> Took:
    """Run a client in a process of its own."""
    started = time.perf_counter()
    process = os.fork()
    if not process:
        status = 1
        try:
            client()
            status = 0
        finally:
            os._exit(status)
    _, status, usage = os.wait4(process, 0)
    if status:
        sys.exit("A client failed.")
    return Took(time.perf_counter() - started, usage.ru_utime + usage.ru_stime)


def show(step: Step, took: dict[str, list[Took]]) -> Iterator[dict[str, Any]]:
    """Print and yield a row for each client."""
    if step.alone:
        both = zip(*(took[name] for name in step.alone), strict=True)
        took["the longer alone"] = [max(pair, key=lambda one: one.wall) for pair in both]
    ours = next(iter(took))
    for name, all_of in took.items():
        wall = median(one.wall for one in all_of)
        cpu = median(one.cpu for one in all_of) / step.gigabytes
        row = {
            "step": step.name,
            "client": name,
            "mb_per_s": round(1000 * step.gigabytes / wall, 1),
            "cpu_s_per_gb": round(cpu, 3),
        }
        for part in ("wall", "cpu"):
            pairs = zip(took[ours], all_of, strict=True)
            ratio = median(getattr(one, part) / getattr(peer, part) for one, peer in pairs)
            row[f"airgap / it, {part}"] = round(ratio, 3)
        print(" ".join(f"{text!s:<22}" for text in row.values()), flush=True)
        yield row


def make_packs(folder: Path, scale: float) -> list[Path]:
    """Write packs of noise."""
    folder.mkdir()
    packs = [folder / f"{number:064x}.pack" for number in range(max(4, round(16 * scale)))]
    for path in packs:
        path.write_bytes(os.urandom(PACK))
    return packs


def carry(transport: Transport, packs: Sequence[Path], way: str, count: int, back: Path) -> None:
    """Send or fetch packs over some connections, as commands do."""

    def transfer(pack: Path) -> Callable[[Transport], object]:
        def up(connection: Transport) -> object:
            return connection.put(f"packs/{pack.name}", pack, PACK, f"packs/{pack.name}.part")

        def down(connection: Transport) -> int:
            with (back / pack.name).open("wb", buffering=0) as file:
                return connection.get(f"kept/{pack.name}", file.write)

        return up if way == "up" else down

    got = run_in_parallel(transport, count, map(transfer, packs))
    if set(got) - {"stored", PACK}:
        raise SystemExit(f"The packs did not arrive: {got}")


def shell(command: Sequence[str | Path], script: str = "") -> None:
    """Run a program, with a script as its input."""
    subprocess.run(command, input=script, text=True, check=True, stdout=subprocess.DEVNULL)


def lftp(server: FtpServer, script: str) -> None:
    """Run a script of lftp, logged in; it checks the certificate."""
    settings = (
        f"set cmd:fail-exit true; set ssl:ca-file {server.authority.file};"
        f" set ftp:ssl-force {'false' if server.security == 'none' else 'true'};"
        " set ftp:ssl-protect-data true; set ssl:check-hostname true; set net:max-retries 1;"
        f" open -u {server.user},{server.password} ftp://127.0.0.1:{server.port}\n"
    )
    shell(["lftp", "-f", "/dev/stdin"], settings + script + "\n")


def over_ftps(top: Path, scale: float) -> Iterator[Step]:
    """FTPS: vsftpd, against lftp, with one connection and with four."""
    packs = make_packs(top / "made", scale)
    with ftp.serve("vsftpd", "explicit") as server:
        server.plant("kept", "first", b"")
        back, sent = top / "back", server.home / "packs"
        for pack in packs:
            shutil.copy(pack, server.home / "kept" / pack.name)
            (server.home / "kept" / pack.name).chmod(0o644)

        def clean() -> None:
            for emptied in (back, sent):
                shutil.rmtree(emptied, ignore_errors=True)
            server.plant("packs", "first", b"")
            back.mkdir()

        def send(count: int) -> None:
            lftp(server, f"mput -P {count} -O packs {top}/made/*.pack")

        def fetch(count: int) -> None:
            lftp(server, f"lcd {back}\nmget -P {count} kept/*.pack")

        for way, theirs in (("up", send), ("down", fetch)):
            for count in (1, 4):
                clients = {
                    "airgap": lambda way=way, count=count: carry(
                        server.open(""), packs, way, count, back
                    ),
                    "lftp": lambda theirs=theirs, count=count: theirs(count),
                }
                yield Step(f"{way}, {count}", clients, len(packs) * PACK / GB, clean)


def over_sftp(top: Path, scale: float) -> Iterator[Step]:
    """SFTP: sshd, against sftp with one connection and rclone with four."""
    packs = make_packs(top / "made", scale)
    (top / "server").mkdir()
    with ssh.serve(top / "server") as server:
        back, sent = top / "back", server.served / "packs"
        shutil.copytree(top / "made", server.served / "kept")
        options = server.options("")
        login = ["-i", options.keys[0], "-P", str(server.port), "-o"]
        login += [f"UserKnownHostsFile={options.known_hosts}", f"{options.user}@127.0.0.1"]
        remote = (
            f":sftp,host=127.0.0.1,port={server.port},user={options.user},"
            f"key_file={options.keys[0]},known_hosts_file={options.known_hosts},"
            f"disable_hashcheck=true:{server.served}"
        )

        def clean() -> None:
            for emptied in (back, sent):
                shutil.rmtree(emptied, ignore_errors=True)
                emptied.mkdir()

        def sftp(way: str, _: int) -> None:
            ends = (f"{top}/made", sent) if way == "up" else (f"{server.served}/kept", back)
            line = "{} {}/*.pack {}/\n".format("put" if way == "up" else "get", *ends)
            shell(["sftp", "-q", "-b", "-", *login], line)

        def rclone(way: str, count: int) -> None:
            ends = (top / "made", f"{remote}/packs") if way == "up" else (f"{remote}/kept", back)
            shell(["rclone", "copy", "--config", "/dev/null", "--transfers", str(count), *ends])

        for way in ("up", "down"):
            for count, peers in ((1, {"sftp": sftp, "rclone": rclone}), (4, {"rclone": rclone})):
                clients: dict[str, Client] = {
                    "airgap": lambda way=way, count=count: carry(
                        server.open(""), packs, way, count, back
                    )
                }
                for name, theirs in peers.items():
                    clients[name] = lambda theirs=theirs, way=way, count=count: theirs(way, count)
                yield Step(f"{way}, {count}", clients, len(packs) * PACK / GB, clean)


def over_s3(top: Path, scale: float) -> Iterator[Step]:
    """S3: Ceph's gateway, with its objects in memory, against obstore alone with four threads."""
    packs, names = make_packs(top / "made", scale), ("airgap", "obstore, 4 threads")
    (top / "server").mkdir()
    with rgw.serve(top / "server") as server:

        def clean() -> None:
            for client in names:
                for pack in packs:
                    server.ask("DELETE", {}, f"{s3.folder_of(client)}/{pack.name}")

        for way in ("up", "down"):
            clients = {
                name: lambda name=name, way=way: require(s3.measure(name, way, server.port, packs))
                for name in names
            }
            if way == "down":
                clean()
                for name in names:
                    measure(lambda name=name: require(s3.measure(name, "up", server.port, packs)))
            yield Step(
                f"{way}, 4", clients, len(packs) * PACK / GB, clean if way == "up" else lambda: None
            )


def require(seconds: float) -> None:
    """Demand that something was measured."""
    assert seconds > 0  # noqa: S101


@dataclass(frozen=True)
class Sides:
    """A model to export, and commands of airgap that are this folder's."""

    top: Path
    environment: Mapping[str, str]

    def run(self, script: str) -> None:
        """Run a shell script in this folder; ``$A`` is airgap."""
        subprocess.run(
            ["bash", "-ec", f"set -o pipefail; {script}"],
            cwd=self.top,
            env=dict(self.environment),
            check=True,
            stdout=subprocess.DEVNULL,
        )


def make_sides(top: Path, scale: float) -> Sides:
    """Make a model, keys and a site."""
    environment = {**site(top), "AIRGAP_HOME": str(top / "home")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    threads.make_model(top / "store", 4, int(scale * GB))
    return Sides(top, environment)


EXPORT: Final = "$A export --model large-4:v1 --key builder.key -q --reread -o"


def streams(top: Path, scale: float) -> Iterator[Step]:
    """Single files and pipes, against depots."""
    sides = make_sides(top, scale)

    def clean() -> None:
        sides.run("rm -rf out* imported")

    def clients(**scripts: str) -> dict[str, Client]:
        return {name: lambda script=script: sides.run(script) for name, script in scripts.items()}

    yield Step(
        "export",
        clients(
            file=f"{EXPORT} out.airgap", pipe=f"{EXPORT} - | cat > out", depot=f"{EXPORT} outs"
        ),
        scale,
        clean,
    )
    sides.run(f"{EXPORT} kept && {EXPORT} kept.airgap")
    for step, command in (
        ("verify", "$A verify -q"),
        ("import", "BENTOML_HOME=$PWD/imported $A import -q"),
    ):
        scripts = clients(
            file=f"{command} kept.airgap",
            pipe=f"cat kept.airgap | {command} -",
            depot=f"{command} kept",
        )
        yield Step(step, scripts, scale, clean)


def over_a_link(top: Path, scale: float) -> Iterator[Step]:
    """Export over a slow link, against the longer of the export and the way alone."""
    sides = make_sides(top, scale)
    sides.run(f"{EXPORT} kept")
    packs = list((top / "kept").rglob("*.pack"))
    for rate in LINKS:
        with own_link(rate), ftp.serve("vsftpd", "none") as server:
            yield export_over(sides, server, packs, rate)


def export_over(sides: Sides, server: FtpServer, packs: Sequence[Path], rate: str) -> Step:
    """Return an export to a server, and the two things that it is made of."""
    (sides.top / "password").write_text(server.password)
    address = f"ftp://{server.user}@127.0.0.1:{server.port}/depot --password-file password"
    sides.run("chmod 600 password")

    def clean() -> None:
        sides.run("rm -rf local imported")
        for name in ("depot", "packs"):
            shutil.rmtree(server.home / name, ignore_errors=True)
        server.plant("packs", "first", b"")

    names = " ".join(map(str, packs))
    clients: dict[str, Client] = {
        "export over the link": lambda: sides.run(f"{EXPORT} {address}"),
        "export to a folder": lambda: sides.run(f"{EXPORT} local"),
        "lftp over the link": lambda: lftp(server, f"mput -P 4 -O packs {names}"),
    }
    return Step(
        f"export, {rate}",
        clients,
        sum(path.stat().st_size for path in packs) / GB,
        clean,
        tuple(clients)[1:],
    )


@contextmanager
def own_link(rate: str) -> Iterator[None]:
    """Move this process into a network namespace of its own, with a loopback that is slow."""
    before = os.open("/proc/self/ns/net", os.O_RDONLY)
    enter(libc.unshare(NEW_NETWORK))
    try:
        shell(["ip", "link", "set", "lo", "up"])
        shell(["tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", rate, *SHAPE])
        yield
    finally:
        enter(libc.setns(before, NEW_NETWORK))
        os.close(before)


def enter(failed: int) -> None:
    """Demand that the system has moved this process."""
    if failed:
        raise OSError(ctypes.get_errno(), "a network namespace needs root")


ROADS: Final = {
    "stream": streams,
    "link": over_a_link,
    "ftps": over_ftps,
    "sftp": over_sftp,
    "s3": over_s3,
}


if __name__ == "__main__":
    main()
