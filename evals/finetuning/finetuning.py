"""A fine-tuning from end to end: check the data, measure, train, measure again, write the model and its report."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.finetuning.checking import Checked, check
from evals.finetuning.encoded import EncodedRows, counted, encode_rows, n_chars
from evals.finetuning.figures import perplexities
from evals.finetuning.request import Extras, FinetuneRequest, Prepared, Told
from evals.finetuning.result import FinetuneResult, record_of
from evals.finetuning.run_folder import RunFolder
from evals.finetuning.samples import continuations, samples_of
from evals.finetuning.screening import FilterScreen
from evals.finetuning.texts import read_texts
from evals.finetuning.tracking import Tracker, trackers
from guard.errors import ConfigError
from guard.generators.loading import load_model, pick_device
from guard.generators.source import ModelSource, resolve
from guard.train.generator.checkpoint import Progress
from guard.train.generator.fit_settings import Beside, Look
from guard.train.generator.fitting import fit
from guard.train.generator.objective import Losses
from guard.train.generator.ranks import Ranks, Together, launched
from guard.train.generator.row_nats import row_nats
from guard.train.generator.scratch import write_scratch
from guard.train.generator.token_rows import TokenRow, rows_digest
from guard.train.generator.tuned import packing_separates, prepare

__all__ = ["finetune"]

_MEASURED_TOKENS = 1024


def finetune(
    request: FinetuneRequest,
    *,
    extras: Extras | None = None,
    resume: bool = False,
    tell: Told = lambda what, done, total: None,
    note: Callable[[str], None] = lambda line: None,
    show: Callable[[Checked], None] = lambda checked: None,
) -> FinetuneResult | None:
    """Fine-tune a model, and write it with its card, curves and report into the folder of the run.

    Parameters
    ----------
    request : FinetuneRequest
    extras : Extras, optional
        Other objectives.
    resume : bool
        Go on with the run in the folder.
    tell : callable
        Gets what is being done, how much of it, and the whole.
    note : callable
        Gets lines for the user.
    show : callable
        Gets what was found in the data, before the first step.

    Returns
    -------
    FinetuneResult or None
        None in every process but the first where there are several.

    Raises
    ------
    ConfigError, DataError
        Something that was named is not there or makes no sense.
    GeneratorError
        Training did not give finite numbers, or the device was lost. The last good state is kept.
    OutputError
        Something could not be written. The last good state is kept.
    """
    parts = _Finetuning(request, extras or Extras(), resume=resume, tell=tell, note=note)
    parts.load(show)
    before = parts.measured("before")
    progress = parts.train()
    after = parts.measured("after")
    if parts.ranks.rank:
        return None
    return parts.write(before, after, progress)


@dataclass(frozen=True)
class _Side:
    """What is measured on one side of the training."""

    nats: list[list[float]]
    samples: list[str]


class _Finetuning:
    """The parts of one fine-tuning."""

    def __init__(
        self, request: FinetuneRequest, extras: Extras, *, resume: bool, tell: Told, note: Callable[[str], None]
    ) -> None:
        self.request, self.extras, self.resumed = request, extras, resume
        self.device = pick_device(request.device)
        self.ranks: Ranks = launched(cpu=self.device.type == "cpu")
        if isinstance(self.ranks, Together):
            self.device = self.ranks.device
        speaks = self.ranks.rank == 0
        self.tell: Told = tell if speaks else lambda what, done, total: None
        self.note: Callable[[str], None] = note if speaks else lambda line: None
        if self.ranks.rank == 0:
            RunFolder.require(request.out, resume=resume)
        self.spent: dict[str, float] = {}
        self.started = time.monotonic()

    def load(self, show: Callable[[Checked], None]) -> None:
        """Check the data, load the model and encode the rows."""
        found = self.ranks.agreed(self._check() if self.ranks.rank == 0 else None)
        assert found is not None
        self.checked = found
        if self.ranks.rank == 0:
            show(self.checked)
        self._lap("check")
        self.source = self._source()
        self.tell("loading the model", 0, 1)
        model, self.tokenizer = load_model(self.source.folder, device=self.device, dtype=self.request.dtype)
        context = int(getattr(model.config, "max_position_embeddings", None) or self.request.max_tokens)
        n_prompt = self.request.tuning.prompt_tokens if self.request.tuning.method == "prompt" else 0
        self.most = min(self.request.max_tokens, context - n_prompt)
        self.pad_id = int(self.tokenizer.pad_token_id or 0)
        seed = self.request.fit.seed
        self.tuned = prepare(model, self.request.tuning, seed=seed, keep_original=self.extras.keep_original)
        if self.request.fit.packing and not packing_separates(self.tuned):
            raise ConfigError(
                f"{self.request.model} carries a state from text to text within a row, so that packed texts would read"
                " each other: leave out --packing"
            )
        self.rows = self._encoded()
        identity = self.request.identity(
            model=self.source.digest,
            data=" ".join(rows_digest(self.rows[part].rows) for part in ("train", "validation", "held_out")),
            extras=self.extras.identity,
        )
        if self.ranks.rank == 0:
            self.folder = RunFolder(self.request, self.checked, identity=identity)
        self._lap("load")

    def _check(self) -> Checked:
        request = self.request
        self.tell("looking the data over", 0, 0)
        texts = read_texts(request.data, request.columns)
        apart = None if request.validation_data is None else read_texts(request.validation_data, request.columns)
        return check(texts, request.check, FilterScreen(device=request.device), validation=apart, tell=self.tell)

    def _source(self) -> ModelSource:
        request = self.request
        if request.scratch is None:
            return resolve(request.model)
        base = request.out / "base"
        if self.ranks.rank == 0 and not (base / "config.json").exists():
            staged = request.out / f"base.{os.getpid()}.tmp"
            write_scratch(staged, (row.whole for row in self.checked.train), request.scratch, seed=request.fit.seed)
            os.replace(staged, base)
        self.ranks.agreed(0)
        return resolve(str(base))

    def _encoded(self) -> dict[str, EncodedRows]:
        parts = {"train": self.checked.train, "validation": self.checked.validation, "held_out": self.checked.held_out}
        return {
            name: encode_rows(
                self.tokenizer, texts, self.request, most=self.most, extras=self.extras if name == "train" else None
            )
            for name, texts in parts.items()
        }

    def measured(self, name: str) -> _Side:
        """Measure the model as it is, once."""
        kept = self.ranks.agreed(self.folder.get(name) if self.ranks.rank == 0 else None)
        if kept is None:
            rows, eos = self.rows["held_out"].rows, self.tokenizer.eos_token_id
            self.tell(f"measuring {name}", 0, 1)
            nats = row_nats(self.tuned, rows, pad_id=self.pad_id, budget=_MEASURED_TOKENS, ranks=self.ranks)
            said = continuations(self.tuned, self.tokenizer, self._shown()) if self.ranks.rank == 0 else []
            kept = {"nats": counted(rows, nats, eos), "samples": said}
            if self.ranks.rank == 0:
                self.folder.put(name, kept)
            self.tell(f"measuring {name}", 1, 1)
        self._lap(name)
        return _Side(kept["nats"], kept["samples"])

    def _shown(self) -> Sequence[TokenRow]:
        long = [row for row in self.rows["held_out"].rows if len(row.ids) >= 8]
        return (long or self.rows["held_out"].rows)[: self.request.samples]

    def train(self) -> Progress:
        """Train, and leave the model with its best weights."""
        request = self.request
        tracked: list[Tracker] = []
        state = request.out / "work" / "training"
        if self.ranks.rank == 0:
            tracked = trackers(
                request.track,
                request.out,
                start=self.folder.step_of(state),
                settings=dict(request.options),
                tell=self.note,
            )

        def on_step(step: int, total: int, losses: Losses) -> None:
            self.tell("training", step, total)
            for one in tracked:
                one.scalars(step, "train", losses)

        def on_look(look: Look) -> None:
            for one in tracked:
                one.scalars(look.step, "validation", look.losses)

        try:
            return fit(
                self.tuned,
                self.rows["train"].rows,
                self.rows["validation"].rows,
                request.fit,
                pad_id=self.pad_id,
                beside=self._beside(),
                folder=state,
                ranks=self.ranks,
                on_step=on_step,
                on_look=on_look,
            )
        finally:
            for one in tracked:
                one.close()
            self._lap("training")

    def _beside(self) -> Beside:
        if self.extras.beside is None:
            return Beside()
        checked = self.checked
        folder = self.request.out / "work"
        prepared = Prepared(
            self.tuned, self.tokenizer, checked.train, checked.validation, folder, self.request.fit.seed
        )
        return self.extras.beside(prepared)

    def write(self, before: _Side, after: _Side, progress: Progress) -> FinetuneResult:
        """Write the model, its record and its report."""
        rows = self.rows["held_out"].rows
        found = perplexities(
            before.nats,
            after.nats,
            units=[row.unit for row in rows],
            n_chars=n_chars(self.tokenizer, rows, self.tokenizer.eos_token_id),
        )
        result = FinetuneResult(
            request=self.request,
            source=self.source,
            checked=self.checked,
            encoded=self.rows,
            perplexity=found,
            progress=progress,
            n_trained=sum(value.numel() for value in self.tuned.parameters.values()),
            samples=samples_of(self.tokenizer, self._shown(), before.samples, after.samples),
            spent=dict(self.spent),
            describe=dict(self.extras.describe),
        )
        self.tell("writing the model", 0, 1)
        self.folder.finish(result, record_of(result, data=_data_digest(self.request)), self.tuned, self.tokenizer)
        self.tell("writing the model", 1, 1)
        return result

    def _lap(self, name: str) -> None:
        now = time.monotonic()
        self.spent[name] = now - self.started
        self.started = now


def _data_digest(request: FinetuneRequest) -> Mapping[str, str]:
    """Return the SHA-256 of each file that was named; of a data set on the hub, its name."""
    found = {}
    for source in filter(None, (request.data, request.validation_data)):
        path = Path(source)
        found[source] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "on the hub"
    return found
