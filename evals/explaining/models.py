"""Explanations of a model's answers: what made them likely, why not another, and what makes them score on a filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evals.explaining.explained import Explained
from guard.errors import ConfigError, DataError
from guard.explain.generation.answers import AnswerScores, explain_answers
from guard.explain.generation.counterfactual import Counterfactual, find_edit
from guard.explain.schema import Attribution, Range
from guard.policy import Policy
from guard.schema import Decoding, Filter

if TYPE_CHECKING:
    from evals.explaining.request import ExplainRequest

__all__ = ["explain_model", "is_open", "prompts_of"]

_CLOSED = (
    "this model gives no log-probabilities and no gradients, so what made one answer likely, and why this one and not"
    " another, cannot be had; values are of whole words, by answers asked for again"
)
_SEEDS = "where the model does not honour seeds, the answers to two wordings differ by chance too: more --samples help"


def is_open(generator: Any) -> bool:
    """Whether the weights of a generator are here, so that log-probabilities and gradients can be had."""
    return all(hasattr(generator, name) for name in ("model", "tokenizer", "decoding", "encode"))


def prompts_of(request: ExplainRequest) -> list[str]:
    """Return the prompts: the one given, or those of a file.

    Raises
    ------
    DataError
        The file is not there, or has none.
    """
    if request.prompt is not None:
        return [request.prompt]
    from evals.explaining.request import texts_of

    return texts_of(request)[0]


def explain_model(request: ExplainRequest) -> list[Explained]:
    """Explain the answers of a model.

    Raises
    ------
    ConfigError
        What is asked cannot be had from such a model.
    DataError
        An empty output, or a prompt that does not fit.
    GeneratorError, FilterError
        The model or the filter failed.
    """
    from guard.generators.table import find_generator

    assert request.model is not None
    # One answer a prompt is enough where it is always the same; a score over several needs a temperature.
    why = request.why or ("likely" if not request.counterfactual else "score")
    warm = 0.7 if why == "score" and request.samples > 1 and request.temperature is None else 0.0
    temperature = request.temperature if request.temperature is not None else warm
    decoding = Decoding(request.max_new_tokens, temperature, 1.0, request.chat)
    generator: Any = find_generator(request.model, request.generators).load().with_decoding(decoding)
    prompts = prompts_of(request)
    if not is_open(generator) and request.why is None and request.output is None and request.against is None:
        why = "score"
    if why == "score":
        return _score(request, generator, prompts, 1 if temperature == 0 else request.samples)
    if not is_open(generator):
        raise ConfigError(f"model {request.model}: {_CLOSED}; give --why score")
    if request.counterfactual:
        raise ConfigError(f"--counterfactual turns the verdict on answers, which --why {why} does not have: give score")
    return _likely(request, generator, prompts, flagged=why == "flagged")


def _likely(request: ExplainRequest, generator: Any, prompts: Sequence[str], *, flagged: bool) -> list[Explained]:
    from guard.explain.generation.likelihood import LikelihoodExplainer, Question

    outputs = [request.output] * len(prompts)
    if request.output is None:
        outputs = list(generator.generate(list(prompts), seed=request.seed))
    written = [output or "" for output in outputs]
    if not all(written):
        raise DataError("the model wrote nothing, so there is no answer to explain; give one with --output")
    parts, note = _flagged(request, written) if flagged else ([None] * len(written), "")
    questions = [Question(p, o, request.against, part) for p, o, part in zip(prompts, written, parts, strict=True)]
    explainer = LikelihoodExplainer(generator, method=request.method or "leave-one-out", seed=request.seed)
    found = explainer.explain(questions)
    trust = explainer.trust(questions, found) if request.faithfulness else [()] * len(found)
    notes = (note,) if note else ()
    return [
        Explained(str(request.model), f"prompt {at}", one, "nats", _facts(question), notes, tuple(_told(trust[at - 1])))
        for at, (question, one) in enumerate(zip(questions, found, strict=True), 1)
    ]


def _told(figures: Sequence[Any]) -> list[Any]:
    from evals.explaining.explained import Trust

    return [Trust(one.name, one.value, one.interval, one.n, one.meaning) for one in figures]


def _facts(question: Any) -> tuple[tuple[str, str], ...]:
    facts = [("output", question.output)]
    facts += [] if question.against is None else [("against", question.against)]
    if question.parts is not None:
        facts.append(("of which counts", " | ".join(question.output[a:b] for a, b in question.parts)))
    return tuple(facts)


def _flagged(request: ExplainRequest, outputs: Sequence[str]) -> tuple[list[tuple[Range, ...] | None], str]:
    """Return the words of each output that carry its score on the filter, and what a reader must know of that.

    Raises
    ------
    DataError
        Nothing in an output raises its score.
    """
    from guard.explain.filters.table import explainer
    from guard.filters.attribution import evident_words

    filter_, category = _filter(request)
    found = explainer(filter_).explain(list(outputs), category, seed=request.seed)
    parts: list[tuple[Range, ...] | None] = []
    for output, one in zip(outputs, found, strict=True):
        words = [one.parts[at] for at in evident_words(one.values)]
        if not words:
            raise DataError(f"no word of the answer {output[:60]!r} raises its {category}; give --why likely or score")
        parts.append(tuple(words))
    return parts, f"only the answer's words that carry its {category} by {filter_.name} count ({found[0].method})"


def _score(request: ExplainRequest, generator: Any, prompts: Sequence[str], n_samples: int) -> list[Explained]:
    if request.output is not None or request.against is not None:
        raise ConfigError("--output and --against are one answer each, and --why score is about all: leave them out")
    if request.faithfulness:
        raise ConfigError("--faithfulness checks one answer; the values of --why score have standard errors instead")
    if request.method not in (None, "resampled"):
        raise ConfigError(f"--why score is found by answers asked for again (resampled), not by {request.method!r}")
    filter_, category = _filter(request)
    scores = AnswerScores(generator, filter_, category, n_samples=n_samples, seed=request.seed)
    found = explain_answers(scores, prompts)
    notes = () if is_open(generator) else (_CLOSED, _SEEDS)
    made = [
        Explained(str(request.model), f"prompt {at}", one, "score", _answered(scores, one, filter_.name), notes)
        for at, one in enumerate(found, 1)
    ]
    if not request.counterfactual:
        return made
    limit = _limit(request, category)
    return [replace(one, counterfactual=_edit(scores, one.attribution, limit)) for one in made]


def _answered(scores: AnswerScores, one: Attribution, name: str) -> tuple[tuple[str, str], ...]:
    answers = scores.answers(one.text)
    first = next((answer for answer in answers if answer is not None), "")
    had = sum(answer is not None for answer in answers)
    return (
        ("filter", name),
        ("first answer", first),
        ("answers a wording", f"{len(answers)}, of this prompt {had} had"),
    )


def _edit(scores: AnswerScores, one: Attribution, limit: float) -> Counterfactual:
    """Find the least edit of a prompt after which the mean score of its answers is on the other side."""
    toward = one.values if one.number >= limit else -one.values
    order = sorted(range(len(one.parts)), key=lambda at: (-float(toward[at]), at))
    return find_edit(one.text, scores.means, limit, order=order, budget=200)


def _filter(request: ExplainRequest) -> tuple[Filter[str], str]:
    from guard.filters.table import load_filter

    loaded = load_filter(request.filters[0] if request.filters else "encoder", device=request.device, stage="output")
    category = request.category or ("toxicity" if "toxicity" in loaded.categories else loaded.categories[0])
    if category not in loaded.categories:
        raise ConfigError(f"filter {loaded.name} has no category {category!r}; it has {', '.join(loaded.categories)}")
    return loaded, category


def _limit(request: ExplainRequest, category: str) -> float:
    if request.threshold is not None:
        return request.threshold
    rule = Policy.load(request.policy).thresholds.get(("output", category))
    if rule is None:
        raise ConfigError(f"policy {request.policy} has no output threshold on {category}; give --threshold")
    return float(rule[0])
