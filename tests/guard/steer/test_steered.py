"""Steered generation on a tiny random model with rigged checks: only the bad row changes, and only where it was bad."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from guard.errors import ConfigError, DataError, GeneratorError
from guard.generators.transformers import TransformersGenerator
from guard.schema import Decoding, Generator
from guard.steer import BannedPhrases, SteeredGenerator, SteerReport

PROMPTS = ["Hi", "The quick brown fox jumps over it", "", "ab", "x" * 70, "hello there"]
SEEDS = [11, 12, 13, 14, 15, 16]
SAMPLED = Decoding(max_new_tokens=24, chat=False)
EVERY = 8


@pytest.fixture(scope="module", params=["bfloat16", "float32"])
def generator(request: pytest.FixtureRequest, tiny_llama: Path) -> TransformersGenerator:
    return TransformersGenerator.load(tiny_llama, device="cpu", dtype=request.param, decoding=SAMPLED)


def _never(texts: Sequence[str]) -> list[bool]:
    return [False] * len(texts)


def _always(texts: Sequence[str]) -> list[bool]:
    return [True] * len(texts)


def _rigged(*bad: str) -> Callable[[Sequence[str]], list[bool]]:
    """Fire on texts that begin in one of some ways."""
    return lambda texts: [text.startswith(bad) for text in texts]


def _steered(generator: TransformersGenerator, check: Any = _never, **options: Any) -> SteeredGenerator:
    return SteeredGenerator(generator, check=check, **{"check_every": EVERY, "check_timeout_s": None, **options})


def _ids(generator: TransformersGenerator, text: str) -> list[int]:
    return list(generator.tokenizer(text, add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize("decoding", [SAMPLED, Decoding(24, 1.0, 0.8, chat=False), Decoding(24, 0.0, chat=False)])
def test_check_that_never_fires_changes_nothing(generator: TransformersGenerator, decoding: Decoding) -> None:
    generator = generator.with_decoding(decoding)
    found = _steered(generator).steer(PROMPTS, seed=SEEDS)
    assert [one.text for one in found] == generator.generate(PROMPTS, seed=SEEDS)
    assert {(one.report.n_rewinds, one.report.stopped) for one in found} == {(0, False)}
    assert all(one.report.n_checks <= 3 for one in found)
    assert sum(one.report.n_checks for one in found) > 0 or decoding.temperature == 0


def _violating(plain: Sequence[str]) -> tuple[int, str]:
    """A long row of plain texts, and the beginning of it that only shows at the second check."""
    row = max(range(len(plain)), key=lambda place: len(plain[place]))
    return row, plain[row][: EVERY + 4]


@pytest.mark.parametrize("temperature", [1.0, 0.0])
def test_violation_changes_its_own_row_only_from_the_clean_point_on(
    generator: TransformersGenerator, temperature: float
) -> None:
    generator = generator.with_decoding(Decoding(24, temperature, chat=False))
    plain = generator.generate(PROMPTS, seed=SEEDS)
    row, bad = _violating(plain)
    found = _steered(generator, _rigged(bad)).steer(PROMPTS, seed=SEEDS)
    texts = [one.text for one in found]
    assert [i for i in range(len(PROMPTS)) if texts[i] != plain[i]] == [row]
    assert found[row].report.n_rewinds == 1
    assert not found[row].report.stopped
    assert not texts[row].startswith(bad)
    before, after = _ids(generator, plain[row]), _ids(generator, texts[row])
    assert before[: EVERY - 1] == after[: EVERY - 1]  # a last byte may be one of a character that is not whole


def test_token_that_began_the_violation_is_banned_there(generator: TransformersGenerator) -> None:
    greedy = generator.with_decoding(Decoding(4, 0.0, chat=False))
    seen: list[str] = []

    def first(texts: Sequence[str]) -> list[bool]:
        seen.extend(texts)
        return [True] * len(texts)

    _steered(greedy, first, check_every=1, max_rewinds=5).steer(["Hi"], seed=0)
    assert len(seen) == 6
    assert len({text for text in seen if text}) >= 2  # half characters show as no text
    (stopped,) = _steered(greedy, first, check_every=1, max_rewinds=5).steer(["Hi"], seed=0)
    assert stopped.report == SteerReport(n_checks=6, n_rewinds=5, n_lost_tokens=6, stopped=True)
    assert stopped.text == ""


def _fires_on_some(texts: Sequence[str]) -> list[bool]:
    """Fire on about every second text, by its last characters."""
    return [sum(map(ord, text[-4:])) % 2 == 0 for text in texts]


@pytest.mark.parametrize("ends", [[0], [0, *range(40, 90)]])
def test_rows_do_not_depend_on_the_batch(tiny_llama: Path, ends: list[int]) -> None:
    for dtype in ("bfloat16", "float32"):
        generator = TransformersGenerator.load(tiny_llama, device="cpu", dtype=dtype, decoding=SAMPLED)
        generator.model.generation_config.eos_token_id = ends  # the second has rows that end early, at any step
        steered = _steered(generator, _fires_on_some)
        together = steered.steer(PROMPTS, seed=SEEDS)
        assert sum(one.report.n_rewinds for one in together) > 3
        alone = [steered.steer([p], seed=s)[0] for p, s in zip(PROMPTS, SEEDS, strict=True)]
        assert alone == together
        generator.batch_size = 5
        assert steered.steer(PROMPTS[::-1], seed=SEEDS[::-1]) == together[::-1]


def test_kept_texts_are_clean_at_every_check(generator: TransformersGenerator) -> None:
    judged: dict[str, bool] = {}

    def remember(texts: Sequence[str]) -> list[bool]:
        answers = _fires_on_some(texts)
        judged.update(zip(texts, answers, strict=True))
        return answers

    for one in _steered(generator, remember).steer(PROMPTS, seed=SEEDS):
        text = one.text.rstrip("\ufffd")
        assert text == "" or judged.get(one.text, judged.get(text)) is False


def test_row_that_stays_bad_is_stopped_where_it_was_clean_and_others_go_on(generator: TransformersGenerator) -> None:
    plain = generator.generate(PROMPTS, seed=SEEDS)
    row, bad = _violating(plain)
    clean = bad[: EVERY - 4]

    seen: list[str] = []

    def check(texts: Sequence[str]) -> list[bool]:
        """Let the first text that begins so pass, and nothing that comes after it."""
        answers = [text.startswith(clean) and bool(seen) for text in texts]
        seen.extend(text for text in texts if text.startswith(clean))
        return answers

    found = _steered(generator, check).steer(PROMPTS, seed=SEEDS)
    assert found[row].report.stopped
    assert found[row].report.n_rewinds == 3
    assert found[row].text.rstrip("\ufffd") == seen[0]
    assert [found[i].text for i in range(len(plain)) if i != row] == [t for i, t in enumerate(plain) if i != row]


@pytest.mark.parametrize("max_rewinds", [0, 2])
def test_check_that_always_fires_leaves_nothing(generator: TransformersGenerator, max_rewinds: int) -> None:
    found = _steered(generator, _always, max_rewinds=max_rewinds).steer(PROMPTS, seed=SEEDS)
    wrote = [one.report for one in found if one.report.n_checks]
    assert {one.text for one in found} == {""}
    assert wrote
    assert {(r.n_rewinds, r.n_checks, r.stopped) for r in wrote} == {(max_rewinds, max_rewinds + 1, True)}


def _broken(texts: Sequence[str]) -> list[bool]:
    raise RuntimeError("boom")


def _hanging(texts: Sequence[str]) -> list[bool]:
    time.sleep(0.5)
    return [False] * len(texts)


@pytest.mark.parametrize(
    ("check", "timeout_s"), [(_broken, None), (lambda texts: [], None), (lambda _: None, 5.0), (_hanging, 0.02)]
)
def test_check_that_fails_closes(generator: TransformersGenerator, check: Any, timeout_s: float | None) -> None:
    found = _steered(generator, check, check_timeout_s=timeout_s, max_rewinds=1).steer(["Hi", "ab"], seed=[1, 2])
    assert [(one.text, one.report.stopped, one.report.n_faults) for one in found] == [("", True, 2)] * 2


@pytest.mark.parametrize("check", [_never, _fires_on_some, _always])
def test_stream_adds_up_to_the_text_and_gives_only_what_is_clean(
    generator: TransformersGenerator, check: Callable[[Sequence[str]], list[bool]]
) -> None:
    steered = _steered(generator, check)
    for prompt, seed in zip(PROMPTS[1:4], SEEDS[1:4], strict=True):
        pieces = list(steered.stream(prompt, seed=seed))
        assert "".join(pieces) == steered.generate([prompt], seed=seed)[0]
        assert all(pieces)


def test_stream_that_is_closed_stops(generator: TransformersGenerator) -> None:
    calls: list[int] = []
    handle = generator.model.register_forward_pre_hook(lambda *_: calls.append(1))
    stream = _steered(generator).stream("Hi", seed=11)
    next(stream)
    before = len(calls)
    stream.close()  # type: ignore[attr-defined]
    handle.remove()
    assert len(calls) == before <= EVERY * 2 + 1


def test_banned_phrases_are_not_written(generator: TransformersGenerator) -> None:
    plain = generator.generate(PROMPTS, seed=SEEDS)
    signs = sorted(
        {c for text in plain for c in text if c.isascii() and c.isprintable() and not c.isalnum()} - set(" _")
    )
    texts = SteeredGenerator(generator, phrases=BannedPhrases(signs, generator.tokenizer)).generate(PROMPTS, seed=SEEDS)
    assert signs
    assert not set(signs) & set("".join(texts))
    assert any(texts)


def test_name_tells_plans_apart(generator: TransformersGenerator) -> None:
    assert isinstance(_steered(generator), Generator)
    phrases = BannedPhrases(["darn"], generator.tokenizer)
    plans: list[dict[str, Any]] = [{}, {"check_every": 4}, {"max_rewinds": 1}, {"phrases": phrases}, {"name": "other"}]
    names = [_steered(generator, **plan).name for plan in plans]
    assert len(set(names)) == len(names)
    assert names[0].startswith("steered@")


@pytest.mark.parametrize(
    "options",
    [{"check": None}, {"check_every": 0}, {"max_rewinds": -1}, {"check_timeout_s": 0}],
)
def test_impossible_options_are_refused(generator: TransformersGenerator, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        _steered(generator, **options)


def test_prompt_that_does_not_fit_and_failing_model_are_errors(tiny_llama: Path) -> None:
    generator = TransformersGenerator.load(tiny_llama, device="cpu", dtype="float32", decoding=SAMPLED)
    with pytest.raises(DataError):
        _steered(generator).generate(["a" * 2000], seed=0)
    generator.model.lm_head.weight.data[0, 0] = float("nan")
    with pytest.raises(GeneratorError, match="not finite"):
        _steered(generator).generate(["a"], seed=0)
    with pytest.raises(GeneratorError, match="not finite"):
        next(_steered(generator).stream("a", seed=0))
