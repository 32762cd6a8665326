"""A database of a few words in WordNet's own format (wndb(5WN))."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

LICENCE = "  1 This is no part of WordNet; it is laid out like it.  \n"

SENSES: Mapping[str, list[list[str]]] = {
    "noun": [["dog", "hound", "domestic_dog"], ["cat"], ["goose", "Gans"], ["day", "daylight"]],
    "verb": [["dog", "tail", "chase"], ["like", "enjoy"], ["go", "travel"]],
    "adj": [["good", "upright(a)", "just"], ["third", "tertiary"]],
    "adv": [["well", "good"]],
}
EXCEPTIONS = {"noun": "geese goose\n", "verb": "went go\n", "adj": "better good\n", "adv": ""}
LETTERS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}


def write_tiny_wordnet(folder: Path) -> Path:
    for part, senses in SENSES.items():
        data, offsets = LICENCE, {}
        for sense in senses:
            lemmas = " ".join(f"{lemma} 0" for lemma in sense)
            for lemma in sense:
                offsets.setdefault(lemma.split("(")[0].lower(), []).append(len(data.encode()))
            data += f"{len(data.encode()):08d} 03 {LETTERS[part]} {len(sense):02x} {lemmas} 000 | a gloss  \n"
        lines = [
            f"{lemma} {LETTERS[part]} {len(at)} 1 @ {len(at)} 0 {' '.join(f'{o:08d}' for o in at)}  \n"
            for lemma, at in sorted(offsets.items())
        ]
        (folder / f"data.{part}").write_text(data)
        (folder / f"index.{part}").write_text(LICENCE + "".join(lines))
        (folder / f"{part}.exc").write_text(EXCEPTIONS[part])
    return folder
