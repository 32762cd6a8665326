"""The search run on a model: each set of weights trains it from the same start and is measured on its own prompts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from evals.ethics.data import MeasuredData, measured_data, taught_prompts
from evals.ethics.lab import PLAIN, Lab, Trained
from evals.ethics.measuring import continued, nats, refused, toxicities
from evals.ethics.running import held_out
from evals.ethics.search import Point, SearchSettings, Tried, choose, search
from evals.ethics.settings import EthicsRequest, Judges, load_judges
from evals.ethics.texts import judged_text, taught_prose
from evals.finetuning.checking import Checked, check
from evals.finetuning.request import FinetuneRequest, Told
from evals.finetuning.screening import FilterScreen
from evals.finetuning.texts import read_texts
from evals.stats import Observations, expected_maximum
from evals.tasks.task import AssetPath
from guard import assets
from guard.errors import DataError
from guard.generators.loading import load_model, pick_device
from guard.generators.source import resolve
from guard.train.generator.ethics import EthicsWeights, parse_weights
from guard.train.generator.tuned import prepare

__all__ = ["Searched", "build_lab", "search_weights", "searched_in"]


@dataclass(frozen=True)
class Searched:
    """A search and its choice.

    Parameters
    ----------
    points : list of Point
    chosen : Point or None
    sentence : str
    judge, beside : str
        Whose toxicity was searched by, and who judged beside.
    """

    points: list[Point]
    chosen: Point | None
    sentence: str
    judge: str
    beside: str


def build_lab(
    request: FinetuneRequest,
    ethics: EthicsRequest,
    folder: Path,
    *,
    asset: AssetPath = assets.path,
    tell: Told,
    checked: Checked | None = None,
) -> tuple[Lab, Checked]:
    """Check the data, load the model, and give what trains it again and again.

    Raises
    ------
    ConfigError, DataError
        Something that was named is not there or makes no sense.
    """
    judges = load_judges(ethics, device=request.device)
    source, device = resolve(request.model), pick_device(request.device)
    if checked is None:
        texts = read_texts(request.data, request.columns)
        apart = None if request.validation_data is None else read_texts(request.validation_data, request.columns)
        checked = check(texts, request.check, FilterScreen(device=request.device), validation=apart, tell=tell)
    tell("loading the model", 0, 1)
    model, tokenizer = load_model(source.folder, device=device, dtype=request.dtype)
    tuned = prepare(model, request.tuning, seed=request.fit.seed, keep_original=True)
    tell("loading the model", 1, 1)
    lab = Lab(
        tuned,
        tokenizer,
        [judged_text(one) for one in checked.train],
        [judged_text(one) for one in checked.validation],
        judges,
        ethics,
        request.fit,
        prose=taught_prose(),
        prompts=taught_prompts(asset, ethics.toxic_prompts, seed=ethics.seed),
        folder=folder,
        digest=source.digest,
        most=request.max_tokens,
        tell=tell,
    )
    return lab, checked


def search_weights(
    request: FinetuneRequest,
    ethics: EthicsRequest,
    settings: SearchSettings,
    folder: Path,
    *,
    prompts: int = 40,
    asset: AssetPath = assets.path,
    tell: Told = lambda what, done, total: None,
) -> Searched:
    """Search the weights of the terms for a fine-tuning, on prompts that its final measurement does not use.

    Parameters
    ----------
    request : FinetuneRequest
        Its steps are those of one trial.
    ethics : EthicsRequest
    settings : SearchSettings
    folder : pathlib.Path
        Keeps every trial: the same command goes on.
    prompts : int
        Of RealToxicityPrompts, for each trial.
    asset, tell : callable

    Returns
    -------
    Searched

    Raises
    ------
    ConfigError, DataError
        As :func:`build_lab`, and as :func:`evals.ethics.search.search`.
    """
    # Flagged words are looked for once, whether or not the first trial weighs them.
    weighed = replace(ethics, weights=parse_weights([f"{name}=1" for name in settings.terms]))
    lab, checked = build_lab(request, weighed, folder, asset=asset, tell=tell)
    texts = held_out([judged_text(one) for one in checked.held_out], lab.judges, ethics)
    data = measured_data(asset, ethics.sizes, texts, searched=prompts, taught=ethics.toxic_prompts, seed=ethics.seed)
    return searched_in(lab, settings, data, folder / "trials.log", tell=tell)


def searched_in(
    lab: Lab, settings: SearchSettings, data: MeasuredData, file: Path, *, tell: Told = lambda what, done, total: None
) -> Searched:
    """Search in a laboratory that is there."""
    base = _Trial(lab, data).measured(lab.trained(PLAIN))

    def attempt(weights: EthicsWeights) -> Tried:
        found = _Trial(lab, data).measured(lab.trained(weights))
        return found.by(base)

    identity = repr((lab.digest, data.digest(), lab.fit_settings, lab.request.judges, lab.request.threshold, lab.train))
    points = search(
        attempt, settings, lab.request.limits, file=file, identity=identity, tell=partial(tell, "searching weights")
    )
    chosen, sentence = choose(points, lab.request.limits)
    return Searched(points, chosen, sentence, lab.judges.training.name, lab.judges.measuring[0].name)


@dataclass(frozen=True)
class _Side:
    """What a trial measures of one model."""

    toxicity: float
    beside: float | None
    nats: float
    refusals: float

    def by(self, base: _Side) -> Tried:
        """Return it against the plain model."""
        ratio = math.exp(self.nats - base.nats)
        return Tried(self.toxicity, ratio, self.refusals - base.refusals, self.beside)


class _Trial:
    """Measures a training on the prompts of the search, with fewer benign requests than the final measurement."""

    def __init__(self, lab: Lab, data: MeasuredData) -> None:
        self._lab, self._data = lab, data

    def measured(self, trained: Trained) -> _Side:
        lab, data = self._lab, self._data
        generator = lab.generator(trained, lab.request.sizes.decoding)
        texts = continued(generator, data.searched, lab.request.sizes, seed=lab.request.seed + 1)
        scored = toxicities(texts, lab.judges)
        clean = [value for value in nats(generator, data)["clean"].values() if value is not None]
        asked = refused(generator, data.benign, seed=lab.request.seed)
        known = [value for value in asked.values() if value is not None]
        if not clean or not known:
            raise DataError(f"{len(clean)} clean held-out texts and {len(known)} benign answers: give more rows")
        own, beside = (_maximum(scored[name]) for name in _names(lab.judges))
        if own is None:
            raise DataError("no continuation could be judged: look at the judge of the training")
        return _Side(own, beside, math.fsum(clean) / len(clean), math.fsum(known) / len(known))


def _names(judges: Judges) -> tuple[str, str]:
    return judges.training.name, judges.measuring[0].name


def _maximum(scores: Observations) -> float | None:
    return expected_maximum(scores).value
