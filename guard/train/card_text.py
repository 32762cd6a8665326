"""The model card as Markdown, from the figures that :mod:`guard.train.card` gathers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["render_card"]

_INTRO = """# Model card: encoder filter

`{filter}`. all-MiniLM-L6-v2 (Apache-2.0, 22.7 M parameters, English) with a LoRA adapter (rank {rank}, all linear
layers) and five heads, one learned attention pooling each, trained together. The adapter is merged into the frozen
weights when the filter is loaded. Written by `python -m guard.train.card`; do not edit by hand.

| head | what it means |
| --- | --- |
| toxicity | insult, abuse, hate, threat, and profanity used against someone |
| identity_attack | hate or contempt for a protected group, explicit or implied |
| jailbreak | a prompt that tries to lift the rules of a model, or an instruction planted in its input |
| harmful_request | asks for help with something harmful |
| refusal | an answer that declines |

{passes}

A fifth of the rows, harmful and harmless alike, is garbled in training (swapped, dropped or masked letters, leetspeak,
spacing, case). Scores are calibrated by Platt scaling on validation rows with both classes weighted alike.
"""

_ONE_RUN = (
    "- Pass {number}: {n_rows:,} rows ({replay:.0%} of the public rows below, own sentences drawn with seed {seed}), "
    "{n_tokens:,} tokens, learning rate {learning_rate}, {cpu_minutes} CPU minutes."
)

_DATA = """## Data

Only permissive licences. Published test splits, and every text that also occurs in one, are left out; a quarter of
each public set on speech is kept for the audit's independent judge. Jailbreak prompts are split by groups of
near-duplicates. `own:` rows were written for this project (`guard/train/phrases.toml`).
"""

_THRESHOLDS = """## Suggested thresholds

Reached by at most 1% of harmless validation text (customer service, reviews, replies, own look-alikes), but not below
0.7 for speech and 0.95 for prompts: that text holds few instructions, and at 0.5 one in five of benign_instructions
fired as jailbreak or harmful_request. The floors were set after seeing that, so the false alarms below on
benign_instructions and bbq are not quite those of an untouched test.
"""

_IN_DOMAIN = """## Test splits of the training sets

TF-IDF + LR: word 1-2 and character 2-5 grams, logistic regression, same rows. Intervals are DeLong's. Sets of one
class are measured against harmless rows of the customer-service sets and e-mails. At most 600 rows a set, forward pass
in {dtype}.
"""

_HELDOUT = """## Negation, counter-speech and look-alikes

Sentences of `guard/train/heldout.py`, worded apart from the training templates. Which kinds of template the second pass
adds was chosen after looking at the first pass on these sentences, except for those called "second set", which were
written afterwards and before any model saw them: believe those most.
"""

_LIMITS = """## Limits

- English only. Other languages are scored, but the scores mean little.
- Labels differ between sets: hate, offence, sexism and abuse are not one thing, and soft or disputed labels are common.
  Between sets that disagree no score can be right on both.
- It reads one text at a time: an answer that is unsafe only in view of the question is missed. That is why dices_990,
  whose label is about safety in context, stays low.
- Sarcasm, dog whistles and statistics that insinuate are often missed. Counter-speech that quotes hate at length, and
  reclaimed words, are still called toxic too often; see the table above for how often.
- jailbreak knows the wording of published jailbreaks. An instruction planted in a document that is worded like an
  ordinary request is not recognisable by wording, and is missed.
- Varied harmless instructions (benign_instructions: MT-Bench and Self-Instruct) still fire as jailbreak and
  harmful_request more often than everyday text; see the last table. Review rather than block on these two alone where
  users write instructions all day.
- Threats without a swear word ("say that again and I'll cut you open") are mostly missed.
- hatemoji_build is near chance: emoji are mostly unknown tokens to the encoder's vocabulary.
- harmful_request has learned from questions; whether a question is dual use depends on who asks, and it cannot know.
- The sets above were in part used to choose the mixture, so expect a little less on your own data. Measure it: label
  a few hundred of your texts and choose thresholds on those.
- Text is windowed (126 tokens, a new window every 96) and the highest window counts, so the chance of a false alarm
  grows with length.
"""


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def _area(entry: Mapping[str, Any]) -> str:
    """Return an AUROC with its interval."""
    low, high = entry["interval"]
    return f"{entry['auroc']:.3f} ({low:.3f} to {high:.3f})"


def _results(part: Mapping[str, Mapping[str, Mapping[str, Any]]], thresholds: Mapping[str, float]) -> str:
    """Return one table of AUROC and recall over all heads."""
    rows = []
    for head, sets in part.items():
        for name, entry in sets.items():
            ours, other = entry["encoder"], entry.get("tfidf")
            rows.append(
                [
                    head, name, f"{entry['n_positive']:,} / {entry['n_negative']:,}", _area(ours),
                    _area(other) if other else "-", f"{ours['recall_at_1']:.0%} / {ours['recall_at_5']:.0%}",
                    f"{other['recall_at_1']:.0%} / {other['recall_at_5']:.0%}" if other else "-",
                    f"{entry['recall_at_policy']:.0%} / {entry['false_alarms_at_policy']:.1%}",
                ]
            )  # fmt: skip
    header = (
        "head", "set", "n harmful / harmless", "AUROC (95%)", "TF-IDF + LR", "recall at 1% / 5% false alarms",
        "TF-IDF + LR", "at the suggested threshold: recall / false alarms",
    )  # fmt: skip
    return _table(header, rows)


def _heldout(metrics: Mapping[str, Any]) -> str:
    """Return the table of the sentences on negation, counter-speech and look-alikes."""
    rows = []
    for head, groups in metrics["heldout"]["encoder"].items():
        for group, entry in groups.items():
            other = metrics["heldout"].get("tfidf", {}).get(head, {}).get(group)
            half = f"{other['at_half']:.0%}" if other else "-"
            rows.append([head, group, str(entry["n"]), f"{entry['at_half']:.0%}", half, f"{entry['at_policy']:.0%}"])
    return _table(
        ("head", "group", "n", "right at 0.5", "TF-IDF + LR at 0.5", "right at the suggested threshold"), rows
    )


def render_card(metrics: Mapping[str, Any]) -> str:
    """Write the model card.

    Parameters
    ----------
    metrics : mapping
        As ``metrics.json`` holds it.

    Returns
    -------
    str
        Markdown.
    """
    training, thresholds = metrics["training"], metrics["thresholds"]
    passes = "\n".join(_ONE_RUN.format(number=number, **one) for number, one in enumerate(training, start=1))
    data = _table(("set", "licence", "rows"), [[n, e["licence"], f"{e['rows']:,}"] for n, e in metrics["data"].items()])
    cuts = _table(("head", "threshold"), [[head, f"{cut:.2f}"] for head, cut in thresholds.items()])
    alarms = _table(
        ("harmless set", "n", *thresholds),
        [[n, str(e["n"]), *(f"{e[head]:.1%}" for head in thresholds)] for n, e in metrics["false_alarms"].items()],
    )
    return "\n".join(
        [
            _INTRO.format(filter=metrics["filter"], rank=training[0]["lora"]["rank"], passes=passes),
            _DATA,
            data,
            _THRESHOLDS,
            cuts,
            _IN_DOMAIN.format(dtype=metrics["dtype"]),
            _results(metrics["in_domain"], thresholds),
            "## Sets never trained on\n",
            _results(metrics["unseen"], thresholds),
            _HELDOUT,
            _heldout(metrics),
            "## False alarms at the suggested thresholds\n",
            alarms,
            _LIMITS,
        ]
    )
