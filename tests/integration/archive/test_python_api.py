"""``airgap.archive``: what the commands about archives do, from Python (format §35, §36)."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from airgap import archive, results
from airgap.errors import ConflictError, MissingError, NotTrustedError, PolicyError, UsageError
from tests.support.archive_site import ArchiveSite, clock_at, make_archive_site
from tests.support.archives import find_packs, flip
from tests.support.typed_dicts import find_problems


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[ArchiveSite]:
    site = make_archive_site(tmp_path)
    with site.side.here():
        yield site


@pytest.fixture
def bundle(vault: ArchiveSite) -> str:
    """A bundle that is kept for half a year."""
    added = _add(vault, vault.export("v1"))
    (terms,) = added["bundles"]
    return terms["bundle"]


def _add(site: ArchiveSite, *sources: Path) -> results.ArchiveAdditionDict:
    return archive.add(
        sources, site.archive, policy=site.policy, class_name="logs", key=site.key("ray")
    )


def fits(value: object, hint: object) -> bool:
    assert list(find_problems(value, hint)) == []
    return True


def test_what_is_added_is_listed_and_shown(vault: ArchiveSite, bundle: str) -> None:
    again = _add(vault)
    assert fits(again, results.ArchiveAdditionDict)
    assert [(one["bundle"], one["new"]) for one in again["bundles"]] == [(bundle, False)]

    listing = archive.list(vault.archive)
    assert fits(listing, results.ArchiveListingDict)
    assert listing == vault.run("list", vault.archive, "--json").json
    shown = archive.show(f"{vault.archive}#{bundle}")
    assert fits(shown, results.ArchivedBundleDict)
    assert shown == vault.show(bundle)
    assert [record["class_name"] for record in shown["records"]] == ["logs"]


def test_a_hold_keeps_until_approvers_release_it(vault: ArchiveSite, bundle: str) -> None:
    name = f"{vault.archive}#{bundle}"
    held = archive.hold(name, "case 7", key=vault.key("ray"))
    assert fits(held, results.ArchiveHoldDict)
    with pytest.raises(PolicyError):
        archive.release(name, "too early", key=vault.key("dan"))

    file = vault.top / "lifted.release.json"
    first = archive.release(
        name, "case closed", hold=held["hold"], key=vault.key("dan"), output=file
    )
    assert fits(first, results.ArchiveReleaseDict)
    assert (len(first["signed_by"]), first["needed"], first["file"]) == (1, 2, str(file))
    with pytest.raises(NotTrustedError):
        archive.sign_release(file, f"SHA256:{'0' * 64}", key=vault.key("eve"))
    both = archive.sign_release(file, first["digest"], key=vault.key("eve"))
    assert len(both["signed_by"]) == both["needed"] == 2
    with pytest.raises(ConflictError):
        archive.sign_release(file, first["digest"], key=vault.key("eve"))
    published = archive.publish_release(vault.archive, file)
    assert (published["file"], published["hold"]) == (None, held["hold"])
    assert archive.show(name)["holds"] == []


def test_a_clock_far_ahead_needs_a_word(vault: ArchiveSite, bundle: str) -> None:
    name, file = f"{vault.archive}#{bundle}", vault.top / "old.release.json"
    with clock_at("2040-01-01"):
        with pytest.raises(PolicyError):
            archive.release(name, "old", key=vault.key("dan"), output=file)
        done = archive.release(
            name, "old", key=vault.key("dan"), output=file, today=date(2040, 1, 1)
        )
    assert (done["hold"], done["time"]) == (None, "2040-01-01T00:00:00Z")


@pytest.mark.usefixtures("bundle")
def test_shards_are_checked_and_merged(vault: ArchiveSite) -> None:
    flip(find_packs(vault.archive)[0])
    files = [vault.top / f"{number}.json" for number in (1, 2)]
    for number, file in enumerate(files, 1):
        done = archive.check(
            vault.archive, shard=f"{number}/2", output=file, key=vault.key("ray"), jobs=2
        )
        assert fits(done, results.ArchiveCheckDict)
    merged = archive.merge(files, archive=vault.archive, key=vault.key("ray"))
    assert fits(merged, results.ArchiveCheckDict)
    assert (merged["result"], merged["tests"]["failed"], len(merged["shards"])) == (
        "FAILED",
        ["packs"],
        2,
    )
    with pytest.raises(MissingError):
        archive.merge(files[:1], archive=vault.archive, key=vault.key("ray"))


@pytest.mark.usefixtures("bundle")
def test_a_sample_without_a_key_leaves_no_result(vault: ArchiveSite) -> None:
    done = archive.check(vault.archive, sample="50%", older_than=86_400, seed="a", read_only=True)
    assert fits(done, results.ArchiveCheckDict)
    assert (done["result"], done["stored"], done["archive"]) == ("PASSED", None, None)
    assert done["sample"] == {"percent": "50", "older_than": 86_400, "seed": "a"}
    with pytest.raises(UsageError, match="not a part"):
        archive.check(vault.archive, sample="half")
    with pytest.raises(UsageError, match="not a shard"):
        archive.check(vault.archive, shard="3")


@pytest.mark.usefixtures("bundle")
def test_the_doctor_says_what_is_wrong(vault: ArchiveSite) -> None:
    (path,) = vault.list_records()
    flip(path)
    done = archive.doctor(vault.archive)
    assert fits(done, results.ArchiveDiagnosisDict)
    assert not done["healthy"]
    printed = vault.run("doctor", vault.archive, "--json").json
    assert {name: printed[name] for name in done} == done
    problems = [one["message"] for one in done["findings"] if one["level"] == "problem"]
    assert any(path.name in message for message in problems)


@pytest.mark.usefixtures("bundle")
def test_options_of_a_server_need_one(vault: ArchiveSite) -> None:
    with pytest.raises(UsageError, match="are for servers"):
        archive.list(vault.archive, user="ward")
