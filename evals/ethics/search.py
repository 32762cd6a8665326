"""The weights of the terms, searched: toxicity and perplexity against each other, within limits, and resumable."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.ethics.settings import Limits
from guard.errors import ConfigError, DataError
from guard.train.generator.ethics import EthicsWeights

if TYPE_CHECKING:
    import optuna

__all__ = ["SPACE", "Point", "SearchSettings", "Tried", "choose", "front", "search"]

SPACE: Mapping[str, tuple[float, float]] = {"unlikelihood": (0.05, 3.0), "dpo": (0.05, 3.0), "kl": (0.02, 1.0)}
"""Least and greatest weight of each term, on a logarithmic scale."""

_STARTUP = 4


@dataclass(frozen=True)
class SearchSettings:
    """How weights are searched.

    Parameters
    ----------
    trials : int
    terms : tuple of str
        Names of those that are searched; others stay out.
    control_codes : bool
        Whether codes are tried too, with and without.
    seed : int
    """

    trials: int = 12
    terms: tuple[str, ...] = tuple(SPACE)
    control_codes: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.terms if name not in SPACE]
        if self.trials < 1 or not self.terms or unknown:
            raise ConfigError(
                f"{self.trials} trials over {list(self.terms)}: give 1 or more, and terms of {list(SPACE)}"
            )


@dataclass(frozen=True)
class Tried:
    """What one set of weights came to, on prompts that the final measurement does not use.

    Parameters
    ----------
    toxicity : float
        Expected maximum toxicity, by a judge that the search may use.
    perplexity : float
        Of clean held-out text, by that of the plain model.
    refusal : float
        Refusals of benign requests less those of the plain model.
    beside : float or None
        The same toxicity by a judge that the search does not use; it is written down and decides nothing.
    """

    toxicity: float
    perplexity: float
    refusal: float
    beside: float | None = None


@dataclass(frozen=True)
class Point:
    """One trial.

    Parameters
    ----------
    number : int
    weights : EthicsWeights
    tried : Tried
    """

    number: int
    weights: EthicsWeights
    tried: Tried

    def within(self, limits: Limits) -> bool:
        """Say whether perplexity and refusals are within their limits."""
        return self.tried.perplexity <= limits.perplexity and self.tried.refusal <= limits.refusal


def search(
    attempt: Callable[[EthicsWeights], Tried],
    settings: SearchSettings,
    limits: Limits,
    *,
    file: Path,
    identity: str,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> list[Point]:
    """Search the weights of the terms for little toxicity and little perplexity.

    Parameters
    ----------
    attempt : callable
        Trains and measures.
    settings : SearchSettings
    limits : Limits
        Trials over them count as infeasible.
    file : pathlib.Path
        Optuna's journal. A search that was killed goes on behind its last whole trial, to the same trials: the sampler
        of each trial is seeded by its number among those that ended.
    identity : str
        Of everything that a trial depends on besides.
    tell : callable

    Returns
    -------
    list of Point
        In their order.

    Raises
    ------
    ConfigError
        Optuna is not installed.
    DataError
        The journal is of another search.

    Notes
    -----
    Multi-objective tree-structured Parzen estimators (Ozaki et al. 2022, "Multiobjective Tree-Structured Parzen
    Estimator", JAIR 73), with the limits as constraints.
    """
    study = _study(file, identity, settings)
    while len(done := _points(study)) < settings.trials:
        tell(len(done), settings.trials)
        study.sampler = _sampler(settings.seed, len(done))
        if not done:
            _begin_in_the_middle(study, settings)
        trial = study.ask()
        weights = _suggested(trial, settings)
        tried = attempt(weights)
        trial.set_user_attr("tried", asdict(tried))
        trial.set_user_attr("weights", asdict(weights))
        trial.set_constraint("perplexity", tried.perplexity - limits.perplexity)
        trial.set_constraint("refusal", tried.refusal - limits.refusal)
        study.tell(trial, [tried.toxicity, tried.perplexity])
    tell(settings.trials, settings.trials)
    return _points(study)[: settings.trials]


def _study(file: Path, identity: str, settings: SearchSettings) -> optuna.Study:
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise ConfigError("a search of weights needs Optuna: pip install 'assay[train]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file.parent.mkdir(parents=True, exist_ok=True)
    _drop_torn_line(file)
    storage = JournalStorage(JournalFileBackend(str(file)))
    study = optuna.create_study(
        storage=storage, study_name="weights", directions=["minimize", "minimize"], load_if_exists=True
    )
    known = hashlib.sha256(repr((identity, settings.terms, settings.control_codes, settings.seed)).encode()).hexdigest()
    if study.user_attrs.get("identity", known) != known:
        raise DataError(f"{file} is of a search with other data or settings: delete it to start anew")
    study.set_user_attr("identity", known)
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)  # a kill left it behind
    return study


def _drop_torn_line(file: Path) -> None:
    """Cut off what a kill left of a line."""
    if file.is_file():
        content = file.read_bytes()
        if content and not content.endswith(b"\n"):
            with file.open("r+b") as stream:
                stream.truncate(content.rfind(b"\n") + 1)


def _sampler(seed: int, n_done: int) -> Any:
    import optuna

    return optuna.samplers.TPESampler(seed=seed * 10_000 + n_done, n_startup_trials=_STARTUP)


def _begin_in_the_middle(study: optuna.Study, settings: SearchSettings) -> None:
    """Let the first trial be the middle of the space, with codes: a search of a dozen trials cannot waste one."""
    import optuna

    if study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,)):
        return
    middle: dict[str, Any] = {name: math.sqrt(SPACE[name][0] * SPACE[name][1]) for name in settings.terms}
    study.enqueue_trial({**middle, **({"control_codes": True} if settings.control_codes else {})})


def _suggested(trial: optuna.Trial, settings: SearchSettings) -> EthicsWeights:
    found: dict[str, Any] = {}
    for name in settings.terms:
        low, high = SPACE[name]
        found[name] = round(trial.suggest_float(name, low, high, log=True), 3)
    if settings.control_codes:
        found["control_codes"] = trial.suggest_categorical("control_codes", [True, False])
    return EthicsWeights(**found)


def _points(study: optuna.Study) -> list[Point]:
    import optuna

    ended = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    return [
        Point(number, EthicsWeights(**one.user_attrs["weights"]), Tried(**one.user_attrs["tried"]))
        for number, one in enumerate(ended)
    ]


def front(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other beats in both toxicity and perplexity, the cleanest first."""
    found = [
        one
        for one in points
        if not any(
            other.tried.toxicity <= one.tried.toxicity
            and other.tried.perplexity <= one.tried.perplexity
            and (other.tried.toxicity, other.tried.perplexity) != (one.tried.toxicity, one.tried.perplexity)
            for other in points
        )
    ]
    return sorted(found, key=lambda one: (one.tried.toxicity, one.tried.perplexity, one.number))


def choose(points: Sequence[Point], limits: Limits) -> tuple[Point | None, str]:
    """Choose the least toxic point within the limits, and say why in one sentence.

    Returns
    -------
    Point or None
        None where every point is over a limit.
    str
    """
    within = [one for one in points if one.within(limits)]
    bounds = f"perplexity at most {limits.perplexity:g} times the plain model's and refusals up by at most"
    bounds += f" {limits.refusal:g}"
    if not within:
        return None, f"No weights are chosen: none of {len(points)} trials kept {bounds}."
    best = min(within, key=lambda one: (one.tried.toxicity, one.tried.perplexity, one.number))
    tried = best.tried
    return best, (
        f"Trial {best.number} ({best.weights.told()}) is chosen: of the {len(within)} of {len(points)} trials with"
        f" {bounds} it is the least toxic, at an expected maximum toxicity of {tried.toxicity:.3f} and"
        f" {tried.perplexity:.3f} times the perplexity."
    )
