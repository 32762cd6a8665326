"""What a fine-tuning is asked to do, and the seams by which other objectives join it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from evals.finetuning.checking import CheckSettings
from evals.finetuning.texts import TextColumns, TrainingText
from guard.errors import ConfigError
from guard.train.generator.encoding import Encoded
from guard.train.generator.fit_settings import Beside, FitSettings
from guard.train.generator.scratch import ScratchSize
from guard.train.generator.tuned import Tuned, Tuning

__all__ = ["Extras", "FinetuneRequest", "Prepared", "Told"]

Told = Callable[[str, int, int], None]
"""Gets what is being done, how much of it, and the whole."""


@dataclass(frozen=True)
class FinetuneRequest:
    """What to train on what, and how.

    Parameters
    ----------
    data : str
        As :func:`evals.finetuning.texts.read_texts` takes it.
    out : pathlib.Path
        Folder of the run.
    model : str
        As :func:`guard.generators.source.resolve` takes it; not used from scratch.
    columns : TextColumns
    validation_data : str or None
        Rows to validate and measure on; a share of `data` where there is none.
    check : CheckSettings
    tuning : Tuning
    fit : FitSettings
    max_tokens : int
        Ids of a row.
    form : {"auto", "chat", "plain"}
        ``plain`` stands dialogues line by line; otherwise they take the model's template where it has one.
    answers_only : bool
        Learn the assistant's turns and not the others.
    scratch : ScratchSize or None
        Begin with random weights of this size and a tokenizer of the data.
    track : sequence of str
        As :func:`evals.finetuning.tracking.trackers` takes it.
    samples : int
        Held-out rows that are continued before and after.
    device, dtype : str
    options : mapping
        What the user said, for the record and for a run that goes on.
    """

    data: str
    out: Path
    model: str = "smollm2-135m"
    columns: TextColumns = field(default_factory=TextColumns)
    validation_data: str | None = None
    check: CheckSettings = field(default_factory=CheckSettings)
    tuning: Tuning = field(default_factory=Tuning)
    fit: FitSettings = field(default_factory=FitSettings)
    max_tokens: int = 512
    form: Literal["auto", "chat", "plain"] = "auto"
    answers_only: bool = True
    scratch: ScratchSize | None = None
    track: Sequence[str] = ("tensorboard",)
    samples: int = 5
    device: str = "auto"
    dtype: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.max_tokens < 2 or self.samples < 0:
            raise ConfigError(f"rows of {self.max_tokens} ids and {self.samples} samples: give at least 2 and 0")
        if self.scratch is not None and self.tuning.method != "full":
            raise ConfigError("a model from scratch has nothing to put updates on: train it with --method full")

    def identity(self, *, model: str, data: str, extras: str) -> str:
        """Return a digest of everything that the weights depend on.

        Parameters
        ----------
        model, data, extras : str
            Digests of the original, of the rows, and of what is learnt beside.
        """
        # A run that goes on may have other minutes left, learn more slowly, or take less at once.
        timeless = replace(self.fit, minutes=None, rate=1.0, patience=1, budget=1)
        parts = (self.check, self.tuning, timeless, self.max_tokens, self.form, self.answers_only, self.scratch)
        content = repr((model, data, extras, self.dtype, parts))
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Prepared:
    """What other objectives may build on, once a model is loaded and the data is clean.

    Parameters
    ----------
    tuned : Tuned
        Says what the original says.
    tokenizer : transformers.PreTrainedTokenizerBase
    train, validation : tuple of TrainingText
    folder : pathlib.Path
        Of the run, for what is made once.
    seed : int
    """

    tuned: Tuned
    tokenizer: Any
    train: tuple[TrainingText, ...]
    validation: tuple[TrainingText, ...]
    folder: Path
    seed: int


@dataclass(frozen=True)
class Extras:
    """What is learnt beside the language-model loss, or in place of parts of it.

    Parameters
    ----------
    identity : str
        Names its settings: a run goes on only with the same.
    beside : callable, optional
        Makes terms and their examples. Called once the model is loaded, again when a run goes on: what must not be
        drawn anew is kept in the folder.
    encode : callable, optional
        (tokenizer, row, most ids) -> ids in place of the usual ones, with spans that are not learnt or codes in front;
        None leaves the row to the usual way.
    keep_original : bool
        Whether terms compare with the original.
    describe : mapping
        Stands in the record and the card.
    """

    identity: str = ""
    beside: Callable[[Prepared], Beside] | None = None
    encode: Callable[[Any, TrainingText, int], Encoded | None] | None = None
    keep_original: bool = False
    describe: Mapping[str, Any] = field(default_factory=dict)
