"""Texts of the bias tasks: those that ship, and the user's copies of BBQ, CrowS-Pairs, WinoBias and BOLD."""

from __future__ import annotations

import csv
import importlib.resources
import io
import itertools
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.datasets import Prompt, read_prompts
from evals.rows import read_batches
from guard.errors import DataError

__all__ = [
    "ChoiceItem",
    "SentencePair",
    "identities",
    "read_bbq",
    "read_bold",
    "read_pairs",
    "read_swaps",
    "shipped_choices",
    "shipped_pairs",
    "shipped_starts",
    "shipped_swaps",
]

_PERSON = "{person}"


@dataclass(frozen=True)
class ChoiceItem:
    """One question with three answers, of which one names nobody.

    Parameters
    ----------
    id : str
    template : str
        Which items are wordings of one another: the statistical unit.
    category : str
    context, question : str
    ambiguous : bool
        Whether the context leaves the answer open, so that naming nobody is right.
    answers : (str, str, str)
        Stereotyped person, other person, nobody; how they are shown is not decided here.
    right : {0, 1, 2}
        Index of the right answer.
    negative : bool
        Whether the question is about something bad, so that naming the stereotyped person is the stereotype.
    """

    id: str
    template: str
    category: str
    context: str
    question: str
    ambiguous: bool
    answers: tuple[str, str, str]
    right: int
    negative: bool


@dataclass(frozen=True)
class SentencePair:
    """Two sentences that differ in who they are about.

    Parameters
    ----------
    id, group : str
    more, less : str
        The more and the less stereotyping one.
    """

    id: str
    group: str
    more: str
    less: str


def shipped_choices() -> list[ChoiceItem]:
    """Return our own questions: eight items a template, four of them ambiguous, counterbalanced.

    Who is named first alternates, so that over the four items of a kind every person, place and question comes up
    equally often with every right answer.
    """
    document = tomllib.loads(_shipped("bias_questions.toml"))
    unknown = document["unknown"]
    items: list[ChoiceItem] = []
    for number, template in enumerate(document["question"]):
        items += _items(template, unknown[number % len(unknown)], turn=number)
    return items


def _items(template: Mapping[str, Any], unknown: str, *, turn: int) -> Iterator[ChoiceItem]:
    """Yield, for both questions, both orders of an ambiguous scene and both truths of a scene that tells."""
    people = (template["target"], template["other"])
    for negative, flag in itertools.product((True, False), (False, True)):
        yield _item(template, unknown, negative, _scene(template, people, flag), kind=f"ambiguous-{flag:d}")
        doer, peer = people if flag else people[::-1]
        swapped = (flag + negative + turn) % 2 == 1  # each truth in each order, over both questions
        context = f"{_scene(template, people, swapped)} {_capital(template['told'].format(doer=doer, peer=peer))}"
        right = people.index(doer if negative else peer)
        yield _item(template, unknown, negative, context, kind=f"told-{flag:d}", right=right)


def _scene(template: Mapping[str, Any], people: tuple[str, str], swapped: bool) -> str:
    one, two = people[::-1] if swapped else people
    return _capital(template["scene"].format(one=one, two=two))


def _item(
    template: Mapping[str, Any], unknown: str, negative: bool, context: str, *, kind: str, right: int = 2
) -> ChoiceItem:
    name = template["id"]
    question = template["negative" if negative else "positive"]
    answers = (_capital(template["target"]), _capital(template["other"]), unknown)
    id_ = f"{name}-{'negative' if negative else 'positive'}-{kind}"
    return ChoiceItem(id_, name, template["category"], context, question, right == 2, answers, right, negative)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def read_bbq(path: Path) -> tuple[list[ChoiceItem], int]:
    """Read a file of BBQ (Parrish et al. 2022): JSON Lines as published, or with its nested fields laid flat.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    items : list of ChoiceItem
        The statistical unit is the category's question_index.
    n_left_out : int
        Rows in which not exactly one of both people is of a stereotyped group: no answer to them is for or against.

    Raises
    ------
    DataError
        Not there, or rows that are not of BBQ.
    """
    items, n_left_out = [], 0
    for batch in read_batches(path, batch_rows=1024):
        for number, row in enumerate(batch.rows, batch.first):
            try:
                item = _bbq_item(row, f"row-{number:06d}")
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise DataError(
                    f"{path}, row {number}: not a question of BBQ ({error}): give one of its JSON Lines files"
                ) from error
            items += [item] if item else []
            n_left_out += item is None
    if not items:
        raise DataError(f"{path} has no question of BBQ in which one of two people is of a stereotyped group")
    return items, n_left_out


def _bbq_item(row: Mapping[str, Any], id_: str) -> ChoiceItem | None:
    info, extra = row.get("answer_info"), row.get("additional_metadata", {})
    given = [info[f"ans{i}"] if info else [row["groups"][i]] for i in range(3)]
    names = [set(itertools.chain.from_iterable(map(_names, parts))) for parts in given]
    listed = row["stereotyped_groups"] if "stereotyped_groups" in row else extra["stereotyped_groups"]
    stereotyped = set(itertools.chain.from_iterable(map(_names, listed)))
    nobody = [i for i in range(3) if "unknown" in names[i]]
    people = [i for i in range(3) if i not in nobody]
    targets = [i for i in people if names[i] & stereotyped]
    if not targets:  # of nationalities the groups are regions; the answer says the nationality itself
        targets = [i for i in people if set(map(str.lower, str(row[f"ans{i}"]).split())) & stereotyped]
    if len(nobody) != 1 or len(targets) != 1:
        return None
    target, other = targets[0], ({0, 1, 2} - {nobody[0], targets[0]}).pop()
    order = (target, other, nobody[0])
    ambiguous = (row["context_condition"] if "context_condition" in row else row["condition"]) == "ambig"
    negative = (row["question_polarity"] if "question_polarity" in row else row["polarity"]) == "neg"
    return ChoiceItem(
        id=id_,
        template=f"{row['category']}-{row['question_index']}",
        category=str(row["category"]),
        context=str(row["context"]),
        question=str(row["question"]),
        ambiguous=ambiguous,
        answers=(str(row[f"ans{target}"]), str(row[f"ans{other}"]), str(row[f"ans{nobody[0]}"])),
        right=order.index(int(row["label"])),
        negative=negative,
    )


_CROSSED = re.compile(r"^(m|f|lowses|highses)-(.+)$")
_SEXES = {"woman": "f", "girl": "f", "man": "m", "boy": "m"}


def _names(group: object) -> set[str]:
    """Return the names of a group of BBQ, whose files spell one group in several ways and cross some (``F-Black``)."""
    name = re.sub(r"[_\s]", "", str(group).lower())
    crossed = _CROSSED.match(name)
    parts = {name, *(crossed.groups() if crossed else ())}
    return parts | {_SEXES[part] for part in parts if part in _SEXES}


def shipped_pairs() -> list[SentencePair]:
    """Return our own pairs, twelve for each of nine groups."""
    rows = csv.DictReader(io.StringIO(_shipped("bias_pairs.csv"), newline=""))
    return [SentencePair(row["id"], row["group"], row["sent_more"], row["sent_less"]) for row in rows]


def read_pairs(path: Path) -> list[SentencePair]:
    """Read the CSV file of CrowS-Pairs (Nangia et al. 2020), or a file of WinoBias (Zhao et al. 2018).

    Parameters
    ----------
    path : pathlib.Path
        A table with the columns sent_more, sent_less and bias_type or group; or ``pro_stereotyped_*`` of WinoBias,
        whose counterpart ``anti_stereotyped_*`` lies beside it.

    Raises
    ------
    DataError
        Not there, or lacking a column or lines.
    """
    pairs = _winobias(path) if "pro_stereotyped" in path.name else list(_crows(path))
    if not pairs:
        raise DataError(f"{path} has no pair of sentences")
    return pairs


def _crows(path: Path) -> Iterator[SentencePair]:
    for batch in read_batches(path, batch_rows=1024):
        for column in ("sent_more", "sent_less"):
            if column not in batch.columns:
                raise DataError(f"{path} has no column {column!r}; it has {', '.join(batch.columns)}")
        texts = [batch.texts(column, source=path) for column in ("sent_more", "sent_less")]
        for number, (row, more, less) in enumerate(zip(batch.rows, *texts, strict=True), batch.first):
            if more and less and more != less:
                group = str(row.get("bias_type") or row.get("group") or "user")
                yield SentencePair(f"row-{number:06d}", group, more, less)


def _winobias(path: Path) -> list[SentencePair]:
    other = path.with_name(path.name.replace("pro_stereotyped", "anti_stereotyped"))
    pro, anti = ([_winobias_line(line) for line in _read(file).splitlines()] for file in (path, other))
    if len(pro) != len(anti):
        raise DataError(f"{path} has {len(pro)} lines and {other} {len(anti)}: they must belong together")
    pairs = enumerate(zip(pro, anti, strict=True), 1)
    return [SentencePair(f"line-{n:04d}", "occupation", more, less) for n, (more, less) in pairs if more != less]


def _winobias_line(line: str) -> str:
    """Leave out the number in front and the brackets around who is meant."""
    return re.sub(r"^\s*\d+\s+", "", line).replace("[", "").replace("]", "").strip()


def identities() -> dict[str, str]:
    """Return the words for each group, ``person`` for none."""
    return dict(tomllib.loads(_shipped("identity_prompts.toml"))["identity"])


def shipped_swaps() -> list[Prompt]:
    """Return our own requests about a {person}."""
    prompts = tomllib.loads(_shipped("identity_prompts.toml"))["prompt"]
    return [Prompt(id_, text, "request") for id_, text in prompts.items()]


def read_swaps(path: Path) -> list[Prompt]:
    """Read the user's requests, each with {person} where the group is named; as :func:`evals.datasets.read_prompts`.

    Raises
    ------
    DataError
        A request without {person}.
    """
    prompts = read_prompts(path)
    for prompt in prompts:
        if _PERSON not in prompt.text:
            raise DataError(f"{path}: {prompt.id} has no {_PERSON}: write it where the groups are to be named")
    return prompts


def shipped_starts() -> list[Prompt]:
    """Return our own sentence starts; groups are ``domain/group``."""
    rows = csv.DictReader(io.StringIO(_shipped("open_starts.csv"), newline=""))
    return [Prompt(row["id"], row["prompt"], row["group"]) for row in rows]


def read_bold(path: Path) -> list[Prompt]:
    """Read a file of BOLD (Dhamala et al. 2021), such as ``gender_prompt.json``.

    Parameters
    ----------
    path : pathlib.Path
        Group -> entity -> sentence starts.

    Returns
    -------
    list of Prompt
        The first start of each entity: several of one person or faith are not independent.

    Raises
    ------
    DataError
        Not there, or not of that form.
    """
    domain = path.name.removesuffix(".json").removesuffix("_prompt").removesuffix("_prompts")
    try:
        found = json.loads(_read(path))
        starts = [
            Prompt(f"{domain}/{group}/{entity}", str(texts[0]).strip(), f"{domain}/{group}")
            for group, entities in found.items()
            for entity, texts in entities.items()
            if texts
        ]
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise DataError(f"{path} is not a file of BOLD: it must hold groups, entities and their starts") from error
    if not starts:
        raise DataError(f"{path} has no sentence starts")
    return starts


def _shipped(name: str) -> str:
    return importlib.resources.files("evals").joinpath(f"data/{name}").read_text(encoding="utf-8")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror or error}): check the path") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start}): convert it first") from error
