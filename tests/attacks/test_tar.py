"""Threat model, hostile tar: a ``.airgap`` file is one exact tar, and any other is refused."""

import gzip
from collections.abc import Callable

import pytest

from airgap.errors import AirgapError, CorruptError, MissingError, NotTrustedError
from airgap.format.root import Root
from airgap.signing.trust import Verified
from tests.support import forge, refusals, stores
from tests.support.forge import Forge
from tests.support.sides import Side

Members = list[tuple[str, bytes]]


def two_packs() -> forge.Draft:
    """A bundle of two packs, so that their order can be wrong."""
    made = forge.draft(forge.model({"weights.bin": stores.noise(300)}))
    (whole,) = made.packs
    cut = len(whole) - 300
    made.packs = [whole[:cut], whole[cut:]]
    made.manifest["packs"] = {
        "block_counts": forge.u32(1, 1),
        "digests": b"".join(map(forge.sha256, made.packs)),
        "sizes": forge.u32(cut, 300),
    }
    made.manifest["blocks"]["offsets"] = forge.u32(0, 0)
    return made


@pytest.fixture
def files(forged: Forge) -> Members:
    """The manifest, one envelope, and two packs."""
    made = two_packs()
    raw = made.raw()
    return forge.members(raw, forge.sign(raw, forged.signer), made.packs)


def refuse(
    isolated: Side, forged: Forge, raw: bytes, error: type[AirgapError] = CorruptError
) -> None:
    """Expect the refusal of a file by both commands."""
    path = forged.folder / "hostile.airgap"
    path.write_bytes(raw)
    refusals.expect_refusal(isolated, "verify", path, error=error)
    refusals.expect_refusal(isolated, "import", path, error=error, staging=True)


def test_what_is_changed_below_is_good_before(
    files: Members, forged: Forge, isolated: Side
) -> None:
    path = forged.folder / "good.airgap"
    path.write_bytes(forge.tar(files))
    assert isolated.run("verify", path).code == 0

    padding = ("padding", b"any bytes")
    texts = [(f"{files[0][0].rpartition('/')[0]}/checksums.txt", b"x"), ("README.txt", b"y")]
    path.write_bytes(forge.tar([*files[:2], padding, *files[2:], *texts]))
    assert isolated.run("import", path).code == 0


TYPES = [b"\0", *(b"%d" % number for number in range(1, 8)), *b"x g L K S V A M N D".split()]

HEADERS: dict[str, tuple[int, bytes]] = {
    **{f"type {flag!r}": (156, flag) for flag in TYPES},
    "a link's name": (157, b"/etc/passwd"),
    "another mode": (100, b"0000755\0"),
    "a setuid mode": (100, b"0004755\0"),
    "an owner": (108, b"0001750\0"),
    "a group": (116, b"0001750\0"),
    "an owner's name": (265, b"root\0"),
    "a group's name": (297, b"root\0"),
    "a time": (136, b"15000000000\0"),
    "a device number": (329, b"0000001\0"),
    "GNU's magic": (257, b"ustar  \0"),
    "no magic": (257, bytes(8)),
    "another version": (263, b"01"),
    "a size with spaces": (124, b"        454 "),
    "a size without NUL": (124, b"00000000454 "),
    "a size in base 256": (124, b"\x80" + bytes(10) + b"\x02"),
    "a negative size": (124, b"\xff" * 12),
    "a size that is no number": (124, b"0000000045x\0"),
    "the largest size": (124, b"77777777777\0"),
    "the largest size in base 256": (124, b"\x80" + b"\xff" * 11),
    "an absolute name": (0, b"/etc/passwd\0"),
    "a name that goes up": (0, b"../../etc/passwd\0"),
    "bytes behind the name": (99, b"x"),
    "a prefix that is not needed": (345, b"x"),
    "bytes at the end": (511, b"x"),
}


@pytest.mark.parametrize("at", [0, 1, 2, 3], ids=["manifest", "envelope", "pack", "last pack"])
def test_no_header_but_the_one_is_read(
    at: int, files: Members, forged: Forge, isolated: Side, root: Verified[Root]
) -> None:
    path = forged.folder / "hostile.airgap"
    parts = [forge.member(*one) for one in files]
    name, data = files[at]
    # A prefix makes another name, which may be that of nobody's signature.
    errors = (CorruptError, NotTrustedError) if at == 1 else (CorruptError,)
    with forge.refused(isolated, root, *errors, staging=True) as check:
        for change in HEADERS.values():
            parts[at] = forge.header(name, len(data), change=change) + parts[at][512:]
            forge.put(path, b"".join(parts) + bytes(1024))
            check(path)


@pytest.mark.parametrize("checksum", [b"000000\0 ", b"        ", b"%07o\0" % 1, b"%06o \0" % 1])
def test_a_header_with_a_wrong_checksum_is_refused(
    checksum: bytes, files: Members, forged: Forge, isolated: Side
) -> None:
    raw = bytearray(forge.tar(files))
    raw[148:156] = checksum

    refuse(isolated, forged, bytes(raw))


EXTRA = ("extra.txt", b"not in the manifest")

ORDERS: dict[str, Callable[[Members], Members]] = {
    "the packs swapped": lambda all_: [*all_[:2], all_[3], all_[2]],
    "a pack first": lambda all_: [all_[2], *all_[:2], all_[3]],
    "the envelope first": lambda all_: [all_[1], all_[0], *all_[2:]],
    "the envelope behind the packs": lambda all_: [all_[0], *all_[2:], all_[1]],
    "the envelope behind the padding": lambda all_: [
        all_[0],
        ("padding", b""),
        *all_[1:],
    ],
    "the manifest twice": lambda all_: [all_[0], *all_],
    "the manifest twice at the end": lambda all_: [*all_, all_[0]],
    "the envelope twice": lambda all_: [*all_[:2], *all_[1:]],
    "a pack twice": lambda all_: [*all_[:3], *all_[2:]],
    "padding twice": lambda all_: [*all_[:2], ("padding", b""), ("padding", b""), *all_[2:]],
    "padding between packs": lambda all_: [*all_[:3], ("padding", b""), *all_[3:]],
    "padding first": lambda all_: [("padding", b""), *all_],
    "padding at the end": lambda all_: [*all_, ("padding", b"")],
    "a stranger first": lambda all_: [EXTRA, *all_],
    "a stranger behind the manifest": lambda all_: [all_[0], EXTRA, *all_[1:]],
    "a stranger before the packs": lambda all_: [*all_[:2], EXTRA, *all_[2:]],
    "a stranger between packs": lambda all_: [*all_[:3], EXTRA, *all_[3:]],
    "a stranger at the end": lambda all_: [*all_, EXTRA],
    "a readme before the packs": lambda all_: [*all_[:2], ("README.txt", b""), *all_[2:]],
    "a pack under another name": lambda all_: [*all_[:2], ("packs/00/x.pack", all_[2][1]), all_[3]],
    "a pack with a byte more": lambda all_: [*all_[:3], (all_[3][0], all_[3][1] + b"\0")],
    "a pack with a byte fewer": lambda all_: [*all_[:3], (all_[3][0], all_[3][1][:-1])],
    "another bundle's envelope": lambda all_: [
        all_[0],
        (all_[1][0].replace(all_[1][0][8:72], "0" * 64), all_[1][1]),
        *all_[2:],
    ],
    "two bundles": lambda all_: [*all_, *all_],
}


UNSIGNED = {  # what is not where a signature belongs is none
    "the envelope behind the packs",
    "the envelope behind the padding",
    "the manifest twice",
    "a stranger behind the manifest",
    "another bundle's envelope",
}


@pytest.mark.parametrize("name", ORDERS)
def test_an_archive_is_refused_that_has(
    name: str, files: Members, forged: Forge, isolated: Side
) -> None:
    error = NotTrustedError if name in UNSIGNED else CorruptError
    refuse(isolated, forged, forge.tar(ORDERS[name](files)), error)


def test_an_archive_that_ends_properly_before_its_last_pack_lacks_it(
    files: Members, forged: Forge, isolated: Side
) -> None:
    refuse(isolated, forged, forge.tar(files[:3]), MissingError)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(lambda raw: raw[:-1024], id="no end"),
        pytest.param(lambda raw: raw[:-512], id="half an end"),
        pytest.param(lambda raw: raw[:-512] + b"\1" + bytes(511), id="an end that is not zero"),
        pytest.param(lambda raw: raw + raw, id="itself again"),
        pytest.param(lambda raw: raw + b"\1", id="a byte behind its end"),
        pytest.param(lambda raw: raw + bytes(2 * 1024 * 1024), id="two megabytes of zeros"),
        pytest.param(gzip.compress, id="compression"),
        pytest.param(lambda raw: bytes(1024) + raw, id="an end before it"),
        pytest.param(lambda _: bytes(10240), id="nothing in it"),
        pytest.param(lambda _: b"", id="no bytes"),
        pytest.param(lambda raw: raw[1:], id="its first byte cut off"),
    ],
)
def test_an_archive_is_refused_with(
    raw: Callable[[bytes], bytes], files: Members, forged: Forge, isolated: Side
) -> None:
    refuse(isolated, forged, raw(forge.tar(files)))


def test_bytes_between_members_are_zeros(files: Members, forged: Forge, isolated: Side) -> None:
    raw = bytearray(forge.tar(files))
    raw[512 + len(files[0][1])] = 1

    refuse(isolated, forged, bytes(raw))


@pytest.mark.parametrize("kind", ["GNU", "pax"])
def test_a_header_that_renames_the_next_member_is_refused(
    kind: str, files: Members, forged: Forge, isolated: Side
) -> None:
    name = b"../../../etc/cron.d/x\0"
    pax = b"30 path=../../../etc/cron.d/x\n"
    special = {
        "GNU": forge.header("././@LongLink", len(name), flag=(156, b"L")) + name.ljust(512, b"\0"),
        "pax": forge.header("x", len(pax), flag=(156, b"x")) + pax.ljust(512, b"\0"),
    }[kind]
    parts = [forge.member(*one) for one in files]

    refuse(isolated, forged, b"".join([*parts[:2], special, *parts[2:]]) + bytes(1024))
    refuse_again = b"".join([special, *parts]) + bytes(1024)
    (forged.folder / "hostile.airgap").write_bytes(refuse_again)
    refusals.expect_refusal(
        isolated, "import", forged.folder / "hostile.airgap", error=CorruptError
    )


@pytest.mark.parametrize("size", [128 * 1024 * 1024 + 1, 8**11 - 1])
def test_a_manifest_that_claims_a_huge_size_is_refused_before_it_is_read(
    size: int, files: Members, forged: Forge, isolated: Side
) -> None:
    refuse(isolated, forged, forge.header(files[0][0], size) + forge.tar(files)[512:])


def test_a_signature_that_claims_a_huge_size_is_refused_before_it_is_read(
    files: Members, forged: Forge, isolated: Side
) -> None:
    first = forge.member(*files[0])
    rest = forge.header(files[1][0], 16 * 1024 + 1) + bytes(32 * 1024)
    refuse(isolated, forged, first + rest)


def test_padding_that_claims_a_huge_size_is_refused_before_it_is_read(
    files: Members, forged: Forge, isolated: Side
) -> None:
    front = b"".join(forge.member(*one) for one in files[:2])
    refuse(isolated, forged, front + forge.header("padding", 8**11 - 1) + bytes(4096))


def test_more_signatures_than_there_may_be_are_refused(
    files: Members, forged: Forge, isolated: Side
) -> None:
    folder = files[0][0].rpartition("/")[0]
    many = [(f"{folder}/builder.{number:064x}.dsse", files[1][1]) for number in range(65)]

    refuse(isolated, forged, forge.tar([files[0], *many, *files[2:]]))
