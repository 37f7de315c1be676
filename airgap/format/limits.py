"""The limits of the format (format §2.3). Each is checked before memory is allocated."""

KIB = 1024
MIB = 1024 * KIB

MANIFEST_BYTES = 128 * MIB
ROOT_BYTES = 1 * MIB
ENVELOPE_BYTES = 16 * KIB
ENVELOPES = 64  # of a bundle and role
ENVELOPES_BESIDE = 1000  # of a root or a waiver: as many as a root has keys
WANT_BYTES = 96 * MIB
ATTESTATION_BYTES = 4 * KIB
NOTE_CHARACTERS = 1000
ATTESTATION_NAME_CHARACTERS = 11  # file names on volumes have at most 97 characters
MODEL_SIGNATURE_BYTES = 16 * MIB
MODEL_SIGNATURES_BYTES = 64 * MIB  # all of one bundle
WAIVER_BYTES = 8 * KIB
LABELS = 32
LABEL_CHARACTERS = 128

ATTACHMENT_NAME_CHARACTERS = 20
STAMP_NAME_CHARACTERS = 23  # a role, the name of an attestation, and a number
ATTACHMENTS = 64  # of each kind
ATTACHMENTS_BYTES = 64 * MIB  # all of one bundle
FINDINGS_BYTES = 16 * MIB
STATEMENT_BYTES = 4 * MIB
TIME_STAMP_BYTES = 64 * KIB
CERTIFICATE_BYTES = 64 * KIB
INDEX_BYTES = 16 * MIB
STAMPS = 64  # of one chain

RECEIPT_BYTES = 64 * KIB  # what is signed; a person reads all of it
RECEIPT_FILE_BYTES = 256 * KIB  # with its signatures, in base64
RECEIPT_HOLDS = 200
RECEIPT_GAPS = 32
RECEIPT_EVIDENCE = 64
RECEIPT_EARLIER = 16  # receipts before it that a receipt names
WITNESSED = 16  # ledgers of the sender

RECORD_BYTES = 1 * MIB  # of an archive: what is signed (format §35.2)
RECORD_FILE_BYTES = 2 * MIB  # with its signatures, in base64
RECORDS = 1000  # of one bundle
RECORD_BASES = 1000
RECORD_NAME_CHARACTERS = 200  # of a file of evidence
EVIDENCE_FILES = 1000  # of one bundle
EVIDENCE_BYTES = 64 * MIB  # each
ARCHIVE_POLICY_BYTES = 64 * KIB
ARCHIVE_CLASSES = 100

LEDGER_BYTES = 256 * MIB
LEDGER_IMPORT_BYTES = 255 * MIB  # after an import; the rest is for roots and resets
LEDGER_REFUSAL_BYTES = 128 * MIB  # after a refusal
COUNTED_BYTES = 4 * MIB  # the signatures of a bundle that an importer keeps
COUNTED_FILES = 512
SEEN_CHECKPOINTS = 1000  # of a ledger, that a reader remembers
LEDGER_ENTRY_BYTES = 16 * KIB
NOTE_BYTES = 64 * KIB  # a checkpoint with its signatures
NOTE_SIGNATURES = 16
TREE_LEVELS = 63
TREE_PROOF_BYTES = 80 * KIB  # a checkpoint, and at most 63 digests
LEDGER_SIGNERS = 64  # ids of keys in one entry
LEDGER_DOCUMENTS = 64  # of one entry
STATE_BYTES = 1 * MIB
FOLDER_CHARACTERS = 900  # of a witness's folder: it fits into a small file
SMALL_STATE_BYTES = 4 * KIB  # a witness, an exporter's last sequence
CHANNELS = 1000  # in a site's state

ITEMS = 10_000
ENTRIES = 2_000_000
CONTAINERS = ENTRIES + 3 * ITEMS  # maps and arrays in one document
VALUES = 8 * ENTRIES  # elements and pairs in all of them
CHUNKS = 2_500_000
CHUNK_USES = 2 * CHUNKS  # by files: several may use the same chunk
PACKS = 1_000_000

CHUNK_BYTES = 4 * MIB
PACK_TARGET_BYTES = 32 * MIB  # writers end a pack here: an import has two to five packs in memory
PACK_BYTES = 64 * MIB + CHUNK_BYTES

PATH_BYTES = 1024
PATH_PART_BYTES = 255
PATH_PARTS = 64
TAG_CHARACTERS = 63
REPOSITORY_CHARACTERS = 200
TOOL_CHARACTERS = 64

FILE_BYTES = 2**44
INTEGER = 2**53 - 1
TIME = 253_402_300_799  # 9999-12-31T23:59:59Z

ROOT_KEYS = 1000
ROOT_RULES = 100  # of each kind in a root of format 2 (format §7.6)
RULE_VALUES = 1000
OPTION_CHARACTERS = 63
PERSON_CHARACTERS = 64
RECIPIENT_CHARACTERS = 4096
LABEL_CHARACTERS = 128
TRAVELLING_ROOTS = 100
TRAVELLING_ENVELOPES = 6400  # of all of them
SITES = 1000

DEPOT_BUNDLES = 10_000
FOLDER_NAMES = 100_000  # in one folder of a depot, whoever wrote the files
MARKS_BYTES = 128 * MIB
SWEEP_BYTES = 1 * MIB
SWEPT_NAMES = 1000
TEXT_MEMBER_BYTES = 256 * MIB  # the texts of format §9, which are skipped
PADDING_BYTES = 256 * MIB
TAIL_BYTES = 1 * MIB  # zeros after the end of a .airgap file; tar pads to 10 KiB

VOLUME_LABEL_BYTES = 128 * KIB
VOLUMES = 1000
PARITY_INDEX_BYTES = 64 * MIB
PARITY_PACKS = 1_000_000
GROUP_PACKS = 128  # and as many parity packs: the field has 256 elements

AGE_HEADER_BYTES = 64 * KIB
SEAL_BYTES = 96 * MIB  # the plain text of a seal (format §34)
SEALED_PACK_BYTES = PACK_BYTES + 128 * KIB  # header, nonce and tags of the age file
IDENTITY_BYTES = 64 * KIB
IDENTITIES = 100  # in all files that are given

WINDOW_BYTES = 8 * MIB

# Archives for stock BentoML (format §10). The sizes of signed ones follow from their manifests.
PAX_BYTES = 64 * KIB
TAR_END_BYTES = 64 * KIB
XZ_MEMORY_BYTES = 80 * MIB  # a dictionary of 64 MiB, and the decoder's own memory
ZIP_DIRECTORY_BYTES = 128 * MIB
UNSIGNED_BYTES = 2**44
DESCRIPTION_BYTES = 4 * MIB  # bento.yaml and model.yaml
DESCRIPTION_NODES = 100_000  # scalars, lists and maps in it, those behind an alias each time
DESCRIPTION_DEPTH = 100

# What travels beside Bentos and models (format §25 to §27).
FILES_DESCRIPTION_BYTES = 4 * KIB
PACKAGES = 5000  # of a wheelhouse
IMAGE_DOCUMENT_BYTES = 4 * MIB  # an index, manifest or configuration
REFERENCE_CHARACTERS = 255

# What a report for auditors has at most (format §38.1).
AUDIT_LEDGERS = 16
AUDIT_ENTRIES = 100_000  # of all ledgers together
AUDIT_RECEIPTS = 100_000
AUDIT_PROOFS = 1_000  # entries that have a proof of their own in the evidence folder

# Checks of an archive (format §36).
SHARDS = 4096
CHECK_BYTES = 2 * MIB  # the statement of a result
CHECK_FILE_BYTES = 4 * MIB  # in its envelope
ARCHIVE_PACKS = 2_000_000  # of one shard
CHECK_PROBLEMS = 1000  # that a result lists
CHECK_NEEDED_BY = 10  # bundles that it names for one pack
SEED_CHARACTERS = 64
ARCHIVE_INDEX_BYTES = 256 * MIB
RENEWALS = 99  # of one day
