#!/usr/bin/env python3
"""Verify airgap bundles without airgap: Python's standard library, and openssl for signatures.

PLACE is a depot (all its bundles), DEPOT#ID or a .airgap file; ROOT is the site's trust document,
its signatures beside it. Lists what there is and who signed it, then says ACCEPTED (exit 0), or
REFUSED with airgap's kind and exit code, or CANNOT CHECK (3).

THE COPY OF THIS FILE IN A DEPOT PROVES NOTHING: whoever can change the depot can change it too.
Take it, the fingerprint, Python and openssl from where you trust them.

Written from the specification alone (docs/format.md, cited as §), so that it shares no mistake with
airgap. It does not decompress: of compressed content it compares the packs with their digests.
Left to airgap: replay and waivers (§16, §17), which need what a site remembers; YAML (§3.2).
"""

# fmt: off
import base64
import re
import struct
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, RawTextHelpFormatter
from hashlib import sha256
from pathlib import Path
from unicodedata import category, normalize

EXITS = {"usage": 2, "unchecked": 3, "corrupt": 10, "not-trusted": 11, "policy": 12, "missing": 13}
MIB, DECIDING = 2**20, {"scanner": "malware", "approver": "review"}  # §14: the default names
RECORDING, TIMES = {"recorder", "witness"}, ("not_after", "time", "since", "from", "until")
DIGESTS = ("bundle", "certificate", "completes", "digest", "findings")
KINDS = ("model", "hugging-face", "files", "wheelhouse", "image", "bento")  # §3.2
HEX, TAG = "[0-9a-f]{64}", "[a-z0-9]([-._a-z0-9]*[a-z0-9])?"
BAD_PATH = r'(?is)[\\:*?"<>|]|(^|/)([^/]*[. ]|(con|prn|aux|nul|(com|lpt)[1-9¹²³])(\.[^/]*)?)?(/|\Z)'
ENVELOPE = (r'\{"payloadType":"%s","signatures":\[\{"keyid":"([0-9a-f]{64})","sig":"'
            r'((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)"\}\]\}\n')
NAME = "[a-z](?:[-a-z0-9]{0,9}[a-z0-9])?"  # §14
SIGNER = rf"(?!scanner\.malware\.|approver\.review\.)(?:scanner|approver)(?:\.{NAME})?"
MEMBERS = (rf"(bundles/{HEX}/)manifest\.msgpack (\1builder\.{HEX}\.dsse |"  # §9
           rf"(\1{SIGNER}\.{HEX}\.)attestation \3dsse )*(padding )?"
           rf"(roots/[1-9]\d{{0,15}}\.(root\.msgpack|{HEX}\.dsse) )*(packs/../{HEX}\.pack )*"
           rf"(\1{HEX}\.model\.sig )*(\1checksums\.txt )?(README\.txt )?(verify\.py )?")
ENTRIES = {"file": "chunks:bytes digest:bytes executable:bool path:str size:int type:str",
           "link": "path:str target:str type:str", "folder": "path:str type:str"}
RULES = ("demands:dict forbidden_options:list labels:dict|NoneType people:dict policies:dict "
         "receipts:dict recipients:list revoked_keys:dict timestamp_authorities:list "
         "trust_anchors:list|NoneType")  # §7.6
RULE_FIELDS = {"demands": "max_age:int|NoneType role:str threshold:int",
               "labels": "required:bool values:list|NoneType", "revoked_keys": "since:int|NoneType",
               "recipients": "label:str purpose:str recipient:str", "timestamp_authorities":
               "certificate:bytes from:int|NoneType until:int|NoneType"}
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
    at = [0]
    def take(count):
        at[0] += count
        return raw[at[0] - count : at[0]]
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

def demand(value, what, fields):  # exactly these fields, of these types, and what their names say
    rules, known = dict(one.split(":") for one in fields.split()), {"format": 1, "hash": "sha256"}
    need(type(value) is dict and value.keys() == rules.keys(), f"{what}: not the fields {[*rules]}")
    for key, one in value.items():
        good = type(one).__name__ in rules[key].split("|") and known.get(key, one) == one
        good = good and (key not in DIGESTS or one is None or len(one) == 32)
        last = 253402300799 if key.endswith("_at") or key in TIMES else 2**53
        need(good and (type(one) is not int or one <= last), f"{what}: the field {key!r}")

def is_name(text):  # §2.4
    return len(text) <= 63 and text != "latest" and re.fullmatch(TAG, text)

def is_clean(text):  # §2.5
    return not {"Cc", "Cf", "Cs", "Zl", "Zp"}.intersection(map(category, text))

def fold(text):  # §2.5
    folded = normalize("NFKC", text).casefold()
    return text if folded == text else fold(folded)

def is_set(values):  # sorted and unique
    return values == sorted(set(values))

def column(raw, width):  # §2.2
    need(len(raw) % width == 0, "a column of broken elements")
    parts = [raw[at : at + width] for at in range(0, len(raw), width)]
    return parts if width == 32 else [int.from_bytes(part, "big") for part in parts]

def check_item(item, lengths):  # §2.4 to §3.2
    demand(item, "item", "digest:bytes entries:list kind:str name:str version:str")
    kind, name, version, entries = (item[key] for key in ("kind", "name", "version", "entries"))
    need(kind not in KINDS[2:5], f"{name}: the kind {kind!r} needs a later reader", "policy")
    good = is_name(name) and is_name(version)
    if kind == "hugging-face":
        good = len(name) <= 200 and re.fullmatch(TAG.replace("a-z", "_a-z"), name)
        good = good and re.fullmatch("[0-9a-f]{40}", version)
    for entry in entries:
        demand(entry, f"entry of {name}", ENTRIES[entry["type"]])
    paths = [entry["path"] for entry in entries]
    folded, links = set(map(fold, paths)), {fold(e["path"]) for e in entries if "target" in e}
    need(good and is_set(paths) and len(folded) == len(paths), f"{name}: its name, or paths twice")
    for entry in entries:
        path, parts, target = entry["path"], entry["path"].split("/"), entry.get("target", ".")
        above, here = fold(path).split("/")[:-1], parts[:-1]
        good = len(parts) <= 64 and max(len(one.encode()) for one in parts) <= 255
        good = good and is_clean(path + target) and not re.search(BAD_PATH, path)
        good = good and not any("/".join(above[: n + 1]) in folded for n in range(len(above)))
        good = good and target[:1] not in ("", "/") and "\\" not in target
        for text in (path, target):
            good = good and len(text.encode()) <= 1024 and normalize("NFC", text) == text
        for part in target.split("/"):
            good = good and fold("/".join(here)) not in links and (here or part != "..")
            here = here[:-1] if part == ".." else here + [part] * (part not in ("", "."))
        if "chunks" in entry:
            entry["chunks"] = column(entry["chunks"], 4)
            good = good and sum(lengths[n] for n in entry["chunks"]) == entry["size"] <= 2**44
        need(good, f"{name}: {path!r}")
    bare = [{key: one for key, one in entry.items() if key != "chunks"} for entry in entries]
    whole = {"entries": bare, "hash": "sha256", "kind": kind, "name": name, "version": version}
    need(sha256(encode(whole)).digest() == item["digest"], f"{name}: the item's digest")
    sizes = [entry["size"] for entry in entries if entry["path"] == f"{kind}.yaml"]
    need(kind == "hugging-face" or (sizes and sizes[0] <= 4 * MIB), f"{name}: no {kind}.yaml")

def check_manifest(m):  # §4; returns digest, size and blocks of each pack
    for key, most in ("format", 1), ("reader", 2):
        need(type(m[key]) is not int or m[key] <= most, f"manifest: {key} {m[key]}", "policy")
    demand({"completes": bytes(32), "labels": {}, **m}, "manifest", "audience:list blocks:dict "
           "channel:str chunks:dict completes:bytes created_at:int expires_at:int|NoneType "
           "format:int hash:str items:list labels:dict packs:dict reader:int sequence:int tool:str")
    chunks, packs, blocks, plan, first, number = m["chunks"], m["packs"], m["blocks"], [], 0, 0
    for table, keys in ((chunks, "digests lengths"), (packs, "block_counts digests sizes"),
                        (blocks, "bases chunk_counts codecs offsets stored_lengths")):
        demand(table, "table", " ".join(f"{key}:bytes" for key in keys.split()))
        table.update({key: column(one, {"digests": 32, "codecs": 1}.get(key, 4))
                      for key, one in table.items()})
        good = len(set(map(len, table.values()))) == 1
        need(good and len(set(table.get("digests", ""))) == len(table.get("digests", "")), "tables")
    lengths, counts, carried = chunks["lengths"], packs["block_counts"], sum(blocks["chunk_counts"])
    good = all(0 < one <= 4 * MIB for one in lengths) and carried <= len(lengths) and all(counts)
    need(good and sum(counts) == len(blocks["bases"]), "chunks or packs: lengths or counts")
    for digest, size, count in zip(packs["digests"], packs["sizes"], counts):
        plan.append((digest, size, []))
        end = 0
        for number in range(number, number + count):
            base, chunk_count, codec, at, stored = (blocks[key][number] for key in sorted(blocks))
            last = first + chunk_count
            good = 0 < stored <= sum(lengths[first:last]) <= 4 * MIB and chunk_count
            good = good and end <= at <= (end := at + stored) <= size <= 68 * MIB
            if codec == 3:  # a difference, to one chunk that is not carried
                good = good and last == first + 1 and carried <= base
                good = good and lengths[base] == lengths[first]
            need(good and (codec == 3 or base == 2**32 - 1), f"block {number}")
            plan[-1][2].append((codec, at, stored, range(first, last)))
            first = last
        number += 1
    for item in m["items"]:
        check_item(item, lengths)
    entries = [entry for item in m["items"] for entry in item["entries"]]
    uses = sum(len(entry.get("chunks", ())) for entry in entries)
    most = ((m["items"], 10**4), (m["audience"], 1000), (entries, 2 * 10**6), (counts, 10**6),
            (lengths, 25 * 10**5), (range(uses), 5 * 10**6))
    need(all(len(one) <= limit for one, limit in most), "manifest: a limit of §2.3")
    labels, reader = m.get("labels", {"a": "a"}), 2 if {"completes", "labels"} & m.keys() else 1
    need(m["reader"] <= reader, f"manifest: why it has reader {m['reader']}", "policy")
    good = all(type(one) is str and 0 < len(one) <= 128 and is_clean(one) and
               one == normalize("NFC", one.strip(" ")) for one in labels.values())  # §4.4
    good = good and 0 < len(labels) <= 32 and all(map(is_name, labels)) and m["reader"] == reader
    need(good and not ("completes" in m and m["sequence"]), "manifest: labels, reader or sequence")
    tags = [(KINDS.index(item["kind"]), item["name"], item["version"]) for item in m["items"]]
    good = is_set(tags) and is_set(m["audience"]) and len(m["tool"]) <= 64 and is_clean(m["tool"])
    need(good and all(map(is_name, [m["channel"], *m["audience"]])), "items, or names")
    return plan

def openssl(*arguments, **files):
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            Path(folder, name).write_bytes(data)
        command = ["openssl", *arguments]
        try:
            return subprocess.run(command, cwd=folder, capture_output=True, check=False)
        except OSError as error:
            raise Refused("unchecked", "openssl cannot be run") from error

def is_sound(key):  # §7.2; for Ed25519, a point in its one form and of the large prime order
    algorithm, spki, (prefix, size, order) = key["algorithm"], key["spki"], KEYS[key["algorithm"]]
    text = base64.encodebytes(spki)
    key["pem"] = b"-----BEGIN PUBLIC KEY-----\n" + text + b"-----END PUBLIC KEY-----\n"
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
    for raw in envelopes:
        match = re.fullmatch(ENVELOPE % re.escape(kind), raw.decode("latin-1"))
        signature = base64.b64decode(match[2]) if match else b""
        good = match and base64.b64encode(signature).decode() == match[2]
        need(good, "a malformed envelope", "not-trusted")
        key = root["roles"][role]["usable"].get(match[1])
        need(not key or verifies(key, signature, text), f"signature of {match[1]}", "not-trusted")
        signers |= {match[1]} if key else set()
    return signers

def check_rules(root, keys):  # §7.6: the fields that only format 2 has
    for key, fields in RULE_FIELDS.items():
        for one in root[key].values() if type(root[key]) is dict else root[key] or ():
            demand(one, f"root: {key}", fields)
    demand(root["receipts"], "root: receipts", "approvals:int notes:bool")
    usable = {role: rule["usable"] for role, rule in root["roles"].items()}
    options = [*root["forbidden_options"], *(root["trust_anchors"] or ())]
    stamps, people = root["timestamp_authorities"], [*root["people"].values()]
    people += [one["label"] for one in root["recipients"]]
    lists = [root["forbidden_options"], root["trust_anchors"] or [],
             [one["certificate"] for one in stamps],
             [one["recipient"] for one in root["recipients"]]]
    good = all(re.fullmatch("[a-z][-_a-z0-9]{0,62}", one) for one in options)
    good = good and all(re.fullmatch(NAME, one) for one in [*root["demands"], *root["policies"]])
    good = good and all(type(one) is bytes and len(one) == 32 for one in root["policies"].values())
    good = good and all(0 < len(one) <= 64 and is_clean(one) for one in people)
    good = good and {*root["people"]} <= {*keys, *root["revoked_keys"]}
    good = good and root["receipts"]["approvals"] <= len(usable.get("approver", ()))
    for one in stamps:
        good = good and (one["from"] or 0) <= (2**53 if one["until"] is None else one["until"])
    for one in root["recipients"]:
        good = good and re.fullmatch("age1[0-9a-z]{1,4092}", one["recipient"])
        good = good and one["purpose"] in ("site", "escrow", "gate")
    for label, rule in (root["labels"] or {}).items():
        values = ["any"] if rule["values"] is None else rule["values"]
        good = good and is_name(label) and 0 < len(values) <= 1000 and is_set(values)
        good = good and all(0 < len(one) <= 128 and is_clean(one) for one in values)
    for name, one in root["demands"].items():
        good = good and one["role"] in DECIDING and one["max_age"] != 0
        good = good and 0 < one["threshold"] <= len(usable.get(one["role"], ()))
        root["needs"].append((name, one["role"], one["threshold"], one["max_age"]))
    sizes = [len(root[key] or ()) for key in ("policies", *RULE_FIELDS) if key != "revoked_keys"]
    good = good and max(*sizes, *map(len, lists)) <= 100 and all(map(is_set, lists))
    need(good, "root: a field of format 2")

def check_root(raw, envelopes, fingerprint):  # §7.1, §7.4; adds the usable keys of each role
    actual = "SHA256:" + sha256(raw).hexdigest()
    need(actual == fingerprint, f"root: its fingerprint is {actual}", "not-trusted")
    root = decode(raw, MIB, "root")
    two = root["format"] == 2
    need(type(root["format"]) is not int or root["format"] < 3, "root: a later format", "policy")
    demand({**({} if two else {"created_at": 0}), **root, "format": root["format"] - two}, "root",
           "channels:dict created_at:int format:int hash:str keys:list not_after:int|NoneType "
           "revoked_bundles:list roles:dict site:str version:int "
           + (RULES if two else "revoked_keys:list"))
    for key in root["keys"]:
        demand(key, "root: key", "algorithm:str spki:bytes")
    keys, roles = {sha256(key["spki"]).hexdigest(): key for key in root["keys"]}, root["roles"]
    good = list(keys) == sorted(keys) and len(keys) == len(root["keys"]) <= 1000
    good = good and all(map(is_name, [root["site"], *root["channels"]])) and root["version"]
    good = good and is_set([*root["revoked_keys"]]) and is_set(root["revoked_bundles"])
    good = good and all(re.fullmatch(HEX, one) for one in root["revoked_keys"])
    good = good and all(type(one) is bytes and len(one) == 32 for one in root["revoked_bundles"])
    allowed = {"root", "builder", *DECIDING, *(RECORDING if two else ())}
    need(good and {"root", "builder"} <= {*roles} <= allowed, "root: a list")
    for channel in root["channels"].values():
        demand(channel, "root: channel", "minimum_sequence:int")
    for role, rule in roles.items():
        demand(rule, f"root: {role}", "keys:list threshold:int")
        rule["usable"] = {one: keys[one] for one in rule["keys"] if one not in root["revoked_keys"]}
        least = 0 if two and role in DECIDING else 1
        good = is_set(rule["keys"]) and least <= rule["threshold"] <= len(rule["usable"])
        need(good, f"root: the role {role}")
    both = {*roles["builder"]["keys"]} & {*roles.get("approver", {"keys": ()})["keys"]}
    of = {one: {role for role in roles if one in roles[role]["keys"]} for one in keys}
    good = all(len(one) == 1 or "recorder" not in one for one in of.values())
    for one, key in keys.items():
        good = good and key["algorithm"] in KEYS
        good = good and (key["algorithm"] != "ml-dsa-44" or set() < of[one] <= RECORDING)
    need(not both and good, "root: its keys")
    root["needs"] = [(DECIDING[role], role, roles[role]["threshold"], None) for role in DECIDING
                     if role in roles]
    if two:
        check_rules(root, keys)
    need(all(map(is_sound, keys.values())), "root: a key not in its one form", "not-trusted")
    signed = len(count_signers(root, "root", raw, envelopes)) >= roles["root"]["threshold"]
    need(signed, "root: too few of its own keys signed it", "not-trusted")
    return root

class Place:  # §8, §9: a depot or a .airgap file; gives what lies there by name
    def __init__(self, path):
        self.path, self.members, at, block = path, None, 0, b""
        if path.is_dir():
            return
        self.members = {}
        while (block := self.bytes_at(at, 512)) != bytes(512):
            parts = (one.rstrip(b"\0") for one in (block[345:500], block[:100]) if one[:1] > b"\0")
            name, digits = b"/".join(parts).decode(), re.fullmatch(b"[0-7]{11}", block[124:135])
            size = int(digits[0], 8) if digits else 0
            good = block == header(name, size) and name not in self.members
            need(good, f"{path.name}: a header not as in §9, or a member twice")
            self.members[name] = at + 512, size
            at += 512 + size + -size % 512
        end = self.bytes_at(at, MIB + 1025)
        good = 1024 <= len(end) <= MIB + 1024 and not end.strip(b"\0")
        names = "".join(f"{name} " for name in self.members)
        need(good and re.fullmatch(MEMBERS, names), f"{path.name}: its members, or its end")

    def bytes_at(self, offset, size):
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def names(self, folder):
        if self.members is not None:
            return [name[len(folder) :] for name in self.members if name.startswith(folder)]
        top = self.path / folder
        return sorted(one.name for one in top.iterdir()) if top.is_dir() else []

    def read(self, name, limit):
        path, (at, size) = self.path / name, (self.members or {}).get(name, (0, None))
        if self.members is None and (path.exists() or path.is_symlink()):
            way = [path, *path.parents][: name.count("/") + 1]
            need(path.is_file() and not any(map(Path.is_symlink, way)), f"{name}: no regular file")
            size = path.stat().st_size
        need(size is not None, f"{name}: not there", "missing")
        need(size <= limit, f"{name}: too long")
        if self.members is None:
            return path.read_bytes()
        data = self.bytes_at(at, size + -size % 512)
        need(len(data) % 512 == 0 and not data[size:].strip(b"\0"), f"{name}: cut off")
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
    held = ["packs/" + name for name in place.names("packs/")] if place.members else []
    need(held == packs[: len(held)], f"{place.path.name}: not the packs of its manifest")
    for name, (digest, size, blocks) in zip(packs, plan):
        data = place.read(name, size)
        need(len(data) == size and sha256(data).digest() == digest, f"{name}: changed")
        for codec, offset, stored, numbers in blocks:
            if users.keys().isdisjoint(numbers):
                continue
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
    good = all(n in users and all(file["ordered"] for file in users[n]) for n in wrong)
    need(good, "a chunk: another digest")
    return f"{len(whole)} of {len(files)} files compared in the plain"

def opinion(root, role, bundle, document, envelope):  # §14: decision, key, name and time
    for key in count_signers(root, role, document, [envelope]):
        claim = decode(document, 4096, "attestation")
        number, name = claim["format"], claim.get("name", DECIDING[role])
        need(type(number) is not int or number < 3, "attestation: a later format", "policy")
        demand({**claim, "format": number - (number == 2)}, "attestation", "bundle:bytes "
               "decision:str findings:bytes|NoneType format:int hash:str note:str role:str time:int"
               + " name:str" * (number == 2))
        good = len(claim["note"]) <= 1000 and is_clean(claim["note"]) and claim["role"] in DECIDING
        good = good and claim["decision"] in ("accept", "reject") and re.fullmatch(NAME, name)
        need(good and claim.get("name") != DECIDING[claim["role"]], "attestation: a field")
        good = claim["role"] == role and claim["bundle"].hex() == bundle
        need(good, "attestation: moved from another bundle", "not-trusted")
        return claim["decision"], key, name, claim["time"]
    return "", "", "", 0

def check_bundle(place, bundle, root, now):  # §7.5, §11
    folder, roles = f"bundles/{bundle}/", root["roles"]
    raw, names, signed = place.read(folder + "manifest.msgpack", 128 * MIB), place.names(folder), {}
    need(sha256(raw).hexdigest() == bundle, "manifest: changed")
    for role in ("builder", *DECIDING):
        files = [one for one in names if re.fullmatch(rf"(builder|{SIGNER})\.{HEX}\.dsse", one)
                 and one.startswith(f"{role}.")]
        need(len(files) <= 64, f"too many signatures of the role {role}")
        signed[role] = {one[:-4] + "attestation": place.read(folder + one, 2**14) for one in files}
    need(root["not_after"] is None or now <= root["not_after"], "root: expired", "policy")
    signers = {"builder": count_signers(root, "builder", raw, signed["builder"].values())}
    good = len(signers["builder"]) >= roles["builder"]["threshold"]
    need(good, "bundle: too few builders signed", "not-trusted")
    need(sha256(raw).digest() not in root["revoked_bundles"], "bundle: revoked", "not-trusted")
    m = decode(raw, 128 * MIB, "manifest")
    plan = check_manifest(m)
    need(m["expires_at"] is None or now <= m["expires_at"], "bundle: expired", "policy")
    need(root["site"] in m["audience"] or not m["audience"], "bundle: for another site", "policy")
    need("completes" not in m, "bundle: only completes another one (§22)", "missing")
    least = root["channels"].get(m["channel"], {"minimum_sequence": 0})["minimum_sequence"]
    need(m["sequence"] >= least, f"bundle: below sequence {least} of its channel", "policy")
    labels, rules = m.get("labels", {}), root.get("labels")
    if rules is not None:
        good = {name for name in rules if rules[name]["required"]} <= {*labels} <= {*rules}
        good = good and all(rules[name]["values"] is None or text in rules[name]["values"]
                            for name, text in labels.items())
        need(good, "bundle: labels that the site does not accept, or lacks", "policy")
    for role in (one for one in DECIDING if one in roles):
        pairs = [(place.read(folder + one, 4096), envelope) for one, envelope in
                 signed[role].items() if one in names]
        votes = [opinion(root, role, bundle, *pair) for pair in pairs]
        need("reject" not in [vote[0] for vote in votes], f"bundle: rejected by a {role}", "policy")
        for _, key, name, at in (vote for vote in votes if vote[0]):
            label = role if name == DECIDING[role] else f"{role} ({name})"
            signers[label] = keys = signers.get(label, {})
            keys[key] = max(at, keys.get(key, 0))
    for name, role, threshold, age in root["needs"]:  # §14, rule 4
        votes = signers.get(role if name == DECIDING[role] else f"{role} ({name})", {})
        good = [at for at in votes.values() if age is None or now - age <= at <= now + 86400]
        need(len(good) >= threshold, f"bundle: too few {role}s accept it for {name}", "policy")
    needed = len(m["chunks"]["lengths"]) - sum(len(b[3]) for _, _, blocks in plan for b in blocks)
    need(not needed, f"bundle: does not carry {needed} of its chunks", "missing")
    compared = check_content(place, m, plan)
    for role, key in ((role, key) for role, keys in signers.items() for key in sorted(keys)):
        print(f"signed by {role} {key}")
    for name, text in labels.items():
        print(f"label {name}: {text}")
    for item in m["items"]:
        print(f"{item['kind']} {item['name']}:{item['version']} sha256:{item['digest'].hex()}")
        for one in item["entries"]:
            other = f"link to {one['target']}" if "target" in one else "empty folder"
            print(" ", one["digest"].hex() if "digest" in one else other, one["path"])
    print(f"{len(plan)} packs as signed; {compared}, the others as they are stored")
    print(f"ACCEPTED {bundle} for site {root['site']}, root version {root['version']}")

def verify(options):
    file, whole = options.root.resolve(), Path(options.place)
    path, mark = re.fullmatch("(?s)(.*?)(#[^#]*)?", options.place).groups("")
    beside = mark and (whole.exists() or whole.is_symlink())  # an attacker may have put it there
    need(re.fullmatch("|#[0-9a-f]{8,64}", mark) and not beside, "PLACE: no id, or a file", "usage")
    need(Path(path).exists(), f"{path}: not there", "missing")
    home, place = Place(file.parent), Place(Path(path))
    beside = rf"{re.escape(file.name.partition('.')[0])}\.{HEX}\.dsse"
    envelopes = [home.read(one, 2**14) for one in home.names("") if re.fullmatch(beside, one)]
    root = check_root(home.read(file.name, MIB), envelopes, options.fingerprint)
    names = {one.partition("/")[0] for one in place.names("bundles/")}
    ids = sorted(one for one in names if re.fullmatch(HEX, one) and one.startswith(mark[1:]))
    need(ids and (len(ids) == 1 or not mark), f"{path}: {len(ids)} such bundles", "missing")
    for bundle in ids:  # no earlier than the root, §17.2
        check_bundle(place, bundle, root, max(options.at, root.get("created_at", 0)))

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
        kind, why = "unchecked", str(error)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError,
            StopIteration, struct.error) as error:  # where the rules cannot even be applied
        kind, why = "corrupt", f"not of the form of the specification: {error!r}"
    else:
        return 0
    verdict = "CANNOT CHECK" if kind == "unchecked" else f"REFUSED {kind}"
    print(f"{verdict}: {ascii(why)[1:-1]}")
    return EXITS[kind]

if __name__ == "__main__":
    sys.exit(main())
