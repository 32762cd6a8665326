from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from guard.errors import ConfigError, DataError, GeneratorError
from guard.generators.transformers import TransformersGenerator, folder_digest, pick_device, pick_dtype
from guard.schema import Decoding, Generator
from tests.tiny_llama import write_tiny_llama

PROMPTS = ["Hi", "The quick brown fox jumps over it", "", "ab", "naïve café 🙂", "x" * 70, "hello there", "why not"]
SEEDS = [11, 12, 13, 14, 15, 16, 17, 18]
SAMPLED = Decoding(max_new_tokens=6, chat=False)


def _load(folder: Path, **options: Any) -> TransformersGenerator:
    return TransformersGenerator.load(folder, device="cpu", **{"decoding": SAMPLED, **options})


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("decoding", [SAMPLED, Decoding(max_new_tokens=6, top_p=0.8, chat=False), Decoding(6, 0.0)])
def test_output_does_not_depend_on_the_batch(tiny_llama: Path, dtype: str, decoding: Decoding) -> None:
    generator = _load(tiny_llama, dtype=dtype, decoding=decoding)
    together = generator.generate(PROMPTS, seed=SEEDS)
    assert [generator.generate([p], seed=s)[0] for p, s in zip(PROMPTS, SEEDS, strict=True)] == together
    for rows in (1, 3, 5):
        generator.batch_size = rows
        assert generator.generate(PROMPTS[::-1], seed=SEEDS[::-1]) == together[::-1]


def test_long_and_short_prompts_do_not_meet(tiny_llama: Path) -> None:
    generator = _load(tiny_llama)
    prompts = ["a" * 600, "b" * 500, "c", "d" * 508]
    together = generator.generate(prompts, seed=5)
    assert [generator.generate([prompt], seed=5)[0] for prompt in prompts] == together


def test_seed_decides_sampling_and_not_greedy_decoding(tiny_llama: Path) -> None:
    generator = _load(tiny_llama)
    outputs = generator.generate(["Tell me"] * 6, seed=range(6))
    assert len(set(outputs)) > 1
    greedy = generator.with_decoding(Decoding(6, 0.0, chat=False))
    assert len(set(greedy.generate(["Tell me"] * 6, seed=range(6)))) == 1


def test_chat_template_is_used_where_asked_for_and_there(tiny_llama: Path, tmp_path: Path) -> None:
    plain, chat = Decoding(6, 0.0, chat=False), Decoding(6, 0.0, chat=True)
    generator = _load(tiny_llama)
    assert generator.with_decoding(chat).generate(["Hi"], seed=0) != generator.with_decoding(plain).generate(
        ["Hi"], seed=0
    )
    spelt = "<|user|>Hi<|end|><|assistant|>"
    assert generator.with_decoding(chat).generate(["Hi"], seed=0) == generator.with_decoding(plain).generate(
        [spelt], seed=0
    )
    bare = _load(write_tiny_llama(tmp_path / "bare", chat=False))
    assert bare.with_decoding(chat).generate(["Hi"], seed=0) == bare.with_decoding(plain).generate(["Hi"], seed=0)


@pytest.mark.parametrize("prompt", ["\ud800 lone", "nul \0 inside", "‮right to left", "🏳️‍🌈"])
def test_any_text_is_a_prompt(tiny_llama: Path, prompt: str) -> None:
    assert isinstance(_load(tiny_llama).generate([prompt], seed=1)[0], str)


def test_no_prompts_give_no_outputs(tiny_llama: Path) -> None:
    assert _load(tiny_llama).generate([], seed=1) == []


def test_prompt_beyond_the_context_is_refused_before_anything_runs(tiny_llama: Path) -> None:
    generator = _load(tiny_llama)
    with pytest.raises(DataError, match=r"prompt 1 has 1000000 tokens; the model takes at most 1018"):
        generator.generate(["short", "a" * 1_000_000], seed=0)
    assert generator.n_tokens == 0


def test_seeds_must_match_prompts(tiny_llama: Path) -> None:
    with pytest.raises(GeneratorError, match="2 prompts and 3 seeds"):
        _load(tiny_llama).generate(["a", "b"], seed=[1, 2, 3])


class _SmallMemory:
    """A model that runs out of memory above some number of rows."""

    def __init__(self, inner: Any, rows: int, error: Exception) -> None:
        self._inner, self._rows, self._error = inner, rows, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __call__(self, *, input_ids: torch.Tensor, **inputs: Any) -> Any:
        if input_ids.shape[0] > self._rows:
            raise self._error
        return self._inner(input_ids=input_ids, **inputs)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("full"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_batch_halves_when_memory_runs_out_and_goes_on(tiny_llama: Path, error: Exception) -> None:
    whole = _load(tiny_llama)
    small = TransformersGenerator(
        _SmallMemory(whole.model, 4, error), whole.tokenizer, name="small", decoding=SAMPLED, batch_size=8
    )
    assert small.generate(PROMPTS, seed=SEEDS) == whole.generate(PROMPTS, seed=SEEDS)
    assert small.batch_size == 4


def test_one_row_that_does_not_fit_is_an_error(tiny_llama: Path) -> None:
    whole = _load(tiny_llama)
    full = TransformersGenerator(
        _SmallMemory(whole.model, 0, torch.OutOfMemoryError("full")), whole.tokenizer, name="full"
    )
    with pytest.raises(GeneratorError, match="out of memory with one row"):
        full.generate(["a", "b"], seed=0)


def test_other_failure_of_the_model_is_a_generator_error(tiny_llama: Path) -> None:
    whole = _load(tiny_llama)
    broken = TransformersGenerator(_SmallMemory(whole.model, 0, RuntimeError("boom")), whole.tokenizer, name="broken")
    with pytest.raises(GeneratorError, match="boom") as caught:
        broken.generate(["a"], seed=0)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_name_is_a_digest_of_the_weights(tiny_llama: Path, tmp_path: Path) -> None:
    generator = _load(tiny_llama)
    assert isinstance(generator, Generator)
    assert generator.name == f"transformers@{folder_digest(tiny_llama)[:12]}"
    assert folder_digest(write_tiny_llama(tmp_path / "other", seed=1)) != folder_digest(tiny_llama)


@pytest.mark.parametrize("content", [None, "config"])
def test_folder_that_is_no_model_is_refused_in_one_line(tmp_path: Path, content: str | None) -> None:
    if content:
        (tmp_path / "config.json").write_text('{"model_type": "llama"', encoding="utf-8")
    with pytest.raises(DataError, match="cannot load a causal language model") as caught:
        _load(tmp_path)
    assert "\n" not in str(caught.value)


def test_device_and_dtype_are_picked() -> None:
    cpu = torch.device("cpu")
    assert pick_device("cpu") == cpu
    assert pick_dtype("float32", cpu) == torch.float32
    assert pick_dtype("auto", cpu) in (torch.bfloat16, torch.float32)
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no CUDA device"):
            pick_device("cuda")


@pytest.mark.parametrize(
    "defaults",
    [
        {"do_sample": True, "temperature": 0.9, "top_k": 5},
        {"repetition_penalty": 5.0},
        {"num_beams": 3},
        {"no_repeat_ngram_size": 1},
        {"return_dict_in_generate": True},
    ],
)
def test_sampling_defaults_of_the_model_are_not_taken(
    tiny_llama: Path, tmp_path: Path, defaults: dict[str, Any]
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    own = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    text = json.dumps({**own, **defaults, "transformers_version": "4.51.3"})
    (folder / "generation_config.json").write_text(text, encoding="utf-8")
    for decoding in (SAMPLED, Decoding(6, 0.0, chat=False)):
        expected = _load(tiny_llama, decoding=decoding).generate(PROMPTS, seed=SEEDS)
        assert _load(folder, decoding=decoding).generate(PROMPTS, seed=SEEDS) == expected


def test_code_that_a_model_brings_along_is_not_run(tmp_path: Path) -> None:
    config = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.EvilConfig", "AutoModelForCausalLM": "evil.Evil"}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", encoding="utf-8")
    with pytest.raises(DataError, match="cannot load"):
        _load(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_logits_that_are_not_finite_are_an_error_not_a_text(tiny_llama: Path) -> None:
    generator = _load(tiny_llama)
    with torch.no_grad():
        generator.model.lm_head.weight[0, 0] = float("nan")
    with pytest.raises(GeneratorError, match="not finite"):
        generator.generate(["a"], seed=0)


def test_prompts_that_repeat_are_read_once_and_continued_each(tiny_llama: Path) -> None:
    generator = _load(tiny_llama)
    prompts, seeds = ["the same", "another one", "the same", "the same"] * 4, range(16)
    read: list[int] = []
    generator.model.register_forward_pre_hook(
        lambda _module, _args, inputs: read.append(inputs["input_ids"].numel()), with_kwargs=True
    )
    together = generator.generate(prompts, seed=seeds)
    assert max(read) <= 4 * 31  # two prompts, filled up to four rows, all but the last token of a width of 32
    assert together == [generator.generate([p], seed=s)[0] for p, s in zip(prompts, seeds, strict=True)]
    assert len({text for text, prompt in zip(together, prompts, strict=True) if prompt == "the same"}) > 1
