"""Everything that reads bytes of strangers, as one table: what it is given, and how it may refuse.

A reader takes any bytes. It refuses them with one of its own errors, or reads them; and what it
has read, written again, is the same bytes. Anything else is a bug.
"""

import hashlib
import json
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any
from xml.parsers import expat

import yaml

from airgap.chunking import cutters
from airgap.chunking.sizes import SMALLEST
from airgap.codec import table
from airgap.errors import (
    AirgapError,
    ConfigurationError,
    CorruptError,
    NotTrustedError,
    PolicyError,
    TransportError,
)
from airgap.format import (
    attachment,
    attestation,
    bundle_statement,
    check_files,
    envelope,
    files,
    image,
    intoto,
    ledger,
    limits,
    manifest,
    model_signature,
    parity,
    root,
    volume,
    waiver,
    want,
    wheelhouse,
)
from airgap.format.archive import decode_record, encode_record
from airgap.format.archive_policy import decode_archive_policy
from airgap.format.check_result import encode_check
from airgap.format.inventory import Item
from airgap.format.read_check import decode_check
from airgap.format.read_receipt import decode_receipt
from airgap.format.receipt import encode_receipt
from airgap.format.stamp_files import encode_index, parse_archive_index
from airgap.format.wheelhouse import normalize_name
from airgap.ledger.check import read_entries
from airgap.signing import statements
from airgap.store.kinds import find_kind
from airgap.transport.s3 import answers
from airgap.transport.s3.listing import extract_names
from airgap.transport.web.listing import parse_listing
from airgap.wheels import requirements
from tests.support import (
    answer_readers,
    archive_readers,
    bom_readers,
    bundle_readers,
    checks,
    closure_items,
    composed_readers,
    config_readers,
    forge,
    image_readers,
    lock_readers,
    receipts,
    record_readers,
    scan_readers,
    sealed_readers,
    stamp_readers,
    stores,
    text_readers,
    zip_files,
)
from tests.support import signers as people
from tests.support.archive_records import ARCHIVE_RECORDS
from tests.support.archive_site import POLICY
from tests.support.reader import Reader
from tests.support.sides import REPOSITORY

VECTORS = REPOSITORY / "tests" / "vectors"


def accepts(name: str, raw: bytes) -> bool:
    """Tell whether a reader takes these bytes; fail if it does neither that nor refuse them."""
    reader = READERS[name]
    try:
        again = reader.read(raw)
    except reader.refuses as error:
        refusal: AirgapError = error
    else:
        assert again is None or again == raw, "two encodings of one value"
        return True
    assert refusal.message
    assert refusal.hint
    return False


# ---- documents


def _sealed(raw: bytes) -> bytes:
    """Put the digest before a small document, so that what is behind it is reached."""
    return hashlib.sha256(raw).digest() + raw


def _read_ledger(raw: bytes) -> bytes:
    """Write the entries again that fit each other, and add what follows them as it is."""
    entries = list(read_entries("ward", raw))
    again = b"".join(ledger.frame(ledger.encode_entry(entry)) for entry, _ in entries)
    assert all(ledger.encode_entry(entry) == kept for entry, kept in entries)
    return again + raw[len(again) :]


def _vector(pattern: str) -> Callable[[], list[bytes]]:
    return lambda: [path.read_bytes() for path in sorted(VECTORS.glob(pattern))]


DIGEST = bytes(range(32))
ENTRY = ledger.Entry("ward", "imported", 9, 8, 1, DIGEST, DIGEST, "nightly", 3, None, "a note")
STATE = ledger.State(
    "ward",
    2,
    300,
    DIGEST,
    8,
    {"nightly": ledger.ChannelState(3, DIGEST, 1)},
    (DIGEST,),
    DIGEST,
    150,
)


def _ledger_seed() -> bytes:
    first = ledger.encode_entry(ENTRY)
    return ledger.frame(first) + ledger.frame(
        ledger.encode_entry(
            ledger.Entry("ward", "waived", 10, 8, 1, ledger.digest(first), DIGEST, "x", 1, DIGEST)
        )
    )


# ---- what is stored in packs


def _block_seed(codec: int, stored: bytes, length: int) -> bytes:
    return struct.pack(">BI", codec, length) + stored


def _read_block(raw: bytes) -> None:
    """Decode what follows a codec and a plain length, as a manifest would have them."""
    if len(raw) < 5:
        return
    codec, length = struct.unpack(">BI", raw[:5])
    length = length % limits.CHUNK_BYTES + 1
    base = bytes(length) if codec == table.DIFFERENCE else b""
    plain = table.decode(codec, raw[5:], length, base)
    assert len(plain) == length


def _block_seeds() -> list[bytes]:
    plain = bytes(range(256)) * 8
    stored = [(table.RAW, plain), table.encode(plain), table.encode(plain, 2)]
    stored.append((table.DIFFERENCE, table.encode_difference(plain, bytes(len(plain)), 4)))
    return [_block_seed(codec, data, len(plain) - 1) for codec, data in stored]


def _read_file(raw: bytes) -> bytes:
    """Cut a file, which never fails, and join it."""
    with stores.open_file(raw) as file:
        return b"".join(piece.plain for piece in cutters.cut(file))


def _file_seeds() -> list[bytes]:
    tensors = {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
    header = json.dumps(tensors).encode()
    numpy = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }"
    gguf = b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + struct.pack("<Q", 1) + b"a"
    gguf += struct.pack("<IQIQ", 1, 4, 0, 0)
    long = stores.noise(SMALLEST + 100)
    return [
        struct.pack("<Q", len(header)) + header + long,
        b"\x93NUMPY\1\0" + struct.pack("<H", len(numpy)) + numpy + long,
        gguf + long,
        b"PK\3\4" + long,
    ]


def _read_zip_directory(raw: bytes) -> None:
    """Plan the cuts of a zip archive with one member that ends in these bytes."""
    with stores.open_file(_ZIP_MEMBER + raw) as file:
        regions = cutters.plan(file)
    assert all(region.length >= 0 for region in regions)
    assert sum(region.length for region in regions) <= len(_ZIP_MEMBER) + len(raw)


_ZIP_MEMBER = zip_files.zip_member(b"a" * 64)


def _zip_directory_seeds() -> list[bytes]:
    return [zip_files.zip_directory(64), zip_files.zip_directory(64, wide=True)]


# ---- requirements


def _read_requirements(raw: bytes) -> None:
    """Read a file of requirements: no line is lost, and all texts are short."""
    found = requirements.parse_requirements("requirements.txt", raw)
    for line in found.unsupported:
        assert len(line.text) <= 230
    for requirement in found.requirements:
        assert requirement.name == normalize_name(requirement.name)
        assert 1 <= requirement.position.line <= raw.count(b"\n") + raw.count(b"\r") + len(raw)


_REQUIREMENTS = b"""\
--index-url https://joe:s3cret@pypi.example/simple
numpy==2.4.6 --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000
x[a,b] >=1,<2 ; os_name == "posix"
./wheels/y-1-py3-none-any.whl
z @ git+https://joe:s3cret@host/z#egg=z
-r other.txt
"""


# ---- signatures of models


@cache
def _item() -> Item:
    made = forge.draft(forge.model({"w.bin": b"w" * 9, "l": forge.Link("w.bin")}))
    return manifest.decode(made.raw()).items[0]


def _read_model_signature(raw: bytes) -> None:
    claim = model_signature.decode(raw, _item())
    told: dict[str, Any] = json.loads(claim.payload)
    assert told["predicate"]["resources"]


def _model_signature_seeds() -> list[bytes]:
    return [model_signature.encode(model_signature.statement(_item()), b"signature", b"pem")]


# ---- descriptions


def _read_description(kind: str, raw: bytes) -> None:
    """Read a description; what is taken, PyYAML constructs as BentoML lets it."""
    find_kind(kind).read_description(raw, "it", thorough=True)
    yaml.safe_load(raw.decode())


VALUES = "x: [1, -0x1f, 1:30, 2.5, .inf, 2026-01-02 03:04:05, true, ~, &a [b], *a, !!binary eA==]\n"
YAML_WORDS = (
    *(b"!!int ", b"!!float ", b"!!binary ", b"!!timestamp ", b"!!set ", b"!!merge ", b"''"),
    *(b"&a ", b"*a", b"<<: ", b"1:1:1.0", b"0x_", b"0b_", b"2026-02-30", b"labels: ", b"models: "),
    *(b"- ", b": ", b"? ", b"[", b"]", b"{", b"}", b"|\n ", b"\t", b"---\n", b"%YAML 1.1\n"),
)


CORRUPT = (CorruptError,)


def _judge_statement(raw: bytes) -> None:
    statements.judge_statement(raw, "ab" * 32, people.make_root())


def _name_foreign_file(raw: bytes) -> None:
    attachment.name_foreign_file("model.sig", raw)


def _read_listing(raw: bytes) -> None:
    """Read a page as the transport does; none with a document type is read."""
    try:
        listed = extract_names(answers.parse_listing(raw).keys, "top")
    except ValueError as error:
        raise TransportError("It is not a listing.", "Check the endpoint.") from error
    assert not {"", ".", ".."}.intersection(listed)
    assert not any("/" in name for name in listed)
    assert not _has_document_type(raw), "a document type is read, and may have entities"


def _read_web_listing(raw: bytes) -> None:
    """Read a listing in the form that the first byte says; names stay in the folder."""
    media_type = ("text/html", "application/json")[raw[:1] == b"j"]
    try:
        listed = parse_listing(raw[1:], media_type)
    except ValueError as error:
        raise TransportError("It is not a listing.", "Check the URL.") from error
    assert not {"", ".", ".."}.intersection(listed)
    assert not any("/" in name for name in listed)


def _has_document_type(raw: bytes) -> bool:
    found: list[object] = []
    parser = expat.ParserCreate("utf-8")
    parser.StartDoctypeDeclHandler = lambda *_: found.append(_)
    with suppress(expat.ExpatError, LookupError):
        parser.Parse(raw, True)  # noqa: FBT003  (the library's signature)
    return bool(found)


_LISTING_WORDS = (
    *(b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"<!DOCTYPE ListBucketResult>", b" encoding='utf-16'"),
    *(b" encoding='x'", b"<Contents><Key>top/a</Key></Contents>", b"top/", b"../", b"./", b"//"),
    *(b"<IsTruncated>false</IsTruncated>", b"<![CDATA[", b"]]>", b"<!--", b"-->", b"&#10;"),
)


def _description(item: forge.Item, path: str) -> bytes:
    text = item.entries[path]
    assert isinstance(text, bytes)
    return text


_LISTING = (
    b"<?xml version='1.0'?><ListBucketResult><IsTruncated>true</IsTruncated>"
    b"<NextContinuationToken>t</NextContinuationToken>"
    b"<Contents><Key>top/a&amp;b</Key><Size>1</Size></Contents></ListBucketResult>"
)


READERS: dict[str, Reader] = {
    **answer_readers.READERS,
    **archive_readers.READERS,
    **bom_readers.READERS,
    **bundle_readers.READERS,
    **composed_readers.READERS,
    **config_readers.READERS,
    **image_readers.READERS,
    **lock_readers.READERS,
    **record_readers.READERS,
    **scan_readers.READERS,
    **sealed_readers.READERS,
    **stamp_readers.READERS,
    **text_readers.READERS,
    "listing of S3": Reader(_read_listing, (TransportError,), lambda: [_LISTING], _LISTING_WORDS),
    "listing of a web server": Reader(
        _read_web_listing,
        (TransportError,),
        lambda: [
            b'p<title>Index of /</title><a href="../">..</a><a href="bundles/">b</a>',
            b'j[{"name": "bundles/", "type": "directory"}, {"name": "a"}]',
        ],
        (b"<title>index of", b'<a href="', b'{"name": "', b"..", b"%2e", b"&#46;", b"//"),
    ),
    "files.json": Reader(
        lambda raw: files.encode(files.decode(raw)),
        CORRUPT,
        lambda: [_description(closure_items.files({"content/a": b"1"}), "files.json")],
    ),
    "pylock.toml": Reader(
        lambda raw: wheelhouse.encode(wheelhouse.decode(raw)),
        CORRUPT,
        lambda: [_description(closure_items.wheelhouse(), "pylock.toml")],
    ),
    "requirements": Reader(_read_requirements, (), lambda: [_REQUIREMENTS]),
    "index.json": Reader(
        lambda raw: image.encode(image.decode(raw)),
        CORRUPT,
        lambda: [_description(closure_items.image(), "index.json")],
    ),
    "manifest": Reader(
        lambda raw: manifest.encode(manifest.decode(raw)),
        (CorruptError, PolicyError),
        lambda: [
            *_vector("*/bundles/*/manifest.msgpack")(),
            *_vector("reader-2/*/bundles/*/manifest.msgpack")(),
        ],
    ),
    "envelope": Reader(
        lambda raw: envelope.encode(envelope.decode(raw)),
        (NotTrustedError,),
        _vector("exported/bundles/*/*.dsse"),
    ),
    "root": Reader(
        lambda raw: root.encode(root.decode(raw)),
        (CorruptError, PolicyError),
        lambda: [*_vector("root/root.msgpack")(), *_vector("root-2/root*.msgpack")()],
    ),
    "block": Reader(_read_block, (CorruptError, PolicyError), _block_seeds),
    "attestation": Reader(
        lambda raw: attestation.encode(attestation.decode(raw)),
        (CorruptError, PolicyError),
        lambda: [
            attestation.encode(attestation.Attestation(DIGEST, "approver", "accept", 9, "x")),
            attestation.encode(
                attestation.Attestation(DIGEST, "scanner", "reject", 9, name="licence")
            ),
        ],
    ),
    "result of a check": Reader(
        lambda raw: encode_check(decode_check(raw)),
        (CorruptError,),
        lambda: [encode_check(check) for check in (checks.make_bad_check(), checks.make_sampled())],
        (b'"shard"', b'"1/1"', b'"sample"', b"null", b'"packsRead"', b'"FAILED"', b"[]", b"0"),
    ),
    "index of an archive": Reader(
        lambda raw: encode_index(iter(parse_archive_index(raw, "it"))),
        (CorruptError,),
        lambda: [b"%b %b 12 archive/evidence/X.y\n" % (b"ab" * 64, b"cd" * 32)],
    ),
    "list of a check": Reader(
        lambda raw: check_files.encode_digests(check_files.decode_digests(raw, 40, "it")),
        (CorruptError,),
        lambda: [bytes(range(96)), b""],
    ),
    "record of an archive": Reader(
        lambda raw: encode_record(decode_record(raw)),
        (CorruptError,),
        lambda: list(map(encode_record, ARCHIVE_RECORDS)),
        (b'"hold"', b"null", b'"released"', b'"held"', b'"archived"', b'"evidence"', b"[]", b"Z"),
    ),
    "archive policy": Reader(
        lambda raw: decode_archive_policy(raw, "it").raw,
        (ConfigurationError,),
        lambda: [POLICY.encode()],
        (b"10y", b"90d", b"format = 1", b"[classes.x]", b"copies = 1", b"keep", b"check"),
    ),
    "receipt": Reader(
        lambda raw: encode_receipt(decode_receipt(raw)),
        CORRUPT,
        lambda: [
            encode_receipt(receipt)
            for receipt in (
                receipts.make_receipt(note="a note"),
                receipts.make_refusal(),
                receipts.make_terse(),
            )
        ],
    ),
    "envelope of a statement": Reader(
        lambda raw: (
            intoto.encode_envelope(
                intoto.decode_envelope(raw, "envelope", limits.RECEIPT_FILE_BYTES)
            )
            and None
        ),
        CORRUPT,
        lambda: [receipts.sign_receipt(b"{}", receipts.RECORDER)],
    ),
    "statement about a bundle": Reader(
        _judge_statement,
        CORRUPT,
        lambda: [
            statements.sign_statement(
                bundle_statement.provenance_statement(
                    "ab" * 32, bundle_statement.Asked("airgap:x", {}, {}), []
                ),
                people.person("bob"),
            )
        ],
    ),
    "file of others": Reader(
        _name_foreign_file,
        CORRUPT,
        lambda: [b'{"payload":"e30=","payloadType":"x","signatures":[{"sig":"cw=="}]}'],
    ),
    "waiver": Reader(
        lambda raw: waiver.encode(waiver.decode(raw)),
        CORRUPT,
        lambda: [waiver.encode(waiver.Waiver(DIGEST, "ward", "a reason", 9, 10))],
    ),
    "want": Reader(
        lambda raw: want.encode(want.decode(raw)),
        CORRUPT,
        lambda: [want.encode(want.Want(DIGEST, ("model a:v1",), (DIGEST, DIGEST[::-1])))],
    ),
    "label": Reader(
        lambda raw: volume.encode(volume.decode(raw)),
        CORRUPT,
        lambda: [volume.encode(volume.Label(DIGEST.hex(), 2, (3, 2, 2), (1, 0, 0)))],
    ),
    "parity index": Reader(
        lambda raw: parity.encode(parity.decode(raw, 9)),
        CORRUPT,
        lambda: [
            parity.encode([parity.Group((0, 2, 5), (DIGEST,)), parity.Group((1,), (b"p" * 32,))])
        ],
    ),
    "bento.yaml": Reader(
        lambda raw: _read_description("bento", raw),
        CORRUPT,
        lambda: [(forge.describe("bento", "shop:v1") + VALUES).encode()],
        YAML_WORDS,
    ),
    "model.yaml": Reader(
        lambda raw: _read_description("model", raw),
        CORRUPT,
        lambda: [forge.describe("model", "ranker:v1").encode()],
        YAML_WORDS,
    ),
    "model signature": Reader(_read_model_signature, CORRUPT, _model_signature_seeds),
    "ledger": Reader(_read_ledger, (), lambda: [_ledger_seed()]),
    "state": Reader(
        lambda raw: ledger.encode_state(ledger.decode_state(_sealed(raw)))[32:],
        CORRUPT,
        lambda: [ledger.encode_state(STATE)[32:]],
    ),
    "witness": Reader(
        lambda raw: ledger.encode_witness(ledger.decode_witness(_sealed(raw)))[32:],
        CORRUPT,
        lambda: [
            ledger.encode_witness(ledger.Witness("ward", 2, DIGEST, *named))[32:]
            for named in ((), (DIGEST, "/srv/airgap"))
        ],
    ),
    "number": Reader(
        lambda raw: ledger.encode_issued_sequence(ledger.decode_issued_sequence(_sealed(raw)))[32:],
        CORRUPT,
        lambda: [ledger.encode_issued_sequence(ledger.IssuedSequence("nightly", 3, DIGEST))[32:]],
    ),
    "file to cut": Reader(_read_file, (), _file_seeds),
    "zip directory to cut": Reader(_read_zip_directory, (), _zip_directory_seeds),
}
