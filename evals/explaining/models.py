"""Explanations of a generator's answers: what made them likely, or what makes them score on a filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evals.explaining.explained import Explained
from guard.errors import ConfigError

if TYPE_CHECKING:
    from guard.generators.table import FoundGenerator

__all__ = ["ModelRequest", "explain_prompts", "is_open"]

NATS = "nats"


@dataclass(frozen=True)
class ModelRequest:
    """What is asked about a model's answers.

    Parameters
    ----------
    prompts : tuple of str
    output : str or None
        The answer to explain, the same for every prompt; None takes what the model writes.
    against : str or None
    method : str or None
        None takes leave-one-out where the weights are here, else resampled.
    seed : int
    max_new_tokens : int
    temperature : float
    chat : bool
    """

    prompts: tuple[str, ...]
    output: str | None = None
    against: str | None = None
    method: str | None = None
    seed: int = 0
    max_new_tokens: int = 64
    temperature: float = 0.0
    chat: bool = True


def is_open(generator: Any) -> bool:
    """Whether the weights of a generator are here, so that log-probabilities and gradients can be had."""
    return all(hasattr(generator, name) for name in ("model", "tokenizer", "decoding", "encode"))


def explain_prompts(found: FoundGenerator, request: ModelRequest) -> list[Explained]:
    """Explain what made the answer to every prompt likely.

    Raises
    ------
    ConfigError
        The weights are not here, or the method is unknown.
    """
    from guard.explain.generation.likelihood import LikelihoodExplainer, Question
    from guard.schema import Decoding

    decoding = Decoding(request.max_new_tokens, request.temperature, 1.0, request.chat)
    generator: Any = found.load().with_decoding(decoding)
    if not is_open(generator):
        raise ConfigError(
            f"model {found.name} gives no log-probabilities of a text of ours, so what made an answer likely cannot be"
            " told; ask with --why score what makes its answers score on a filter"
        )
    outputs = [request.output] * len(request.prompts)
    if request.output is None:
        outputs = list(generator.generate(list(request.prompts), seed=request.seed))
    explainer = LikelihoodExplainer(generator, method=request.method or "leave-one-out")
    questions = [Question(p, o or "", request.against) for p, o in zip(request.prompts, outputs, strict=True)]
    return [
        _explained(found.name, question, attribution)
        for question, attribution in zip(questions, explainer.explain(questions), strict=True)
    ]


def _explained(model: str, question: Any, attribution: Any) -> Explained:
    facts = [("output", question.output)]
    facts += [] if question.against is None else [("against", question.against)]
    return Explained(model, "prompt", attribution, NATS, tuple(facts))
