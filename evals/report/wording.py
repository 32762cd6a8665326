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
    "cost",
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
        "memorisation": ("Memorisation", "Whether known passages come out word by word."),
        "bias_choices": (
            "Bias in choices",
            "Which of three answers the model finds likeliest, where the context tells and where it does not.",
        ),
        "bias_pairs": ("Bias in pairs", "Whether a stereotype is likelier than its counterpart."),
        "bias_swaps": (
            "Bias by identity",
            "Whether the same request is answered otherwise when it is about another group.",
        ),
        "bias_open": ("Bias in continuations", "What the model writes about groups when it is not asked anything."),
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
        "toxicity/toxic_share_corrected": MetricWording(
            "Toxic share, corrected",
            "lower",
            "The same, corrected for the judge's own errors, whose uncertainty is in it.",
        ),
        "refusal/missed_refusal_corrected": MetricWording(
            "Missed refusals, corrected",
            "lower",
            "The same, corrected for the judge's own errors, whose uncertainty is in it.",
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
        "jailbreak/attack_success": MetricWording(
            "Attack success", "lower", "Share of jailbreak attempts that get a harmful answer on the topic."
        ),
        "jailbreak/attack_success_any": MetricWording(
            "Attack success, any template", "lower", "Share of harmful goals for which at least one template succeeds."
        ),
        "jailbreak/not_refused": MetricWording(
            "Not refused", "lower", "Share of attempts whose answer is no refusal, on the topic or not."
        ),
        "jailbreak/plain_success": MetricWording(
            "Plain success", "lower", "Share of the same goals answered without any jailbreak."
        ),
        "injection/injection_success": MetricWording(
            "Injection success", "lower", "Share of planted instructions that are followed."
        ),
        "injection/marker_base_rate": MetricWording(
            "Marker without instruction",
            "",
            "How often the sign of success stands in answers to clean documents: the rate of chance.",
        ),
        "injection/utility_kept": MetricWording(
            "Utility under attack", "higher", "Share of attacked documents whose question is still answered rightly."
        ),
        "injection/utility_clean": MetricWording(
            "Utility on clean documents", "higher", "Share of clean documents whose question is answered rightly."
        ),
        "injection/clean_blocked": MetricWording(
            "Clean blocked", "lower", "Share of clean documents that the guard blocks."
        ),
        "injection/attack_blocked": MetricWording(
            "Attacks blocked", "higher", "Share of attacks that the guard blocks."
        ),
        "privacy/pii_leak": MetricWording(
            "Personal data", "lower", "Share of answers with personal data that the prompt did not hold."
        ),
        "privacy/pii_checked": MetricWording(
            "Personal data with check digits", "lower", "The same for numbers whose check digits are right."
        ),
        "privacy/canary_extraction": MetricWording(
            "Canary extraction", "lower", "Share of attempts that draw a secret out of the context."
        ),
        "privacy/canary_any": MetricWording(
            "Canary extraction, any attempt", "lower", "Share of secrets that at least one attempt draws out."
        ),
        "memorisation/memorised_continuation": MetricWording(
            "Memorised", "lower", "Share of passages continued word by word."
        ),
        "memorisation/near_continuation": MetricWording(
            "Nearly memorised", "lower", "Share of passages continued nearly word by word."
        ),
        "memorisation/chance_continuation": MetricWording(
            "Memorised by chance", "", "The same on passages that were never published."
        ),
        "invariance/accuracy": MetricWording(
            "Accuracy", "higher", "Share of simple questions answered rightly, as first worded and reworded."
        ),
        "invariance/invariance": MetricWording(
            "Same answer", "higher", "Share of rewordings whose answer is the same as to the first wording."
        ),
        "bias_choices/accuracy_ambiguous": MetricWording(
            "Accuracy, ambiguous", "higher", "Share of questions that the context leaves open and the model too."
        ),
        "bias_choices/accuracy_disambiguated": MetricWording(
            "Accuracy, told", "higher", "Share of questions that the context answers and the model gets right."
        ),
        "bias_choices/bias_ambiguous": MetricWording(
            "Bias, ambiguous",
            "",
            "Choices with the stereotype less those against it, where the context leaves it open: -1 to 1, best at 0.",
            share=False,
        ),
        "bias_choices/bias_disambiguated": MetricWording(
            "Bias, told", "", "The same where the context answers the question.", share=False
        ),
        "bias_pairs/stereotype_share": MetricWording(
            "Stereotypes likelier", "", "Share of pairs of which the stereotype is likelier: best at one half."
        ),
        "bias_pairs/stereotype_share_given_group": MetricWording(
            "Stereotypes likelier, given the group",
            "",
            "The same with the group's name given, so that its own frequency does not count.",
        ),
        "bias_pairs/stereotype_excess": MetricWording(
            "Distance from one half", "lower", "How far that share is from one half."
        ),
        "bias_swaps/toxicity": MetricWording(
            "Toxicity", "lower", "Mean toxicity of answers to one request about different groups."
        ),
        "bias_swaps/over_refusal": MetricWording(
            "Over-refusals", "lower", "Share of these harmless requests that were turned down."
        ),
        "bias_swaps/blocked": MetricWording(
            "Blocked", "lower", "Share of these harmless requests that the guard blocks."
        ),
        "bias_swaps/toxicity_gap": MetricWording("Largest gap in toxicity", "lower", "Between any two groups."),
        "bias_swaps/over_refusal_gap": MetricWording(
            "Largest gap in over-refusals", "lower", "Between any two groups."
        ),
        "bias_swaps/blocked_gap": MetricWording("Largest gap in blocks", "lower", "Between any two groups."),
        "bias_open/toxicity": MetricWording(
            "Toxicity", "lower", "Mean toxicity of continuations that begin with a group."
        ),
        "bias_open/toxic_share": MetricWording("Toxic share", "lower", "Share of these continuations that are toxic."),
        "bias_open/toxicity_gap": MetricWording("Largest gap in toxicity", "lower", "Between any two groups."),
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
