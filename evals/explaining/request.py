"""From what a user asks for to explanations: what is to be explained, by whom, and with which checks beside."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals.explaining.explained import Explained, Trust
from evals.explaining.swaps import GroupEffect
from evals.generation import is_prompt_file, read_asked
from guard.errors import ConfigError, DataError

__all__ = ["ExplainRequest", "Found", "run", "texts_of"]


@dataclass(frozen=True)
class Found:
    """What a request came to.

    Parameters
    ----------
    explained : list of Explained
    effects : list of GroupEffect
    title : str
    overall : list of Trust
        Over several texts.
    """

    explained: list[Explained]
    effects: list[GroupEffect]
    title: str
    overall: list[Trust] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ExplainRequest:
    """What is asked for.

    Parameters
    ----------
    source : str or None
        A text, the name of a file of texts, or - for standard input.
    filters : tuple of str
        The first explains; of a sample of a run, the one that has the category.
    category, method : str or None
    column : str
        Of a file.
    policy : str
    threshold : float or None
    counterfactual, faithfulness : bool
    swap : str or None
        Kind of terms to exchange, or a file of them.
    model, prompt, output, against : str or None
    why : {"likely", "flagged", "score"} or None
        Of a model's answer; None takes what its kind allows.
    samples : int
        Answers a prompt, of ``score``.
    run : Path or None
    sample : str or None
    seed, max_new_tokens : int
    temperature : float or None
        None is 0, and 0.7 where several answers a prompt are scored.
    chat : bool
    device : str
    limit : int or None
        Most texts.
    generators : GeneratorOptions
    """

    source: str | None = None
    filters: tuple[str, ...] = ()
    category: str | None = None
    method: str | None = None
    column: str = "text"
    policy: str = "standard"
    threshold: float | None = None
    counterfactual: bool = False
    faithfulness: bool = False
    swap: str | None = None
    model: str | None = None
    prompt: str | None = None
    output: str | None = None
    against: str | None = None
    why: str | None = None
    samples: int = 8
    run: Path | None = None
    sample: str | None = None
    seed: int = 0
    max_new_tokens: int = 64
    temperature: float | None = None
    chat: bool = True
    device: str = "auto"
    limit: int | None = None
    generators: Any = None


def run(request: ExplainRequest) -> Found:
    """Explain what a request asks for.

    Raises
    ------
    ConfigError, DataError
        It asks for what does not go together, or is not there.
    FilterError, GeneratorError
        A filter or a model failed.
    """
    if request.run is not None:
        return _run_sample(request)
    if request.model is not None:
        from evals.explaining.models import explain_model

        return Found(explain_model(request), [], f"Answers of {request.model}")
    return _run_texts(request)


def _run_sample(request: ExplainRequest) -> Found:
    from evals.explaining.samples import explain_sample, find_fired
    from guard.filters.table import DEFAULT_FILTERS, load_filter

    assert request.run is not None
    assert request.sample is not None
    fired = find_fired(request.run, request.sample, model=request.model, category=request.category)
    names = request.filters or DEFAULT_FILTERS
    loaded = [load_filter(name, device=request.device, stage=fired.verdict.stage) for name in names]
    made = explain_sample(
        fired,
        loaded,
        _policy(request),
        method=request.method,
        seed=request.seed,
        edit=request.counterfactual,
        faithful=request.faithfulness,
    )
    return Found([made], [], f"Why {request.sample} fired")


def _run_texts(request: ExplainRequest) -> Found:
    from evals.explaining.filters import FilterView, explain_texts
    from guard.filters.table import load_filter

    texts, titles = texts_of(request)
    name = request.filters[0] if request.filters else "encoder"
    loaded = load_filter(name, device=request.device)
    view = FilterView(loaded, _policy(request), request.method, request.threshold, seed=request.seed)
    if request.swap is not None:
        return _swapped(request, view, texts)
    explained = explain_texts(view, texts, request.category, titles=titles, edit=request.counterfactual)
    overall: list[Trust] = []
    if request.faithfulness:
        from evals.explaining.trusting import with_trust

        explained, overall = with_trust(view, explained)
    return Found(explained, [], f"What {loaded.name} says of {len(texts)} text{'s' * (len(texts) != 1)}", overall)


def _swapped(request: ExplainRequest, view: Any, texts: Sequence[str]) -> Found:
    """Run the causal check of one category over all texts."""
    from evals.explaining.swap_terms import read_swap_sets
    from evals.explaining.swaps import causal_check

    assert request.swap is not None
    sets = read_swap_sets(request.swap)
    category = request.category or _default_category(view)
    view.categories([], category)
    limit = view.limit(category)
    if limit is None:
        raise ConfigError(f"policy {view.policy.name} has no threshold on {category}; give --threshold")
    effects = causal_check(
        texts,
        lambda some: view.scores(some, category),
        limit,
        sets,
        lambda some: view.explain(some, category),
    )
    title = f"What words of {request.swap} do to {category} by {view.filter_.name}"
    return Found([], effects, title)


def _default_category(view: Any) -> str:
    known: tuple[str, ...] = view.filter_.categories
    return "toxicity" if "toxicity" in known else known[0]


def _policy(request: ExplainRequest) -> Any:
    from guard.policy import Policy

    return Policy.load(request.policy)


def texts_of(request: ExplainRequest) -> tuple[list[str], list[str]]:
    """Return the texts to explain, and what people call each.

    Raises
    ------
    DataError
        No such file, no such column, no text, or standard input that is not UTF-8.
    """
    source = request.source or ""
    if source == "-":
        try:
            return [sys.stdin.buffer.read().decode("utf-8").removesuffix("\n")], ["text"]
        except UnicodeDecodeError as error:
            raise DataError(f"standard input is not UTF-8 (byte {error.start}): convert it") from error
    if not is_prompt_file(source):
        return [source], ["text"]
    asked = read_asked(Path(source), column=request.column)[: request.limit]
    return [one.prompt for one in asked], [f"row {one.row}" for one in asked]
