#!/usr/bin/env python3
"""Verify airgap bundles without airgap: Python's standard library, and openssl for signatures.

PLACE is a depot (all its bundles), DEPOT#ID or a .airgap file; ROOT the site's trust document, its
signatures beside it (without it, those that came along are tried). Lists what there is and who
signed, then says ACCEPTED (exit 0), REFUSED with airgap's kind and exit code, or CANNOT CHECK (3).

THE COPY OF THIS FILE IN A DEPOT PROVES NOTHING: whoever can change the depot can change it too.
Take it, the fingerprint, Python and openssl from where you trust them.

Written from the specification alone (docs/format.md, cited as §), so that it shares no mistake with
airgap. It does not decompress: what is compressed is compared as it is stored, by its pack's digest.
Left to airgap: replay and waivers (§16, §17), which need what a site remembers; YAML (§3.2).
"""

# fmt: off
import argparse
import base64
import re
import struct
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from unicodedata import category, normalize

EXITS = {"cannot check": 3, "corrupt": 10, "not-trusted": 11, "policy": 12, "missing": 13, "storage": 15}
MIB, KINDS, DECIDING = 2**20, ("model", "hugging-face", "bento"), ("scanner", "approver")
HEX, TAG = "[0-9a-f]{64}", "[a-z0-9]([-._a-z0-9]*[a-z0-9])?"
BAD_PATH = r'(?is)[\\:*?"<>|]|(^|/)([^/]*[. ]|(con|prn|aux|nul|(com|lpt)[1-9¹²³])(\.[^/]*)?)?(/|\Z)'
ENVELOPE = (r'\{"payloadType":"%s","signatures":\[\{"keyid":"([0-9a-f]{64})",'
            r'"sig":"((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)"\}\]\}\n')
MEMBERS = (rf"(bundles/{HEX}/)manifest\.msgpack (\1builder\.{HEX}\.dsse |"  # §9
           rf"(\1(?:scanner|approver)\.{HEX}\.)attestation \3dsse )*(padding )?"
           rf"(roots/[1-9]\d{{0,15}}\.(root\.msgpack|{HEX}\.dsse) )*(packs/../{HEX}\.pack )*"
           rf"(\1{HEX}\.model\.sig )*(\1checksums\.txt )?(README\.txt )?(verify\.py )?")
ENTRIES = {"file": "chunks:bytes digest:bytes executable:bool path:str size:int type:str",
           "link": "path:str target:str type:str", "folder": "path:str type:str"}
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
        "ml-dsa-65": ("308207b2300b0609608648016503040312038207a100", 1974, 0),
        "ml-dsa-87": ("30820a32300b060960864801650304031303820a2100", 2614, 0)}

class Refused(Exception):  # noqa: N818
    """What ends the work: its kind, as in EXITS, and why."""

def need(good, why, kind="corrupt"):
    if not good:
        raise Refused(kind, why)

def encode(value):
    kind, parts = type(value), []
    if kind in (bool, type(None)):
        return bytes(byte for byte, single in SINGLES.items() if single is value)
    if kind in (dict, list):
        parts = value if kind is list else [p for key in sorted(value) for p in (key, value[key])]
    value = value.encode() if kind is str else value
    number, (short, most, code, widths) = value if kind is int else len(value), FORMS[kind]
    at = sum(number >= 256**width for width in widths)
    head = [short + number] if number < most else [code + at, *number.to_bytes(widths[at], "big")]
    return bytes(head) + b"".join(map(encode, parts)) + (value if kind in (str, bytes) else b"")

def decode(raw, limit, what):  # what is not in its one encoding does not give the same bytes again
    at = 0
    def take(size):
        nonlocal at
        at += size
        return raw[at - size : at]
    def value():
        first = take(1)[0]
        if first in SINGLES:
            return SINGLES[first]
        kind, short, most, code, widths = next((kind, *form) for kind, form in FORMS.items()
            if 0 <= first - form[0] < form[1] or 0 <= first - form[2] < len(form[3]))
        long = first - short >= most
        number = int.from_bytes(take(widths[first - code]), "big") if long else first - short
        need(number < 2**53, f"{what}: an integer is too large")
        if kind in (list, dict):
            parts = [value() for _ in range(number * (1 + (kind is dict)))]
            return parts if kind is list else dict(zip(parts[::2], parts[1::2]))
        return number if kind is int else take(number) if kind is bytes else take(number).decode()
    need(len(raw) <= limit and encode(found := value()) == raw, f"{what}: not canonical msgpack")
    return found

def demand(value, what, fields):  # exactly these fields, of these types, and what their names say
    rules, known = dict(one.split(":") for one in fields.split()), {"format": 1, "hash": "sha256"}
    need(type(value) is dict and value.keys() == rules.keys(), f"{what}: not the fields {[*rules]}")
    for key, one in value.items():
        good = type(one).__name__ in rules[key].split("|") and known.get(key, one) == one
        good = good and (key not in ("digest", "bundle", "findings") or len(one or bytes(32)) == 32)
        last = 253402300799 if key.endswith("_at") or key in ("not_after", "time") else 2**53
        need(good and (type(one) is not int or one <= last), f"{what}: the field {key!r}")

def is_name(text):  # §2.4
    return len(text) <= 63 and text != "latest" and re.fullmatch(TAG, text)
def is_plain(text):  # §2.5
    hidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}.intersection(map(category, text))
    return not hidden and normalize("NFC", text) == text
def fold(text):  # §2.5
    folded = normalize("NFKC", text).casefold()
    return text if folded == text else fold(folded)
def column(raw, width):  # §2.2
    need(len(raw) % width == 0, "a column of broken elements")
    return [raw[at : at + width] for at in range(0, len(raw), width)]
def u32(raw):
    return [int.from_bytes(one, "big") for one in column(raw, 4)]
def is_set(values):  # sorted and unique
    return values == sorted(set(values))

def check_item(item, lengths):  # §2.4 to §3.2
    demand(item, "item", "digest:bytes entries:list kind:str name:str version:str")
    kind, name, version, entries = (item[key] for key in ("kind", "name", "version", "entries"))
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
        good = len(path.encode()) <= 1024 and len(parts) <= 64 and is_plain(path + target)
        good = good and not any("/".join(above[: n + 1]) in folded for n in range(len(above)))
        good = good and not re.search(BAD_PATH, path) and max(map(len, path.encode().split(b"/"))) <= 255
        good = good and 0 < len(target.encode()) <= 1024 and target[0] != "/" and "\\" not in target
        for part in target.split("/"):
            good = good and fold("/".join(here)) not in links and (here or part != "..")
            here = here[:-1] if part == ".." else here + [part] * (part not in ("", "."))
        if "chunks" in entry:
            entry["chunks"] = u32(entry["chunks"])
            good = good and sum(lengths[n] for n in entry["chunks"]) == entry["size"] <= 2**44
        need(good, f"{name}: {path!r}")
    bare = [{key: one for key, one in entry.items() if key != "chunks"} for entry in entries]
    whole = {"entries": bare, "hash": "sha256", "kind": kind, "name": name, "version": version}
    need(sha256(encode(whole)).digest() == item["digest"], f"{name}: the item's digest")
    sizes = [entry["size"] for entry in entries if entry["path"] == f"{kind}.yaml"]
    need(kind == "hugging-face" or (sizes and sizes[0] <= 4 * MIB), f"{name}: no {kind}.yaml")

def check_manifest(m):  # §4; returns digest, size and blocks of each pack
    later = max(m[key] for key in ("format", "reader") if type(m[key]) is int)
    need(later <= 1, f"manifest: needs a reader of version {later}", "policy")
    demand(m, "manifest", "audience:list blocks:dict channel:str chunks:dict created_at:int "
           "expires_at:int|NoneType format:int hash:str items:list packs:dict reader:int "
           "sequence:int tool:str")
    for table, fields in ((m["chunks"], "digests lengths"), (m["packs"], "block_counts digests sizes"),
                          (m["blocks"], "bases chunk_counts codecs offsets stored_lengths")):
        demand(table, "table", " ".join(f"{one}:bytes" for one in fields.split()))
        for key, raw in table.items():
            table[key] = raw if key == "codecs" else column(raw, 32) if key == "digests" else u32(raw)
        need(len(set(map(len, table.values()))) == 1, "columns of different lengths")
        need(len(set(table.get("digests", []))) == len(table.get("digests", [])), "a digest twice")
    (chunks, packs, b), plan, first, block = (m[one] for one in ("chunks", "packs", "blocks")), [], 0, 0
    lengths, carried = chunks["lengths"], sum(b["chunk_counts"])
    need(all(0 < one <= 4 * MIB for one in lengths) and carried <= len(lengths), "chunks: lengths")
    need(all(packs["block_counts"]) and sum(packs["block_counts"]) == len(b["bases"]), "packs: blocks")
    for digest, size, count in zip(packs["digests"], packs["sizes"], packs["block_counts"]):
        plan.append((digest, size, []))
        end = 0
        for block in range(block, block + count):
            numbers = range(first, first := first + b["chunk_counts"][block])
            offset, stored, base = b["offsets"][block], b["stored_lengths"][block], b["bases"][block]
            good = 0 < stored <= sum(lengths[n] for n in numbers) <= 4 * MIB and len(numbers)
            good = good and end <= offset <= (end := offset + stored) <= size <= 68 * MIB
            if b["codecs"][block] == 3:  # a difference, to one chunk that is not carried
                good = good and carried <= base < len(lengths) and len(numbers) == 1
                good = good and lengths[base] == lengths[numbers.start]
            need(good and (base == 2**32 - 1 or b["codecs"][block] == 3), f"block {block}")
            plan[-1][2].append((b["codecs"][block], offset, stored, numbers))
        block += 1
    for item in m["items"]:
        check_item(item, lengths)
    tags = [(KINDS.index(item["kind"]), item["name"], item["version"]) for item in m["items"]]
    need(is_set(tags) and is_set(m["audience"]), "items or audience: twice or not sorted")
    good = all(map(is_name, [m["channel"], *m["audience"]])) and len(m["tool"]) <= 64
    need(good and is_plain(normalize("NFC", m["tool"])), "channel, audience or tool")
    return plan

def openssl(*arguments, **files):
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            Path(folder, name).write_bytes(data)
        try:
            return subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=False)
        except OSError as error:
            raise Refused("cannot check", "openssl cannot be run") from error

def is_sound(key):  # §7.2; a point of Ed25519 has the large prime order and one form (RFC 8032 §5.1)
    algorithm, spki, (prefix, size, order) = key["algorithm"], key["spki"], KEYS[key["algorithm"]]
    key["pem"] = b"-----BEGIN PUBLIC KEY-----\n%b-----END PUBLIC KEY-----\n" % base64.encodebytes(spki)
    if len(spki) != size or not spki.startswith(bytes.fromhex(prefix)) or algorithm != "ed25519":
        good = len(spki) == size and spki.startswith(bytes.fromhex(prefix))
        if good and algorithm.startswith("ecdsa"):
            good = openssl("pkey", "-pubin", "-in", "key", "-noout", key=key["pem"]).returncode == 0
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
    command = ["pkeyutl", "-verify", "-pubin", "-inkey", "key", "-rawin", "-in", "text", "-sigfile", "sig"]
    if algorithm.startswith("ecdsa"):  # strict DER, s in the lower half: openssl minds neither much
        at = 4 + sum(signature[3:4])
        r, s = (int.from_bytes(part, "big") for part in (signature[4:at], signature[at + 2 :]))
        command = ["dgst", f"-{algorithm[11:]}", "-verify", "key", "-signature", "sig", "text"]
        parts = [one.to_bytes(one.bit_length() // 8 + 1, "big")[-255:] for one in (r, s)]
        body = b"".join(b"\2%c%b" % (len(part), part) for part in parts)
        if not (0 < r < order and 0 < s <= order // 2 and signature == b"\x30%c%b" % (len(body), body)):
            return False
    ran = openssl(*command, key=key["pem"], sig=signature, text=message)
    sure = ran.returncode == 0 or b"verification fail" in (ran.stdout + ran.stderr).lower()
    need(sure, f"this openssl cannot check {algorithm}", "cannot check")
    return ran.returncode == 0 and (algorithm != "ed25519" or len(signature) == 64)

def count(root, role, document, envelopes):  # §7.3
    kind, found = {"root": "root", "builder": "manifest"}.get(role, "attestation"), set()
    kind = f"application/vnd.airgap.{kind}.v1+msgpack"
    for raw in envelopes:
        match = re.fullmatch(ENVELOPE % re.escape(kind), raw.decode("latin-1"))
        signature = base64.b64decode(match[2]) if match else b""
        good = match and base64.b64encode(signature).decode() == match[2]
        need(good, "a malformed envelope", "not-trusted")
        key = root["roles"][role]["usable"].get(match[1])
        if key:
            text = f"DSSEv1 {len(kind)} {kind} {len(document)} ".encode() + document
            need(verifies(key, signature, text), f"signature of {match[1]}", "not-trusted")
            found.add(match[1])
    return found

def check_root(raw, envelopes, fingerprint):  # §7.1, §7.4
    need("SHA256:" + sha256(raw).hexdigest() == fingerprint, "root: another fingerprint", "not-trusted")
    root = decode(raw, MIB, "root")
    demand({"created_at": 0, **root}, "root", "channels:dict created_at:int format:int hash:str "
           "keys:list not_after:int|NoneType revoked_bundles:list revoked_keys:list roles:dict "
           "site:str version:int")
    for key in root["keys"]:
        demand(key, "root: key", "algorithm:str spki:bytes")
    keys, roles = {sha256(key["spki"]).hexdigest(): key for key in root["keys"]}, root["roles"]
    good = list(keys) == sorted(keys) and len(keys) == len(root["keys"]) <= 1000
    good = good and all(map(is_name, [root["site"], *root["channels"]])) and root["version"]
    good = good and is_set(root["revoked_keys"]) and is_set(root["revoked_bundles"])
    good = good and all(re.fullmatch(HEX, one) for one in root["revoked_keys"])
    good = good and all(len(bytes(one)) == 32 for one in root["revoked_bundles"])
    need(good and {"root", "builder"} <= set(roles) <= {"root", "builder", *DECIDING}, "root: a list")
    for told in root["channels"].values():
        demand(told, "root: channel", "minimum_sequence:int")
    for role, told in roles.items():
        demand(told, f"root: {role}", "keys:list threshold:int")
        told["usable"] = {one: keys[one] for one in told["keys"] if one not in root["revoked_keys"]}
        good = is_set(told["keys"]) and 1 <= told["threshold"] <= len(told["usable"])
        need(good and len(told["keys"]) <= 1000, f"root: the role {role}")
    both = {*roles["builder"]["keys"]} & {*roles.get("approver", {"keys": ()})["keys"]}
    need(not both and all(key["algorithm"] in KEYS for key in keys.values()), "root: its keys")
    need(all(map(is_sound, keys.values())), "root: a key that is not in its one form", "not-trusted")
    signed = len(count(root, "root", raw, envelopes)) >= roles["root"]["threshold"]
    need(signed, "root: too few of its own keys signed it", "not-trusted")
    return root

class Place:  # §8, §9: a depot or a .airgap file; gives what lies there by name
    def __init__(self, path):
        self.path, self.members, at, block = path, None if path.is_dir() else {}, 0, b""
        while self.members is not None and block != bytes(512):
            block = self.at(at, 512)
            parts = (one.rstrip(b"\0") for one in (block[345:500], block[:100]) if one[:1] > b"\0")
            name, digits = b"/".join(parts), re.fullmatch(b"[0-7]{11}", block[124:135])
            size = int(digits[0], 8) if digits else 0
            need(block in (bytes(512), header(name, size)), f"{path.name}: a header not as in §9")
            need(name not in self.members, f"{path.name}: a member twice")
            self.members.update({name.decode(): (at + 512, size)} if name else {})
            at += 512 + size + -size % 512
        end, names = self.at(at - 512, MIB + 1025), "".join(f"{one} " for one in self.members or ())
        good = 1024 <= len(end) <= MIB + 1024 and not end.strip(b"\0") and re.fullmatch(MEMBERS, names)
        need(self.members is None or good, f"{path.name}: its members, or its end")

    def at(self, offset, size):
        if self.members is None:
            return b""
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def names(self, folder):
        if self.members is not None:
            return [name[len(folder) :] for name in self.members if name.startswith(folder)]
        top = self.path / folder
        return sorted(one.name for one in top.iterdir()) if top.is_dir() else []

    def read(self, name, limit):
        path, (offset, size) = self.path / name, (self.members or {}).get(name, (0, None))
        if self.members is None:
            way = [path, *path.parents][: name.count("/") + 1]
            good = not any(map(Path.is_symlink, way)) and (path.is_file() or not path.exists())
            need(good, f"{name}: no regular file")
            size = path.stat().st_size if path.exists() else None
        need(size is not None, f"{name}: not there", "missing")
        need(size <= limit, f"{name}: too long")
        if self.members is None:
            return path.read_bytes()
        data = self.at(offset, size + -size % 512)
        need(len(data) == size + -size % 512 and not data[size:].strip(b"\0"), f"{name}: cut off")
        return data[:size]

def header(name, size):  # §9
    top, _, short = name.rpartition(b"/") if len(name) > 100 else (b"", b"", name)
    fields = short, b"0000644", b"0000000", b"0000000", b"%011o" % size, b"0" * 11, b" " * 8, b"0"
    fields += b"", b"ustar\00000", b"", b"0000000", b"0000000", top, b""
    block = struct.pack("100s8s8s8s12s12s8ss100s8s64s8s8s155s12s", *fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]

def frame(raw, size):  # §5.2, RFC 8878: the content of one frame, None where it is compressed
    need(raw[:4] == b"\x28\xb5\x2f\xfd" and not raw[4] & 8, "zstd: no frame")
    single, parts, last = raw[4] >> 5 & 1, [], 0
    window = size if single else (8 + (raw[5] & 7)) << 7 + (raw[5] >> 3)
    width, at = (single, 2, 4, 8)[raw[4] >> 6], 6 - single + (0, 1, 2, 4)[raw[4] & 3]
    told = int.from_bytes(raw[at : at + width], "little") + 256 * (width == 2)
    good = width and told == size and window <= 8 * MIB and not any(raw[6 - single : at])
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
        good = (length == number if kind == 0 else kind == 1) and at <= len(raw)
        need(good and (kind == 0 or (frame(plane, number), True)), "planes: kind or length")
    need(raw[0] in (2, 4, 8) and len(raw) - at == size % raw[0], "planes: width, or bytes left over")
    return None

def check_content(place, m, plan):  # §11; returns how many files were compared in the plain
    (lengths, digests), users, wrong = (m["chunks"][key] for key in ("lengths", "digests")), {}, set()
    files = [entry for item in m["items"] for entry in item["entries"] if "chunks" in entry]
    for file in files:
        file.update(seen=[], sha=sha256())
        for number in file["chunks"]:
            users.setdefault(number, []).append(file)
    for digest, size, blocks in plan:
        name = f"packs/{digest.hex()[:2]}/{digest.hex()}.pack"
        data = place.read(name, size)
        need(len(data) == size and sha256(data).digest() == digest, f"{name}: changed")
        for codec, offset, stored, numbers in blocks:
            plain = unpack(codec, data[offset : offset + stored], sum(lengths[n] for n in numbers))
            at = 0
            for number in numbers if plain is not None else ():
                piece, at = plain[at : at + lengths[number]], at + lengths[number]
                wrong.update([number] if sha256(piece).digest() != digests[number] else [])
                for file in users.get(number, ()):
                    while file["chunks"][len(file["seen"]) :][:1] == [number]:
                        file["seen"].append(number)
                        file["sha"].update(piece)
    whole = [file for file in files if file["seen"] == file["chunks"]]
    for file in whole:
        need(file["sha"].digest() == file["digest"], f"{file['path']!r}: another digest")
        wrong.difference_update(file["chunks"])
    need(not wrong, "a chunk: another digest")
    return f"{len(whole)} of {len(files)} files compared in the plain"

def check_bundle(place, bundle, root, now):  # §7.5, §11, §14
    folder, roles = f"bundles/{bundle}/", root["roles"]
    raw, names, signed = place.read(folder + "manifest.msgpack", 128 * MIB), place.names(folder), {}
    need(sha256(raw).hexdigest() == bundle, "manifest: changed")
    for role in ("builder", *DECIDING):
        found = [one for one in names if re.fullmatch(rf"{role}\.{HEX}\.dsse", one)]
        need(len(found) <= 64, f"too many signatures of the role {role}")
        signed[role] = {one[:-4] + "attestation": place.read(folder + one, 2**14) for one in found}
    need(root["not_after"] is None or now <= root["not_after"], "root: expired", "policy")
    signers = {"builder": count(root, "builder", raw, signed["builder"].values())}
    good = len(signers["builder"]) >= roles["builder"]["threshold"]
    need(good, "bundle: too few builders signed", "not-trusted")
    need(sha256(raw).digest() not in root["revoked_bundles"], "bundle: revoked", "not-trusted")
    m = decode(raw, 128 * MIB, "manifest")
    plan = check_manifest(m)
    need(m["expires_at"] is None or now <= m["expires_at"], "bundle: expired", "policy")
    need(root["site"] in m["audience"] or not m["audience"], "bundle: for another site", "policy")
    least = root["channels"].get(m["channel"], {"minimum_sequence": 0})["minimum_sequence"]
    need(m["sequence"] >= least, f"bundle: below sequence {least} of its channel", "policy")
    for role in (one for one in DECIDING if one in roles):
        signers[role], rejected = set(), False
        for name in (one for one in signed[role] if one in names):
            document = place.read(folder + name, 4096)
            for key in count(root, role, document, [signed[role][name]]):
                said = decode(document, 4096, "attestation")
                demand(said, "attestation", "bundle:bytes decision:str findings:bytes|NoneType "
                       "format:int hash:str note:str role:str time:int")
                good = len(said["note"]) <= 1000 and is_plain(normalize("NFC", said["note"]))
                good = good and said["decision"] in ("accept", "reject") and said["role"] in DECIDING
                need(good, "attestation: a field")
                good = said["role"] == role and said["bundle"].hex() == bundle
                need(good, "attestation: taken from elsewhere", "not-trusted")
                signers[role].add(key)
                rejected = rejected or said["decision"] == "reject"
        need(not rejected, f"bundle: rejected by a {role}", "policy")
        good = len(signers[role]) >= roles[role]["threshold"]
        need(good, f"bundle: too few of the role {role} accept it", "policy")
    needed = len(m["chunks"]["lengths"]) - sum(len(b[3]) for _, _, blocks in plan for b in blocks)
    need(not needed, f"bundle: does not carry {needed} of its chunks", "missing")
    compared = check_content(place, m, plan)
    for role, keys in signers.items():
        print(*(f"signed by {role} {key}" for key in sorted(keys)), sep="\n")
    for item in m["items"]:
        print(f"{item['kind']} {item['name']}:{item['version']} sha256:{item['digest'].hex()}")
        for one in item["entries"]:
            other = f"link to {one['target']}" if "target" in one else "empty folder"
            print(" ", one["digest"].hex() if "digest" in one else other, one["path"])
    print(f"{len(plan)} packs as signed; {compared}, the others as they are stored")
    print(f"ACCEPTED {bundle} for site {root['site']}, root version {root['version']}")

def find_root(place, told):
    home = Place(told.root.resolve().parent) if told.root else place
    folder = "" if told.root else "roots/"
    for name in [told.root.resolve().name] if told.root else home.names(folder):
        raw = home.read(folder + name, MIB) if told.root or name.endswith(".root.msgpack") else b""
        if told.root or "SHA256:" + sha256(raw).hexdigest() == told.fingerprint:
            beside = rf"{re.escape(name.partition('.')[0])}\.{HEX}\.dsse"
            found = [one for one in home.names(folder) if re.fullmatch(beside, one)]
            return check_root(raw, [home.read(folder + one, 2**14) for one in found], told.fingerprint)
    raise Refused("not-trusted", "there is no root with that fingerprint")

def verify(told):
    path, mark, wanted = told.place.rpartition("#")
    path, wanted = (path, wanted) if mark and not Path(told.place).exists() else (told.place, "")
    need(Path(path).exists(), f"{path}: not there", "missing")
    place, refusals = Place(Path(path)), []
    root = find_root(place, told)
    now = max(told.at, root.get("created_at", 0))  # §17: no earlier than that
    names = sorted({one.partition("/")[0] for one in place.names("bundles/")})
    found = [one for one in names if re.fullmatch(HEX, one) and one.startswith(wanted)]
    need(found, f"{path}: no such bundle", "missing")
    for bundle in found:
        try:
            check_bundle(place, bundle, root, now)
        except Refused as error:  # of several, those that are not for this site are passed over
            refusals.append(error)
            if error.args[0] != "policy" or len(refusals) == len(found):
                raise
            print(f"passed over {bundle}: {error.args[1]}")

def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("place", metavar="PLACE")
    parser.add_argument("--fingerprint", required=True, metavar="SHA256:...")
    parser.add_argument("--root", type=Path, metavar="ROOT")
    parser.add_argument("--at", type=int, default=int(time.time()), metavar="SECONDS", help="instead of now")
    told = parser.parse_args(arguments)
    getattr(sys.stdout, "reconfigure", dict)(errors="backslashreplace")
    try:
        verify(told)
    except Refused as error:
        kind, why = error.args
    except OSError as error:
        kind, why = "storage", str(error)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError,
            StopIteration, struct.error) as error:  # where the rules cannot even be applied
        kind, why = "corrupt", f"not of the form of the specification: {error!r}"
    else:
        return 0
    print("CANNOT CHECK" if kind == "cannot check" else f"REFUSED {kind}", ascii(why)[1:-1], sep=": ")
    return EXITS[kind]

if __name__ == "__main__":
    sys.exit(main())
