"""Prompts to audit with: the public sets that come as assets, the requests that ship, and deterministic samples."""

from __future__ import annotations

import csv
import hashlib
import importlib.resources
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.rows import read_batches
from guard.errors import DataError

__all__ = [
    "Prompt",
    "advbench",
    "benign_requests",
    "do_not_answer",
    "guard_texts",
    "harmbench",
    "jailbreaks",
    "prompts_digest",
    "read_prompts",
    "real_toxicity_prompts",
    "sample_prompts",
]

_TOXICITY_GROUPS = (
    "flirtation",
    "identity_attack",
    "insult",
    "profanity",
    "severe_toxicity",
    "sexually_explicit",
    "threat",
)
_RISK_AREAS = (
    "discrimination_exclusion_toxicity_hateful_offensive",
    "human_chatbox",
    "information_hazard",
    "malicious_uses",
    "misinformation_harms",
)


@dataclass(frozen=True)
class Prompt:
    """One prompt of a data set, or one text that a guard is measured on.

    Parameters
    ----------
    id : str
        Unique within its set and stable between runs, for example ``insult-003``.
    text : str
    group : str
        Slice of the set.
    harmful : bool
        Whether a refusal is the right answer to it, or an alarm about it is right.
    """

    id: str
    text: str
    group: str
    harmful: bool = False


def real_toxicity_prompts(*, folder: Path) -> list[Prompt]:
    """Read sentence starts of RealToxicityPrompts (Gehman et al. 2020), up to 100 for each of 7 attributes.

    The attribute is that of the continuation to be expected; the starts themselves carry no label. A start that stands
    under several attributes is kept under the first, since two prompts of one text are not independent; a stray header
    in the source is left out.

    Parameters
    ----------
    folder : pathlib.Path
        The asset ``rtp-prompts``.

    Returns
    -------
    list of Prompt
        Ordered by group and then as in the source; `harmful` is False.

    Raises
    ------
    DataError
        A file of the asset is missing or empty.
    """
    prompts = []
    for group in _TOXICITY_GROUPS:
        prompts += _numbered(_lines(folder / f"rtp_{group}.txt"), group, group, harmful=False)
    return _distinct(prompt for prompt in prompts if prompt.text.strip() != "prompt")


def do_not_answer(*, folder: Path) -> list[Prompt]:
    """Read the 939 questions of Do-Not-Answer (Wang et al. 2023), grouped by its 5 risk areas.

    Parameters
    ----------
    folder : pathlib.Path
        The asset ``donotanswer``.

    Returns
    -------
    list of Prompt
        `harmful` is True, though a careful answer to some (an investment, a symptom) is no failure: see the group.

    Raises
    ------
    DataError
        A file of the asset is missing or damaged.
    """
    prompts = []
    for area in _RISK_AREAS:
        file = folder / f"{area}.jsonl"
        try:
            texts = [str(json.loads(line)["prompt"]) for line in _lines(file)]
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(file, "donotanswer") from error
        prompts += _numbered(texts, area, area, harmful=True)
    return prompts


def harmbench(*, folder: Path) -> list[Prompt]:
    """Read the 200 standard behaviours of HarmBench (Mazeika et al. 2024); `harmful` is True.

    Parameters
    ----------
    folder : pathlib.Path
        The asset ``harmbench``.

    Raises
    ------
    DataError
        The file is missing or empty.
    """
    return _numbered(_lines(folder / "harmbench_prompts.txt"), "harmbench", "harmbench", harmful=True)


def advbench(*, folder: Path) -> list[Prompt]:
    """Read the 520 harmful instructions of AdvBench (Zou et al. 2023); `harmful` is True.

    Parameters
    ----------
    folder : pathlib.Path
        The asset ``advbench``.

    Raises
    ------
    DataError
        The file is missing or damaged.
    """
    import yaml

    file = folder / "adv_bench.prompt"
    try:
        seeds = yaml.safe_load(_text(file))["seeds"]
        texts = [str(seed["value"]).strip() for seed in seeds]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise _damaged(file, "advbench") from error
    return _numbered(texts, "advbench", "advbench", harmful=True)


def jailbreaks(*, folder: Path) -> list[Prompt]:
    """Read the jailbreak prompts seen in the wild (Shen et al. 2024); `harmful` is True.

    Parameters
    ----------
    folder : pathlib.Path
        The asset ``jailbreaks``.

    Returns
    -------
    list of Prompt
        Many are near copies of one another: split and sample with that in mind.

    Raises
    ------
    DataError
        The file is missing or damaged.
    """
    file = folder / "inthewild_jailbreak_llms.json"
    try:
        texts = [str(text) for text in json.loads(_text(file)) if str(text).strip()]
    except (ValueError, TypeError) as error:
        raise _damaged(file, "jailbreaks") from error
    return _numbered(texts, "jailbreak", "jailbreak", harmful=True)


def benign_requests() -> list[Prompt]:
    """Return the benign requests that ship with Assay: group ``lookalike`` looks harmful and is not, ``plain`` neither.

    Returns
    -------
    list of Prompt
        `harmful` is False: refusing one is an error.
    """
    content = importlib.resources.files("evals").joinpath("data/benign_lookalikes.csv").read_text(encoding="utf-8")
    return [Prompt(row["id"], row["text"], row["group"]) for row in csv.DictReader(io.StringIO(content, newline=""))]


def guard_texts(*, advbench_folder: Path, harmbench_folder: Path, jailbreaks_folder: Path) -> list[Prompt]:
    """Gather the texts on which a guard's recall and false alarms are measured.

    Parameters
    ----------
    advbench_folder, harmbench_folder, jailbreaks_folder : pathlib.Path
        The assets of those names.

    Returns
    -------
    list of Prompt
        Harmful: groups ``harmful_request`` (AdvBench, HarmBench) and ``jailbreak``. Benign: groups ``lookalike`` and
        ``plain``. Ids begin with the name of their source.
    """
    requests = advbench(folder=advbench_folder) + harmbench(folder=harmbench_folder)
    harmful = [Prompt(prompt.id, prompt.text, "harmful_request", True) for prompt in requests]
    return [*harmful, *jailbreaks(folder=jailbreaks_folder), *benign_requests()]


def read_prompts(path: Path, *, column: str = "prompt", group_column: str | None = None) -> list[Prompt]:
    """Read a user's prompts.

    Parameters
    ----------
    path : pathlib.Path
        ``.csv``, ``.csv.gz``, ``.jsonl``, ``.jsonl.gz`` or ``.parquet`` with a column of prompts, or ``.txt`` with a
        prompt a line; UTF-8. Rows without a prompt are left out, and those that repeat an earlier one: they would not
        be independent.
    column : str
        Where the prompts are; not used for ``.txt``.
    group_column : str, optional
        Where the group of each prompt is; by default all are in the group ``user``.

    Returns
    -------
    list of Prompt
        Ids are ``row-<number>``, from 1 and counting every row; `harmful` is False.

    Raises
    ------
    DataError
        The file is missing, not UTF-8 or damaged, lacks a column, or has no prompts.
    """
    if path.name.lower().endswith(".txt"):
        rows = [(line.rstrip("\r"), "user") for line in _text(path).removeprefix("\ufeff").split("\n")]
    else:
        rows = list(_table_rows(path, column, group_column))
    numbered = enumerate(rows, 1)
    prompts = _distinct(Prompt(f"row-{number:06d}", text, group) for number, (text, group) in numbered if text.strip())
    if not prompts:
        raise DataError(f"{path} has no prompts: give at least one")
    return prompts


def _table_rows(path: Path, column: str, group_column: str | None) -> Iterator[tuple[str, str]]:
    for batch in read_batches(path, batch_rows=1024):
        for needed in (column, group_column):
            if batch.first == 1 and needed is not None and needed not in batch.columns:
                raise DataError(f"{path} has no column {needed!r}; it has {', '.join(batch.columns)}")
        for text, row in zip(batch.texts(column, source=path), batch.rows, strict=True):
            yield text or "", str(row.get(group_column, "user")) if group_column else "user"


def sample_prompts(prompts: Sequence[Prompt], n: int, *, seed: int, by_group: bool = True) -> list[Prompt]:
    """Draw `n` prompts; a larger `n` of the same seed contains the smaller.

    Parameters
    ----------
    prompts : sequence of Prompt
    n : int
        At least 1; all prompts where there are fewer.
    seed : int
    by_group : bool
        Take the groups in turn, so that their numbers differ by one at most while each has prompts left.

    Returns
    -------
    list of Prompt
        In the order drawn. It depends on ids and seed, not on the order of `prompts`.

    Raises
    ------
    DataError
        `n` below 1, or two prompts of one id.
    """
    if n < 1:
        raise DataError(f"cannot draw {n} prompts: ask for at least 1")
    if len({prompt.id for prompt in prompts}) != len(prompts):
        raise DataError("two prompts have the same id: ids must be unique, since samples and intervals go by them")
    if not by_group:
        return sorted(prompts, key=lambda prompt: _draw(seed, prompt.id))[:n]
    groups: dict[str, list[Prompt]] = defaultdict(list)
    for prompt in sorted(prompts, key=lambda prompt: _draw(seed, prompt.id)):
        groups[prompt.group].append(prompt)
    # The turn in which a prompt comes is its rank within its group; groups within a turn come in drawn order too.
    order = [(rank, _draw(seed, group), prompt) for group, ones in groups.items() for rank, prompt in enumerate(ones)]
    return [prompt for _, _, prompt in sorted(order, key=lambda entry: entry[:2])][:n]


def _draw(seed: int, key: str) -> str:
    """Return a pseudo-random sort key that no other prompt and no platform changes."""
    return hashlib.sha256(f"{seed}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()


def prompts_digest(prompts: Iterable[Prompt]) -> str:
    """Return the SHA-256, in hexadecimal, over ids, groups, labels and texts in their order."""
    digest = hashlib.sha256()
    for prompt in prompts:
        record = [prompt.id, prompt.group, prompt.harmful, prompt.text]
        digest.update(json.dumps(record).encode("ascii") + b"\n")
    return digest.hexdigest()


def _numbered(texts: Sequence[str], prefix: str, group: str, *, harmful: bool) -> list[Prompt]:
    return [Prompt(f"{prefix}-{number:03d}", text, group, harmful) for number, text in enumerate(texts)]


def _distinct(prompts: Iterable[Prompt]) -> list[Prompt]:
    """Keep the first prompt of each text."""
    first: dict[str, Prompt] = {}
    for prompt in prompts:
        first.setdefault(prompt.text, prompt)
    return list(first.values())


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"cannot read {file} ({error.strerror}): give a file that is there, or pull the asset"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} is not UTF-8 (byte {error.start}): save it as UTF-8, or pull the asset again"
        ) from error


def _lines(file: Path) -> list[str]:
    """Return the lines that are not blank; only line feeds end a line."""
    lines = [line for line in _text(file).split("\n") if line.strip()]
    if not lines:
        raise DataError(f"{file} has no prompts: pull the asset again")
    return lines


def _damaged(file: Path, asset: str) -> DataError:
    return DataError(f"{file} is not what asset {asset} holds: run `assay assets verify`, and pull it again")
