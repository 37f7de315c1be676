"""Files that are read or written side by side are digested side by side."""

from collections.abc import Callable

from airgap.flow.digesters import Digesters

Work = Callable[[], None]


def make_digesters(count: int) -> tuple[Digesters, list[int]]:
    """Make digesters that note which of them is given work."""
    given: list[int] = []

    def note(thread: int) -> Callable[[Work], None]:
        return lambda _work: given.append(thread)

    return Digesters([note(thread) for thread in range(count)]), given


def nothing() -> None:
    """Do nothing."""


def test_files_that_are_open_have_a_thread_each() -> None:
    digesters, given = make_digesters(3)

    for file in [digesters.begin() for _ in range(3)]:
        file.submit(nothing)

    assert sorted(given) == [0, 1, 2]


def test_a_file_that_begins_gets_the_thread_of_one_that_ended() -> None:
    digesters, given = make_digesters(3)
    files = [digesters.begin() for _ in range(3)]
    files[1].submit(nothing)
    files[1].end()

    digesters.begin().submit(nothing)

    assert given[0] == given[1]


def test_files_one_after_the_other_take_turns() -> None:
    digesters, given = make_digesters(2)

    for _ in range(4):
        file = digesters.begin()
        file.submit(nothing)
        file.end()

    assert given == [0, 1, 0, 1]


def test_what_follows_is_done_by_the_last_thread_only() -> None:
    given: list[Work] = []
    done: list[str] = []
    digesters = Digesters([given.append, given.append, given.append])

    digesters.when_done(lambda: done.append("pack left memory"))
    for work in given[:-1]:
        work()
    before = list(done)
    given[-1]()

    assert before == []
    assert done == ["pack left memory"]
