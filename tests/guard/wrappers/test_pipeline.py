from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from guard.errors import ConfigError, GeneratorError
from guard.filters.callable import RegexFilter
from guard.guard import Guard
from guard.policy import Policy
from guard.schema import Action
from guard.vault import Vault
from guard.wrappers.pipeline import guarded_pipeline

MARKS = RegexFilter({"rude": [r"zonk"], "email": [r"\w+@\w+\.org"], "medical": [r"aspirin"]})


def _guard(filters: Sequence[RegexFilter] = (MARKS,)) -> Guard:
    rules = {
        (s, c): (0.5, a) for s in ("input", "output") for c, a in (("rude", Action.BLOCK), ("email", Action.REDACT))
    }
    rules[("output", "medical")] = (0.5, Action.REVIEW)
    policy = Policy("marks", rules, message="Not here.", notices={("output", "medical"): "Ask a doctor."})  # type: ignore[arg-type]
    return Guard(None, policy, inputs=filters, outputs=filters)


class Echoing:
    """A pipeline that answers with the last message, backwards where it is asked to."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.options: list[dict[str, Any]] = []
        self.task = "text-generation"

    def __call__(self, prompts: list[Any], **options: Any) -> list[list[dict[str, Any]]]:
        self.asked.append(prompts)
        self.options.append(options)
        texts = [prompt if isinstance(prompt, str) else prompt[-1]["content"] for prompt in prompts]
        n = options.get("num_return_sequences", 1)
        return [[{"generated_text": f" {text.removeprefix('say ')}"} for _ in range(n)] for text in texts]


@pytest.fixture(scope="module")
def tiny_pipeline(tiny_llama: Path) -> Any:
    from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny_llama), AutoTokenizer.from_pretrained(tiny_llama)
    return pipeline("text-generation", model=model, tokenizer=tokenizer, device="cpu")


CHAT = [{"role": "user", "content": "Hello"}]
PREFILLED = [*CHAT, {"role": "assistant", "content": "Well,"}]


@pytest.mark.parametrize(
    "prompts",
    ["Hello", ["Hello"], ["Hello", "Good day"], CHAT, [CHAT], [CHAT, PREFILLED], PREFILLED],
)
@pytest.mark.parametrize("options", [{}, {"return_full_text": False}, {"num_return_sequences": 2, "num_beams": 2}])
def test_harmless_talk_is_what_the_bare_pipeline_gives(tiny_pipeline: Any, prompts: Any, options: Any) -> None:
    options = {"max_new_tokens": 6, "do_sample": False, **options}
    assert guarded_pipeline(tiny_pipeline, _guard())(prompts, **options) == tiny_pipeline(prompts, **options)


def test_an_iterator_of_prompts_is_read_as_it_is_asked(tiny_pipeline: Any) -> None:
    read: list[int] = []

    def prompts() -> Iterator[str]:
        for place in range(5):
            read.append(place)
            yield f"Hello {place}"

    options = {"max_new_tokens": 4, "do_sample": False}
    found = guarded_pipeline(tiny_pipeline, _guard())(prompts(), batch_size=2, **options)
    first = next(found)
    assert read == [0, 1]
    assert [first, *found] == tiny_pipeline([f"Hello {place}" for place in range(5)], **options)


def test_a_blocked_prompt_is_not_written_after_and_the_others_are() -> None:
    pipe = Echoing()
    found = guarded_pipeline(pipe, _guard())(["say one", "zonk", "say two"], num_return_sequences=2)
    assert pipe.asked == [["say one", "say two"]]
    assert [[record["generated_text"] for record in group] for group in found] == [
        ["say one one"] * 2,
        ["zonkNot here."] * 2,
        ["say two two"] * 2,
    ]


def test_outputs_are_blocked_redacted_restored_and_noticed() -> None:
    class Answering(Echoing):
        def __call__(self, prompts: list[Any], **options: Any) -> list[list[dict[str, Any]]]:
            super().__call__(prompts, **options)
            texts = ["a zonk", "x@b.org", prompts[2], "aspirin"]
            return [[{"generated_text": text}] for text in texts]

    pipe = Answering()
    write = guarded_pipeline(pipe, _guard(), vault=Vault())
    found = write(["1", "2", "I am jo@a.org", "4"], return_full_text=False)
    assert pipe.asked[0][2] == "I am [EMAIL_1]"
    assert [record["generated_text"] for (record,) in found] == [
        "Not here.",
        "[EMAIL_2]",
        "I am jo@a.org",
        "aspirin\n\nAsk a doctor.",
    ]


def test_chats_keep_their_messages() -> None:
    pipe = Echoing()
    chat = [{"role": "system", "content": "Never say zonk."}, {"role": "user", "content": "say hi to jo@a.org"}]
    (record,) = guarded_pipeline(pipe, _guard())(chat)
    assert pipe.asked[0][0][1]["content"] == "say hi to [email]"
    assert record["generated_text"] == [*chat, {"role": "assistant", "content": " hi to [email]"}]
    bad = [{"role": "user", "content": "zonk"}]
    (record,) = guarded_pipeline(pipe, _guard())(bad)
    assert record["generated_text"] == [*bad, {"role": "assistant", "content": "Not here."}]
    assert len(pipe.asked) == 1


@pytest.mark.parametrize("option", ["return_tensors", "streamer"])
def test_options_that_let_text_out_are_refused(option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        guarded_pipeline(Echoing(), _guard())("Hello", **{option: True})


@pytest.mark.parametrize("given", [[[{"text": "zonk"}]], [[{"generated_text": ["zonk"]}]], [["zonk"]], []])
def test_malformed_results_are_not_returned(given: list[Any]) -> None:
    with pytest.raises(GeneratorError, match="pipeline gave"):
        guarded_pipeline(lambda _prompts, **_options: given, _guard())("Hello")


def test_everything_else_is_the_pipeline() -> None:
    write = guarded_pipeline(Echoing(), _guard())
    assert write.task == "text-generation"
    with pytest.raises(ConfigError, match="predict is not guarded"):
        write.predict  # noqa: B018
    assert write([]) == []


@pytest.mark.parametrize("prompts", [[1], [["Hello"]], [CHAT, "Hello", None], [[]]])
def test_what_is_no_prompt_is_refused(prompts: Any) -> None:
    with pytest.raises(ConfigError, match="a prompt is"):
        guarded_pipeline(Echoing(), _guard())(prompts)


def test_what_is_no_pipeline_or_judges_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be called"):
        guarded_pipeline(object(), _guard())
    half = Guard(None, Policy("half", {}), inputs=[MARKS], outputs=[])
    with pytest.raises(ConfigError, match="no output filters"):
        guarded_pipeline(Echoing(), half)


def test_a_pipeline_made_for_new_text_only_gives_that(tiny_llama: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny_llama), AutoTokenizer.from_pretrained(tiny_llama)
    bare = pipeline("text-generation", model=model, tokenizer=tokenizer, device="cpu", return_full_text=False)
    options = {"max_new_tokens": 4, "do_sample": False}
    assert guarded_pipeline(bare, _guard())("Hello", **options) == bare("Hello", **options)
