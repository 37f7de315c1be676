"""Labels of volumes (format §19)."""

import json

import pytest

from airgap.errors import CorruptError
from airgap.format import limits, volume
from airgap.format.volume import Label

BUNDLE = "ab" * 32
GOOD = Label(BUNDLE, 2, (3, 2, 2), (1, 0, 1))


def raw(**changes: object) -> bytes:
    """A good label with some values changed, in the order and spacing of the one form."""
    value = json.loads(volume.encode(GOOD)) | changes
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def test_a_label_is_written_in_the_form_of_the_document() -> None:
    assert volume.encode(GOOD) == (
        b'{"bundle":"' + BUNDLE.encode() + b'","count":3,"format":1,"number":2,'
        b'"packs":[3,2,2],"parity":[1,0,1]}\n'
    )
    assert volume.decode(volume.encode(GOOD)) == GOOD


def test_packs_belong_to_volumes_in_the_order_of_the_manifest() -> None:
    assert [GOOD.volume_of(pack) for pack in range(7)] == [1, 1, 1, 2, 2, 3, 3]


def test_a_label_fits_only_its_own_bundle_with_all_its_packs() -> None:
    assert GOOD.fits(BUNDLE, 7)
    assert not GOOD.fits(BUNDLE, 8)
    assert not GOOD.fits("cd" * 32, 7)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"[" * 60_000, id="nested too deeply"),
        pytest.param(b"[]\n", id="no map"),
        pytest.param(volume.encode(GOOD)[:-1], id="no newline"),
        pytest.param(volume.encode(GOOD) + b"\n", id="more after it"),
        pytest.param(volume.encode(GOOD).replace(b":2,", b": 2,"), id="a space"),
        pytest.param(raw(more=1), id="one key more"),
        pytest.param(raw(bundle="AB" * 32), id="no bundle id"),
        pytest.param(raw(bundle="\u00e9" * 32), id="an escape"),
        pytest.param(raw(format=2), id="another format"),
        pytest.param(raw(format=True), id="a boolean for a number"),
        pytest.param(raw(number=0), id="volume zero"),
        pytest.param(raw(number=4), id="beyond the last volume"),
        pytest.param(raw(count=2), id="fewer volumes than counts"),
        pytest.param(raw(count=4), id="more volumes than counts"),
        pytest.param(raw(parity=[1, 0]), id="fewer counts of parity"),
        pytest.param(raw(packs=[3, 2, -2]), id="a negative count"),
        pytest.param(raw(packs=[3, 2, 2.0]), id="a fraction"),
        pytest.param(raw(packs=[3, 2, limits.PACKS + 1]), id="too many packs"),
        pytest.param(raw(count=limits.VOLUMES + 1), id="too many volumes"),
        pytest.param(raw(packs=[3, 2, 10**5000 // 10**4900]), id="a huge number"),
    ],
)
def test_a_label_in_any_other_form_is_refused(bad: bytes) -> None:
    with pytest.raises(CorruptError):
        volume.decode(bad)


def test_the_longest_label_is_within_its_limit() -> None:
    counts = (limits.PACKS,) * limits.VOLUMES
    label = Label(BUNDLE, limits.VOLUMES, counts, counts)

    assert len(volume.encode(label)) <= limits.VOLUME_LABEL_BYTES
    assert volume.decode(volume.encode(label)) == label


def test_the_text_for_people_says_which_volume_of_how_many() -> None:
    text = volume.render_text(GOOD).decode("ascii")

    assert text.startswith("Volume 2 of 3 of an airgap bundle\n")
    assert "2 of 7 packs and 0 of 2 parity packs" in text
