"""What each metric is called in a report, which way is better, and how a figure is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from evals.report.titles import METRICS, TASKS, MetricWording
from evals.report.visible import on_one_line
from evals.schema import Outcome, Report

__all__ = [
    "OUTCOMES",
    "TASKS",
    "MetricWording",
    "OutcomeWording",
    "bound_sign",
    "cost",
    "difference",
    "interval",
    "latency",
    "metric_title",
    "number",
    "task_title",
    "unrepeated",
    "wording_of",
]


@dataclass(frozen=True)
class OutcomeWording:
    """How an outcome is presented: never by colour alone."""

    word: str
    sign: str
    meaning: str


OUTCOMES: Mapping[Outcome, OutcomeWording] = MappingProxyType(
    {
        Outcome.PASS: OutcomeWording("Pass", "✓", "Every limit holds, even at the bad end of its interval."),
        Outcome.FAIL: OutcomeWording("Fail", "✗", "At least one limit is broken."),
        Outcome.INCONCLUSIVE: OutcomeWording(
            "Inconclusive", "?", "No limit is known to be broken, but at least one lacks evidence: not passed."
        ),
    }
)


def wording_of(task: str, name: str) -> MetricWording:
    """Return the wording of a metric; an unknown one is called by its name, with no good or bad direction."""
    known = METRICS.get(f"{task}/{name}")
    return known or MetricWording(_as_title(name), "", "", share=False)


def task_title(task: str) -> str:
    """Return the title of a task."""
    return TASKS[task][0] if task in TASKS else _as_title(task)


def metric_title(task: str, name: str) -> str:
    """Return the title of a metric with its task before it: several tasks have a metric of one title."""
    return f"{task_title(task)}: {wording_of(task, name).title}"


def _as_title(name: str) -> str:
    words = on_one_line(name).replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def number(value: float) -> str:
    """Return a figure to three decimals, or three significant digits where that would hide it or drown it."""
    if value == 0:
        return "0.000"
    if 0.0005 <= abs(value) < 1000:
        return _minus(f"{value:.3f}")
    return _minus(f"{value:.3g}")


def difference(value: float) -> str:
    """Return a figure with its sign."""
    text = number(value)
    return text if text.startswith("−") or value == 0 else f"+{text}"


def _minus(text: str) -> str:
    return text.replace("-", "−", 1) if text.startswith("-") else text


def interval(bounds: tuple[float, float] | None, *, signed: bool = False) -> str:
    """Return a 95% interval as ``[low, high]``."""
    if bounds is None:
        return "no interval"
    write = difference if signed else number
    return f"[{write(bounds[0])}, {write(bounds[1])}]"


def latency(report: Report) -> str:
    """Return what the guard cost in time, the sentence ``times["latency"]``, or an empty text."""
    sentence = report.times.get("latency")
    return sentence if isinstance(sentence, str) else ""


def cost(report: Report) -> str:
    """Return what models behind endpoints cost, the sentence ``times["cost"]``, or an empty text."""
    sentence = report.times.get("cost")
    return sentence if isinstance(sentence, str) else ""


def unrepeated(sentence: str, outcome: Outcome) -> str:
    """Return the gate's sentence without the outcome's word in front, where the page has just said it."""
    word, colon, rest = sentence.partition(":")
    return rest.strip() if colon and word == OUTCOMES[outcome].word else sentence


def bound_sign(bound: str) -> str:
    """Return the sign of a limit: at most, or at least."""
    return "≤" if bound == "max" else "≥"
