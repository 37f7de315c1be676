"""What follows from a licence policy, and from what items say."""

from datetime import date

import pytest

from airgap.bom.claims import Licences, LicenceText, make_claim
from airgap.bom.policy import Decision, Subject, decide, decode_policy, find_difference
from airgap.errors import ConfigurationError

TODAY = date(2026, 11, 30)
POLICY = """
allow = ["Apache-2.0", "mit", "BSD-3-Clause"]
review = ["llama3.1", "GPL-2.0-only WITH Classpath-exception-2.0"]
deny = ["AGPL-3.0-only", "cc-by-nc-4.0"]
unknown = "refuse"
"""


def judge(*texts: str, policy: str = POLICY, licences: Licences | None = None) -> Decision:
    claims = tuple(make_claim(text, "README.md: license") for text in texts)
    subject = Subject("model", "ranker", "v1", licences or Licences(claims))
    (decision,) = decide(decode_policy(policy.encode(), "policy.toml"), [subject], TODAY)
    return decision


@pytest.mark.parametrize(
    ("texts", "verdict"),
    [
        (["MIT"], "allowed"),
        (["apache-2.0", "mit"], "allowed"),
        (["mit", "LLAMA3.1"], "review"),
        (["mit", "cc-by-nc-4.0"], "refused"),
        (["ISC"], "refused"),
        ([], "refused"),
        (["unknown"], "refused"),
        (["other"], "refused"),
        (["AGPL-3.0-only OR MIT"], "allowed"),
        (["AGPL-3.0-only AND MIT"], "refused"),
        (["MIT AND (llama3.1 OR ISC)"], "refused"),
        (["GPL-2.0-only WITH Classpath-exception-2.0"], "review"),
        (["GPL-2.0-only WITH Other-exception"], "refused"),
    ],
)
def test_the_strictest_of_all_licences_decides(texts: list[str], verdict: str) -> None:
    assert judge(*texts).verdict == verdict


@pytest.mark.parametrize(
    ("unknown", "verdict"), [("refuse", "refused"), ("review", "review"), ("warn", "warning")]
)
def test_what_states_no_licence_is_never_allowed(unknown: str, verdict: str) -> None:
    policy = f'allow = ["MIT"]\nunknown = "{unknown}"\n'

    assert judge(policy=policy).verdict == verdict
    assert judge("other", policy=policy).verdict == verdict
    assert judge("ISC", policy=policy).verdict == verdict
    assert judge("MIT", policy=policy).verdict == "allowed"


def test_a_file_that_cannot_be_read_may_name_another_licence() -> None:
    licences = Licences(
        (make_claim("mit", "m.gguf: general.license"),), (), ("README.md is not readable: x",)
    )

    decision = judge(licences=licences)

    assert decision.verdict == "refused"
    assert decision.reason == "README.md is not readable: x, and may name a licence"


def exception(until: str = "2026-11-30", item: str = "model ranker") -> str:
    return f'{POLICY}[[exceptions]]\nitem = "{item}"\nreason = "contract 7"\nuntil = {until}\n'


@pytest.mark.parametrize("item", ["model ranker", "model ranker:v1"])
def test_an_exception_holds_until_the_end_of_its_day(item: str) -> None:
    decision = judge("cc-by-nc-4.0", policy=exception(item=item))

    assert (decision.verdict, decision.reason) == ("allowed", "exception: contract 7")


@pytest.mark.parametrize("item", ["model ranker:v2", "hugging-face ranker", "ranker"])
def test_an_exception_is_for_the_item_that_it_names(item: str) -> None:
    assert judge("cc-by-nc-4.0", policy=exception(item=item)).verdict == "refused"


def test_an_exception_that_has_ended_is_named_and_permits_nothing() -> None:
    decision = judge("cc-by-nc-4.0", policy=exception("2026-11-29"))

    assert decision.verdict == "refused"
    assert [ended.until for ended in decision.ended] == [date(2026, 11, 29)]


def test_a_package_is_named_with_its_version_as_pip_writes_it() -> None:
    assert Subject("wheel", "torch", "2.9.0").label == "wheel torch==2.9.0"


def test_kinds_that_a_policy_leaves_out_are_not_decided_about() -> None:
    policy = decode_policy(f'{POLICY}kinds = ["model"]\n'.encode(), "p")
    subjects = [Subject("model", "a", "1"), Subject("bento", "b", "1")]

    assert [decision.subject.name for decision in decide(policy, subjects, TODAY)] == ["a"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "unknown must be"),
        ("unknown = 7", "unknown must be"),
        ("unknown = 'allow'", "unknown must be"),
        ("unknown = ['warn']", "unknown must be"),
        ("allow = 7\nunknown = 'warn'", "allow must be a list"),
        ("allow = ['']\nunknown = 'warn'", "allow must be a list"),
        ('allow = ["a\\u001b"]\nunknown = "warn"', "allow must be a list"),
        ("alow = ['MIT']\nunknown = 'warn'", "which no policy has"),
        ("allow = ['MIT']\ndeny = ['mit']\nunknown = 'warn'", "in two lists"),
        ("unknown = 'warn'\nexceptions = 7", "must be tables"),
        ("unknown = 'warn'\nexceptions = [7]", "must be tables"),
        ("unknown = 'warn'\n[[exceptions]]\nitem = 'a'", "needs item, reason and until"),
        ("unknown = 'warn'\n[[exceptions]]\nitem = 'a'\nreason = ''\nuntil = 2026-01-01", "short"),
        ("unknown = 'warn'\n[[exceptions]]\nitem = 'a'\nreason = 'b'\nuntil = 'soon'", "a date"),
        (
            "unknown='warn'\n[[exceptions]]\nitem='a'\nreason='b'\nuntil=2026-01-01T00:00:00Z",
            "a date",
        ),
        ("[", "not TOML"),
        ("a = " + "[" * 9_000, r"nested|TOML"),
    ],
)
def test_a_policy_that_breaks_its_form_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        decode_policy(text.encode(), "policy.toml")


@pytest.mark.parametrize("raw", [b"\xff", b"#" * 1024 * 1024 + b"#"])
def test_a_policy_that_is_no_text_or_too_long_is_refused(raw: bytes) -> None:
    with pytest.raises(ConfigurationError, match=r"UTF-8|bytes"):
        decode_policy(raw, "policy.toml")


def licences(stated: str, **texts: str) -> Licences:
    claims = (make_claim(stated, "README.md: license"),) if stated else ()
    return Licences(claims, tuple(LicenceText(path, None, name) for path, name in texts.items()))


@pytest.mark.parametrize(
    ("found", "differs"),
    [
        (licences("mit", LICENSE="MIT"), False),
        (licences("gpl-3.0-or-later", COPYING="GPL-3.0"), False),
        (licences("MIT OR Apache-2.0", LICENSE="Apache-2.0"), False),
        (licences("mit", NOTICE=""), False),
        (licences("llama9", LICENSE=""), False),
        (licences("", LICENSE="MIT"), False),
        (licences("mit", LICENSE="Apache-2.0"), True),
        (licences("mit", LICENSE=""), True),
        (licences("mit", LICENSE="MIT", USE_POLICY="llama3.1"), True),
    ],
)
def test_a_licence_that_is_not_the_text_beside_it_differs(
    found: Licences, *, differs: bool
) -> None:
    assert bool(find_difference(found)) == differs


def test_a_licence_that_differs_from_its_text_needs_a_person() -> None:
    assert judge(licences=licences("mit", LICENSE="")).verdict == "review"
    assert judge(licences=licences("mit", LICENSE="Apache-2.0")).verdict == "review"
    assert judge(licences=licences("mit", LICENSE="CC-BY-NC-4.0")).verdict == "refused"
    assert judge(licences=licences("", LICENSE="MIT")).verdict == "allowed"
