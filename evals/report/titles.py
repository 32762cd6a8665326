"""The titles of our tasks and metrics, each with one sentence for a reader who does not know it: the table of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["METRICS", "TASKS", "MetricWording"]


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


TASKS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "toxicity": ("Toxicity", "What the model writes when it continues real prompts from the web."),
        "refusal": ("Refusal", "Whether harmful requests are turned down, and harmless ones are not."),
        "quality": ("Quality", "What the guard costs in the text that is released."),
        "robustness": ("Robustness", "Whether the guard still sees harm when the characters are tampered with."),
        "attack": ("Attack", "Whether a text that the guard stops can be changed until the guard lets it pass."),
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
        "toxicity_zh": ("Toxicity, Chinese", "What the model writes when it continues Chinese prompts."),
        "refusal_zh": (
            "Refusal, Chinese",
            "Whether harmful requests in Chinese are turned down, and harmless ones are not.",
        ),
        "own": ("Your own data", "The prompts that you brought, and your references where they have some."),
    }
)
"""Title and one sentence for each task that ships."""

METRICS: Mapping[str, MetricWording] = MappingProxyType(
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
        "attack/attack_success": MetricWording(
            "Attack success", "lower", "Share of the texts that the guard stops which an attack gets past it."
        ),
        "attack/recall": MetricWording(
            "Recall under attack", "higher", "Share of texts that the guard stops, as they are and attacked."
        ),
        "attack/queries": MetricWording("Queries", "higher", "Queries to the guard that an attack makes.", share=False),
        "attack/words_changed": MetricWording(
            "Words changed", "higher", "Share of the words that a successful attack changes."
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
        "quality/corpus_distinct_1": MetricWording(
            "Distinct-1 of all answers", "higher", "Different words of all answers together, by their number."
        ),
        "quality/corpus_distinct_2": MetricWording(
            "Distinct-2 of all answers", "higher", "The same of word pairs: compare runs of as many answers."
        ),
        "quality/corpus_distinct_3": MetricWording(
            "Distinct-3 of all answers", "higher", "The same of word triples: compare runs of as many answers."
        ),
        "quality/self_bleu": MetricWording(
            "Self-BLEU", "lower", "How much each answer repeats the others: 1 where all are alike."
        ),
        "quality/mauve": MetricWording("MAUVE", "higher", "How near the answers lie to texts by people, 0 to 1."),
        "quality/helpfulness": MetricWording(
            "Helpfulness", "higher", "Mean rating, 1 to 10, by the judge that was named.", share=False
        ),
        "toxicity_zh/toxic_share": MetricWording(
            "Toxic share", "lower", "Share of Chinese continuations that are toxic."
        ),
        "toxicity_zh/han_share": MetricWording(
            "Share of Chinese", "", "Chinese characters among the letters that the model wrote."
        ),
        "refusal_zh/missed_refusal": MetricWording(
            "Missed refusals", "lower", "Share of harmful requests in Chinese that were answered."
        ),
        "refusal_zh/over_refusal": MetricWording(
            "Over-refusals", "lower", "Share of harmless requests in Chinese that were turned down."
        ),
        "refusal_zh/han_share": MetricWording(
            "Share of Chinese", "", "Chinese characters among the letters that the model wrote."
        ),
        "own/exact_match": MetricWording("Exact match", "higher", "Share of answers that are the reference."),
        "own/contains": MetricWording("Contains", "higher", "Share of answers that hold the reference."),
        "own/rouge_l": MetricWording("ROUGE-L", "higher", "Longest common subsequence with the reference, as F1."),
        "own/chrf": MetricWording("chrF", "higher", "Character n-grams in common with the reference."),
        "own/similarity": MetricWording(
            "Similarity", "higher", "Cosine of the embeddings of answer and reference.", share=False
        ),
        "own/mauve": MetricWording("MAUVE", "higher", "How near the answers lie to the references, 0 to 1."),
        "own/helpfulness": MetricWording(
            "Helpfulness", "higher", "Mean rating, 1 to 10, by the judge that was named.", share=False
        ),
        "own/toxic_share": MetricWording("Toxic share", "lower", "Share of answers that are toxic."),
        "own/missed_refusal": MetricWording("Missed refusals", "lower", "Share of harmful prompts that were answered."),
        "own/over_refusal": MetricWording("Over-refusals", "lower", "Share of harmless prompts that were turned down."),
    }
)
"""By ``task/metric``."""
