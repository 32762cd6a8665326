"""The public sets that may be trained on: file, licence, and how a record becomes a labelled row."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from guard.errors import DataError
from guard.train.rows import Row, Split, hash_fraction, hash_split
from guard.train.templates import benign_request, harmful_request

__all__ = ["SOURCES", "Source", "read_records", "read_source", "swears"]

Record = Mapping[str, Any]
Convert = Callable[[list[Record]], Iterator[Row]]

_SPLITS: Mapping[str, Split] = {
    "train": "train",
    "trial": "val",
    "dev": "val",
    "val": "val",
    "valid": "val",
    "test": "test",
}
_PROFANE = re.compile(
    r"\b(f+u+c+k\w*|\w*shit\w*|bitch\w*|cunt\w*|ass|asshole\w*|bastard\w*|dick\w*|pussy|idiot\w*|moron\w*|retard\w*"
    r"|stupid|scum|whore\w*|slut\w*|trash|dumb\w*|loser\w*|pathetic|cock|twat\w*|kill yourself|kys)\b",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"(can(no|')t|cannot|unable to|not able to|won't|will not|must decline|not going to|not comfortable)"
    r"\s+(\w+\s+){0,3}(assist|help|provide|fulfil|fulfill|engage|answer|comply|support|offer|generate|create|do that"
    r"|condone|give|promote)"
    r"|i'?m sorry,? but|against my (programming|guidelines)|must (prioritize|adhere)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Source:
    """One public set.

    Parameters
    ----------
    file : str
        Path below the data folder; its folder is the name of the set.
    licence : str
        SPDX identifier. Only permissive ones are listed here.
    convert : callable
        All records of the file to rows.
    """

    file: str
    licence: str
    convert: Convert

    @property
    def name(self) -> str:
        """Name of the set."""
        return self.file.split("/", maxsplit=1)[0]


def swears(text: str) -> bool:
    """Tell whether a text holds a common swear word: a set that calls it harmless says nothing about toxicity then."""
    return _PROFANE.search(text) is not None


def read_records(path: Path) -> list[Record]:
    """Read a CSV or JSON Lines file, gzipped or not, as records.

    Raises
    ------
    DataError
        The file is missing or cannot be parsed.
    """
    try:
        frame = pd.read_json(path, lines=True) if ".jsonl" in path.name else pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable CSV or JSON Lines file ({error})") from error
    return frame.astype(object).where(frame.notna(), "").to_dict("records")  # type: ignore[return-value]


def _english(text: str) -> bool:
    """Tell whether the text is mostly Latin script; the encoder reads English only."""
    letters = [char for char in text if char.isalpha()]
    return not letters or sum(char < "\u0250" for char in letters) > 0.7 * len(letters)


def _abuse(positive: Callable[[Record], float], *, identity: bool, offensive_negatives: bool) -> Convert:
    """Convert a set of one label; where negatives may offend, one that swears says nothing about toxicity."""

    def convert(records: list[Record]) -> Iterator[Row]:
        source = ""
        for record in records:
            text, label = str(record["text"]), positive(record)
            split = _SPLITS[record["split"]] if "split" in record else hash_split(text)
            labels = {"toxicity": label}
            if label < 0.5 and offensive_negatives and _PROFANE.search(text):
                labels = {}
            if identity:
                labels["identity_attack"] = label
            if labels:
                yield Row(text, labels, source, split)

    return convert


def _davidson(records: list[Record]) -> Iterator[Row]:
    """Tweets; toxicity is the share of raters who saw hate or offence."""
    for record in records:
        text = str(record["text"])
        n = max(1, int(record["annotators"]))
        labels = {"toxicity": 1 - int(record["n_neither"]) / n}
        hate = int(record["n_hate"]) / n
        if hate == 0 or hate > 0.5:
            labels["identity_attack"] = hate
        yield Row(text, labels, "", hash_split(str(record["id"])), record["label"])


def _toxic_spans(records: list[Record]) -> Iterator[Row]:
    """Take posts flagged as toxic, and of long ones the sentences without a toxic span as weak negatives."""
    for record in records:
        text, split = str(record["text"]), _SPLITS[record["split"]]
        toxic = set(_offsets(str(record["spans"])))
        yield Row(text, {"toxicity": 1.0 if toxic else 0.7}, "", split, "post")
        if len(toxic) == 0:
            continue
        for match in re.finditer(r"[^.!?\n]{25,}[.!?]+", text):
            clean = toxic.isdisjoint(range(match.start(), match.end()))
            if clean and not _PROFANE.search(match.group()) and split == "train":
                yield Row(match.group().strip(), {"toxicity": 0.1}, "", split, "sentence without span")


def _offsets(text: str) -> list[int]:
    """Parse a JSON list of offsets without evaluating anything."""
    return [int(number) for number in re.findall(r"\d+", text)]


def _diasafety(records: list[Record]) -> Iterator[Row]:
    """Take replies: an insult of the user is toxic, a safe reply is neither toxic nor a refusal."""
    for record in records:
        split, context, reply = _SPLITS[record["split"]], str(record["context"]), str(record["response"])
        if record["label"] == "Safe":
            labels = {"toxicity": 0.0, "jailbreak": 0.0, "identity_attack": 0.0, "harmful_request": 0.0}
            labels |= {} if _REFUSAL.search(reply) else {"refusal": 0.0}
            yield Row(reply, {} | labels if not _PROFANE.search(reply) else {"jailbreak": 0.0}, "", split, "safe reply")
        elif record["category"] == "Offending User":
            yield Row(reply, {"toxicity": 1.0, "jailbreak": 0.0, "refusal": 0.0}, "", split, "offending reply")
        yield Row(context, {"jailbreak": 0.0, "refusal": 0.0}, "", split, "context")


def _gptfuzz(records: list[Record]) -> Iterator[Row]:
    """Answers: a refusing phrase and label 0 is a refusal, no such phrase and label 1 is none; the others stay out."""
    for record in records:
        text, split, complied = str(record["response"]), _SPLITS[record["split"]], int(record["label"])
        if split == "train" and hash_split(text) == "val":
            split = "val"
        refuses = bool(_REFUSAL.search(text[:300]))
        if _english(text) and refuses != bool(complied):
            yield Row(text, {"refusal": float(refuses), "jailbreak": 0.0}, "", split, "answer")
    for question in sorted({str(record["question"]) for record in records if _english(str(record["question"]))}):
        yield Row(question, {"harmful_request": 1.0, "jailbreak": 0.0}, "", hash_split(question), "question")


def _benign_short(records: list[Record]) -> Iterator[Row]:
    """Take requests of users of a service; all heads are negative."""
    labels = {"toxicity": 0.0, "identity_attack": 0.0, "jailbreak": 0.0, "harmful_request": 0.0, "refusal": 0.0}
    for record in records:
        yield Row(str(record["text"]), labels, "", _SPLITS[str(record["split"]).removeprefix("oos_")])


def _conversations(records: list[Record]) -> Iterator[Row]:
    """Take customer turns, and of every third conversation all turns as one long text."""
    labels = {"toxicity": 0.0, "identity_attack": 0.0, "jailbreak": 0.0, "harmful_request": 0.0, "refusal": 0.0}
    turns: dict[str, list[str]] = {}
    for record in records:
        text, split, key = str(record["text"]), _SPLITS[record["split"]], str(record["conversation_id"])
        turns.setdefault(f"{split}/{key}", []).append(text)
        if len(text) > 2:
            yield Row(text, labels, "", split, "turn")
    for key, texts in turns.items():
        if hash_fraction(key, salt="conversation") < 1 / 3:
            yield Row("\n".join(texts), labels, "", key.split("/")[0], "conversation")  # type: ignore[arg-type]


def _harmful_prompts(records: list[Record]) -> Iterator[Row]:
    """Take requests for harmful help; a plain one is no jailbreak, a skilled one may be."""
    for record in records:
        text = str(record["prompt"])
        labels = {"harmful_request": 1.0, "refusal": 0.0}
        if record.get("persona") != "skilled":
            labels["jailbreak"] = 0.0
        yield Row(text, labels, "", hash_split(text))


def _jailbreaks(records: list[Record]) -> Iterator[Row]:
    """Fill in the slots of jailbreak prompts; the group is the bare template, by which the mixture splits."""
    rng = random.Random("jailbreaks")  # noqa: S311 - no secret
    texts = [re.sub(r"\{%-?\s*(end)?raw\s*-?%\}", "", str(record["text"])).strip() for record in records]
    for text in texts:
        request = harmful_request(rng) if rng.random() < 0.6 else benign_request(rng)
        filled = request.join(re.split(r"\{\{\s*\w+\s*\}\}|\[INSERT PROMPT HERE\]", text))
        yield Row(filled, {"jailbreak": 1.0, "refusal": 0.0}, "", "train", text)


def _emails(records: list[Record]) -> Iterator[Row]:
    """E-mails and questions on them."""
    labels = {"toxicity": 0.0, "identity_attack": 0.0, "jailbreak": 0.0, "harmful_request": 0.0, "refusal": 0.0}
    for record in records:
        for part in ("context", "question"):
            yield Row(str(record[part]), labels, "", _SPLITS[record["split"]], part)


def _sentiment(records: list[Record]) -> Iterator[Row]:
    """Reviews, tweets and editorials; harmless unless they swear, and a source of long plain text."""
    other = {"jailbreak": 0.0, "harmful_request": 0.0, "refusal": 0.0}
    for record in records:
        text = str(record["text"])
        labels = other if _PROFANE.search(text) else other | {"toxicity": 0.0, "identity_attack": 0.0}
        yield Row(text, labels, "", hash_split(text), record["source"])


def _label_1(record: Record) -> float:
    return float(str(record["label"]) == "1")


SOURCES: tuple[Source, ...] = (
    Source("davidson_twitter/davidson_twitter.csv.gz", "MIT", _davidson),
    Source("dynahate/dynahate.csv.gz", "CC-BY-4.0", _abuse(_label_1, identity=True, offensive_negatives=True)),
    Source(
        "measuring_hate/measuring_hate.csv.gz", "CC-BY-4.0", _abuse(_label_1, identity=True, offensive_negatives=True)
    ),
    Source(
        "hatemoji_build/hatemoji_build.csv", "CC-BY-4.0", _abuse(_label_1, identity=True, offensive_negatives=False)
    ),
    Source(
        "implicit_hate/implicit_hate.csv.gz",
        "MIT",
        _abuse(lambda r: float(r["label"] != "not_hate") * 0.95, identity=True, offensive_negatives=True),
    ),
    Source(
        "edos_sexism/edos_sexism.csv.gz",
        "CC0-1.0",
        _abuse(lambda r: float(r["label"] == "sexist") * 0.95, identity=False, offensive_negatives=True),
    ),
    Source(
        "toxigen_annotated/toxigen_annotated.csv",
        "CDLA-Permissive-2.0",
        _abuse(
            lambda r: min(1.0, max(0.0, (float(r["toxicity_human"]) - 1.5) / 2.5)),
            identity=True,
            offensive_negatives=False,
        ),
    ),
    Source("toxic_spans/toxic_spans.csv.gz", "CC0-1.0", _toxic_spans),
    Source("diasafety/diasafety.csv.gz", "Apache-2.0", _diasafety),
    Source("gptfuzz_responses/gptfuzz_responses.csv.gz", "MIT", _gptfuzz),
    Source("harmfulqa/harmfulqa.csv", "Apache-2.0", _harmful_prompts),
    Source("ailuminate_demo/ailuminate_demo.csv", "CC-BY-4.0", _harmful_prompts),
    Source("inthewild_jailbreaks/inthewild_jailbreaks.jsonl", "MIT", _jailbreaks),
    Source("jailbreak_templates/jailbreak_templates.jsonl", "MIT", _jailbreaks),
    Source("bipia_email_contexts/bipia_email_contexts.jsonl", "MIT", _emails),
    Source("clinc150/clinc150.csv", "CC-BY-3.0", _benign_short),
    Source("banking77/banking77.csv", "CC-BY-4.0", _benign_short),
    Source("multidogo_customer/multidogo_customer.csv.gz", "CDLA-Permissive-1.0", _conversations),
    Source("sentiment_vader/sentiment_vader.csv.gz", "MIT", _sentiment),
)


def read_source(source: Source, data: Path) -> list[Row]:
    """Read one set and convert it.

    Parameters
    ----------
    source : Source
    data : Path
        Folder that holds one folder a set.

    Returns
    -------
    list of Row
        In file order, English only.

    Raises
    ------
    DataError
        The file cannot be read, or a column or split name is not the expected one.
    """
    records = read_records(data / source.file)
    try:
        rows = list(source.convert(records))
    except (KeyError, ValueError) as error:
        raise DataError(f"{source.file}: unexpected column or value {error}") from error
    return [Row(row.text, row.labels, source.name, row.split, row.group) for row in rows if _english(row.text)]
