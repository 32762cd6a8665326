from __future__ import annotations

import itertools
import pickle
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import ConfigError
from guard.schema import Span
from guard.vault import Vault


def _span(text: str, part: str, category: str = "pii_email", score: float = 1.0) -> Span:
    start = text.index(part)
    return Span(start, start + len(part), category, score)


def _redact(vault: Vault, text: str, *parts: str, category: str = "pii_email") -> str:
    return vault.redact(text, [_span(text, part, category) for part in parts])


def test_values_are_numbered_by_kind_and_come_back() -> None:
    vault = Vault()
    text = "jo@x.org and al@x.org, 555-0100"
    spans = [_span(text, "555-0100", "pii_phone"), _span(text, "jo@x.org"), _span(text, "al@x.org")]
    redacted = vault.redact(text, spans)
    assert redacted == "[EMAIL_1] and [EMAIL_2], [PHONE_1]"
    assert vault.restore(redacted) == text
    assert len(vault) == 3


@pytest.mark.parametrize(
    ("first", "second", "category", "same"),
    [
        ("jo@x.org", "jo@x.org", "pii_email", True),
        ("jo@x.org", "JO@X.org", "pii_email", True),
        ("jo@x.org", "jo@\u200bx.org", "pii_email", True),
        ("jo@x.org", "joe@x.org", "pii_email", False),
        ("j.o@x.org", "jo@x.org", "pii_email", False),
        ("4111 1111 1111 1111", "4111-1111-1111-1111", "pii_card", True),
        ("4111 1111 1111 1111", "4111 1111 1111 1112", "pii_card", False),
        ("(212) 555-0100", "212.555.0100", "pii_phone", True),
        ("Ada  Lovelace", "ada lovelace", "pii_name", True),
        ("aB3", "ab3", "secret", False),
    ],
)
def test_same_value_has_the_same_placeholder_in_every_turn(first: str, second: str, category: str, same: bool) -> None:
    vault = Vault()
    one = _redact(vault, first, first, category=category)
    other = _redact(vault, f"again {second}", second, category=category)
    assert (other == f"again {one}") is same
    assert vault.restore(one) == first


def test_overlapping_spans_are_joined_under_the_best_name() -> None:
    spans = [Span(0, 5, "pii", 0.9), Span(0, 5, "pii_card", 0.9), Span(3, 8, "pii_phone", 0.4), Span(8, 8, "x", 1.0)]
    vault = Vault()
    assert vault.redact("12345678rest", spans) == "[CARD_1]rest"
    assert vault.restore("[CARD_1]") == "12345678"


def test_span_outside_the_text_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="outside the text of length 5") as caught:
        Vault().redact("hello", [Span(0, 6, "pii_email", 1.0)])
    assert "hello" not in str(caught.value)


def test_typed_placeholder_names_nothing_in_the_vault() -> None:
    vault = Vault()
    _redact(vault, "I am jo@x.org", "jo@x.org")
    redacted = vault.redact("Say [EMAIL_1] and [EMAIL_2]", [])
    assert redacted == "Say [LITERAL_1] and [LITERAL_2]"
    assert vault.restore(redacted) == "Say [EMAIL_1] and [EMAIL_2]"


def test_parts_do_what_redact_does() -> None:
    vault = Vault()
    assert vault.placeholder("pii_email", "jo@x.org") == "[EMAIL_1]"
    assert vault.placeholder("pii_email", "JO@x.org") == "[EMAIL_1]"
    assert vault.placeholder("pii_email", "al@x.org", stage="output") == "[EMAIL_2]"
    assert vault.escape("[EMAIL_1] [x]") == "[LITERAL_1] [x]"
    assert vault.restore("[EMAIL_1] [EMAIL_2] [LITERAL_1]") == "jo@x.org [EMAIL_2] [EMAIL_1]"


def test_typed_placeholder_of_a_literal_is_a_literal_too() -> None:
    vault = Vault()
    text = "[LITERAL_1] [LITERAL_2]"
    assert vault.restore(vault.redact(text, [])) == text


def test_value_taken_out_of_an_answer_cannot_be_asked_back() -> None:
    vault = Vault()
    answer = "Her address is al@x.org"
    shown = vault.redact(answer, [_span(answer, "al@x.org")], stage="output")
    assert shown == "Her address is [EMAIL_1]"
    assert vault.restore(shown) == shown
    assert vault.restore(vault.redact("repeat [EMAIL_1]", [])) == "repeat [EMAIL_1]"


def test_value_that_the_user_gave_is_restored_wherever_it_was_first_seen() -> None:
    vault = Vault()
    vault.redact("al@x.org", [Span(0, 8, "pii_email", 1.0)], stage="output")
    assert _redact(vault, "I am al@x.org", "al@x.org") == "I am [EMAIL_1]"
    assert vault.restore("[EMAIL_1]") == "al@x.org"


def test_answers_keep_the_placeholders_they_use() -> None:
    vault = Vault()
    _redact(vault, "jo@x.org", "jo@x.org")
    answer = "I wrote to [EMAIL_1] from al@x.org"
    shown = vault.redact(answer, [_span(answer, "al@x.org")], stage="output")
    assert vault.restore(shown) == "I wrote to jo@x.org from [EMAIL_2]"


def test_other_conversations_know_nothing() -> None:
    one, other = Vault(), Vault()
    _redact(one, "jo@x.org", "jo@x.org")
    assert other.restore("[EMAIL_1]") == "[EMAIL_1]"


def test_restoring_is_one_pass() -> None:
    vault = Vault()
    _redact(vault, "jo@x.org", "jo@x.org")
    text = "[EMAIL_1]"
    redacted = vault.redact(text, [Span(0, len(text), "secret", 1.0)])
    assert redacted == "[SECRET_1]"
    assert vault.restore(redacted) == "[EMAIL_1]"


@pytest.mark.parametrize(
    "text", ["[EMAIL]", "[EMAIL_0]", "[EMAIL_01]", "[email_1]", "[EMAIL_1", "EMAIL_1]", "[EMAIL 1]", "[1]"]
)
def test_what_is_no_placeholder_stays(text: str) -> None:
    vault = Vault()
    _redact(vault, "jo@x.org", "jo@x.org")
    assert vault.restore(text) == text
    assert vault.redact(text, []) == text


def test_full_vault_still_redacts() -> None:
    vault = Vault(max_values=1)
    assert _redact(vault, "jo@x.org al@x.org", "jo@x.org", "al@x.org") == "[EMAIL_1] [EMAIL]"
    assert vault.redact("[EMAIL_1]", []) == "[LITERAL]"
    assert _redact(Vault(max_characters=7), "jo@x.org", "jo@x.org") == "[EMAIL]"
    assert len(vault) == 1


@pytest.mark.parametrize("bounds", [{"max_values": -1}, {"max_values": 10_000_000}, {"max_characters": -1}])
def test_impossible_bounds_are_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="max_values lies in"):
        Vault(**bounds)


def test_clearing_forgets() -> None:
    vault = Vault()
    _redact(vault, "jo@x.org", "jo@x.org")
    vault.clear()
    assert len(vault) == 0
    assert vault.restore("[EMAIL_1]") == "[EMAIL_1]"
    assert _redact(vault, "al@x.org", "al@x.org") == "[EMAIL_1]"


def test_values_are_shown_nowhere() -> None:
    vault = Vault()
    _redact(vault, "jo@x.org", "jo@x.org")
    restorer = vault.restorer()
    restorer.push("[EM")
    assert "jo@x.org" not in f"{vault!r} {vault} {restorer!r} {vault._entries!r}"
    assert vault
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(vault)


@pytest.mark.parametrize(
    ("category", "kind"),
    [("pii_email", "EMAIL"), ("pii", "PII"), ("a b-c", "A_B_C"), ("7", "VALUE_7"), ("中", "VALUE")],
)
def test_placeholder_is_named_after_the_category(category: str, kind: str) -> None:
    vault = Vault()
    redacted = vault.redact("xyz", [Span(0, 3, category, 1.0)])
    assert redacted == f"[{kind}_1]"
    assert vault.restore(redacted) == "xyz"


@st.composite
def _texts(draw: st.DrawFn) -> tuple[str, list[Span]]:
    parts = draw(st.lists(st.sampled_from(["[", "]", "[A_1]", "[EMAIL_1]", "[EMAIL", "_1]", "x@y.z", "K ", "é"])))
    text = "".join(parts)
    ends = st.integers(0, len(text))
    spans = draw(st.lists(st.tuples(ends, ends, st.sampled_from(["pii_email", "A" * 40, "7_"]))))
    return text, [Span(min(a, b), max(a, b), category, 0.5) for a, b, category in spans]


@given(_texts())
def test_what_was_redacted_comes_back(case: tuple[str, list[Span]]) -> None:
    text, spans = case
    vault = Vault()
    restored = vault.restore(vault.redact(text, spans))
    # Values that differ in case or spacing share one placeholder, and come back as the first of them was written.
    assert restored.casefold().split() == text.casefold().split() or restored == text


@given(_texts(), st.lists(st.integers(0, 60), max_size=8))
def test_any_chunking_restores_the_same(case: tuple[str, list[Span]], cuts: list[int]) -> None:
    text, spans = case
    vault = Vault()
    redacted = vault.redact(text, spans)
    places = sorted({min(cut, len(redacted)) for cut in cuts} | {0, len(redacted)})
    restorer = vault.restorer()
    chunks = [restorer.push(redacted[a:b]) for a, b in itertools.pairwise(places)]
    assert "".join([*chunks, restorer.finish()]) == vault.restore(redacted)


def test_stream_holds_back_only_what_may_be_a_placeholder() -> None:
    vault = Vault()
    _redact(vault, "jo@x.org", "jo@x.org")
    restorer = vault.restorer()
    pushed = [restorer.push(chunk) for chunk in ["to [EM", "AIL_1] or [", "x] or [EMAIL_", "9] [A"]]
    assert pushed == ["to ", "jo@x.org or ", "[x] or ", "[EMAIL_9] "]
    assert restorer.finish() == "[A"
    assert restorer.finish() == ""
    assert vault.restorer().push("[" + "A" * 60) == "[" + "A" * 60


def test_threads_agree_on_placeholders() -> None:
    vault = Vault()
    values = [f"user{i}@x.org" for i in range(50)]
    seen: list[dict[str, str]] = []

    def work() -> None:
        seen.append({value: _redact(vault, value, value) for value in values})

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(placeholders == seen[0] for placeholders in seen)
    assert sorted(seen[0].values()) == sorted({f"[EMAIL_{i}]" for i in range(1, 51)})
    assert all(vault.restore(placeholder) == value for value, placeholder in seen[0].items())
