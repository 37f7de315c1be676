"""Install airgap from this kit, on a machine without an index: python3 install.py [FOLDER].

1. verify.py, which lies beside this file, must have the SHA-256 that stands below. It verifies the
   kit: the root has the fingerprint that you give, the builders that the root names have signed the
   kit, and every byte is what they signed. openssl checks the signatures; where there is none,
   curves.py does, in Python.
2. The wheels for this Python are written into FOLDER, and compared with their signed SHA-256.
3. pip runs out of its wheel, and installs the others by their SHA-256 into a virtual environment.

Nothing runs before it is verified, except this file: ANYONE WHO CAN CHANGE THE KIT CAN CHANGE IT,
TOO. `airgap kit` prints its SHA-256 on the connected side. Take it along on paper, with the
fingerprint, and compare it with what `sha256sum install.py` prints here.
"""

import sys

if __name__ == "__main__" and not getattr(sys.flags, "safe_path", sys.flags.isolated):
    del sys.path[0]  # this file's folder: a json.py that lies beside must not be run

import argparse
import fcntl
import hashlib
import io
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sysconfig
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

PROGRAMS: "dict[str, str]" = {}  # the SHA-256 of the kit's other programs; `airgap kit` fills it
OLDEST = (3, 9)  # what verify.py needs
EXITS = {"unchecked": 3, "configuration": 3, "corrupt": 10, "not-trusted": 11}
EXITS.update({"usage": 2, "policy": 12, "missing": 13, "conflict": 14, "storage": 15})
INTERRUPTED = 130
MARKER, DONE, WORK = ".airgap-kit-incomplete", "airgap-kit.json", ".airgap-kit"
TARGET = re.compile(r"cp3(\d+)-(manylinux|musllinux)_(\d+)_(\d+)_(\w+)")
LIBC = {"manylinux": "glibc", "musllinux": "musl"}
WANTED = re.compile(r"requirements\.txt|(wheels|tools)/[^/]+\.whl")
ROOT_BYTES = 2**20
LAST_LINES = 20
LINE_DIGITS = 32  # of a fingerprint on paper, which has two lines
A_SLIP = 3  # so many groups are misread; more are those of another root
RAW = 0  # the codec of bytes that are stored as they are
KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")
PIP = (
    *("--isolated", "--disable-pip-version-check", "--no-input", "--quiet", "install"),
    *("--no-index", "--no-deps", "--require-hashes", "--only-binary=:all:", "--no-cache-dir"),
    "--no-warn-script-location",
)


class Failure(Exception):  # noqa: N818
    """What ends the work: its kind, as in EXITS, what happened, and what to do."""

    def __init__(self, kind: str, message: str, hint: str, details: "Sequence[str]" = ()) -> None:
        """Take all of it; ``details`` are lines."""
        Exception.__init__(self, message)
        self.code, self.hint, self.details = EXITS[kind], hint, details


def show(text: str, stream: Any = None) -> None:  # noqa: ANN401  (standard output or error)
    """Print a line; what the terminal would obey, or cannot show, is escaped."""
    stream = stream or sys.stdout
    safe = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    encoding = stream.encoding or "ascii"
    stream.write(safe.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def load_verifier(kit: Path) -> Any:  # noqa: ANN401  (a module without types)
    """Return verify.py as a module, with curves.py in place of openssl where that is lacking."""
    verifier = load(kit / "verify.py")
    if shutil.which("openssl") is None:
        show("This machine has no openssl: curves.py checks the signatures.")
        verifier.openssl = load(kit / "curves.py").openssl
    return verifier


def load(path: Path) -> Any:  # noqa: ANN401
    """Run a program of the kit if its bytes are right; no compiled file beside it is read."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Failure("missing", f"{path}: {error.strerror}.", "Copy the whole kit.") from error
    digest, expected = hashlib.sha256(raw).hexdigest(), PROGRAMS.get(path.name)
    if digest != expected:
        raise Failure(
            "corrupt",
            f"{path} is changed (SHA-256 is {digest}, expected {expected}).",
            "Ask the sender for the kit again.",
        )
    module = types.ModuleType(path.stem)
    exec(compile(raw, str(path), "exec"), module.__dict__)  # noqa: S102  (it is what was compared)
    return module


def count_different(actual: str, typed: str) -> str:
    """Say which groups of four digits were typed otherwise; the right ones are never printed."""
    pairs = [(actual[at : at + 4], typed[at : at + 4]) for at in range(len("SHA256:"), 71, 4)]
    groups = [f"{number} ({mine})" for number, (own, mine) in enumerate(pairs, 1) if own != mine]
    return f"group {', '.join(groups)}" if len(groups) <= A_SLIP else f"{len(groups)} of 16 groups"


def normalize(typed: str) -> str:
    """Return a fingerprint that a person typed, without spaces. SHA256: may be left out."""
    digits = re.sub(r"^SHA256:", "", re.sub(r"\s", "", typed), flags=re.IGNORECASE).lower()
    if not re.fullmatch("[0-9a-f]{64}", digits):
        raise Failure(
            "usage", f"{typed!r} is not a fingerprint.", "Type its 64 hex digits, all of them."
        )
    return f"SHA256:{digits}"


def ask() -> str:
    """Let a person type the fingerprint, in one line or in two."""
    try:
        first = input("Fingerprint of the site's root, from the paper, first line: ")
        is_half = len(re.sub(r"^\s*SHA256:|\s", "", first, flags=re.IGNORECASE)) == LINE_DIGITS
        return first + input("Second line: ") if is_half else first
    except EOFError:
        raise Failure("usage", "Nothing was typed.", "Run it again, and type it.") from None


def find_root(kit: Path, named: "Path | None", fingerprint: str) -> Path:
    """Return the file of the root that has this fingerprint."""
    others = []
    for path in [named] if named else sorted((kit / "roots").glob("*.root.msgpack")):
        if path.is_file() and path.stat().st_size <= ROOT_BYTES:
            actual = "SHA256:" + hashlib.sha256(path.read_bytes()).hexdigest()
            if actual == fingerprint:
                return path
            others.append(f" {path} differs in {count_different(actual, fingerprint)}.")
    raise Failure(
        "not-trusted",
        f"There is no root with the fingerprint {fingerprint}." + "".join(others),
        "Compare the fingerprint with the paper. If it is right, the kit is not from your site, or"
        " the root lies in another place: name it with --root FILE.",
    )


def verify(verifier: Any, kit: Path, root: Path, options: argparse.Namespace) -> Any:  # noqa: ANN401
    """Let verify.py verify the kit; return the bundle's id, its manifest, and its packs."""
    bundles: dict[str, Any] = {}
    original, printed = verifier.verify, io.StringIO()
    verifier.verify = lambda parsed: bundles.update(original(parsed))
    place = str(kit) + (f"#{options.bundle}" if options.bundle else "")
    with redirect_stdout(printed):
        code = verifier.main([place, "--root", str(root), "--fingerprint", options.fingerprint])
    lines = printed.getvalue().splitlines()
    if code:
        kind = next((kind for kind in EXITS if EXITS[kind] == code), "corrupt")
        raise Failure(
            kind,
            f"verify.py does not accept the kit in {kit}. {lines[-1]}",
            "Nothing was installed. Copy the kit from its source again, or ask the sender.",
        )
    for line in lines:
        if options.verbose or line.startswith(("signed by ", "label ", "ACCEPTED ")):
            show(line)
    if len(bundles) > 1:
        raise Failure(
            "usage",
            f"{kit} holds {len(bundles)} bundles: {', '.join(sorted(bundles))}.",
            "Choose the one that `airgap kit` has printed with --bundle ID.",
        )
    ((bundle, (manifest, packs)),) = bundles.items()
    return bundle, manifest, packs


def find_libc() -> "tuple[str, tuple[int, int]]":
    """Return the kind of the C library, as in the tags of wheels, and its version."""
    with suppress(AttributeError, OSError, ValueError):
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        if name == "glibc":
            return "manylinux", read_version(version)
    for loader in sorted(Path("/lib").glob("ld-musl-*.so.1")):
        done = subprocess.run([str(loader)], stderr=subprocess.PIPE, check=False)  # noqa: S603
        match = re.search(r"^Version (\S+)", done.stderr.decode("ascii", "replace"), re.MULTILINE)
        if match:
            return "musllinux", read_version(match.group(1))
    return "", (0, 0)


def read_version(text: str) -> "tuple[int, int]":
    """Return major and minor number."""
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)


def choose_item(items: "Sequence[dict[str, Any]]") -> "dict[str, Any]":
    """Return the wheelhouse for this Python and this machine; of several, for the newest libc."""
    libc, version = find_libc()
    machine = platform.machine() if sys.maxsize > 2**32 else "32-bit " + platform.machine()
    wheelhouses = [item for item in items if item["kind"] == "wheelhouse"]
    fitting = []
    for item in wheelhouses:
        match = TARGET.fullmatch(item["name"])
        if match and (match.group(2), match.group(5)) == (libc, machine):
            needed = int(match.group(3)), int(match.group(4))
            if int(match.group(1)) == sys.version_info[1] and is_usual() and needed <= version:
                fitting.append((needed, item["name"], item))
    if fitting:
        return max(fitting, key=lambda entry: entry[:2])[2]
    targets = sorted(item["name"] for item in wheelhouses)
    raise explain_misfit(
        targets,
        f"{machine} with {LIBC.get(libc, 'an unknown C library')} {version[0]}.{version[1]}",
    )


def is_usual() -> bool:
    """Tell whether this is CPython with its global lock, which targets are for."""
    is_free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    return sys.implementation.name == "cpython" and not is_free


def explain_misfit(targets: "Sequence[str]", host: str) -> Failure:
    """Say what the kit has, and which Python of this machine would do."""
    minors = sorted({int(match.group(1)) for match in map(TARGET.fullmatch, targets) if match})
    versions = [f"3.{minor}" for minor in minors]
    usual = "" if is_usual() else f" ({sys.implementation.name}, not the usual CPython)"
    message = f"This is Python {platform.python_version()}{usual} on {host}; the kit has "
    if not versions:
        return Failure("missing", message + "no wheelhouse.", "Make a kit with `airgap kit`.")
    message += (
        f"Python {join(versions)}, for {join(sorted({t.partition('-')[2] for t in targets}))}."
    )
    others = [name for name in map("python{}".format, versions) if shutil.which(name)]
    hint = (
        f"Run it with another Python, such as {others[-1]} install.py"
        if others
        else (f"Install Python {join(versions, 'or')}, or ask the sender for a kit for this Python")
    )
    return Failure("missing", message, hint + ".")


def join(words: "Sequence[str]", last: str = "and") -> str:
    """Write a list for people."""
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def write_files(
    read_pack: "Callable[[str, int], bytes]",
    manifest: "dict[str, Any]",
    packs: "Sequence[Any]",
    item: "dict[str, Any]",
    work: Path,
) -> None:
    """Put the files of an item together from the packs, and compare each with its signed digest."""
    lengths = manifest["chunks"]["lengths"]
    places = dict(locate(packs, lengths))
    read = lru_cache(2)(read_pack)
    for entry in item["entries"]:
        if "chunks" not in entry or not WANTED.fullmatch(entry["path"]):
            continue
        path, digest = work / entry["path"], hashlib.sha256()
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            for number in entry["chunks"]:
                name, size, offset = places[number]
                piece = read(name, size)[offset : offset + lengths[number]]
                digest.update(piece)
                file.write(piece)
        if digest.digest() != entry["digest"]:
            raise Failure(
                "corrupt",
                f"The kit changed while it was read: {entry['path']} is not what was verified.",
                "Copy the kit to a disk of this machine, and run its install.py.",
            )


def locate(packs: "Sequence[Any]", lengths: "Sequence[int]") -> "Iterator[tuple[int, Any]]":
    """Yield the number of each chunk; and the name and size of its pack, and the offset in it."""
    for digest, size, blocks in packs:
        name = f"packs/{digest.hex()[:2]}/{digest.hex()}.pack"
        for codec, offset, _, numbers in blocks:
            if codec != RAW:
                raise Failure(
                    "usage",
                    "The bundle is compressed.",
                    "Make a kit with `airgap kit`, not export.",
                )
            for number in numbers:
                yield number, (name, size, offset)
                offset += lengths[number]  # noqa: PLW2901


def refuse_noexec(folder: Path) -> None:
    """Refuse a folder from which the kernel starts no program."""
    existing = next(above for above in (folder, *folder.parents) if above.exists())
    if os.statvfs(str(existing)).f_flag & getattr(os, "ST_NOEXEC", 0):
        raise Failure(
            "storage",
            f"{folder} is on a file system that is mounted noexec: airgap cannot run from there.",
            "Name a folder on another one, such as: install.py /opt/airgap",
        )


@contextmanager
def hold(folder: Path) -> "Iterator[None]":
    """Make the folder, mark it as incomplete, and hold it; the mark is removed at the end."""
    marker = folder / MARKER
    if os.path.lexists(str(folder)):
        inside = [path.name for path in folder.iterdir()] if folder.is_dir() else ["not a folder"]
        if folder.is_symlink() or (inside and MARKER not in inside):
            raise Failure(
                "conflict",
                f"{folder} is in the way: it was not made by this program.",
                "Name a folder that does not exist: install.py FOLDER.",
            )
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(str(marker), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Failure(
                "conflict", f"Another process installs into {folder}.", "Wait until it has ended."
            ) from error
        os.set_inheritable(descriptor, True)  # noqa: FBT003  (pip holds it if this is killed)
        for path in folder.iterdir():
            if path.name != MARKER:
                shutil.rmtree(
                    str(path)
                ) if path.is_dir() and not path.is_symlink() else path.unlink()
        yield
        os.sync()
        marker.unlink()
    finally:
        os.close(descriptor)


def run(folder: Path, command: "Sequence[Any]") -> str:
    """Run a program with none of this process's settings; return what it prints."""
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    done = subprocess.run(  # noqa: S603  (Python, pip, airgap)
        list(map(str, command)),
        env={**environment, "PIP_CONFIG_FILE": os.devnull, "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        close_fds=False,
        check=False,
        cwd=str(folder),
    )
    text = done.stdout.decode(errors="replace").strip()
    if done.returncode:
        raise Failure(
            "configuration",
            f"{command[0]} failed with exit code {done.returncode}.",
            "Nothing usable was installed. Repair what it names, and run the same command again.",
            text.splitlines()[-LAST_LINES:],
        )
    return text


def fill(folder: Path, write: "Callable[[Path], None]") -> str:
    """Make the virtual environment; return airgap's version."""
    work = folder / WORK
    work.mkdir()
    write(work)
    run(folder, [sys.executable, "-I", "-m", "venv", "--without-pip", folder])
    pip = max(work.glob("tools/pip-*.whl")) / "pip"
    python = folder / "bin" / "python"
    wheels, listing = work / "wheels", work / "requirements.txt"
    run(folder, [python, "-I", pip, *PIP, "--find-links", wheels, "-r", listing])
    version = run(folder, [folder / "bin" / "airgap", "--version"]).rpartition(" ")[2]
    shutil.rmtree(str(work))
    return version


def install(kit: Path, options: argparse.Namespace) -> None:
    """Do all of it."""
    folder = options.folder.expanduser().absolute()
    refuse_noexec(folder)
    root = find_root(kit, options.root, options.fingerprint)
    verifier = load_verifier(kit)
    show(f"Verifying the kit in {kit} ...")
    bundle, manifest, packs = verify(verifier, kit, root, options)
    item = choose_item(manifest["items"])
    tag = item["name"] + ":" + item["version"]
    if is_installed(folder, bundle, tag):
        show(f"airgap of this kit is installed in {folder} already.")
    else:
        count = sum(entry["path"].startswith("wheels/") for entry in item["entries"])
        show(f"Installing {count} packages into {folder} ...")
        read = verifier.Place(kit).read
        with hold(folder):
            try:
                version = fill(folder, lambda work: write_files(read, manifest, packs, item, work))
            except verifier.Refused as refused:
                kind, why = refused.args
                raise Failure(kind, f"{why}.", "Copy the kit from its source again.") from refused
            description = {"bundle": bundle, "version": version, "wheelhouse": tag}
            (folder / DONE).write_text(json.dumps(description, sort_keys=True) + "\n")
        show(f"airgap {version} is installed in {folder}, with Python {platform.python_version()}.")
    show("Next, let this machine trust your site:")
    show(f"  export PATH={shlex.quote(str(folder))}/bin:$PATH")
    show(f"  airgap trust init {shlex.quote(str(root))} --fingerprint {options.fingerprint}")


def is_installed(folder: Path, bundle: str, tag: str) -> bool:
    """Tell whether the folder has just this; refuse one that has another kit."""
    try:
        description = json.loads((folder / DONE).read_text())
    except (OSError, ValueError, RecursionError):
        return False
    if not isinstance(description, dict) or (folder / MARKER).exists():
        return False
    if (description.get("bundle"), description.get("wheelhouse")) == (bundle, tag):
        return True
    raise Failure(
        "conflict",
        f"{folder} has airgap {description.get('version')} of another kit.",
        "Name another folder: install.py FOLDER. Or remove this one, if nothing runs from it.",
    )


def parse(arguments: "Sequence[str] | None") -> argparse.Namespace:
    """Read the command line, and ask for the fingerprint if it is not there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "folder",
        nargs="?",
        type=Path,
        default=Path("~/airgap"),
        metavar="FOLDER",
        help="where airgap is installed (default: ~/airgap)",
    )
    add("--fingerprint", metavar="SHA256:...", help="of the site's root, from paper or phone")
    add("--root", type=Path, metavar="FILE", help="the site's root (default: that of the kit)")
    add("--bundle", metavar="ID", help="the bundle that `airgap kit` has printed, or its begin")
    add("--verbose", action="store_true", help="print all that verify.py prints")
    options = parser.parse_args(arguments)
    if not options.fingerprint:
        if not sys.stdin.isatty():
            raise Failure(
                "usage",
                "The fingerprint of the site's root is missing.",
                "Give --fingerprint SHA256:..., as you got it on paper or by phone.",
            )
        options.fingerprint = ask()
    options.fingerprint = normalize(options.fingerprint)
    return options


def refuse_old_python() -> None:
    """Refuse a Python that verify.py cannot run with."""
    if sys.version_info < OLDEST:
        raise Failure(
            "missing",
            f"This is Python {platform.python_version()}, and verifying the kit needs 3.9.",
            "Run install.py with a newer Python, such as python3.11.",
        )


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Run, and return the exit code: as airgap's."""
    try:
        refuse_old_python()
        install(Path(__file__).absolute().parent, parse(arguments))
    except Failure as error:
        for line in (f"install.py: {error}", *error.details, f"  -> {error.hint}"):
            show(line, sys.stderr)
        return error.code
    except OSError as error:
        show(f"install.py: {error.filename or 'The disk'}: {error.strerror}.", sys.stderr)
        show("  -> Repair that, and run the same command again.", sys.stderr)
        return EXITS["storage"]
    except KeyboardInterrupt:
        show("install.py: Stopped. Run the same command again.", sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
