"""Records of an archive, one of each event, and the digests of their bytes (format §35.2)."""

from airgap.format.archive import (
    ArchivedTerms,
    ArchiveRecord,
    EvidenceFile,
    encode_record,
    record_id,
)

BUNDLE = "ab" * 32
_TERMS = ArchivedTerms(
    "high-risk",
    "2036-11-30T12:00:00Z",
    "cd" * 32,
    ("01" * 32, "02" * 32),
    (
        EvidenceFile("a.receipt.json", "11" * 32, 2_000),
        EvidenceFile("manifest.msgpack", BUNDLE, 4_000),
    ),
    "named",
)
_ARCHIVED = ArchiveRecord("archived", BUNDLE, "ward", "2026-11-30T12:00:00Z", "ann", terms=_TERMS)
_HELD = ArchiveRecord(
    "held",
    BUNDLE,
    "ward",
    "2026-12-01T00:00:00Z",
    "dan",
    "case 7 O 12/31",
    (record_id(encode_record(_ARCHIVED)),),
)
ARCHIVE_RECORDS = (
    _ARCHIVED,
    _HELD,
    ArchiveRecord(
        "released",
        BUNDLE,
        "ward",
        "2027-01-01T00:00:00Z",
        reason="case closed",
        previous=_HELD.previous,
        hold=record_id(encode_record(_HELD)),
    ),
    ArchiveRecord("released", BUNDLE, "ward", "2036-12-01T00:00:00Z", reason="ten years"),
)
