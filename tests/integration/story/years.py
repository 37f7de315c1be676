"""Two years of one site, chapter by chapter, as docs/two-years.md tells them.

Ann and Otto have the root keys. Bob, Ben and later Cleo build; Kim scans, Eve approves. The
recorders ``rob`` and ``ray`` are the machines of the office and of the ward. Wanda is a witness.
"""

import hashlib
import shlex
import shutil
from contextlib import chdir
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.integration.story import page
from tests.integration.story.machines import CHANNEL, SITE, Machines
from tests.support import stores
from tests.support.python_scripts import Scripts
from tests.support.sides import REPOSITORY, Ran, Side
from tests.unit.scan.files import call, safetensors, tensor

PEOPLE: Final = {
    "ann": "Ann, security officer",
    "otto": "Otto, head of the clinic",
    "bob": "Bob, builder",
    "ben": "Ben, builder",
    "kim": "Kim, scanner",
    "eve": "Eve, head of the ward",
}
VERIFIER: Final = REPOSITORY / "docs" / "verify.py"
PICKLE: Final = call("os", "system")
NAMES: Final = (b"ranker", b"summarizer", b"weights", b"service.py", b"bento.yaml", b"production")
"""What a finder of a stick must not meet."""
SERVICE: Final = """
import bentoml

@bentoml.service
class Summarizer:
    model = bentoml.models.BentoModel("ranker:v1")

    @bentoml.api
    def first(self, text: str) -> str:
        return text.split(".")[0]
"""
BUILD: Final = """
import sys, bentoml
bentoml.build("service:Summarizer", name="summarizer", version="v1", build_ctx=sys.argv[1],
    models=["ranker:v1"], python={"lock_packages": False})  # or an index is asked
"""


@dataclass
class Years:
    """The site as it is now, and what was seen on the way."""

    machines: Machines
    scripts: Scripts
    version: int = 0
    builder: str = "bob"
    authority: str = "first"
    identity: str = "ward-1"
    bundles: dict[str, str] = field(default_factory=dict)
    """Bundle ids, by the version of the service in them."""
    receipts: dict[str, Path] = field(default_factory=dict)
    """Receipts that came back, by the version of the service."""
    seen: dict[str, Any] = field(default_factory=dict)
    """What a chapter leaves for its test, by its name."""

    def tell(self) -> None:
        """Let two years pass."""
        for chapter in (
            self.begin,
            self.lose_a_key,
            self.have_a_key_stolen,
            self.find_an_old_stick,
            self.meet_a_hostile_pickle,
            self.lose_a_stick,
            self.restore_the_ward,
            self.outlive_an_authority,
            self.waive_once,
            self.go_on,
            self.pack_the_box,
        ):
            chapter()

    # ---- chapters

    def begin(self) -> None:
        """Make the keys, the policy and root 1; carry the first bundle, a real Bento."""
        site = self.machines
        site.set_clock("2027-01-04")
        site.make_keys("ann", "otto", "bob", "ben", "kim", "eve", "rob", "ray", "wanda")
        site.make_identities("ward-1", "escrow")
        for name, authority in site.authorities.items():
            (site.keys / f"{name}.pem").write_bytes(authority.pem)
        self._build()
        policy = site.top / "scan.toml"
        policy.write_text("# What is not here is judged by the lists of the gate alone.\n")
        for side in (site.office, site.ward):
            side.state.mkdir(exist_ok=True)
            shutil.copy(policy, side.state / "scan.toml")
        site.run(
            site.office,
            *("root", "create", "--site", SITE, "-o", site.roots / "1.root.msgpack"),
            *("--root-key", site.public("ann"), "--root-key", site.public("otto")),
            *("--threshold", "root=2", "--builder", site.public("bob")),
            *("--builder", site.public("ben"), "--scanner", site.public("kim")),
            *("--approver", site.public("eve"), "--recorder", site.public("rob")),
            *("--recorder", site.public("ray"), "--witness", site.public("wanda")),
            *("--authority", site.keys / "first.pem", "--policy", f"malware={policy}"),
            *("--recipient", f"{site.recipient('ward-1')}=site:The ward"),
            *("--recipient", f"{site.recipient('escrow')}=escrow:The safe"),
            "--receipt-notes",
            *(word for key, name in PEOPLE.items() for word in _person(site, key, name)),
        )
        self._sign_root()
        site.set_clock("2027-01-11")
        self._carry("v1")
        self._witness()

    def lose_a_key(self) -> None:
        """Bob's laptop breaks in April, and his key with it: root 2 has another one."""
        site = self.machines
        self._let_months_pass("2027-02-08", "2027-03-08")
        site.set_clock("2027-04-05")
        site.make_keys("bob-2")
        self._change_root(
            ("remove-key", "builder", site.public("bob")),
            ("add-key", "builder", site.public("bob-2")),
            ("name-key", site.public("bob-2"), "Bob, builder"),
        )
        self.builder = "bob-2"
        self._let_months_pass("2027-04-12")
        self._witness()

    def have_a_key_stolen(self) -> None:
        """Ben's key is stolen on June 10; a receipt shows it, and root 3 revokes the key."""
        site = self.machines
        self.builder = "ben"
        self._let_months_pass("2027-05-10")
        site.set_clock("2027-06-07")
        self._save("v6")
        self._carry("v6", is_stamped=False)  # the authority did not answer, and nobody tried again
        site.set_clock("2027-06-14")
        stick = self._steal()
        refused = self._take(stick, code=12)
        accepted = self._accept("stolen", refused)
        self.seen["stolen"] = (refused, accepted)
        site.set_clock("2027-06-21")
        site.make_keys("cleo")
        self._change_root(
            ("revoke-key", site.public("ben"), "--since", "2027-06-10"),
            ("add-key", "builder", site.public("cleo")),
            ("name-key", site.public("cleo"), "Cleo, builder"),
        )
        self.builder = "cleo"
        self.seen["again"] = self._take(stick, code=11)

    def find_an_old_stick(self) -> None:
        """April's stick lies in a drawer, and somebody imports it in July."""
        self._let_months_pass("2027-07-05")
        self.machines.set_clock("2027-07-19")
        before = self._snapshot()
        refused = self._take(self.machines.media / "stick-v4", code=12)
        self.seen["old"] = (refused, self._accept("old", refused), before, self._snapshot())
        self._witness()

    def meet_a_hostile_pickle(self) -> None:
        """Another scanner finds nothing in August's model; the ward's own scan refuses it."""
        site = self.machines
        site.set_clock("2027-08-09")
        self._save("v8", {"model.pkl": PICKLE})
        self._export("v8")
        self.seen["gate"] = self._scan("v8", code=12)
        report = site.top / "other-scanner.txt"
        report.write_text("0 infected files\n")
        attest = ("attest", self.locate("v8"), "--bundle", self.bundles["v8"], "--role", "scanner")
        site.run(site.office, *attest, "--findings", report, "--key", site.key("kim"))
        self._approve("v8")
        self._stamp(self.locate("v8"))
        before = self._snapshot()
        refused = self._take(self._seal("v8"), code=12)
        self.seen["pickle"] = (refused, self._accept("v8", refused), before, self._snapshot())
        site.set_clock("2027-08-16")
        self._save("v9")
        self._carry("v9")

    def lose_a_stick(self) -> None:
        """September's stick is lost on the way; root 4 has another recipient of the ward."""
        site = self.machines
        site.set_clock("2027-09-06")
        self._save("v10")
        self._prepare("v10")
        lost = self._seal("v10", "lost")
        site.make_identities("ward-2")
        self._change_root(
            ("remove-recipient", "The ward"),
            ("add-recipient", site.recipient("ward-2"), "--label", "The ward, 2"),
        )
        sealed_again = self._seal("v10")
        retired = self._take(sealed_again, code=3)
        self.seen["lost"] = (lost, retired)
        site.identity("ward-1").unlink()
        self.identity = "ward-2"
        self._accept("v10", self._take(sealed_again))

    def restore_the_ward(self) -> None:
        """The ward's disc breaks in October; its backup lacks the last import."""
        site = self.machines
        site.set_clock("2027-09-30")
        shutil.copytree(site.ward.top, site.top / "backup", symlinks=True)
        self._let_months_pass("2027-10-04")
        site.set_clock("2027-10-20")
        shutil.rmtree(site.ward.top)
        (site.top / "backup").rename(site.ward.top)
        site.set_clock("2027-11-08")
        self._save("v12")
        self._prepare("v12")
        imported = self._take(self._seal("v12"))
        refused = self._accept("fork", imported, code=11)
        self._export_ledger("ward-1", "--key", site.key("ray"))
        head = site.run(site.ward, "trust", "show", "--json").json["history"]["head"]
        reason = ("--reason", "restored from the backup of 30 September")
        reset = site.run(site.ward, "trust", "reset-state", *reason, "--yes", head, "--json")
        self._change_root(("set-min-sequence", f"{CHANNEL}=12"))
        site.set_clock("2027-12-06")
        self._save("v13")
        self._prepare("v13")
        following = self._take(self._seal("v13"))
        accepted = self._accept("v13", following, "--new-ledger", "replaces")
        self.seen["restored"] = (imported, refused, reset, following, accepted)
        self._witness()

    def outlive_an_authority(self) -> None:
        """The authority's certificate ends in January: another one stamps its stamps."""
        site = self.machines
        site.set_clock("2027-12-20")
        self._change_root(("add-authority", site.keys / "second.pem"))
        self.authority = "second"
        renew = ("--renew", "--before", "26w", "--hash", "sha512")
        for version in self.bundles:
            self._stamp(self.locate(version), *renew)
        site.set_clock("2028-01-10")
        self._save("v14")
        self._carry("v14")
        self._let_months_pass("2028-02-07")

    def waive_once(self) -> None:
        """March's release fails at night, and Eve lets February's back in."""
        site = self.machines
        self._let_months_pass("2028-03-06")
        site.set_clock("2028-03-11")
        site.run(site.ward, "remove", "summarizer:v15", "ranker:v15", "--yes")
        stick = site.media / "stick-v15"
        refused = self._take(stick, code=12)
        waiver = site.top / "back.waiver"
        site.run(
            *(site.ward, "waive", self.locate("v15"), "--bundle", self.bundles["v15"]),
            *("--site", SITE, "--reason", "release 16 fails at night, back to 15"),
            *("--expires", "7d", "--key", site.key("eve"), "-o", waiver),
        )
        waived = self._take(stick, "--waiver", waiver)
        self._accept("waived", waived)
        self.seen["waived"] = (refused, waived, self._take(stick, code=12))

    def go_on(self) -> None:
        """Nothing happens until December, but what happens every month."""
        self._let_months_pass(*(f"2028-{month:02}-03" for month in range(4, 13)))
        self._witness()

    def _build(self) -> None:
        """Build the first release with the real BentoML."""
        self._save("v1")
        project = self.machines.top / "project"
        stores.write_files(project, {"service.py": SERVICE.encode()})
        self.scripts.print(BUILD, self.machines.office.environment, project)

    def pack_the_box(self) -> None:
        """Put what proves all this into a folder, for an auditor who has met nobody."""
        site, box = self.machines, self.box
        site.set_clock("2028-12-15")
        box.mkdir()
        self._export_ledger("ward-2", "--key", site.key("ray"))
        self._export_ledger("office", "--exports", "--key", site.key("rob"), side=site.office)
        waived = site.run(site.ward, "log", "--event", "waived", "--json").json["entries"][0]
        prove = ("ledger", "prove", str(waived["number"]), "-o", box / "proof")
        site.run(site.ward, *prove)
        for name in ("roots", "depot", "ledgers"):
            shutil.copytree(site.top / name, box / name)
        shutil.copytree(site.media / "lost", box / "stick")
        (evidence,) = (site.office.state / "receipts" / SITE / "evidence").iterdir()
        shutil.copytree(evidence, box / "fork")
        for name in ("keys", "receipts", "witness"):
            (box / name).mkdir()
        for path in (*site.keys.glob("*.p[ue][bm]"), site.identity("escrow")):
            shutil.copy(path, box / "keys")
        for name, path in self.receipts.items():
            if name != "fork":
                shutil.copy(path, box / "receipts")
        for path in site.witness.top.glob("[0-9].*"):
            shutil.copy(path, box / "witness")
        for path in (*site.top.glob("back.*"), site.top / "scan.toml", VERIFIER):
            shutil.copy(path, box)

    def audit(self, *options: str) -> Ran:
        """Run the command of the page that makes the report, in the folder of the auditor."""
        site, command = self.machines, page.read_report(page.DOCUMENT.read_text()).command
        digest = hashlib.sha256(self.root.read_bytes()).hexdigest()
        typed = command.replace("\\\n", "").replace("$fingerprint", f"SHA256:{digest}")
        for made in (self.box / "report.html", self.box / "evidence"):
            shutil.rmtree(made) if made.is_dir() else made.unlink(missing_ok=True)
        with chdir(self.box):
            return site.run(site.witness, *shlex.split(typed)[1:], *options, code=12)

    @property
    def box(self) -> Path:
        """The folder that the auditor gets."""
        return self.machines.top / "box"

    # ---- what happens every month

    def _let_months_pass(self, *dates: str) -> None:
        """Carry a release at each of these dates."""
        for date in dates:
            self.machines.set_clock(date)
            version = f"v{len(self.bundles) + 1}"
            self._save(version)
            self._carry(version)

    def locate(self, version: str) -> str:
        """Return where the depot of the office has a bundle."""
        return f"{self.machines.depot}#{self.bundles[version]}"

    def _save(self, version: str, files: dict[str, bytes] | None = None) -> None:
        """Put a version of the service and of its model into the office's store."""
        office, number = self.machines.office, int(version[1:])
        weights = safetensors({"w": tensor(0, 4096)}, stores.noise(4096, number))
        stores.add_model(office, f"ranker:{version}", files or {"weights.safetensors": weights})
        if version != "v1":
            source = {"src/service.py": SERVICE.replace("v1", version).encode()}
            models = [f"ranker:{version}"]
            stores.add_bento(office, f"summarizer:{version}", source, models=models)

    def _carry(self, version: str, *, is_stamped: bool = True) -> None:
        """Carry a version to the ward, and its receipt back."""
        self._prepare(version, is_stamped=is_stamped)
        self._accept(version, self._take(self._seal(version)))

    def _prepare(self, version: str, *, is_stamped: bool = True) -> None:
        """Export a version, and let it be scanned, approved and stamped."""
        self._export(version)
        self._scan(version)
        self._approve(version)
        if is_stamped:
            self._stamp(self.locate(version))

    def _export(self, version: str) -> None:
        site = self.machines
        ran = site.run(
            *(site.office, "export", f"summarizer:{version}", "-o", site.depot, "--json"),
            *("--channel", CHANNEL, "--audience", SITE),
            *("--key", site.key(self.builder), "--recorder-key", site.key("rob")),
        )
        self.bundles[version] = ran.json["bundle"]

    def _scan(self, version: str, code: int = 0) -> Ran:
        site = self.machines
        report = ("--report", site.top / f"scan-{version}.json", "--sign", site.key("kim"))
        return site.run(site.office, "scan", self.locate(version), *report, code=code)

    def _approve(self, version: str) -> None:
        site = self.machines
        words = ("approve", self.locate(version), "--bundle", self.bundles[version])
        site.run(site.office, *words, "--key", site.key("eve"))

    def _stamp(self, location: str | Path, *options: str) -> None:
        site = self.machines
        tsa = ("--tsa", f"{site.url}/{self.authority}")
        certificate = ("--certificate", site.keys / f"{self.authority}.pem")
        site.run(site.office, "timestamp", location, *tsa, *certificate, *options)

    def _seal(self, version: str, name: str = "") -> Path:
        site = self.machines
        stick = site.media / (name or f"stick-{version}")
        site.run(site.office, "seal", self.locate(version), stick, "--key", site.key(self.builder))
        return stick

    def _take(self, stick: Path, *options: str | Path, code: int = 0) -> Ran:
        """Import on the ward, with a receipt."""
        site = self.machines
        return site.run(
            *(site.ward, "import", stick, "--identity", site.identity(self.identity), "--json"),
            *("--receipt", site.receipts, "--recorder-key", site.key("ray"), *options),
            code=code,
        )

    def _accept(self, version: str, imported: Ran, *options: str, code: int = 0) -> Ran:
        """Accept the receipt of an import or of its refusal in the office."""
        site, document = self.machines, imported.json
        if "error" in document:
            (line,) = (x for x in document["error"]["details"] if x.startswith("receipt: "))
            path = Path(line.removeprefix("receipt: "))
        else:
            path = Path(document["receipt"]["file"])
        self.receipts[version] = path
        return site.run(site.office, "receipt", "accept", path, "--json", *options, code=code)

    # ---- what happens sometimes

    @property
    def root(self) -> Path:
        """The root that is in force."""
        return self.machines.roots / f"{self.version}.root.msgpack"

    def _change_root(self, *changes: tuple[str | Path, ...]) -> None:
        """Draw up the next root, and hold the ceremony."""
        site = self.machines
        following = site.roots / f"{self.version + 1}.root.msgpack"
        for number, (command, *words) in enumerate(changes):
            where = (following, *words) if number else (self.root, *words, "-o", following)
            site.run(site.office, "root", str(command), *where)
        self._sign_root()

    def _sign_root(self) -> None:
        """Let Ann and Otto sign the next root, and both machines take it over."""
        site, old = self.machines, self.root
        self.version += 1
        shown = site.run(site.office, "root", "show", self.root, "--json").json["fingerprint"]
        earlier = ("--from", old) if self.version > 1 else ()
        for officer in ("ann", "otto"):
            sign = ("root", "sign", self.root, *earlier, "--fingerprint", shown)
            site.run(site.office, *sign, "--key", site.key(officer))
        for side in (site.office, site.ward):
            if self.version == 1:
                site.run(side, "trust", "init", self.root, "--fingerprint", shown)
            else:
                site.run(side, "trust", "update", self.root)

    def _steal(self) -> Path:
        """Let a thief with Ben's key export a bundle with the next number onto a stick."""
        site = self.machines
        stick = site.media / "stolen"
        weights = safetensors({"w": tensor(0, 4096)}, stores.noise(4096, 666))
        stores.add_model(site.thief, "ranker:v7", {"weights.safetensors": weights})
        ran = site.run(
            *(site.thief, "export", "--model", "ranker:v7", "-o", stick, "--audience", SITE),
            *("--channel", CHANNEL, "--sequence", "7", "--key", site.key("ben"), "--json"),
        )
        self.seen["thief"] = ran.json["bundle"]
        return stick

    def _witness(self) -> None:
        """Let Wanda sign the ward's checkpoint, if its ledger continues what she signed before."""
        site = self.machines
        shown = site.run(site.ward, "ledger", "checkpoint", "--key", site.key("ray"), "--json").json
        seen = site.witness.top / f"{shown['origin'].replace('/', '-')}.checkpoint"
        number = len(list(site.witness.top.glob("*.cosigned"))) + 1
        proof, signed = site.media / "next.proof", site.witness.top / f"{number}.cosigned"
        old = str(seen) if seen.exists() else "0"
        site.run(site.ward, "ledger", "consistency", old, "-o", proof)
        site.run(
            *(site.witness, "ledger", "cosign", proof, "--name", "audit.example/wanda"),
            *("--recorder", site.public("ray"), "--key", site.key("wanda"), "-o", signed),
        )
        shutil.copy(signed, seen)
        proof.unlink()
        site.run(site.ward, "ledger", "checkpoint", "--cosigned", signed)
        self._stamp(signed)

    def _export_ledger(self, name: str, *options: str | Path, side: Side | None = None) -> None:
        """Write the entries of a ledger into the folder for auditors."""
        site = self.machines
        out = site.top / "ledgers" / name
        out.parent.mkdir(exist_ok=True)
        site.run(side or site.ward, "ledger", "export", "-o", out, *options)

    def _snapshot(self) -> dict[str, str]:
        """Return all that the ward's stores have."""
        return stores.snapshot(self.machines.ward.bentoml)


def _person(site: Machines, key: str, name: str) -> tuple[str, str]:
    return "--person", f"{site.public(key)}={name}"
