"""One model trained several times on the same rows: plainly, and with each set of terms, always from the same start."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.ethics.settings import EthicsRequest, Judges
from evals.harden_generator.work import WorkFolder
from guard.errors import DataError
from guard.generators.transformers import TransformersGenerator
from guard.schema import Decoding
from guard.train.generator.checkpoint import Progress
from guard.train.generator.codes import ControlCodes
from guard.train.generator.ethics import EthicsWeights, beside_of, codes_of, judged, rows_of
from guard.train.generator.examples import Example, plain_example
from guard.train.generator.fit_settings import Beside, FitSettings
from guard.train.generator.fitting import fit
from guard.train.generator.objective import Losses
from guard.train.generator.pairs import Sampled, beginnings
from guard.train.generator.sampling import sample
from guard.train.generator.saving import merged_model
from guard.train.generator.spans import JudgedText
from guard.train.generator.tuned import Tuned

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PLAIN", "Lab", "Trained", "tensors_digest"]

Told = Callable[[str, int, int], None]

PLAIN = EthicsWeights()
_SAMPLE_DECODING = Decoding(max_new_tokens=20, temperature=1.0, top_p=0.95, chat=False)
_MOST_UNLEARNT = 48


@dataclass(frozen=True)
class Trained:
    """One training of the model.

    Parameters
    ----------
    weights : EthicsWeights
    codes : ControlCodes or None
    tensors : mapping of str to Tensor
        The trained values.
    progress : Progress or None
        None for the original.
    """

    weights: EthicsWeights
    codes: ControlCodes | None
    tensors: Mapping[str, Tensor]
    progress: Progress | None


class Lab:
    """Trains a model with different terms, and gives generators over the results.

    Parameters
    ----------
    tuned : Tuned
        Says what the original says.
    tokenizer : transformers.PreTrainedTokenizerBase
    train, validation : sequence of JudgedText
        Scores and places are not needed yet, unless `is_judged`.
    judges : Judges
    request : EthicsRequest
    fit : FitSettings
    prose : sequence of str
        For the leash.
    prompts : sequence of str
        Beside the beginnings of texts that the model is sampled on.
    folder : pathlib.Path
        Keeps what was sampled, and the state of each training.
    digest : str
        Of the original model.
    most : int
        Ids of a row.
    is_judged : bool
        Whether the rows of `train` have their scores.
    tell : callable
    """

    def __init__(
        self,
        tuned: Tuned,
        tokenizer: Any,
        train: Sequence[JudgedText],
        validation: Sequence[JudgedText],
        judges: Judges,
        request: EthicsRequest,
        fit: FitSettings,
        *,
        prose: Sequence[str],
        prompts: Sequence[str] = (),
        folder: Path,
        digest: str,
        most: int = 128,
        is_judged: bool = False,
        tell: Told = lambda what, done, total: None,
    ) -> None:
        self.tuned, self.tokenizer, self.judges, self.request = tuned, tokenizer, judges, request
        self._prompts = tuple(prompts)
        self.fit_settings, self.folder, self.digest, self.most, self.tell = fit, folder, digest, most, tell
        self.chat = any(one.prompt is not None for one in train)
        self._start = tuned.tensors()
        located = request.weights.unlikelihood > 0
        self.train = list(train) if is_judged else self._judged("judging the rows", train, located=located)
        self.validation = self._judged("judging the rows to choose by", validation, located=located)
        self._prose = [plain_example(tokenizer, text, most=_MOST_UNLEARNT) for text in prose]
        self._sampled: dict[str, list[Sampled]] = {}

    def _judged(self, what: str, texts: Sequence[JudgedText], *, located: bool) -> list[JudgedText]:
        """Judge texts once: a run that goes on reads what it found."""
        judge = self.judges.training
        key = hashlib.sha256(repr((judge.name, judge.threshold, located, list(texts))).encode()).hexdigest()[:16]
        kept = WorkFolder(self.folder / "judged" / key, identity=key)
        self.tell(what, 0, len(texts))
        rows = kept.once("rows", lambda: [(one.score, one.ranges) for one in judged(texts, judge, located=located)])
        self.tell(what, len(texts), len(texts))
        return [
            replace(one, score=score, ranges=tuple((start, end) for start, end in ranges))
            for one, (score, ranges) in zip(texts, rows, strict=True)
        ]

    @property
    def original(self) -> Trained:
        """The model as it came."""
        return Trained(PLAIN, None, self._start, None)

    def trained(self, weights: EthicsWeights, *, fit_settings: FitSettings | None = None) -> Trained:
        """Train from the start; a training that was broken off goes on, and one that ended is not done again."""
        settings = fit_settings or self.fit_settings
        codes = codes_of(self.train, weights, self.request.phrases, clean=self.request.pairs.clean)
        # The plain model is what pairs are sampled from, so it is trained before anything else is made.
        beside = Beside() if weights.is_plain else self.beside(weights, codes)
        rows = rows_of(self.tokenizer, self.train, weights, codes, most=self.most)
        looked = rows_of(self.tokenizer, self.validation, weights, codes, most=self.most)
        self.tuned.load(self._start)
        name = f"training with {weights.told()}" if not weights.is_plain else "plain training"
        progress = fit(
            self.tuned,
            rows,
            looked,
            settings,
            pad_id=int(self.tokenizer.pad_token_id or 0),
            beside=beside,
            folder=self.folder / "arms" / _key(weights, settings),
            on_step=lambda step, total, losses: self._on_step(name, step, total, losses),
        )
        return Trained(weights, codes, self.tuned.tensors(), progress)

    def _on_step(self, name: str, step: int, total: int, losses: Losses) -> None:
        self.tell(name, step, total)

    def beside(self, weights: EthicsWeights, codes: ControlCodes | None) -> Beside:
        """Return the terms of some weights with their examples."""
        return beside_of(
            self.tokenizer,
            weights,
            self.train,
            self.sampled() if weights.needs_samples else (),
            self._prose if weights.kl else list[Example](),
            self.judges.training,
            codes=codes,
            pairs=self.request.pairs,
            chat=self.chat,
            most=_MOST_UNLEARNT,
        )

    def sampled(self) -> list[Sampled]:
        """Return what the plainly trained model says to beginnings of training texts, judged; asked once."""
        plain = self.trained(PLAIN)
        digest = tensors_digest(plain.tensors)
        if digest not in self._sampled:
            generator = self.generator(plain, replace(_SAMPLE_DECODING, chat=self.chat))
            self._sampled[digest] = sample(
                generator,
                self._beginnings(),
                self.judges.training,
                self.request.samples,
                file=self.folder / f"sampled-{digest[:12]}.jsonl",
                identity=digest,
                tell=lambda done, total: self.tell("sampling the plain model", done, total),
            )
        return self._sampled[digest]

    def _beginnings(self) -> list[str]:
        """Return what the model is sampled on: beginnings of texts, those of unwanted ones first, or whole prompts."""
        ordered = sorted(self.train, key=lambda one: (-one.score, one.text))
        found = [one.prompt for one in ordered if one.prompt] if self.chat else beginnings(one.text for one in ordered)
        distinct = list(dict.fromkeys(found))[: self.request.prompts]
        distinct += [] if self.chat else [one for one in self._prompts if one not in distinct]
        if not distinct:
            raise DataError("no training text is long enough to begin a prompt with: give texts of four words or more")
        return distinct

    def generator(self, trained: Trained, decoding: Decoding) -> TransformersGenerator:
        """Return a generator over a merged copy of the model, its clean code in front where it learnt codes."""
        self.tuned.load(trained.tensors)
        made = TransformersGenerator(
            self._whole(),
            self.tokenizer,
            name=f"transformers@{tensors_digest(trained.tensors)[:12]}",
            decoding=decoding,
        )
        made.prefix = trained.codes.clean if trained.codes else ""
        return made

    def _whole(self) -> Any:
        """Return a copy of the model as it is now, which attends as the original did."""
        if self.tuned.method != "full":
            return merged_model(self.tuned)
        model = copy.deepcopy(self.tuned.model).requires_grad_(False)
        model.set_attn_implementation(self.tuned.attention)
        return model


def _key(weights: EthicsWeights, settings: FitSettings) -> str:
    return hashlib.sha256(repr((weights, replace(settings, minutes=None))).encode()).hexdigest()[:16]


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256, in hex, over named values."""
    found = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        found.update(f"{name}\0{tuple(value.shape)}\0".encode())
        found.update(value.detach().cpu().float().numpy().tobytes())
    return found.hexdigest()
