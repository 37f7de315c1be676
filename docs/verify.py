#!/usr/bin/env python3
"""Verify airgap bundles without airgap: Python's standard library, and openssl for signatures.

PLACE is a depot (all its bundles), DEPOT#ID or a .airgap file; ROOT is the site's trust document,
its signatures beside it. Lists what there is and who signed it, then says ACCEPTED (exit 0), or
REFUSED with airgap's kind and exit code, or CANNOT CHECK (3). Left to airgap: decompression (packs
are compared), files that describe items, replay, waivers, attachments in a .airgap file (§3, §16,
§17, §24 to §27 of docs/format.md). Written from that document alone; shares no code with airgap.

THE COPY OF THIS FILE IN A DEPOT PROVES NOTHING: whoever can change the depot can change it too.
Take it, the fingerprint, Python and openssl from where you trust them.
"""

# fmt: off
import sys  # noqa: I001
if __name__ == "__main__" and not getattr(sys.flags, "safe_path", sys.flags.isolated):
    del sys.path[0]  # this file's folder: a re.py that lies beside must not be run
import re
import struct
import subprocess
import tempfile
import time
from argparse import ArgumentParser, RawTextHelpFormatter
from base64 import b64decode, encodebytes
from hashlib import sha256
from io import BytesIO
from itertools import islice
from pathlib import Path
from unicodedata import category, normalize

EXITS = {"usage": 2, "unchecked": 3, "corrupt": 10, "not-trusted": 11, "policy": 12, "missing": 13}
MIB, DECIDING = 2**20, {"scanner": "malware", "approver": "review"}  # §14: the default names
DESCRIPTIONS = {"files": "files.json", "wheelhouse": "pylock.toml", "image": "index.json"}
KINDS = ("model", "hugging-face", "files", "wheelhouse", "image", "bento")  # §3.2
HEX, TAG = "[0-9a-f]{64}", "[a-z0-9]([-._a-z0-9]*[a-z0-9])?"
BAD_PATH = r'(?is)[\\:*?"<>|]|(^|/)([^/]*[. ]|(con|prn|aux|nul|(com|lpt)[1-9¹²³])(\.[^/]*)?)?(/|\Z)'
BASE64 = "(?:B{4})*(?:B[AQgw]==|B{2}[AEIMQUYcgkosw048]=)?".replace("B", "[A-Za-z0-9+/]")
ENVELOPE = r'\{"payloadType":"%s","signatures":\[\{"keyid":"([0-9a-f]{64})","sig":"(%s)"\}\]\}\n'
NAME = "[a-z](?:[-a-z0-9]{0,9}[a-z0-9])?"  # §14
SIGNER = rf"(?!scanner\.malware\.|approver\.review\.)(?:scanner|approver)(?:\.{NAME})?"
MEMBERS = (rf"(bundles/{HEX}/)manifest\.msgpack (\1builder\.{HEX}\.dsse |"  # §9
           rf"(\1{SIGNER}\.{HEX}\.)attestation \3dsse )*(padding )?"
           rf"(roots/[1-9]\d{{0,15}}\.(root\.msgpack|{HEX}\.dsse) )*(packs/../{HEX}\.pack )*"
           rf"(\1{HEX}\.model\.sig )*(\1checksums\.txt )?(README\.txt )?(verify\.py )?")
LIMITS = {"padding": 256 * MIB, "root.msgpack": MIB, "dsse": 2**14, "attestation": 4096, "sig":
          16 * MIB, "txt": 256 * MIB, "py": 256 * MIB}  # §2.3: by what the name ends in
# msgpack (§2.1): first byte and number of the short form; first byte and widths of the longer ones
FORMS = {int: (0, 128, 0xCC, (1, 2, 4, 8)), dict: (0x80, 16, 0xDE, (2, 4)),
         list: (0x90, 16, 0xDC, (2, 4)), str: (0xA0, 32, 0xD9, (1, 2, 4)),
         bytes: (0xC4, 0, 0xC4, (1, 2, 4))}
SINGLES = {0xC0: None, 0xC2: False, 0xC3: True}
# Keys (§6.3, §7.2): what comes before the key in its SPKI, the length of that, its group's order
KEYS = {"ed25519": ("302a300506032b6570032100", 44, 2**252 + 0x14DEF9DEA2F79CD65812631A5CF5D3ED),
        "ecdsa-p256-sha256": ("3059301306072a8648ce3d020106082a8648ce3d03010703420004", 91,
                              2**256 - 2**224 + 2**192 - 0x4319055258E8617B0C46353D039CDAAF),
        "ecdsa-p384-sha384": ("3076301006072a8648ce3d020106052b8104002203620004", 120,
                              2**384 - 0x389CB27E0BC8D220A7E5F24DB74F58851313E695333AD68D),
        "ml-dsa-44": ("30820532300b06096086480165030403110382052100", 1334, 0),
        "ml-dsa-65": ("308207b2300b0609608648016503040312038207a100", 1974, 0),
        "ml-dsa-87": ("30820a32300b060960864801650304031303820a2100", 2614, 0)}

class Refused(Exception):  # noqa: N818
    """What ends the work: its kind, as in EXITS, and why."""

def need(good, why, kind="corrupt"):
    if not good:
        raise Refused(kind, why)

def encode(value):
    kind = type(value)
    if kind in (bool, type(None)):
        return bytes(byte for byte, single in SINGLES.items() if single is value)
    value = value.encode() if kind is str else value
    number, (short, most, code, widths) = value if kind is int else len(value), FORMS[kind]
    at = sum(number >= 256**width for width in widths)
    head = [short + number] if number < most else [code + at, *number.to_bytes(widths[at], "big")]
    if kind in (dict, list):
        parts = value if kind is list else [p for key in sorted(value) for p in (key, value[key])]
        return bytes(head) + b"".join(map(encode, parts))
    return bytes(head) + (b"" if kind is int else value)

def decode(raw, limit, what):  # what is not in its one encoding does not give the same bytes again
    take = BytesIO(raw).read
    def value():
        first = take(1)[0]
        if first in SINGLES:
            return SINGLES[first]
        kind, short, most, code, widths = next((kind, *form) for kind, form in FORMS.items()
            if 0 <= first - form[0] < form[1] or 0 <= first - form[2] < len(form[3]))
        long = first - short >= most
        number = int.from_bytes(take(widths[first - code]), "big") if long else first - short
        if kind is list:
            return [value() for _ in range(number)]
        if kind is dict:
            return {value(): value() for _ in range(number)}
        need(number < 2**53, f"{what}: an integer is too large")
        return number if kind is int else take(number) if kind is bytes else take(number).decode()
    need(len(raw) <= limit and encode(decoded := value()) == raw, f"{what}: not canonical msgpack")
    return decoded

def is_name(text):  # §2.4
    return len(text) <= 63 and text != "latest" and re.fullmatch(TAG, text)
def is_clean(text):  # §2.5
    return not {"Cc", "Cf", "Cs", "Zl", "Zp"}.intersection(map(category, text))
def is_target(text):  # §2.6, but for where it leads
    good = 0 < len(text.encode()) <= 1024 and text[0] != "/" and "\\" not in text
    return good and is_clean(text) and normalize("NFC", text) == text
def is_path(text):  # §2.5, but for the other paths of its item
    parts = [part.encode() for part in text.split("/")]
    good = is_target(text) and len(parts) <= 64 and max(map(len, parts)) <= 255
    return good and not re.search(BAD_PATH, text)
def is_label(text):  # §4.4
    return 0 < len(text) <= 128 and is_clean(text) and text == normalize("NFC", text.strip(" "))
def is_text(least, most):
    return lambda text: least <= len(text) <= most and is_clean(text)
def fold(text):  # §2.5
    folded = normalize("NFKC", text).casefold()
    return text if folded == text else fold(folded)
def is_set(values):  # sorted and unique
    return values == sorted(set(values))

# Shapes: a type; a pattern or test of a string; a range of integers; a number of bytes; {…} a map
# with these keys; (most, key, shape) a map; [most, shape] maps, or a sorted set; (shape,) or nil
TIME, MORE, ID, PERSON = range(253402300800), range(1, 2**53), 32, is_text(1, 64)
FIRST, SECOND = ({"format": range(one, one + 1), "hash": "sha256"} for one in (1, 2))
PATH, OPTIONS = {"path": is_path, "type": str}, [100, "[a-z][-_a-z0-9]{0,62}"]
ENTRIES = {"folder": PATH, "link": {**PATH, "target": is_target}, "file":
           {**PATH, "chunks": bytes, "digest": ID, "executable": bool, "size": range(2**44 + 1)}}
ITEM = {"digest": ID, "entries": list, "kind": "model|bento", "name": is_name, "version": is_name}
SNAPSHOT = {**ITEM, "kind": "hugging-face", "name": "(?!.{201})" + TAG.replace("a-z", "_a-z"),
            "version": "[0-9a-f]{40}"}
BY_CONTENT = {**ITEM, "kind": "|".join(DESCRIPTIONS), "version": "[0-9a-f]{32}"}
SHAPES = {"hugging-face": SNAPSHOT, **dict.fromkeys(DESCRIPTIONS, BY_CONTENT)}
BLOCKS = dict.fromkeys(("bases", "chunk_counts", "codecs", "offsets", "stored_lengths"), bytes)
MANIFEST = {**FIRST, "audience": [1000, is_name], "blocks": BLOCKS, "channel": is_name, "chunks":
            {"digests": bytes, "lengths": bytes}, "completes": ID, "created_at": TIME, "expires_at":
            (TIME,), "items": list, "labels": (32, is_name, is_label), "packs":
            {"block_counts": bytes, "digests": bytes, "sizes": bytes}, "reader": range(1, 4),
            "sealed": {"commitment": ID, "recipients": range(1, 101), "seal": bytes},
            "sequence": int, "tool": is_text(0, 64)}
CLAIM = {**FIRST, "bundle": ID, "decision": "accept|reject", "findings": (ID,),
         "note": is_text(0, 1000), "role": "scanner|approver", "time": TIME}
NAMED_CLAIM = {**CLAIM, **SECOND, "name": NAME}
ROLES = (6, "root|builder|scanner|approver", {"keys": [1000, HEX], "threshold": int})
ROOT = {**FIRST, "channels": (1000, is_name, {"minimum_sequence": int}), "created_at": TIME,
        "keys": [1000, {"algorithm": "|".join(KEYS), "spki": bytes}], "not_after": (TIME,),
        "revoked_bundles": [10**4, ID], "revoked_keys": [1000, HEX], "roles": ROLES,
        "site": is_name, "version": MORE}
ROOT_2 = {**ROOT, **SECOND, "forbidden_options": OPTIONS, "people": (1000, HEX, PERSON),
          "demands": (100, NAME, {"max_age": (MORE,), "role": CLAIM["role"], "threshold": MORE}),
          "labels": ((100, is_name, {"required": bool, "values": ([1000, is_text(1, 128)],)}),),
          "policies": (100, NAME, ID), "receipts": {"approvals": int, "notes": bool},
          "recipients": [100, {"label": PERSON, "purpose": "site|escrow|gate",
                               "recipient": "age1[0-9a-z]{1,4092}"}],
          "revoked_keys": (1000, HEX, {"since": (TIME,)}),
          "roles": (6, f"{ROLES[1]}|recorder|witness", ROLES[2]), "trust_anchors": (OPTIONS,),
          "timestamp_authorities": [100, {"certificate": ID, "from": (TIME,), "until": (TIME,)}]}

def check(value, shape, what):
    if type(shape) is tuple and len(shape) == 1:
        shape = type(None) if value is None else shape[0]
    kind, good = type(shape), True
    if kind is dict:
        need(type(value) is dict and value.keys() == shape.keys(), f"{what}: not {[*shape]}")
        for key in shape:
            check(value[key], shape[key], f"{what}: {key}")
    elif kind in (list, tuple):
        need(type(value) is {list: list, tuple: dict}[kind] and len(value) <= shape[0], what)
        for one in value:
            check(one, shape[1], what)
            if kind is tuple:
                check(value[one], shape[2], f"{what}: {one}")
        good = kind is tuple or type(shape[1]) is dict or is_set(value)
    elif kind in (type, range):
        good = type(value) is shape if kind is type else type(value) is int and value in shape
    elif kind is int:
        good = type(value) is bytes and len(value) == shape
    else:
        good = type(value) is str and (re.fullmatch(shape, value) if kind is str else shape(value))
    need(good, what)

def column(raw, width):  # §2.2
    return [one if width == 32 else int.from_bytes(one, "big")
            for (one,) in struct.iter_unpack(f"{width}s", raw)]

def check_item(item, lengths):  # §2.4 to §3.2
    kind = item["kind"]
    check(item, SHAPES.get(str(kind), ITEM), "item")
    name, version, entries = item["name"], item["version"], item["entries"]
    for entry in entries:
        check(entry, ENTRIES[entry["type"]], f"entry of {name}")
    paths = [entry["path"] for entry in entries]
    folded, links = set(map(fold, paths)), {fold(e["path"]) for e in entries if "target" in e}
    need(is_set(paths) and len(folded) == len(paths), f"{name}: paths twice, or not sorted")
    for entry in entries:
        path, target = entry["path"], entry.get("target", ".").encode()
        above, here = fold(path).split("/")[:-1], path.split("/")[:-1]
        good = not any("/".join(above[: n + 1]) in folded for n in range(len(above)))
        good = good and (kind != "bento" or not f"{path}/".startswith("models/"))  # §3.2, as is:
        good = good and (kind not in ("bento", "model") or max(map(len, target.split(b"/"))) <= 255)
        for step in target.decode().split("/"):
            good = good and fold("/".join(here)) not in links and (here or step != "..")
            here = here[:-1] if step == ".." else here + [step] * (step not in ("", "."))
        if "chunks" in entry:
            entry["chunks"] = column(entry["chunks"], 4)
            good = good and sum(lengths[n] for n in entry["chunks"]) == entry["size"]
        need(good, f"{name}: {path!r}")
    bare = [{key: one for key, one in entry.items() if key != "chunks"} for entry in entries]
    whole = {"entries": bare, "hash": "sha256", "kind": kind, "name": name, "version": version}
    need(sha256(encode(whole)).digest() == item["digest"], f"{name}: the item's digest")
    path = DESCRIPTIONS.get(kind, f"{kind}.yaml")
    sizes = [entry["size"] for entry in entries if entry["path"] == path]
    need(kind == "hugging-face" or (sizes and 0 < sizes[0] <= 4 * MIB), f"{name}: no {path}")

def check_manifest(m):  # §4; returns digest, size and blocks of each pack
    for key, most in ("format", 1), ("reader", 3):
        need(type(m[key]) is not int or m[key] <= most, f"manifest: {key} {m[key]}", "policy")
    none = {"commitment": bytes(32), "recipients": 1, "seal": b""}
    check({"completes": bytes(32), "labels": {}, "sealed": none, **m}, MANIFEST, "manifest")
    for table in ("blocks", "chunks", "packs"):
        columns = {key: column(raw, {"digests": 32, "codecs": 1}.get(key, 4))
                   for key, raw in m[table].items()}
        digests, m[table] = columns.get("digests", []), columns
        good = len(set(map(len, columns.values()))) == 1 and len(set(digests)) == len(digests)
        need(good, f"{table}: columns of different lengths, or a digest twice")
    chunks, packs, blocks, plan, first = m["chunks"], m["packs"], m["blocks"], [], 0
    most = 68 * MIB + 2**17 * ("sealed" in m)
    lengths, counts, carried = chunks["lengths"], packs["block_counts"], sum(blocks["chunk_counts"])
    good = all(0 < one <= 4 * MIB for one in lengths) and carried <= len(lengths) and all(counts)
    need(good and sum(counts) == len(blocks["bases"]), "chunks or packs: lengths or counts")
    rows = zip(*(blocks[key] for key in sorted(blocks)))
    for digest, size, count in zip(packs["digests"], packs["sizes"], counts):
        plan.append((digest, size, []))
        end = 0
        for base, chunk_count, codec, at, stored in islice(rows, count):
            last = first + chunk_count
            good = 0 < stored <= sum(lengths[first:last]) <= 4 * MIB and chunk_count
            good = good and end <= at <= (end := at + stored) <= size <= most
            if codec == 3:  # a difference, to one chunk that is not carried
                good = good and last == first + 1 and carried <= base
                good = good and lengths[base] == lengths[first]
            need(good and (codec == 3 or base == 2**32 - 1), f"a block of the pack {digest.hex()}")
            plan[-1][2].append((codec, at, stored, range(first, last)))
            first = last
    for item in m["items"]:
        check_item(item, lengths)
    entries = [entry for item in m["items"] for entry in item["entries"]]
    uses = sum(len(entry.get("chunks", ())) for entry in entries)
    good = len(m["items"]) <= 10**4 and len(entries) <= 2 * 10**6 and uses <= 5 * 10**6
    need(good and len(counts) <= 10**6 and len(lengths) <= 25 * 10**5, "manifest: a limit of §2.3")
    kinds = {item["kind"] for item in m["items"]}
    reader = 3 if "sealed" in m else 1 + bool({"completes", "labels", *DESCRIPTIONS} & {*m, *kinds})
    need(m["reader"] <= reader, f"manifest: why it has reader {m['reader']}", "policy")
    tags = [(KINDS.index(item["kind"]), item["name"], item["version"]) for item in m["items"]]
    good = m["reader"] == reader and m.get("labels") != {} and is_set(tags)
    need(good and not ("completes" in m and m["sequence"]), "manifest: reader, labels, or items")
    if one := m.get("sealed"):  # §34.3: it says no more than it must, and hides no recipient
        odd = one["seal"][: 2**16].split(b"\n--- ")[0].count(b"\n-> ") != one["recipients"]
        said = [m["items"], m["sequence"], m["expires_at"], {"completes", "labels"} & {*m}, odd]
        begins = [[(0, 0, min(1024, size), range(n, n + 1))] for n, (_, size, _) in enumerate(plan)]
        good = not any(said) and m["channel"] == "sealed" and len(lengths) == len(plan)
        need(good and [blocks for *_, blocks in plan] == begins, "an index that says too much")
    return plan

def openssl(*arguments, **files):
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            Path(folder, name).write_bytes(data)
        return subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=False)

def is_sound(key):  # §7.2; for Ed25519, a point in its one form and of the large prime order
    algorithm, spki, (prefix, size, order) = key["algorithm"], key["spki"], KEYS[key["algorithm"]]
    key["pem"] = b"-----BEGIN PUBLIC KEY-----\n%b-----END PUBLIC KEY-----\n" % encodebytes(spki)
    good = len(spki) == size and spki.startswith(bytes.fromhex(prefix))
    if good and algorithm.startswith("ecdsa"):  # a point that is not on the curve is not read
        good = openssl("pkey", "-pubin", "-in", "key", "-noout", key=key["pem"]).returncode == 0
    if not good or algorithm != "ed25519":
        return good
    p, y = 2**255 - 19, int.from_bytes(spki[-32:], "little") % 2**255
    d = -121665 * pow(121666, -1, p) % p
    xx = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
    x = pow(xx, (p + 3) // 8, p)
    x = x if x * x % p == xx else x * pow(2, (p - 1) // 4, p) % p
    def add(a, b):
        t = d * a[0] * b[0] * a[1] * b[1]
        return ((a[0] * b[1] + a[1] * b[0]) * pow(1 + t, -1, p) % p,
                (a[1] * b[1] + a[0] * b[0]) * pow(1 - t, -1, p) % p)
    total, point = (0, 1), (x, y)  # x or -x: their orders are the same
    for bit in f"{order:b}"[::-1]:
        total, point = add(total, point) if bit == "1" else total, add(point, point)
    return y < p and x * x % p == xx and x and total == (0, 1)

def verifies(key, signature, message):  # §6.3
    algorithm, order = key["algorithm"], KEYS[key["algorithm"]][2]
    words = "pkeyutl -verify -pubin -inkey key -rawin -in text -sigfile sig"
    if algorithm.startswith("ecdsa"):  # strict DER, s in the lower half: openssl minds neither much
        words = f"dgst -{algorithm[11:]} -verify key -signature sig text"
        at = 4 + sum(signature[3:4])
        r, s = (int.from_bytes(part, "big") for part in (signature[4:at], signature[at + 2 :]))
        if not (0 < r < order and 0 < s <= order // 2):
            return False
        parts = [one.to_bytes(one.bit_length() // 8 + 1, "big") for one in (r, s)]
        body = b"".join(b"\2%c%b" % (len(part), part) for part in parts)
        if signature != b"\x30%c%b" % (len(body), body):
            return False
    ran = openssl(*words.split(), key=key["pem"], sig=signature, text=message)
    sure = ran.returncode == 0 or b"verification fail" in (ran.stdout + ran.stderr).lower()
    need(sure, f"this openssl cannot check {algorithm}", "unchecked")
    return ran.returncode == 0 and (algorithm != "ed25519" or len(signature) == 64)

def count_signers(root, role, document, envelopes):  # §7.3
    kind, signers = {"root": "root", "builder": "manifest"}.get(role, "attestation"), set()
    kind = f"application/vnd.airgap.{kind}.v1+msgpack"
    text = f"DSSEv1 {len(kind)} {kind} {len(document)} ".encode() + document
    for raw in set(envelopes):
        match = re.fullmatch(ENVELOPE % (re.escape(kind), BASE64), raw.decode("latin-1"))
        need(match, "a malformed envelope", "not-trusted")
        key, signature = root["roles"][role]["usable"].get(match[1]), b64decode(match[2])
        need(not key or verifies(key, signature, text), f"signature of {match[1]}", "not-trusted")
        signers |= {match[1]} if key else set()
    return signers

def check_root(raw, envelopes, fingerprint):  # §7.1, §7.4; adds the usable keys of each role
    actual = "SHA256:" + sha256(raw).hexdigest()
    need(actual == fingerprint, f"root: its fingerprint is {actual}", "not-trusted")
    root = decode(raw, MIB, "root")
    need(type(root["format"]) is not int or root["format"] < 3, "root: a later format", "policy")
    two = root["format"] == 2
    check(root if two else {"created_at": 0, **root}, ROOT_2 if two else ROOT, "root")
    keys, roles = {sha256(key["spki"]).hexdigest(): key for key in root["keys"]}, root["roles"]
    good = [*keys.values()] == root["keys"] and is_set([*keys]) and {"root", "builder"} <= {*roles}
    need(good, "root: its keys, or a role that it lacks")
    for role, rule in roles.items():
        rule["usable"] = {one: keys[one] for one in {*rule["keys"]} - {*root["revoked_keys"]}}
        good = {*rule["keys"]} <= {*keys} and rule["threshold"] <= len(rule["usable"])
        need(good and (rule["threshold"] or (two and role in DECIDING)), f"root: the role {role}")
    for one, key in keys.items():
        its = {role for role in roles if one in roles[role]["keys"]}
        good = not {"builder", "approver"} <= its and (its == {"recorder"} or "recorder" not in its)
        good = good and (key["algorithm"] != "ml-dsa-44" or set() < its <= {"recorder", "witness"})
        need(good, f"root: the roles of key {one}")
    root["needs"] = [(DECIDING[role], role, roles[role]["threshold"], None) for role in DECIDING
                     if role in roles]
    if two:
        usable = {role: len(rule["usable"]) for role, rule in roles.items()}
        good = {*root["people"]} <= {*keys, *root["revoked_keys"]}
        good = good and root["receipts"]["approvals"] <= usable.get("approver", 0)
        good = good and all(rule["values"] != [] for rule in (root["labels"] or {}).values())
        good = good and is_set([one["recipient"] for one in root["recipients"]])
        good = good and is_set([one["certificate"] for one in root["timestamp_authorities"]])
        for one in root["timestamp_authorities"]:
            good = good and (one["until"] is None or (one["from"] or 0) <= one["until"])
        for name, one in root["demands"].items():
            good = good and one["threshold"] <= usable.get(one["role"], 0)
            root["needs"].append((name, one["role"], one["threshold"], one["max_age"]))
        need(good, "root: a field of format 2")
    need(all(map(is_sound, keys.values())), "root: a key not in its one form", "not-trusted")
    signed = len(count_signers(root, "root", raw, envelopes)) >= roles["root"]["threshold"]
    need(signed, "root: too few of its own keys signed it", "not-trusted")
    return root

class Place:  # §8, §9: a depot or a .airgap file; gives what lies there by name
    def __init__(self, path):
        self.path, self.members, self.is_depot = path, {}, path.is_dir()
        if self.is_depot:
            return
        need(path.is_file(), f"{path.name}: no regular file")
        with path.open("rb") as file:
            while (block := file.read(512)) != bytes(512):
                halves = (half.rstrip(b"\0") for half in (block[345:500], block[:100]))
                name, digits = b"/".join(filter(None, halves)).decode(), block[124:135]
                size = int(digits, 8) if re.fullmatch(b"[0-7]{11}", digits) else 0
                most = next((LIMITS[end] for end in LIMITS if name.endswith(end)), 128 * MIB)
                good = block == header(name, size) and name not in self.members and size <= most
                need(good, f"{path.name}: a header not as in §9, or a member twice or too long")
                self.members[name] = file.tell(), size
                file.seek(size + -size % 512, 1)
            end, names = file.read(MIB + 513), "".join(f"{name} " for name in self.members)
        sizes = {name: size for name, (_, size) in self.members.items() if name.endswith("sig")}
        roots = [one.endswith("dsse") for one in self.names("roots/")]
        good = 512 <= len(end) <= MIB + 512 and not end.strip(b"\0") and is_set([*sizes])
        good = good and roots.count(False) <= 100 and roots.count(True) <= 6400
        good = good and sum(sizes.values()) <= 64 * MIB and re.fullmatch(MEMBERS, names)
        need(good, f"{path.name}: its members, or its end")

    def names(self, folder):
        if not self.is_depot:
            return [name[len(folder) :] for name in self.members if name.startswith(folder)]
        top = self.path / folder
        listed = sorted(one.name for one in top.iterdir()) if top.is_dir() else []
        need(len(listed) <= 10**5 or not folder, f"{folder}: too many names")
        return listed

    def holds(self, name):
        return (self.path / name).exists() if self.is_depot else name in self.members

    def read(self, name, limit):
        path, pad = (self.path / name, 1) if self.is_depot else (self.path, 512)
        way = [path, *path.parents][: name.count("/") + 1] if self.is_depot else []
        links = any(map(Path.is_symlink, way))
        need(links or self.holds(name), f"{name}: not there", "missing")
        need(path.is_file() and not links, f"{name}: no regular file")
        at, size = self.members.get(name) or (0, path.stat().st_size)
        need(size <= limit, f"{name}: too long")
        with path.open("rb") as file:
            file.seek(at)
            data = file.read(size + -size % pad)
        need(len(data) % pad == 0 and not data[size:].strip(b"\0"), f"{name}: cut off")
        return data[:size]

def header(name, size):  # §9
    top, _, short = name.rpartition("/") if len(name) > 100 else ("", "", name)
    fields = short.encode(), b"0000644", b"0000000", b"0000000", b"%011o" % size, b"0" * 11
    fields += b" " * 8, b"0", b"", b"ustar\00000", b"", b"0000000", b"0000000", top.encode(), b""
    block = struct.pack("100s8s8s8s12s12s8ss100s8s64s8s8s155s12s", *fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]

def frame(raw, size):  # §5.2, RFC 8878: the content of one frame, None where it is compressed
    need(raw[:4] == b"\x28\xb5\x2f\xfd" and not raw[4] & 8, "zstd: no frame")
    single, parts, last = raw[4] >> 5 & 1, [], 0
    window = size if single else (8 + (raw[5] & 7)) << 7 + (raw[5] >> 3)
    width, at = (single, 2, 4, 8)[raw[4] >> 6], 6 - single + (0, 1, 2, 4)[raw[4] & 3]
    declared = int.from_bytes(raw[at : at + width], "little") + 256 * (width == 2)
    good = width and declared == size and window <= 8 * MIB and not any(raw[6 - single : at])
    need(good, "zstd: size, window or dictionary")
    at += width
    while not last:
        number = int.from_bytes(raw[at : at + 3], "little")
        last, kind, length = number & 1, number >> 1 & 3, number >> 3
        stored = 1 if kind == 1 else length
        part, at = raw[at + 3 : at + 3 + stored], at + 3 + stored
        parts.append(None if kind == 2 else part * length if kind else part)
        need(at <= len(raw) and kind < 3 and length <= min(window, 2**17), "zstd: a bad block")
    need(at + (raw[4] & 4) == len(raw), "zstd: not exactly one frame")
    need(None in parts or sum(map(len, parts)) == size, "zstd: another length")
    return None if None in parts else b"".join(parts)

def unpack(codec, raw, size):  # §5.2, §5.3: the plain bytes, None where they are compressed
    need(codec < 3, f"codec {codec} needs a later reader", "policy")
    need(codec or len(raw) == size, "a raw block of another length")
    if codec < 2:
        return frame(raw, size) if codec else raw
    at, number = 1, size // raw[0]
    for _ in range(raw[0]):
        kind, length = raw[at], int.from_bytes(raw[at + 1 : at + 5], "big")
        plane, at = raw[at + 5 : at + 5 + length], at + 5 + length
        need(at <= len(raw) and (kind or length == number) and kind < 2, "planes: kind or length")
        if kind == 1:
            frame(plane, number)
    need(raw[0] in (2, 4, 8) and len(raw) - at == size % raw[0], "planes: width, or bytes left")
    return None

def check_content(place, m, plan):  # §11; returns how many files were compared in the plain
    lengths, digests, users, wrong = m["chunks"]["lengths"], m["chunks"]["digests"], {}, set()
    files = [entry for item in m["items"] for entry in item["entries"] if "chunks" in entry]
    for file in files:
        ordered = len(file["chunks"]) > 1 and file["chunks"] == sorted(file["chunks"])
        file.update(at=0, sha=sha256(), ordered=ordered)
        for number in file["chunks"]:
            users.setdefault(number, []).append(file)
    packs = [f"packs/{one.hex()[:2]}/{one.hex()}.pack" for one, _, _ in plan]
    if not place.is_depot:
        held = ["packs/" + name for name in place.names("packs/")]
        good = len(held) == len(packs) or not [*place.members][-1].endswith(("sig", "txt", "py"))
        need(good and held == packs[: len(held)], f"{place.path.name}: not its manifest's packs")
    for name, (digest, size, blocks) in zip(packs, plan):
        data = place.read(name, size)
        need(len(data) == size and sha256(data).digest() == digest, f"{name}: changed")
        used = (block for block in blocks if not users.keys().isdisjoint(block[3]))
        for codec, offset, stored, numbers in used:
            at, length = 0, sum(lengths[n] for n in numbers)
            plain = unpack(codec, data[offset : offset + stored], length)
            for number in numbers if plain is not None else ():
                piece, at = plain[at : at + lengths[number]], at + lengths[number]
                wrong |= {number} if sha256(piece).digest() != digests[number] else set()
                for file in users.get(number, ()):
                    while file["chunks"][file["at"] : file["at"] + 1] == [number]:
                        file["at"] += 1
                        file["sha"].update(piece)
    whole = [file for file in files if file["at"] == len(file["chunks"])]
    for file in whole:
        need(file["sha"].digest() == file["digest"], f"{file['path']!r}: another digest")
    proven = {n for n in wrong.intersection(users) if all(file["ordered"] for file in users[n])}
    need(wrong == proven, "a chunk: another digest")
    return f"{len(whole)} of {len(files)} files compared in the plain"

def opinion(root, role, bundle, document, envelope):  # §14: key, name, and all that it says
    for key in count_signers(root, role, document, [envelope]):
        claim = decode(document, 4096, "attestation")
        later = type(claim["format"]) is int and claim["format"] > 2
        need(not later, "attestation: a later format", "policy")
        check(claim, NAMED_CLAIM if claim["format"] == 2 else CLAIM, "attestation")
        need(claim.get("name") != DECIDING[claim["role"]], "attestation: a default name")
        good = claim["role"] == role and claim["bundle"].hex() == bundle
        need(good, "attestation: moved from another bundle", "not-trusted")
        yield key, claim.get("name", DECIDING[role]), claim

def check_bundle(place, bundle, root, now):  # §7.5, §11; returns the manifest and its packs
    folder, roles, pairs, reports = f"bundles/{bundle}/", root["roles"], {}, {}
    raw, names = place.read(folder + "manifest.msgpack", 128 * MIB), place.names(folder)
    need(sha256(raw).hexdigest() == bundle, "manifest: changed")
    for role in ("builder", *DECIDING):
        files = [one[:-4] for one in names if re.fullmatch(f"(builder|{SIGNER}).{HEX}.dsse", one)
                 and one.startswith(f"{role}.")]
        need(len(files) <= 64, f"too many signatures of the role {role}")
        pairs[role] = [(role == "builder" or place.read(folder + one + "attestation", 4096),
                        place.read(folder + one + "dsse", 2**14))
                       for one in files if role == "builder" or one + "attestation" in names]
    need(root["not_after"] is None or now <= root["not_after"], "root: expired", "policy")
    builders = count_signers(root, "builder", raw, [envelope for _, envelope in pairs["builder"]])
    need(len(builders) >= roles["builder"]["threshold"], "bundle: too few builders", "not-trusted")
    signers = {("builder", ""): builders}
    need(sha256(raw).digest() not in root["revoked_bundles"], "bundle: revoked", "not-trusted")
    plan = check_manifest(m := decode(raw, 128 * MIB, "manifest"))
    need(m["expires_at"] is None or now <= m["expires_at"], "bundle: expired", "policy")
    need(root["site"] in m["audience"] or not m["audience"], "bundle: for another site", "policy")
    need("completes" not in m, "bundle: only completes another one (§22)", "missing")
    least = root["channels"].get(m["channel"], {"minimum_sequence": 0})["minimum_sequence"]
    need(m["sequence"] >= least, f"bundle: below sequence {least} of its channel", "policy")
    labels, rules = m.get("labels", {}), root.get("labels")
    if rules is not None:
        good = {name for name in rules if rules[name]["required"]} <= {*labels} <= {*rules}
        for name, text in labels.items():
            good = good and text in (rules[name]["values"] or [text])
        need(good, "bundle: labels that the site does not accept, or lacks", "policy")
    for role in (one for one in DECIDING if one in roles):
        votes = [vote for pair in pairs[role] for vote in opinion(root, role, bundle, *pair)]
        decisions = [claim["decision"] for _, _, claim in votes]
        need("reject" not in decisions, f"bundle: rejected by a {role}", "policy")
        for key, name, claim in votes:
            signers.setdefault((role, name), {}).setdefault(key, []).append(claim["time"])
            report = f"{role}{f'.{name}' * (name != DECIDING[role])}.{key}.findings"
            if claim["findings"]:
                reports.setdefault(report, []).append(claim["findings"])
    for name, role, threshold, age in root["needs"]:  # §14, rule 4
        good = [key for key, times in signers.get((role, name), {}).items()
                if age is None or any(now - age <= at <= now + 86400 for at in times)]
        need(len(good) >= threshold, f"bundle: too few {role}s accept it for {name}", "policy")
    needed = len(m["chunks"]["lengths"]) - sum(len(b[3]) for _, _, blocks in plan for b in blocks)
    need(not needed, f"bundle: does not carry {needed} of its chunks", "missing")
    compared = check_content(place, m, plan)
    for (role, name), keys in signers.items():
        label = role + f" ({name})" * (name != DECIDING.get(role, ""))
        print(*(f"signed by {label} {key}" for key in sorted(keys)), sep="\n")
    for report, digests in sorted(reports.items()):  # §24: nothing depends on it
        try:
            same = sha256(place.read(folder + report, 16 * MIB)).digest() in digests
            what = "as signed" if same else "NOT THE FILE THAT WAS SIGNED"
        except Refused as error:
            what = f"not compared, {error.args[1] if place.is_depot else 'padding is not read'}"
        print(f"{report}: {what}")
    for name, text in labels.items():
        print(f"label {name}: {text}")
    for item in m["items"]:
        print(f"{item['kind']} {item['name']}:{item['version']} sha256:{item['digest'].hex()}")
        for one in item["entries"]:
            other = f"link to {one['target']}" if "target" in one else "empty folder"
            print(" ", one["digest"].hex() if "digest" in one else other, one["path"])
    print(f"{len(plan)} packs as signed; {compared}, the others as they are stored")
    print(f"ACCEPTED {bundle} for site {root['site']}, root version {root['version']}")
    return m, plan

def verify(options):
    file, whole = options.root.resolve(), Path(options.place)
    path, mark = re.fullmatch("(?s)(.*?)(#[^#]*)?", options.place).groups("")
    beside = mark and (whole.exists() or whole.is_symlink())  # an attacker may have put it there
    need(re.fullmatch("|#[0-9a-f]{8,64}", mark) and not beside, "PLACE: no id, or a file", "usage")
    need(Path(path).exists(), f"{path}: not there", "missing")
    home, place = Place(file.parent), Place(Path(path))
    beside = rf"{re.escape(file.name.partition('.')[0])}\.{HEX}\.dsse"
    files = [one for one in home.names("") if re.fullmatch(beside, one)]
    need(len(files) <= 1000, f"{file.name}: too many files with signatures beside it")
    envelopes = [home.read(one, 2**14) for one in files]
    root = check_root(home.read(file.name, MIB), envelopes, options.fingerprint)
    listed = [mark[1:]] if len(mark) == 65 else place.names("bundles/")
    ids = {one[:64] for one in listed if re.fullmatch(f"(?={mark[1:]}){HEX}(/.*)?", one)}
    need(len(ids) <= 10**4, f"{path}: too many bundles")
    ids = sorted(one for one in ids if place.holds(f"bundles/{one}/manifest.msgpack"))
    need(ids and (len(ids) == 1 or not mark), f"{path}: {len(ids)} such bundles", "missing")
    now = max(options.at, root.get("created_at", 0))  # no earlier than the root, §17.2
    return {bundle: check_bundle(place, bundle, root, now) for bundle in ids}

def main(arguments=None):
    parser = ArgumentParser(description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.add_argument("place", metavar="PLACE")
    parser.add_argument("--root", type=Path, required=True, metavar="ROOT")
    parser.add_argument("--fingerprint", required=True, metavar="SHA256:...")
    parser.add_argument("--at", type=int, default=int(time.time()), help="seconds since 1970")
    options = parser.parse_args(arguments)
    getattr(sys.stdout, "reconfigure", dict)(errors="backslashreplace")
    try:
        verify(options)
    except Refused as error:
        kind, why = error.args
    except OSError as error:
        kind, why = "unchecked", f"{error.filename}: {error.strerror}"
    except Exception as error:  # noqa: BLE001  (the rules cannot even be applied)
        kind, why = "corrupt", f"not of the form of the specification: {error!r}"
    else:
        return 0
    print("CANNOT CHECK" if kind == "unchecked" else f"REFUSED {kind}", ascii(why)[1:-1], sep=": ")
    return EXITS[kind]

if __name__ == "__main__":
    sys.exit(main())
