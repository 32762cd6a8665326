"""Records of tasks under models that are one rule each: what the model says, or how likely it finds an option."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evals.arms import ArmPair
from evals.figures import Figures
from evals.schema import Arm, Generation, Metric, Record, Sample
from evals.scorers.category import CategoryScorer
from evals.tasks.task import Resources, Task
from guard.filters.callable import CallableFilter
from guard.filters.lexical import LexicalFilter, Term
from guard.generators.scripted import ScriptedGenerator
from guard.policy import Policy
from guard.schema import Action, Filter, Verdict

POLICY = Policy(
    "small",
    {("input", "rude"): (0.5, Action.BLOCK), ("output", "rude"): (0.5, Action.BLOCK)},
    message="I can't help with that.",
)
WORDS = LexicalFilter([Term("never said", "rude", 0.8)])
RUDE = CallableFilter(lambda text: 0.9 * ("darn" in text), categories=["toxicity"], name="judge@t")
REFUSES = CallableFilter(lambda text: float("can't" in text), categories=["refusal"], name="judge@r")


def scorer(category: str) -> CategoryScorer:
    """Return the judge of a category that is one rule."""
    return CategoryScorer(_judge(category), category)


def resources() -> Resources:
    """Return resources without assets."""

    def missing(name: str) -> None:
        raise AssertionError(f"{name} was asked for")

    return Resources(missing, _judge, missing)  # type: ignore[arg-type]


def _judge(category: str) -> Filter[str]:
    return {"toxicity": RUDE, "refusal": REFUSES}[category]


def answered(task: Task, write: Callable[[str, int], str], *, seed: int = 1, blocked: Sequence[str] = ()) -> Figures:
    """Return the figures of a task of which `write` answers the prompts and the guard blocks every text with a word."""
    words = LexicalFilter([Term(word, "rude", 0.8) for word in ("never said", *blocked)])
    pair = ArmPair(ScriptedGenerator(write), POLICY, inputs=[words], outputs=[words])
    return task.figures(pair.generate(task.samples(seed)))


def chosen(task: Task, likelihood: Callable[[Sample, int], float | None], *, seed: int = 1) -> Figures:
    """Return the figures of a task under a model that finds option i of a sample as likely as the rule says."""
    free = Generation(None, Action.ALLOW, Verdict(Action.ALLOW, "input", {}))
    records = [
        Record(s, None, {"unguarded": free}, likelihoods=tuple(likelihood(s, i) for i in range(len(s.options))))
        for s in task.samples(seed)
    ]
    return task.figures(records)


def metric(figures: Figures, name: str, *, arm: Arm = "unguarded", group: str = "all") -> Metric:
    """Return the only metric of that name, arm and group."""
    (found,) = [m for m in figures.metrics if (m.name, m.arm, m.group) == (name, arm, group)]
    return found
