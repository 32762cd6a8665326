"""Training of the encoder filter: ``python -m guard.train.encoder --data FOLDER --out FOLDER``."""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from guard.filters.bert import load_bert
from guard.filters.encoder_text import encoder_text
from guard.filters.windows import length_batches
from guard.train.averaging import AveragedParameters
from guard.train.calibration import fit_calibration
from guard.train.lora import LoraEncoder, LoraSettings
from guard.train.mixture import encoder_rows, read_mixture
from guard.train.noise import garble
from guard.train.rows import HEADS, Row

__all__ = ["TrainSettings", "main", "train"]

_LOG = logging.getLogger(__name__)
_SAVE_MINUTES = 8.0


@dataclass(frozen=True)
class TrainSettings:
    """Everything that shapes a training run, besides the data.

    Parameters
    ----------
    seed : int
    epochs : int
    learning_rate : float
        Peak, reached after `warmup` of all steps and followed by a cosine to zero.
    warmup : float
        Share of all steps.
    weight_decay : float
    max_tokens : int
        Longest training text, special tokens included; longer ones give a window.
    batch_tokens : int
        Padded tokens of one step.
    noise : float
        Share of the rows that are garbled, harmful and harmless alike.
    head_weights : tuple of float
        Weight of each head in the loss.
    average : float
        Decay a step of the running average of the weights, which is what is kept; it starts after the warm-up. The
        decay is lower early on (Polyak and Juditsky 1992 average all steps; the cosine makes the last ones count).
    minutes : float, optional
        Wall-clock time after which the run ends, with the learning rate brought to zero by then.
    bfloat16 : bool
        Multiply matrices in bfloat16, which newer CPUs do twice as fast. Weights stay float32.
    lora : LoraSettings
    """

    seed: int = 0
    epochs: int = 1
    learning_rate: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 0.01
    max_tokens: int = 112
    batch_tokens: int = 2048
    noise: float = 0.27
    head_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 0.7)
    average: float = 0.99
    minutes: float | None = None
    bfloat16: bool = True
    lora: LoraSettings = field(default_factory=LoraSettings)


@dataclass(frozen=True)
class _Example:
    """Token ids with special tokens, and the labels with -1 where unknown."""

    ids: list[int]
    labels: tuple[float, ...]


def _window(ids: list[int], size: int, rng: random.Random, *, first: bool) -> list[int]:
    """Cut one window out of a long text: the first, or a random one."""
    start = 0 if first or len(ids) <= size else rng.randrange(len(ids) - size + 1)
    return ids[start : start + size]


def _segment(row: Row, rng: random.Random) -> str:
    """Return a harmless text, or of a long one now and then a piece of 80 to 320 characters.

    Output is judged in such pieces. Of a harmful text it is not known which piece makes it so.
    """
    harmless = bool(row.labels) and max(row.labels.values()) < 0.2
    if not harmless or len(row.text) < 160 or rng.random() < 0.6:
        return row.text
    length = rng.randint(80, 320)
    start = row.text.rfind(" ", 0, rng.randrange(max(1, len(row.text) - length + 1)) + 1) + 1
    return row.text[start : start + length]


def _examples(rows: Sequence[Row], tokenizer: Tokenizer, settings: TrainSettings, *, epoch: int) -> list[_Example]:
    """Garble, canonicalise, tokenise and window the rows; a long jailbreak gives a second, random window."""
    rng = random.Random(f"{settings.seed}/{epoch}")  # noqa: S311 - no secret
    noise = settings.noise if epoch >= 0 else 0.0
    pieces = [_segment(row, rng) if epoch >= 0 else row.text for row in rows]
    texts = [
        encoder_text(garble(text, rng) if rng.random() < noise else text, emoji_names=True).text for text in pieces
    ]
    size = settings.max_tokens - 2
    begin, end = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    examples = []
    for row, encoding in zip(rows, tokenizer.encode_batch(texts, add_special_tokens=False), strict=True):
        labels = tuple(row.labels.get(head, -1.0) for head in HEADS)
        # Where a text is harmful is known for its beginning only, except for jailbreaks, which are so throughout.
        harmful = max(labels[:2]) > 0.5 or labels[4] > 0.5
        windows = [_window(encoding.ids, size, rng, first=harmful or rng.random() < 0.6)]
        if labels[2] > 0.5 and len(encoding.ids) > size and epoch >= 0:
            windows.append(_window(encoding.ids, size, rng, first=False))
        examples += [_Example([begin, *ids, end], labels) for ids in windows]
    return examples


def _batches(examples: Sequence[_Example], settings: TrainSettings, rng: random.Random) -> list[list[_Example]]:
    """Group shuffled examples into batches of like length, in random order."""
    order = list(range(len(examples)))
    rng.shuffle(order)
    batches = []
    for start in range(0, len(order), 4096):
        chunk = order[start : start + 4096]
        groups = length_batches([len(examples[index].ids) for index in chunk], token_budget=settings.batch_tokens)
        batches += [[examples[chunk[at]] for at in group] for group in groups]
    rng.shuffle(batches)
    return batches


def _all_batches(rows: Sequence[Row], tokenizer: Tokenizer, settings: TrainSettings) -> list[list[_Example]]:
    """Return the batches of all epochs, each epoch with its own noise, windows and order."""
    batches: list[list[_Example]] = []
    for epoch in range(settings.epochs):
        rng = random.Random(f"{settings.seed}/order/{epoch}")  # noqa: S311 - no secret
        batches += _batches(_examples(rows, tokenizer, settings, epoch=epoch), settings, rng)
    return batches


def _collate(batch: Sequence[_Example]) -> tuple[Tensor, Tensor, Tensor]:
    """Pad to ids (n, t), mask (n, t) and labels (n, k)."""
    width = max(len(example.ids) for example in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.int64)
    mask = torch.zeros(len(batch), width, dtype=torch.bool)
    for row, example in enumerate(batch):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        mask[row, : len(example.ids)] = True
    return ids, mask, torch.tensor([example.labels for example in batch])


def _loss(logits: Tensor, labels: Tensor, head_weights: Tensor) -> Tensor:
    """Binary cross-entropy over the known labels, weighted by head."""
    weights = (labels >= 0) * head_weights
    losses = functional.binary_cross_entropy_with_logits(logits, labels.clamp(min=0), reduction="none")
    return (losses * weights).sum() / weights.sum().clamp(min=1)


def _rate(progress: float, settings: TrainSettings) -> float:
    """Return the learning rate at a progress in [0, 1]: linear warm-up, then half a cosine."""
    if progress < settings.warmup:
        return settings.learning_rate * (0.02 + progress / settings.warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * (progress - settings.warmup) / (1 - settings.warmup)))


def _logits(model: LoraEncoder, examples: Sequence[_Example], settings: TrainSettings) -> np.ndarray:
    """Return the logits of all examples in their order, shape (n, k)."""
    logits = np.zeros((len(examples), len(HEADS)), dtype=np.float32)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.bfloat16):
        for group in length_batches([len(example.ids) for example in examples], token_budget=4096):
            ids, mask, _ = _collate([examples[index] for index in group])
            logits[group] = model(ids, mask).numpy()
    return logits


def _step(
    model: LoraEncoder,
    batch: Sequence[_Example],
    optimizer: torch.optim.Optimizer,
    rate: float,
    settings: TrainSettings,
) -> float:
    """Take one step and return its loss."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    ids, mask, labels = _collate(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.bfloat16):
        logits = model(ids, mask)
    loss = _loss(logits.float(), labels, torch.tensor(settings.head_weights))
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach())


def _fit(
    model: LoraEncoder, batches: Sequence[Sequence[_Example]], settings: TrainSettings, save: Callable[[], None]
) -> int:
    """Run the optimiser over all batches or until the time is up, leave the averaged weights, count the tokens."""
    optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    average = AveragedParameters(list(model.parameters()), settings.average)
    started, running, tokens, saved = time.perf_counter(), 0.0, 0, 0.0
    for step, batch in enumerate(batches):
        elapsed = (time.perf_counter() - started) / 60
        progress = max(step / len(batches), elapsed / settings.minutes if settings.minutes else 0.0)
        if progress >= 1:
            break
        loss = _step(model, batch, optimizer, _rate(progress, settings), settings)
        tokens += sum(len(example.ids) for example in batch)
        average.update()
        running = 0.98 * running + 0.02 * loss if step else loss
        if step % 25 == 0:
            _LOG.info("step %d/%d (%.0f%%) loss %.4f %.0f s", step, len(batches), 100 * progress, running, 60 * elapsed)
        if elapsed - saved >= _SAVE_MINUTES:
            saved = elapsed
            average.swap()
            save()
            average.swap()
    average.swap()
    return tokens


def _calibrated(
    model: LoraEncoder, validation: Sequence[_Example], settings: TrainSettings
) -> tuple[dict[str, Tensor], list[tuple[float, float]]]:
    """Fit the calibration and fold it into the heads: a scaled logit is the logit of scaled weights."""
    labels = np.array([example.labels for example in validation], dtype=np.float32).reshape(-1, len(HEADS))
    calibration = fit_calibration(_logits(model, validation, settings), labels)
    tensors = model.tensors()
    scale = torch.tensor([1 / temperature for temperature, _ in calibration])
    tensors["heads.value"] *= scale[:, None]
    tensors["heads.bias"] = tensors["heads.bias"] * scale + torch.tensor([shift for _, shift in calibration])
    return tensors, calibration


def train(
    rows: Sequence[Row],
    *,
    base: Path,
    settings: TrainSettings,
    init: Mapping[str, Tensor] | None = None,
    checkpoint: Callable[[dict[str, Tensor], dict[str, object]], None] | None = None,
) -> tuple[dict[str, Tensor], dict[str, object], dict[str, object]]:
    """Train the low-rank updates and heads.

    Parameters
    ----------
    rows : sequence of Row
        Training and validation splits.
    base : Path
        Folder of the frozen BERT and its ``tokenizer.json``.
    settings : TrainSettings
    init : mapping of str to Tensor, optional
        Tensors of an earlier pass to start from; their rank may be lower.
    checkpoint : callable, optional
        Given tensors and config, in their final form, every eight minutes.

    Returns
    -------
    tensors : dict of str to Tensor
        float16, with the calibration folded into the heads.
    config : dict
        What :class:`guard.filters.encoder.EncoderFilter` reads beside them.
    record : dict
        Settings, rows, tokens and CPU minutes of this pass.
    """
    shape, weights = load_bert(base)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    model = LoraEncoder(weights, shape, n_heads=len(HEADS), settings=settings.lora, seed=settings.seed)
    if init is not None:
        model.load_tensors(init)
    training = [row for row in rows if row.split == "train"]
    batches = _all_batches(training, tokenizer, settings)
    _LOG.info("%d rows, %d tokens, %d steps", len(training), sum(len(e.ids) for b in batches for e in b), len(batches))
    validation = _examples([row for row in rows if row.split == "val"], tokenizer, settings, epoch=-1)

    def save() -> None:
        if checkpoint is not None:
            tensors, calibration = _calibrated(model, validation, settings)
            checkpoint(_half(tensors), _config(settings, calibration))

    started = time.process_time()
    tokens = _fit(model, batches, settings, save)
    cpu_minutes = (time.process_time() - started) / 60
    tensors, calibration = _calibrated(model, validation, settings)
    config = _config(settings, calibration)
    size = {"n_rows": len(training), "n_tokens": tokens, "cpu_minutes": round(cpu_minutes, 1)}
    return _half(tensors), config, {**asdict(settings), **size}


def _half(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors in float16, as they are shipped."""
    return {name: value.half().contiguous() for name, value in tensors.items()}


def _config(settings: TrainSettings, calibration: Sequence[tuple[float, float]]) -> dict[str, object]:
    """Return what the filter reads beside the tensors."""
    return {
        "categories": list(HEADS),
        "rank": settings.lora.rank,
        "scale": settings.lora.scale,
        "pooling": "attention",
        "window": 126,
        "stride": 96,
        "emoji_names": True,
        "calibration": {head: {"temperature": t, "shift": s} for head, (t, s) in zip(HEADS, calibration, strict=True)},
    }


def write_weights(tensors: dict[str, Tensor], config: dict[str, object], out: Path) -> None:
    """Write ``encoder.safetensors`` and ``config.json``, each in one step.

    Parameters
    ----------
    tensors : dict of str to Tensor
    config : dict
        JSON values only.
    out : Path
        Folder; made where it is missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        save_file(tensors, Path(scratch) / "encoder.safetensors")
        (Path(scratch) / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        for name in ("encoder.safetensors", "config.json"):
            (Path(scratch) / name).chmod(0o644)  # safetensors writes for the owner alone
            os.replace(Path(scratch) / name, out / name)


def main(argv: Sequence[str] | None = None) -> None:
    """Train on the command line."""
    parser = argparse.ArgumentParser(prog="python -m guard.train.encoder", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder a set")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    parser.add_argument("--base", type=Path, help="folder of the frozen model (default: the asset minilm)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="train on this many rows only, to try things out")
    parser.add_argument("--own", type=int, default=9000, help="sentences of the project's own to draw")
    parser.add_argument("--init", type=Path, help="weights of an earlier pass to start from")
    parser.add_argument("--replay", type=float, default=1.0, help="share of the public rows to use")
    parser.add_argument("--learning-rate", type=float, default=TrainSettings.learning_rate)
    parser.add_argument("--rank", type=int, default=LoraSettings.rank, help="of the low-rank updates")
    parser.add_argument("--minutes", type=float, help="end the run after this time, whatever is left of the rows")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    settings = TrainSettings(
        seed=options.seed, learning_rate=options.learning_rate, minutes=options.minutes,
        lora=LoraSettings(rank=options.rank),
    )  # fmt: skip
    mixture = read_mixture(options.data)
    rows = encoder_rows(mixture, seed=settings.seed, n_own=options.own, replay=options.replay)
    if options.limit is not None:
        rows = random.Random(settings.seed).sample(rows, min(options.limit, len(rows)))  # noqa: S311 - no secret
    base = options.base
    if base is None:
        from guard import assets

        base = assets.path("minilm")
    init = load_file(options.init / "encoder.safetensors") if options.init else None
    passes = json.loads((options.init / "config.json").read_text(encoding="utf-8"))["training"] if options.init else []

    def checkpoint(tensors: dict[str, Tensor], config: dict[str, object]) -> None:
        write_weights(tensors, {**config, "training": passes}, options.out)

    tensors, config, record = train(rows, base=base, settings=settings, init=init, checkpoint=checkpoint)
    config["training"] = [*passes, {**record, "n_own": options.own, "replay": options.replay}]
    write_weights(tensors, config, options.out)


if __name__ == "__main__":
    main()
