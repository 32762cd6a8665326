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

A fifth to a quarter of the rows, harmful and harmless alike, is garbled in training (swapped, dropped or masked
letters, missing vowels, leetspeak, spacing, case). {emoji}The weights are a running average over the
last steps. Scores are calibrated by Platt scaling on validation rows with both classes weighted alike.
"""

_ONE_RUN = (
    "- Pass {number}: {n_rows:,} rows to draw from ({replay:.0%} of the large public sets, own sentences drawn with "
    "seed {seed}), {n_tokens:,} tokens seen, learning rate {learning_rate}, {cpu_minutes} CPU minutes."
)

_DATA = """## Data

Only permissive licences. Published test splits, and every text that also occurs in one, are left out; a quarter of
each public set on speech is kept for the audit's independent judge. Jailbreak prompts are split by groups of
near-duplicates. `own:` rows were written for this project (`guard/train/phrases*.toml`). Rows are those to draw from: a
pass that ends by the clock sees a random part of them.
"""

_THRESHOLDS = """## Suggested thresholds

Reached by at most 1% of harmless validation text (customer service, reviews, replies, own look-alikes), but not below
0.7 for speech and 0.95 for prompts: that text holds few instructions, and at 0.5 one in five of benign_instructions
fired as jailbreak or harmful_request. The floors were set after seeing that, so the false alarms below on
benign_instructions and bbq are not quite those of an untouched test.
"""

_IN_DOMAIN = """## Test splits of the training sets

{other_note}Intervals are DeLong's, 95%. Sets of one class are measured against harmless rows of the customer-service
sets and e-mails. At most 600 rows a set (1,000 of those never trained on), forward pass in {dtype}.
"""

_EMOJI = "Emoji are spelled out by their Unicode names, in training and in use. "

_LENGTH = """## Jailbreaks against harmless texts of the same length

Each attack is paired with a harmless text within 15% of its length, each used once, so that length tells nothing.
Length alone: a logistic regression on log length, fitted on these very texts.
"""

_HELDOUT = """## Negation, counter-speech and look-alikes

Sentences of `guard/train/heldout.py`, worded apart from the training templates. Which kinds of template the second pass
adds was chosen after looking at the first pass on these sentences, except for those called "second set", which were
written afterwards and before any model saw them, and for the "third set", which was written after the last templates
and before any model was measured on it: believe those most.
"""

_ALARMS = """## False alarms at the suggested thresholds

Garbled: every text garbled at random in one of the ways of training. A look-alike counts in the table before this one.
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
- Emoji are read by name; what an emoji stands for in hate is learned from one set of 2,400 rows only.
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


def _change(entry: Mapping[str, Any] | None) -> str:
    """Return a difference of AUROCs with its interval, marked where the interval leaves out zero."""
    if entry is None:
        return "-"
    low, high = entry["interval"]
    mark = " *" if low > 0 else " (worse)" if high < 0 else ""
    return f"{entry['auroc']:+.3f} ({low:+.3f} to {high:+.3f}){mark}"


_OTHERS = {
    "previous": "first encoder",
    "tfidf": "TF-IDF + LR",
}
_OTHER_NOTES = {
    "previous": "First encoder: the weights that shipped before, same texts; differences are paired, * is above 0.",
    "tfidf": "TF-IDF + LR: word 1-2 and character 2-5 grams, logistic regression, same rows.",
}


def _compared(part: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """Return the scorers that stand beside the encoder."""
    found = {key for sets in part.values() for entry in sets.values() for key in entry}
    return [key for key in _OTHERS if key in found]


def _results(part: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Return one table of AUROC, recall and F1 over all heads."""
    rows, others = [], _compared(part)
    for head, sets in part.items():
        for name, entry in sets.items():
            ours = entry["encoder"]
            sizes = f"{entry['n_positive']:,} / {entry['n_negative']:,}"
            row = [head, name, sizes, _area(ours), *(_area(entry[key]) for key in others)]
            if "previous" in others:
                row.append(_change(entry.get("change")))
            row += [
                f"{ours['recall_at_1']:.0%} / {ours['recall_at_5']:.0%}",
                f"{entry['recall_at_policy']:.0%} / {entry['false_alarms_at_policy']:.1%} / "
                f"{entry['f1_at_policy']:.2f}",
            ]
            rows.append(row)
    header = ["head", "set", "n harmful / harmless", "AUROC (95%)", *(_OTHERS[key] for key in others)]
    header += ["difference"] if "previous" in others else []
    return _table(
        [*header, "recall at 1% / 5% false alarms", "at the suggested threshold: recall / false alarms / F1"], rows
    )


def _length_table(part: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of jailbreak scores on negatives matched by length."""
    rows = []
    for name, entry in part.items():
        ours, other = entry["encoder"], entry.get("previous")
        cells = [name, str(entry["n_pairs"]), f"{entry['length']:.3f}", _area(ours), _change(ours["above_length"])]
        rows.append([*cells, _area(other) if other else "-"])
    return _table(("texts", "pairs", "length alone", "AUROC (95%)", "above length", "first encoder"), rows)


def _heldout(metrics: Mapping[str, Any]) -> str:
    """Return the table of the sentences on negation, counter-speech and look-alikes."""
    rows: list[list[str]] = []
    others = [key for key in _OTHERS if key in metrics["heldout"]]
    for head, groups in metrics["heldout"]["encoder"].items():
        for group, entry in groups.items():
            row = [head, group, str(entry["n"]), f"{entry['at_half']:.0%}", f"{entry['at_policy']:.0%}"]
            for key in others:
                other = metrics["heldout"][key][head][group]
                row += [f"{other['at_half']:.0%}", f"{other['at_policy']:.0%}"]
            rows.append(row)
    header = ["head", "group", "n", "right at 0.5", "right at the suggested threshold"]
    for key in others:
        header += [f"{_OTHERS[key]} at 0.5", "at that threshold"]
    return _table(header, rows)


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
            _INTRO.format(
                filter=metrics["filter"],
                rank=training[-1]["lora"]["rank"],
                passes=passes,
                emoji=_EMOJI * metrics["emoji_names"],
            ),
            _DATA,
            data,
            _THRESHOLDS,
            cuts,
            _IN_DOMAIN.format(
                dtype=metrics["dtype"],
                other_note=" ".join(_OTHER_NOTES[key] for key in _compared(metrics["in_domain"])),
            ),
            _results(metrics["in_domain"]),
            "## Sets never trained on\n",
            " ".join(_OTHER_NOTES[key] for key in _compared(metrics["unseen"])) + "\n",
            _results(metrics["unseen"]),
            _LENGTH,
            _length_table(metrics["matched"]),
            _HELDOUT,
            _heldout(metrics),
            _ALARMS,
            alarms,
            _LIMITS,
        ]
    )
