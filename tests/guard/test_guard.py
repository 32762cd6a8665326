from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guard.audit_log import AuditLog, verify
from guard.errors import ConfigError, GeneratorError, OutputError
from guard.filters.callable import CallableFilter, RegexFilter
from guard.filters.lexical import LexicalFilter, Term
from guard.generators.scripted import ScriptedGenerator
from guard.guard import Guard
from guard.policy import Policy
from guard.schema import Action, Filter, Scores, Span

RUDE = LexicalFilter([Term("darn", "rude", 0.5), Term("zonk", "rude", 1.0)])


class Echo:
    """A generator that answers with the prompt, and keeps what it was asked."""

    name = "echo@1"

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[str]:
        seeds = [seed] * len(prompts) if isinstance(seed, int) else seed
        self.asked += zip(prompts, seeds, strict=True)
        return [f"Echo: {prompt}" for prompt in prompts]


class Scored:
    """A filter whose categories anyone may set: 1 for a text with "zonk" in it, of whatever category."""

    name = "scored@1"

    def __init__(self, *categories: str) -> None:
        self.categories = categories

    def score_batch(self, items: Sequence[str]) -> Scores:
        column = [["zonk" in item] * len(self.categories) for item in items]
        return np.array(column, dtype=np.float32).reshape(len(items), len(self.categories))


def policy(*, prompts: Action | None = None, outputs: Action | None = None, threshold: float = 0.5) -> Policy:
    rules = {("input", "rude"): prompts, ("output", "rude"): outputs}
    thresholds = {key: (threshold, action) for key, action in rules.items() if action is not None}
    return Policy("test", thresholds, message="No.")  # type: ignore[arg-type]


def guarded(rules: Policy, generator: object = None, **options: object) -> Guard:
    return Guard(generator or Echo(), rules, inputs=[RUDE], outputs=[RUDE], **options)  # type: ignore[arg-type]


def test_callable_is_guarded_in_ten_lines() -> None:
    guard = Guard(str.upper, policy(outputs=Action.BLOCK), inputs=[], outputs=[RUDE])
    assert [response.text for response in guard.generate(["hello", "darn"])] == ["HELLO", "No."]


def test_benign_text_passes_untouched() -> None:
    (response,) = guarded(policy(prompts=Action.BLOCK, outputs=Action.BLOCK)).generate(["héllo ﬁ\u200b"])
    assert response.text == response.output == "Echo: héllo ﬁ\u200b"
    assert response.action == Action.ALLOW
    assert response.prompt_verdict.scores == {"rude": 0.0}


@pytest.mark.parametrize("prompt", ["zonk", "ｚｏｎｋ", "z\u200bonk", "zоnk", "Z\u0336onk"])
def test_disguised_prompt_is_blocked_and_never_asked(prompt: str) -> None:
    echo = Echo()
    (response,) = guarded(policy(prompts=Action.BLOCK), echo).generate([prompt])
    assert response.text == "No."
    assert response.action == Action.BLOCK
    assert response.output is None
    assert response.output_verdict is None
    assert echo.asked == []


def test_prompts_keep_their_order_and_seeds_around_a_blocked_one() -> None:
    echo = Echo()
    guard = guarded(policy(prompts=Action.BLOCK), echo)
    responses = guard.generate(["a", "zonk", "b"], seed=[7, 8, 9])
    assert [response.text for response in responses] == ["Echo: a", "No.", "Echo: b"]
    assert echo.asked == [("a", 7), ("b", 9)]


def test_output_is_blocked_but_kept_for_the_operator() -> None:
    guard = guarded(policy(outputs=Action.BLOCK), ScriptedGenerator({"hi": "zonk you"}))
    (response,) = guard.generate(["hi"])
    assert (response.text, response.output, response.action) == ("No.", "zonk you", Action.BLOCK)
    assert response.output_verdict is not None
    assert [(span.start, span.end) for span in response.output_verdict.spans] == [(0, 4)]


def test_review_passes_and_is_marked() -> None:
    (response,) = guarded(policy(prompts=Action.REVIEW)).generate(["darn it"])
    assert response.text == "Echo: darn it"
    assert response.action == Action.REVIEW
    assert response.prompt_verdict.triggered == ("rude",)


def test_spans_are_offsets_of_the_original() -> None:
    text = "\ufeffﬁ d\u200bаrn"
    (verdict,) = guarded(policy(prompts=Action.REVIEW)).check([text], stage="input")
    assert [text[span.start : span.end] for span in verdict.spans] == ["d\u200bаrn"]


def test_redact_replaces_the_spans_in_prompt_and_output() -> None:
    echo = Echo()
    rules = policy(prompts=Action.REDACT, outputs=Action.REDACT)
    (response,) = guarded(rules, echo).generate(["you d\u200barn, zonk fool"])
    assert echo.asked == [("you [rude], [rude] fool", 0)]
    assert response.text == "Echo: you [rude], [rude] fool"
    assert response.action == Action.REDACT


def test_redact_merges_overlapping_spans() -> None:
    regex = RegexFilter({"secret": ["abc", "bcd", "cd"]})
    rules = Policy("test", {("output", "secret"): (0.5, Action.REDACT)})
    guard = Guard(str.lower, rules, inputs=[], outputs=[regex])
    assert guard.generate(["x abcde y bcd"])[0].text == "x [secret]e y [secret]"


def test_redact_without_a_locator_blocks() -> None:
    blind = CallableFilter(lambda text: float("zonk" in text), categories=["rude"])
    guard = Guard(Echo(), policy(outputs=Action.REDACT), inputs=[], outputs=[blind])
    (response,) = guard.generate(["zonk"])
    assert response.action == Action.BLOCK
    assert response.text != response.output


def test_redact_blocks_when_something_still_fires() -> None:
    anything = CallableFilter(lambda text: float("[" in text or "zonk" in text), categories=["rude"])
    guard = Guard(Echo(), policy(outputs=Action.REDACT), inputs=[], outputs=[RUDE, anything])
    assert guard.generate(["zonk"])[0].action == Action.BLOCK


def test_regenerate_draws_again_with_other_seeds() -> None:
    script = {0: "zonk"}
    guard = guarded(policy(outputs=Action.REGENERATE), ScriptedGenerator(lambda _, seed: script.get(seed, "fine")))
    (response, other) = guard.generate(["a", "b"], seed=[0, 5])
    assert (response.text, response.action) == ("fine", Action.ALLOW)
    assert other.text == "fine"


def test_regenerate_gives_up_after_two_and_blocks() -> None:
    seeds: list[int] = []

    def always(_: str, seed: int) -> str:
        seeds.append(seed)
        return "zonk"

    (response,) = guarded(policy(outputs=Action.REGENERATE), ScriptedGenerator(always)).generate(["a"], seed=3)
    assert (response.text, response.action) == ("No.", Action.BLOCK)
    assert seeds[0] == 3
    assert len(set(seeds)) == len(seeds) == 3
    again = list(seeds)
    seeds.clear()
    guarded(policy(outputs=Action.REGENERATE), ScriptedGenerator(always)).generate(["a"], seed=3)
    assert seeds == again


def test_regenerate_of_a_prompt_blocks_at_once() -> None:
    (response,) = guarded(policy(prompts=Action.REGENERATE)).generate(["zonk"])
    assert response.action == Action.BLOCK


def test_highest_score_of_several_filters_counts() -> None:
    calm = CallableFilter(lambda _: 0.1, categories=["rude"])
    guard = Guard(None, policy(prompts=Action.BLOCK), inputs=[calm, RUDE, calm], outputs=[])
    assert guard.check(["darn"], stage="input")[0].scores == {"rude": 0.5}


def test_permissive_policy_lets_all_pass_and_records_the_scores() -> None:
    (response,) = guarded(Policy.load("permissive")).generate(["zonk"])
    assert response.text == "Echo: zonk"
    assert response.action == Action.ALLOW
    assert response.prompt_verdict.scores == {"rude": 1.0}


def test_generate_of_no_prompts_is_empty() -> None:
    assert guarded(policy()).generate([]) == []


@pytest.mark.parametrize(
    ("rules", "inputs", "outputs", "message"),
    [
        (policy(), [], [], "no filters were given"),
        (Policy.load("permissive"), [], [], "no filters were given"),
        (
            policy(prompts=Action.BLOCK),
            [],
            [RUDE],
            r"threshold on input\.rude, which no input filter provides; provided: nothing",
        ),
        (Policy("p", {("output", "rudd"): (0.5, Action.BLOCK)}), [], [RUDE], r"output\.rudd \(did you mean 'rude'\?\)"),
        (policy(), ["rude"], [], "'rude' is no filter"),
        (policy(), [], [Scored("x", "x")], r"filter scored@1 has the categories \['x', 'x'\]: each may be named once"),
    ],
)
def test_impossible_guard_is_refused(
    rules: Policy, inputs: list[Filter[str]], outputs: list[Filter[str]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Guard(Echo(), rules, inputs=inputs, outputs=outputs)


@pytest.mark.parametrize(
    "timeout_s", [0.0, -1.0, float("nan"), float("inf"), 1e10, pytest.param(10**400, id="huge"), "30", True]
)
def test_impossible_timeout_is_refused(timeout_s: float) -> None:
    with pytest.raises(ConfigError, match="filter_timeout_s is"):
        guarded(policy(), filter_timeout_s=timeout_s)


def test_generator_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="is no generator"):
        guarded(policy(), 42)


@pytest.mark.parametrize("prompts", ["one text", ["a", None], [b"bytes"]])
def test_prompts_of_the_wrong_type_are_refused(prompts: object) -> None:
    with pytest.raises(TypeError, match=r"prompts.*is"):
        guarded(policy()).generate(prompts)  # type: ignore[arg-type]


def test_seeds_of_the_wrong_number_are_refused() -> None:
    with pytest.raises(ConfigError, match="1 seeds for 2 prompts"):
        guarded(policy()).generate(["a", "b"], seed=[1])


def test_check_needs_no_generator_and_generate_does() -> None:
    guard = Guard(None, policy(prompts=Action.BLOCK), inputs=[RUDE], outputs=[])
    assert [verdict.action for verdict in guard.check(["zonk", "hi"], stage="input")] == [Action.BLOCK, Action.ALLOW]
    with pytest.raises(ConfigError, match="no generator"):
        guard.generate(["a"])


def test_check_of_an_unknown_stage_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown stage 'middle'"):
        guarded(policy()).check(["a"], stage="middle")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outputs", "message"),
    [(["one"], "gave 1 outputs"), (["one", None], "gave 2 outputs .NoneType, str."), ([], "gave 0 outputs .nothing.")],
)
def test_generator_that_gives_something_else_is_an_error(outputs: list[str], message: str) -> None:
    class Odd(Echo):
        def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[str]:
            return outputs

    with pytest.raises(GeneratorError, match=message):
        guarded(policy(), Odd()).generate(["a", "b"])


class Failing(Echo):
    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[str]:
        raise RuntimeError("out of memory")


def test_failing_generator_is_recorded_for_every_request_and_raised(tmp_path: Path) -> None:
    with AuditLog(tmp_path / "audit.jsonl", keep_text=True) as log:
        guard = guarded(policy(prompts=Action.BLOCK), Failing(), audit_log=log)
        with pytest.raises(GeneratorError, match=r"echo@1 raised RuntimeError: out of memory"):
            guard.generate(["a", "zonk"])
    records = _records(tmp_path / "audit.jsonl")
    assert [record["prompt"] for record in records] == ["a", "zonk"]
    assert all("out of memory" in record["error"] and record["released"] is None for record in records)


def test_audit_record_holds_what_was_decided(tmp_path: Path) -> None:
    with AuditLog(tmp_path / "audit.jsonl", keep_text=True) as log:
        guard = guarded(policy(prompts=Action.BLOCK, outputs=Action.REVIEW), audit_log=log)
        guard.generate(["a", "zonk"], seed=4)
        guard.check(["darn"], stage="output")
    passed, blocked, checked = _records(tmp_path / "audit.jsonl")
    assert (passed["prompt"], passed["output"], passed["released"]) == ("a", "Echo: a", "Echo: a")
    assert (passed["action"], passed["seed"], passed["generator"], passed["filters"]) == (
        "ALLOW",
        4,
        "echo@1",
        [RUDE.name],
    )
    assert (blocked["action"], blocked["output"], blocked["released"]) == ("BLOCK", None, "No.")
    assert (checked["kind"], checked["output"], checked["action"]) == ("check", "darn", "REVIEW")
    assert passed["policy"] == f"test@{guard.policy.digest[:12]}"
    assert verify(tmp_path / "audit.jsonl").ok


def test_nothing_is_returned_when_the_record_cannot_be_written(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.close()
    with pytest.raises(OutputError, match="is closed"):
        guarded(policy(), audit_log=log).generate(["a"])


def _records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line)["record"] for line in path.read_text(encoding="utf-8").splitlines()]


def test_check_of_a_stage_without_filters_is_refused() -> None:
    guard = Guard(None, policy(prompts=Action.BLOCK), inputs=[RUDE], outputs=[])
    with pytest.raises(ConfigError, match="has no output filters, so nothing would be judged"):
        guard.check(["zonk"], stage="output")


@pytest.mark.parametrize("categories", [("other",), ("rude", "other"), ()])
def test_filter_that_loses_its_categories_fails_closed(categories: tuple[str, ...]) -> None:
    filter_ = Scored("rude")
    guard = Guard(None, policy(prompts=Action.REVIEW), inputs=[filter_], outputs=[])
    filter_.categories = categories
    (verdict,) = guard.check(["zonk"], stage="input")
    assert verdict.action == Action.BLOCK
    assert "changed its name or its categories" in str(verdict.error)


class Fading(Scored):
    """Names another category once it was asked a few times."""

    def __init__(self, n_times: int) -> None:
        super().__init__()
        self.n_times = n_times

    def __getattribute__(self, name: str) -> object:
        if name != "categories":
            return super().__getattribute__(name)
        self.n_times -= 1
        return ("rude",) if self.n_times >= 0 else ("other",)


def test_category_that_no_filter_scored_fails_closed() -> None:
    errors = []
    for n_times in range(10):
        try:
            guard = Guard(None, policy(prompts=Action.REVIEW), inputs=[Fading(n_times)], outputs=[])
        except ConfigError:
            continue
        (verdict,) = guard.check(["fine"], stage="input")
        if n_times < 6:  # the change came before the text was judged
            assert verdict.action == Action.BLOCK
        errors.append(verdict.error)
    assert "no filter scored rude" in errors


class Redacting(Scored):
    """Finds what is rude, and fails on what was redacted."""

    def score_batch(self, items: Sequence[str]) -> Scores:
        if any("[rude]" in item for item in items):
            raise ValueError("cannot read brackets")
        return super().score_batch(items)

    def locate(self, text: str) -> tuple[Span, ...]:
        return (Span(np.int64(0), np.int64(4), "rude", np.float32(1)),)  # type: ignore[arg-type]


@pytest.mark.parametrize(("on_error", "text"), [(Action.BLOCK, "No."), (Action.ALLOW, "[rude] you")])
def test_failure_on_the_redacted_text_is_in_the_verdict(on_error: Action, text: str) -> None:
    rules = Policy("test", {("output", "rude"): (0.5, Action.REDACT)}, on_error, message="No.")
    (response,) = Guard(lambda _: "zonk you", rules, inputs=[], outputs=[Redacting("rude")]).generate(["a"])
    assert response.text == text
    assert response.output_verdict is not None
    assert response.output_verdict.error == "filter scored@1 raised ValueError: cannot read brackets"


def test_log_without_texts_holds_no_words_of_exceptions(tmp_path: Path) -> None:
    def quote(text: str) -> float:
        raise ValueError(f"cannot score; {text}; here: {text}")

    quoting = CallableFilter(quote, categories=["rude"], name="quoting@1")
    rules = policy(prompts=Action.REVIEW)
    with AuditLog(tmp_path / "audit.jsonl") as log:
        guard = Guard(
            Failing(), Policy("test", rules.thresholds, Action.ALLOW), inputs=[quoting], outputs=[], audit_log=log
        )
        with pytest.raises(GeneratorError):
            guard.generate(["my; secret"])
    assert "secret" not in (tmp_path / "audit.jsonl").read_text(encoding="utf-8")
    (record,) = _records(tmp_path / "audit.jsonl")
    assert record["error"] == "generation failed: RuntimeError"
    assert record["verdicts"][0]["error"] == "filter quoting@1 failed: ValueError"


def test_odd_numbers_of_a_locator_are_recorded(tmp_path: Path) -> None:
    with AuditLog(tmp_path / "audit.jsonl") as log:
        guard = Guard(None, policy(outputs=Action.REVIEW), inputs=[], outputs=[Redacting("rude")], audit_log=log)
        guard.check(["zonk you"], stage="output")
    (record,) = _records(tmp_path / "audit.jsonl")
    span = {"start": 0, "end": 4, "category": "rude", "score": 1.0}
    assert record["verdicts"][0]["spans"] == [span]
