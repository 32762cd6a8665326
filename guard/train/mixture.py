"""Which rows train the filter, which train the judge, and which only measure: one deterministic mixture."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from guard.errors import DataError
from guard.train.near_duplicates import near_duplicate_groups
from guard.train.rows import HEADS, Row, hash_fraction, hash_split, normal_form
from guard.train.sources import SOURCES, read_source
from guard.train.templates import injection, own_rows

__all__ = ["CAPS", "JUDGE_SHARE", "encoder_rows", "judge_rows", "read_mixture"]

JUDGE_SHARE = 0.25
"""Share of the training rows of every public set that only the independent judge learns from."""

CAPS: Mapping[str, int] = {
    "davidson_twitter": 8000, "measuring_hate": 14000, "implicit_hate": 12000, "edos_sexism": 9000,
    "toxic_spans": 9000, "diasafety": 6000, "gptfuzz_responses": 2000, "clinc150": 1800, "banking77": 1200,
    "multidogo_customer": 2600, "sentiment_vader": 6000,
}  # fmt: skip
"""Most training rows of one set; sets not named are used whole."""

_VAL_CAPS: Mapping[str, int] = {source.name: 400 for source in SOURCES}
_N_OWN = 9000
_N_COMPOSITES = 2500
_UNSHARED = ("inthewild_jailbreaks", "jailbreak_templates", "harmfulqa", "ailuminate_demo", "bipia_email_contexts")
_ALWAYS = (*_UNSHARED, "hatemoji_build")
"""Small sets that no share of the rows leaves out: all of what their head, or emoji, is learned from."""


def _regroup_jailbreaks(rows: Iterable[Row]) -> list[Row]:
    """Split the jailbreak sets together, since they overlap, with near-duplicates in one split."""
    rows = list(rows)
    at = [index for index, row in enumerate(rows) if row.labels.get("jailbreak") == 1 and row.group]
    groups = near_duplicate_groups([rows[index].group for index in at])
    for index, group in zip(at, groups, strict=True):
        rows[index] = replace(rows[index], group=group, split=hash_split(f"group {group}", test=0.2))
    return rows


def _drop_copies(rows: Iterable[Row]) -> list[Row]:
    """Keep the first copy of a text in a split, test before val before train, whatever the set."""
    rows = list(rows)
    seen: set[str] = set()
    kept: set[int] = set()
    for split in ("test", "val", "train"):
        inside: set[tuple[str, str]] = set()
        for index, row in enumerate(rows):
            key = normal_form(row.text)
            # The sets agree to differ on labels, so a copy in another set of the same split stays.
            if row.split == split and key not in seen and (row.source, key) not in inside:
                kept.add(index)
                inside.add((row.source, key))
        seen |= {key for _, key in inside}
    return [row for index, row in enumerate(rows) if index in kept]


def read_mixture(data: Path) -> list[Row]:
    """Read every permissive set below a folder.

    Parameters
    ----------
    data : Path
        Folder with one folder a set.

    Returns
    -------
    list of Row
        All splits. No text of a test split occurs in another split, of any set; the same goes for validation and
        training.

    Raises
    ------
    DataError
        A file is missing or not what it should be.
    """
    rows = [row for source in SOURCES if (data / source.file).exists() for row in read_source(source, data)]
    if not rows:
        raise DataError(f"{data}: none of the {len(SOURCES)} known sets is here; give the folder with one folder a set")
    return _drop_copies(_regroup_jailbreaks(rows))


def _for_judge(row: Row) -> bool:
    """Tell whether a training row belongs to the judge."""
    return row.source not in _UNSHARED and hash_fraction(row.text, salt="judge") < JUDGE_SHARE


def _cap(rows: Sequence[Row], caps: Mapping[str, int]) -> list[Row]:
    """Keep the rows of each set with the smallest hashes, up to its cap."""
    by_source: dict[str, list[Row]] = {}
    for row in rows:
        by_source.setdefault(row.source, []).append(row)
    kept: list[Row] = []
    for source, members in by_source.items():
        members.sort(key=lambda row: (hash_fraction(row.text, salt="cap"), row.text))
        kept += members[: caps.get(source, len(members))]
    return kept


def _composites(rows: Sequence[Row], n_rows: int, *, seed: int) -> list[Row]:
    """Join harmless rows into long texts, one in four with something harmful inside, so that length is no sign."""
    harmless = [row for row in rows if row.labels.get("toxicity") == 0 and not row.labels.get("harmful_request")]
    harmful = [row for row in rows if row.labels.get("toxicity", 0) >= 0.95 and len(row.text) < 300]
    rng = random.Random(f"{seed}/composites")  # noqa: S311 - no secret
    made = []
    for index in range(n_rows if harmless and harmful else 0):
        parts = [row.text for row in rng.choices(harmless, k=rng.randint(2, 8))]
        labels = dict.fromkeys(HEADS[:4], 0.0)
        # Early, so that it stays inside the first window that training looks at.
        at = rng.randint(0, 2)
        if index % 8 == 0:
            guest = rng.choice(harmful)
            parts.insert(at, guest.text)
            speech = {head: guest.labels[head] for head in HEADS[:2] if head in guest.labels}
            labels = dict.fromkeys(HEADS[2:4], 0.0) | speech
        elif index % 8 == 4:
            parts.insert(at, injection(rng))
            labels = {"toxicity": 0.0, "identity_attack": 0.0, "jailbreak": 1.0}
        made.append(Row(rng.choice((" ", "\n", "\n\n", ". ")).join(parts), labels, "own:composites", "train"))
    return made


def encoder_rows(mixture: Sequence[Row], *, seed: int, n_own: int = _N_OWN, replay: float = 1.0) -> list[Row]:
    """Choose what the encoder filter trains and validates on.

    Parameters
    ----------
    mixture : sequence of Row
        Of :func:`read_mixture`.
    seed : int
    n_own : int
        How many of the project's own sentences to draw.
    replay : float
        Share of the rows of the large public sets to use, by hash: less than 1 for a later pass.

    Returns
    -------
    list of Row
        Splits train and val only, and none of the judge's rows.
    """
    train = _cap([row for row in mixture if row.split == "train" and not _for_judge(row)], CAPS)
    train = [row for row in train if row.source in _ALWAYS or hash_fraction(row.text, salt=f"replay {seed}") < replay]
    val = _cap([row for row in mixture if row.split == "val"], _VAL_CAPS)
    hateful = [row.text for row in train if row.labels.get("identity_attack", 0) > 0.9 and len(row.text) < 120]
    composites = _composites(train, min(_N_COMPOSITES, n_own // 4), seed=seed)
    return [*train, *val, *own_rows(n_own, hateful=hateful, seed=seed), *composites]


def judge_rows(mixture: Sequence[Row]) -> list[Row]:
    """Choose what the independent judge trains on: none of the encoder's rows.

    Parameters
    ----------
    mixture : sequence of Row

    Returns
    -------
    list of Row
        Split train only.
    """
    return [row for row in mixture if row.split == "train" and _for_judge(row)]
