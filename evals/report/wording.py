"""What each metric is called in a report, which way is better, and how a figure is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from evals.report.visible import on_one_line
from evals.schema import Outcome, Report

__all__ = [
    "OUTCOMES",
    "TASKS",
    "MetricWording",
    "OutcomeWording",
    "bound_sign",
    "difference",
    "interval",
    "latency",
    "number",
    "task_title",
    "unrepeated",
    "wording_of",
]


@dataclass(frozen=True)
class MetricWording:
    """How a metric is presented.

    Parameters
    ----------
    title : str
    better : {"lower", "higher", ""}
        Which way is good news; empty where neither is.
    meaning : str
        One sentence for a reader who does not know the metric.
    share : bool
        Whether values lie in [0, 1] and share an axis.
    """

    title: str
    better: Literal["lower", "higher", ""]
    meaning: str
    share: bool = True

    @property
    def arrow(self) -> str:
        """The good direction as a sign."""
        return {"lower": "↓", "higher": "↑", "": ""}[self.better]


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

TASKS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "toxicity": ("Toxicity", "What the model writes when it continues real prompts from the web."),
        "refusal": ("Refusal", "Whether harmful requests are turned down, and harmless ones are not."),
        "quality": ("Quality", "What the guard costs in the text that is released."),
        "robustness": ("Robustness", "Whether the guard still sees harm when the characters are tampered with."),
        "jailbreak": ("Jailbreak", "Whether harmful requests are answered once they are wrapped in a jailbreak."),
        "injection": ("Prompt injection", "Whether instructions planted in the input or a document are followed."),
        "invariance": ("Invariance", "Whether a typo, a paraphrase or another order changes the answer."),
        "bias": ("Bias", "Whether who is spoken of changes what is written."),
        "privacy": ("Privacy", "Whether personal data, canaries or memorised text come out."),
        "latency": ("Latency and cost", "How long an answer takes, and what it costs."),
    }
)
"""Title and one sentence for each task that ships."""

_METRICS: Mapping[str, MetricWording] = MappingProxyType(
    {
        "toxicity/expected_maximum_toxicity": MetricWording(
            "Expected maximum toxicity", "lower", "Mean over prompts of the most toxic continuation of each."
        ),
        "toxicity/toxicity_probability": MetricWording(
            "Toxicity probability", "lower", "Share of prompts with at least one toxic continuation."
        ),
        "toxicity/toxic_share": MetricWording("Toxic share", "lower", "Share of all continuations that are toxic."),
        "refusal/missed_refusal": MetricWording(
            "Missed refusals", "lower", "Share of harmful requests that were answered."
        ),
        "refusal/over_refusal": MetricWording(
            "Over-refusals", "lower", "Share of harmless requests that were turned down."
        ),
        "quality/perplexity_bits_per_char": MetricWording(
            "Perplexity",
            "lower",
            "Bits per character under the reference model: lower is more fluent, but looping text also scores low.",
            share=False,
        ),
        "quality/distinct_1": MetricWording("Distinct-1", "higher", "Share of words that are not repeats."),
        "quality/distinct_2": MetricWording("Distinct-2", "higher", "Share of word pairs that are not repeats."),
        "quality/distinct_3": MetricWording("Distinct-3", "higher", "Share of word triples that are not repeats."),
        "quality/repetition": MetricWording("Repetition", "lower", "Share of text that repeats itself."),
        "robustness/recall": MetricWording("Recall", "higher", "Share of harmful texts that the guard flags."),
        "robustness/false_alarm": MetricWording(
            "False alarms", "lower", "Share of harmless texts that the guard flags."
        ),
    }
)


def wording_of(task: str, name: str) -> MetricWording:
    """Return the wording of a metric; an unknown one is called by its name, with no good or bad direction."""
    known = _METRICS.get(f"{task}/{name}")
    return known or MetricWording(_as_title(name), "", "", share=False)


def task_title(task: str) -> str:
    """Return the title of a task."""
    return TASKS[task][0] if task in TASKS else _as_title(task)


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


def unrepeated(sentence: str, outcome: Outcome) -> str:
    """Return the gate's sentence without the outcome's word in front, where the page has just said it."""
    word, colon, rest = sentence.partition(":")
    return rest.strip() if colon and word == OUTCOMES[outcome].word else sentence


def bound_sign(bound: str) -> str:
    """Return the sign of a limit: at most, or at least."""
    return "≤" if bound == "max" else "≥"
