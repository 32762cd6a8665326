"""Fine-tuning with ethics from end to end: the trainer with terms beside it, and the plain model for comparison."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evals.ethics.comparing import Compared, compared
from evals.ethics.data import HeldOut, MeasuredData, flagged_by, held_out_texts, measured_data, taught_prompts
from evals.ethics.lab import PLAIN, Lab, Trained, tensors_digest
from evals.ethics.measuring import Measured, Shown, measure
from evals.ethics.settings import EthicsRequest, Judges, load_judges
from evals.ethics.texts import judged_text, taught_prose
from evals.finetuning.checking import Checked
from evals.finetuning.finetuning import finetune
from evals.finetuning.request import Extras, FinetuneRequest, Prepared, Told
from evals.finetuning.result import FinetuneResult
from evals.finetuning.texts import TrainingText
from evals.harden_generator.work import WorkFolder
from evals.tasks.task import AssetPath
from guard import assets
from guard.errors import ConfigError
from guard.generators.source import resolve
from guard.train.generator.codes import ControlCodes
from guard.train.generator.encoding import Encoded
from guard.train.generator.ethics import codes_of, judged
from guard.train.generator.fit_settings import Beside
from guard.train.generator.judging import TrainingJudge
from guard.train.generator.spans import JudgedText, language_rows

__all__ = ["EthicsResult", "finetune_with_ethics", "held_out", "measured_sides"]


@dataclass(frozen=True)
class EthicsResult:
    """What came of it.

    Parameters
    ----------
    finetuned : FinetuneResult
        Of the model with ethics.
    compared : Compared
    sides : dict of str to Measured
        ``original``, ``plain`` and ``ethics``.
    judges : Judges
    codes : ControlCodes or None
    """

    finetuned: FinetuneResult
    compared: Compared
    sides: dict[str, Measured]
    judges: Judges
    codes: ControlCodes | None


class _Terms:
    """The terms as the trainer takes them: codes and flagged words in its rows, and examples beside them."""

    def __init__(
        self,
        request: FinetuneRequest,
        ethics: EthicsRequest,
        judges: Judges,
        digest: str,
        asset: AssetPath,
        tell: Told,
    ) -> None:
        self._request, self._ethics, self._judges, self._asset = request, ethics, judges, asset
        self._digest, self._tell = digest, tell
        self.codes: ControlCodes | None = None
        self.held_out: list[JudgedText] = []
        self.lab: Lab | None = None
        self.plain: Trained | None = None
        self._known: dict[str, JudgedText] = {}

    def extras(self) -> Extras:
        """Return what joins the trainer."""
        weights = self._ethics.weights
        settings = replace(self._ethics, sizes=type(self._ethics.sizes)(), measures=())
        return Extras(
            identity=repr((settings, self._judges.training.name)),
            beside=self._beside,
            encode=self._encoded,
            keep_original=weights.dpo > 0 or weights.kto > 0 or weights.kl > 0,
            describe={"ethics": weights.told(), "judge in training": self._judges.training.name},
        )

    def see(self, checked: Checked) -> None:
        """Judge the rows, once they are clean and before they are encoded."""
        self._tell("judging the rows", 0, 1)
        rows = [judged_text(one) for one in checked.train]
        located = self._ethics.weights.unlikelihood > 0
        found = judged(rows, self._judges.training, located=located)
        self._known = {one.id: row for one, row in zip(checked.train, found, strict=True)}
        self.codes = codes_of(found, self._ethics.weights, self._ethics.phrases, clean=self._ethics.pairs.clean)
        self.held_out = [judged_text(one) for one in checked.held_out]
        self._tell("judging the rows", 1, 1)

    def _encoded(self, tokenizer: object, row: TrainingText, most: int) -> Encoded:
        if row.id not in self._known:
            raise ConfigError("terms beside the language-model loss take one process: leave out accelerate launch")
        one = self._known[row.id]
        code = self.codes.of(one.score) if self.codes else ""
        spared = self._ethics.weights.unlikelihood > 0
        return Encoded(tuple(language_rows(tokenizer, one, code=code, spared=spared, most=most)))

    def _beside(self, prepared: Prepared) -> Beside:
        """Train the plain model, sample it where a term asks for it, and put the weights back to the start."""
        start = prepared.tuned.tensors()
        self.lab = Lab(
            prepared.tuned,
            prepared.tokenizer,
            [self._known[one.id] for one in prepared.train],
            [judged_text(one) for one in prepared.validation],
            self._judges,
            self._ethics,
            self._request.fit,
            prose=taught_prose(),
            prompts=taught_prompts(self._asset, self._ethics.toxic_prompts, seed=self._ethics.seed),
            folder=prepared.folder / "ethics",
            digest=self._digest,
            most=self._request.max_tokens,
            is_judged=True,
            tell=self._tell,
        )
        self.plain = self.lab.trained(PLAIN)
        made = Beside() if self._ethics.weights.is_plain else self.lab.beside(self._ethics.weights, self.codes)
        prepared.tuned.load(start)
        return made


def finetune_with_ethics(
    request: FinetuneRequest,
    ethics: EthicsRequest,
    *,
    resume: bool = False,
    asset: AssetPath = assets.path,
    tell: Told = lambda what, done, total: None,
    note: Callable[[str], None] = lambda line: None,
    show: Callable[[Checked], None] = lambda checked: None,
) -> EthicsResult:
    """Fine-tune a model with ethics in its objective, and hold it against plain fine-tuning on the same rows.

    Parameters
    ----------
    request : FinetuneRequest
        Of low-rank updates or of all weights.
    ethics : EthicsRequest
    resume : bool
        Go on with the run in the folder.
    asset : callable
        Name -> folder.
    tell, note, show : callable
        As :func:`evals.finetuning.finetuning.finetune` takes them.

    Returns
    -------
    EthicsResult

    Raises
    ------
    ConfigError, DataError
        Something that was named is not there or makes no sense; too few pairs; a judge that would measure itself.
    GeneratorError, FilterError, OutputError
        As :func:`evals.finetuning.finetuning.finetune`, and as the judges raise them.
    """
    if request.tuning.method == "prompt" or request.scratch is not None:
        raise ConfigError("terms beside the language-model loss take --method lora, dora or full, and a trained model")
    judges = load_judges(ethics, device=request.device)
    source = resolve(request.model)
    terms = _Terms(request, ethics, judges, source.digest, asset, tell)

    def seen(checked: Checked) -> None:
        show(checked)
        terms.see(checked)

    finetuned = finetune(request, extras=terms.extras(), resume=resume, tell=tell, note=note, show=seen)
    assert finetuned is not None
    lab, plain = terms.lab, terms.plain
    assert lab is not None
    assert plain is not None
    done = Trained(ethics.weights, terms.codes, lab.tuned.tensors(), finetuned.progress)
    texts = held_out(terms.held_out, judges, ethics)
    data = measured_data(asset, ethics.sizes, texts, taught=ethics.toxic_prompts, seed=ethics.seed)
    sides = measured_sides(lab, {"original": lab.original, "plain": plain, "ethics": done}, data)
    name = Path(request.model).name
    shutil.rmtree(lab.folder.parent, ignore_errors=True)
    found = compared(sides["original"], sides["plain"], sides["ethics"], judges, ethics.limits, model=name)
    return EthicsResult(finetuned, found, sides, judges, terms.codes)


def held_out(texts: Sequence[JudgedText], judges: Judges, ethics: EthicsRequest) -> HeldOut:
    """Part held-out texts by whether any judge flags them."""
    others = [TrainingJudge([one]) for one in judges.measuring]
    return held_out_texts(texts, flagged_by(texts, judges.training, others), most=ethics.sizes.held_out)


def measured_sides(lab: Lab, models: dict[str, Trained], data: MeasuredData) -> dict[str, Measured]:
    """Measure several trainings of one model on the same data, each once: a run that was killed keeps what was done."""
    return {name: _measured_once(lab, name, one, data) for name, one in models.items()}


def _measured_once(lab: Lab, name: str, one: Trained, data: MeasuredData) -> Measured:
    sizes, judges = lab.request.sizes, lab.judges
    names = (judges.training.name, *(judge.name for judge in judges.measuring))
    parts = (tensors_digest(one.tensors), one.codes, data.digest(), sizes, lab.request.seed, names)
    kept = WorkFolder(lab.folder / "measured" / name, identity=hashlib.sha256(repr(parts).encode()).hexdigest())

    def made() -> dict[str, Any]:
        generator = lab.generator(one, sizes.decoding)
        tell = _named(lab.tell, name)
        return asdict(measure(generator, data, judges, sizes, seed=lab.request.seed, tell=tell))

    found = kept.once("figures", made)
    shown = tuple(Shown(**row) for row in found["shown"])
    return Measured(found["toxicity"], found["outcomes"], tuple(found["wordings"]), shown)


def _named(tell: Told, name: str) -> Told:
    return lambda what, done, total: tell(f"{what} {name}", done, total)
