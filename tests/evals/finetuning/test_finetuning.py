from __future__ import annotations

import csv
import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from evals.finetuning.checking import Checked, CheckSettings
from evals.finetuning.finetuning import finetune
from evals.finetuning.request import Extras, FinetuneRequest, Prepared
from evals.finetuning.result import FinetuneResult
from evals.finetuning.texts import TrainingText
from evals.schema import Outcome
from guard.errors import ConfigError, DataError, GeneratorError, OutputError
from guard.generators.source import resolve
from guard.train.generator.encoding import Encoded, encode_text
from guard.train.generator.examples import plain_example
from guard.train.generator.fit_settings import Beside, FitSettings
from guard.train.generator.scratch import ScratchSize
from guard.train.generator.terms import Leash
from guard.train.generator.tuned import Tuned, Tuning
from tests.evals.finetuning.small import CLEAN

pytestmark = pytest.mark.usefixtures("scripted_screen")

FIT = FitSettings(steps=12, step_tokens=400, budget=512, rate=0.02, looks=4)


def request(model: Path, data: Path, out: Path, **changed: Any) -> FinetuneRequest:
    settings: dict[str, Any] = {
        "check": CheckSettings(validation=0.4),
        "tuning": Tuning(rank=4, prompt_tokens=3),
        "fit": FIT,
        "track": (),
        "samples": 2,
        "device": "cpu",
        "dtype": "float32",
        "options": {"data": str(data)},
    }
    return FinetuneRequest(str(data), out, str(model), **{**settings, **changed})


def done(asked: FinetuneRequest, **named: Any) -> FinetuneResult:
    result = finetune(asked, **named)
    assert result is not None
    return result


class _KilledError(Exception):
    pass


def killed_at(step: int) -> Any:
    def tell(what: str, now: int, total: int) -> None:
        if (what, now) == ("training", step):
            raise _KilledError

    return tell


def weights(out: Path) -> bytes:
    return (out / "model" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("method", ["lora", "dora", "full"])
def test_a_model_comes_out_that_others_open_and_that_is_the_one_measured(
    tiny_llama: Path, data: Path, tmp_path: Path, method: Any
) -> None:
    rate = 0.003 if method == "full" else 0.02
    asked = request(tiny_llama, data, tmp_path / "run", tuning=Tuning(method, rank=4), fit=replace(FIT, rate=rate))
    shown: list[Checked] = []
    result = done(asked, show=shown.append)
    assert result.perplexity.outcome is Outcome.PASS
    assert shown == [result.checked]
    model, found = AutoModelForCausalLM.from_pretrained(asked.out / "model", output_loading_info=True)
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    tokenizer = AutoTokenizer.from_pretrained(asked.out / "model")
    assert model.generate(**tokenizer("tea", return_tensors="pt"), max_new_tokens=2).shape == (1, 5)
    nats, n = 0.0, 0
    for text in result.checked.held_out:
        ids = torch.tensor([tokenizer(text.whole)["input_ids"]])
        with torch.no_grad():
            logs = model(input_ids=ids).logits.log_softmax(-1)
        nats -= float(logs[0, :-1].gather(-1, ids[0, 1:, None]).sum())
        n += ids.shape[1] - 1
    assert n == result.perplexity.n_ids
    assert result.perplexity.after.value == pytest.approx(torch.tensor(nats / n).exp().item(), rel=1e-3)
    assert resolve(str(asked.out / "model")).digest != result.source.digest
    assert (asked.out / "adapter").exists() == (method != "full")


def test_the_folder_holds_settings_digests_curves_samples_and_a_card(
    tiny_llama: Path, data: Path, tmp_path: Path
) -> None:
    result = done(request(tiny_llama, data, tmp_path / "run"))
    out = tmp_path / "run"
    assert sorted(path.name for path in out.iterdir()) == [
        *("adapter", "check.json", "curves.csv", "finetune.json", "model"),
        *("report.html", "report.md", "run.json", "samples.json"),
    ]
    record = json.loads((out / "finetune.json").read_text())
    assert record["base_model"]["digest"] == result.source.digest
    assert len(record["data"]["files"][str(data)]) == 64
    assert {one["name"]: one["found"] for one in record["data"]["check"]}["duplicate"] == 1
    assert record["result"]["history"][0]["step"] == 0
    assert record["settings"]["fit"]["rate"] == 0.02
    rows = list(csv.DictReader((out / "curves.csv").read_text().splitlines()))
    assert {row["step"] for row in rows if row["kind"] == "train"} == {str(step) for step in range(1, 13)}
    assert [row["step"] for row in rows if (row["kind"], row["name"]) == ("validation", "total")] == [
        "0",
        "3",
        "6",
        "9",
        "12",
    ]
    samples = json.loads((out / "samples.json").read_text())
    assert len(samples) == 2
    assert samples[0]["before"] != samples[0]["after"]
    card = (out / "model" / "README.md").read_text()
    assert f"{result.perplexity.before.value:.2f}" in card
    assert "held-out" in card
    page = (out / "report.html").read_text()
    assert "<polyline" in page
    assert "<script" not in page


def test_dialogues_learn_their_answers_alone(tiny_llama: Path, tmp_path: Path) -> None:
    path = tmp_path / "dialogues.jsonl"
    turns = [{"prompt": f"what is {n}?", "answer": text} for n, text in enumerate(CLEAN)]
    path.write_text("\n".join(map(json.dumps, turns)), encoding="utf-8")
    result = done(request(tiny_llama, path, tmp_path / "run", fit=replace(FIT, steps=4)))
    counted = sum(len(text.turns[1].content.encode()) for text in result.checked.held_out)
    assert result.perplexity.n_ids == counted
    whole = done(request(tiny_llama, path, tmp_path / "other", fit=replace(FIT, steps=4), answers_only=False))
    assert whole.perplexity.n_ids > counted


def test_a_trained_prompt_leaves_an_adapter(tiny_llama: Path, data: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    asked = request(
        tiny_llama, data, tmp_path / "run", tuning=Tuning("prompt", prompt_tokens=3), fit=replace(FIT, rate=0.1)
    )
    result = done(asked)
    assert not (asked.out / "model").exists()
    opened = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_llama), asked.out / "adapter")
    assert opened.prompt_encoder["default"].embedding.weight.shape[0] == 3
    assert result.n_trained == 3 * 48


def test_a_model_from_nothing_is_whole(data: Path, tmp_path: Path) -> None:
    size = ScratchSize(layers=1, width=32, heads=2, inner=64, vocabulary=300, context=64)
    fit = replace(FIT, rate=0.01, packing=True, width=64)
    asked = request(Path("unused"), data, tmp_path / "run", tuning=Tuning("full"), fit=fit, scratch=size)
    result = done(asked)
    assert result.perplexity.outcome is Outcome.PASS
    assert resolve(str(asked.out / "model"))
    assert not (asked.out / "base").exists()
    with pytest.raises(ConfigError, match="--method full"):
        request(Path("unused"), data, tmp_path / "other", scratch=size)


@pytest.mark.parametrize("step", [2, 7, 12])
def test_a_run_that_was_killed_ends_with_the_same_weights(
    tiny_llama: Path, data: Path, tmp_path: Path, step: int
) -> None:
    whole, broken = (request(tiny_llama, data, tmp_path / name) for name in ("whole", "broken"))
    first = done(whole)
    with pytest.raises(_KilledError):
        finetune(broken, tell=killed_at(step))
    assert not (broken.out / "model").exists()
    with pytest.raises(ConfigError, match="--resume"):
        finetune(broken)
    second = done(broken, resume=True)
    assert weights(whole.out) == weights(broken.out)
    assert second.perplexity == first.perplexity
    assert (broken.out / "curves.csv").read_text() == (whole.out / "curves.csv").read_text()
    with pytest.raises(ConfigError, match="has ended"):
        finetune(broken, resume=True)


def test_what_a_run_goes_on_with_must_be_its_own(tiny_llama: Path, data: Path, tmp_path: Path) -> None:
    asked = request(tiny_llama, data, tmp_path / "run")
    with pytest.raises(ConfigError, match="holds no fine-tuning"):
        finetune(asked, resume=True)
    with pytest.raises(_KilledError):
        finetune(asked, tell=killed_at(5))
    with pytest.raises(DataError, match="other data or other settings"):
        finetune(replace(asked, max_tokens=20), resume=True)
    slower = replace(asked, fit=replace(FIT, rate=0.001, minutes=9.0))
    assert done(slower, resume=True).progress.step == 12


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_ends_in_one_line_and_the_run_goes_on(tiny_llama: Path, data: Path, tmp_path: Path) -> None:
    whole, broken = (request(tiny_llama, data, tmp_path / name) for name in ("whole", "broken"))
    done(whole)
    for size in (30_000, len(weights(whole.out)) - 1000):  # a checkpoint does not fit; it does and the model does not
        with files_up_to(size), pytest.raises(OutputError, match="make room") as caught:
            finetune(broken, resume=(broken.out / "run.json").exists())
        assert "\n" not in str(caught.value)
        assert not (broken.out / "model").exists()
    done(broken, resume=True)
    assert weights(whole.out) == weights(broken.out)


def test_a_lost_device_ends_in_one_line_and_the_run_goes_on(
    tiny_llama: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = (request(tiny_llama, data, tmp_path / name) for name in ("whole", "broken"))
    done(whole)
    calls = list[int]()
    learn = Tuned.language_loss

    def lost(self: Tuned, batch: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) > 7:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered", 700)
        return learn(self, batch)

    with monkeypatch.context() as patched:
        patched.setattr(Tuned, "language_loss", lost)
        with pytest.raises(GeneratorError, match=r"device was lost in step .*--resume"):
            finetune(broken)
    done(broken, resume=True)
    assert weights(whole.out) == weights(broken.out)


def test_other_objectives_join_by_terms_and_by_their_own_encoding(tiny_llama: Path, data: Path, tmp_path: Path) -> None:
    seen: list[Prepared] = []

    def beside(prepared: Prepared) -> Beside:
        seen.append(prepared)
        kept = [plain_example(prepared.tokenizer, text, most=8) for text in CLEAN[:4]]
        return Beside((Leash(2.0, kinds=("text",)),), kept, kept, {"text": 2})

    def encode(tokenizer: Any, text: TrainingText, most: int) -> Encoded | None:
        return encode_text(tokenizer, f"code: {text.whole}", most=most) if text.whole.startswith("tea") else None

    extras = Extras("leash 2", beside, encode, describe={"leash": 2.0})
    asked = request(tiny_llama, data, tmp_path / "run", fit=replace(FIT, steps=4))
    result = done(asked, extras=extras)
    assert seen[0].train == result.checked.train
    assert result.progress.history[-1]["leash"] > 0
    assert json.loads((asked.out / "finetune.json").read_text())["objective"] == {"leash": 2.0}
    plain = done(request(tiny_llama, data, tmp_path / "plain", fit=replace(FIT, steps=4)))
    longer = sum(text.whole.startswith("tea") for text in result.checked.train) * len("code: ")
    n_ids = [sum(len(row.ids) for row in one.encoded["train"].rows) for one in (plain, result)]
    assert n_ids[1] - n_ids[0] == longer > 0
    assert "leash" in (asked.out / "report.html").read_text()


def test_data_that_is_no_good_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("text\nonly one\n")
    with pytest.raises(DataError, match="are the least"):
        finetune(request(Path("no-such-model"), path, tmp_path / "run"))
    path.write_text("body\nonly one\n")
    with pytest.raises(DataError, match="name them with --text-column"):
        finetune(request(Path("no-such-model"), path, tmp_path / "run"))
