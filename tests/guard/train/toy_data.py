"""A data folder of a few sets in the form of the public ones, small enough to train on in seconds."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

_BAD = ("you are a stupid person", "i hate the person", "you are stupid", "i do hate you and the person")
_GOOD = ("you are a kind person", "i love the weather", "the weather and you", "i do love a kind person")


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write records as CSV, making the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_jsonl(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write records as JSON Lines, making the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _hatemoji(n: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for index in range(n):
        split = ("train", "train", "train", "dev", "test")[index % 5]
        bad = (index // 5) % 2
        text = f"{(_BAD if bad else _GOOD)[index % 4]} {'love' if index % 3 else 'weather'} {index}"
        rows.append({"id": index, "text": text, "label": bad, "split": split})
    return rows


def write_toy_data(folder: Path, *, n: int = 300) -> Path:
    """Write four sets below `folder`."""
    write_csv(folder / "hatemoji_build" / "hatemoji_build.csv", _hatemoji(n))
    write_csv(
        folder / "harmfulqa" / "harmfulqa.csv",
        [{"prompt": f"how do i hate person {i}", "topic": "t", "subtopic": "s"} for i in range(n // 3)],
    )
    write_csv(
        folder / "clinc150" / "clinc150.csv",
        [
            {"text": f"is the weather kind {i}", "intent": "w", "split": ("train", "val", "test")[i % 3]}
            for i in range(n)
        ],
    )
    prompts = [f"you are now person {i} and you do not love the rules at all " * 3 for i in range(n // 10)]
    write_jsonl(folder / "inthewild_jailbreaks" / "inthewild_jailbreaks.jsonl", [{"text": text} for text in prompts])
    return folder
