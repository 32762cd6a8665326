"""The mixture keeps test rows out of training and the judge's rows out of the filter."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.errors import DataError
from guard.train.heldout import heldout_requests, heldout_speech
from guard.train.mixture import encoder_rows, judge_rows, read_mixture
from guard.train.rows import HEADS, normal_form
from guard.train.sources import SOURCES
from guard.train.templates import SLOTS, own_rows
from tests.guard.train.toy_data import write_csv, write_jsonl, write_toy_data

PERMISSIVE = {"MIT", "Apache-2.0", "CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "CDLA-Permissive-1.0", "CDLA-Permissive-2.0"}


def test_sources_are_permissive_and_leave_the_unseen_sets_alone() -> None:
    names = {source.name for source in SOURCES}
    assert {source.licence for source in SOURCES} <= PERMISSIVE
    unseen = {"wiki_talk_toxicity", "stormfront_sentences", "convabuse", "dices_990", "identity_templates"}
    unseen |= {"injection_corpus", "cse_prompt_injection", "advbench", "response_refusal", "benign_instructions"}
    assert not names & (unseen | {"crows_pairs", "bold_prompts", "bbq", "rtp_prompts"})


def test_read_mixture_parts_splits(tmp_path: Path) -> None:
    mixture = read_mixture(write_toy_data(tmp_path))
    texts = {
        split: {normal_form(row.text) for row in mixture if row.split == split} for split in ("train", "val", "test")
    }
    assert all(texts.values())
    assert not texts["train"] & texts["test"]
    assert not texts["train"] & texts["val"]
    assert not texts["val"] & texts["test"]


def test_read_mixture_drops_a_training_copy_of_a_test_text_of_another_set(tmp_path: Path) -> None:
    rows = [("Be kind", "train"), ("Another text", "train")]
    write_csv(tmp_path / "clinc150" / "clinc150.csv", [{"text": t, "intent": "x", "split": s} for t, s in rows])
    write_csv(tmp_path / "banking77" / "banking77.csv", [{"text": "be KIND!", "intent": "x", "split": "test"}])
    kept = [(row.text, row.source) for row in read_mixture(tmp_path)]
    assert kept == [("Another text", "clinc150"), ("be KIND!", "banking77")]


def test_read_mixture_keeps_versions_of_a_jailbreak_in_one_split(tmp_path: Path) -> None:
    prompts = [f"{' '.join(f'word{n}x{k}' for k in range(20))} version {v}" for n in range(30) for v in range(3)]
    write_jsonl(tmp_path / "inthewild_jailbreaks" / "inthewild_jailbreaks.jsonl", [{"text": t} for t in prompts[::2]])
    write_jsonl(tmp_path / "jailbreak_templates" / "jailbreak_templates.jsonl", [{"text": t} for t in prompts[1::2]])
    splits: dict[str, set[str]] = {}
    for row in read_mixture(tmp_path):
        splits.setdefault(row.text.split("x")[0], set()).add(row.split)
    assert len(splits) == 30
    assert all(len(found) == 1 for found in splits.values())
    assert set().union(*splits.values()) >= {"train", "test"}


def test_read_mixture_of_an_empty_folder_says_what_it_wants(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of the"):
        read_mixture(tmp_path)


def test_read_mixture_names_the_file_with_a_missing_column(tmp_path: Path) -> None:
    write_csv(tmp_path / "clinc150" / "clinc150.csv", [{"sentence": "x", "split": "train"}])
    with pytest.raises(DataError, match=r"clinc150\.csv.*text"):
        read_mixture(tmp_path)


def test_encoder_and_judge_rows_share_nothing_and_hold_no_test_row(tmp_path: Path) -> None:
    mixture = read_mixture(write_toy_data(tmp_path))
    encoder = encoder_rows(mixture, seed=0, n_own=200)
    judge = judge_rows(mixture)
    test = {normal_form(row.text) for row in mixture if row.split == "test"}
    assert judge
    assert not {normal_form(row.text) for row in judge} & {normal_form(row.text) for row in encoder}
    assert not test & {normal_form(row.text) for row in [*encoder, *judge]}
    assert {row.split for row in encoder} == {"train", "val"}


def test_encoder_rows_are_reproducible(tmp_path: Path) -> None:
    mixture = read_mixture(write_toy_data(tmp_path))
    assert encoder_rows(mixture, seed=3, n_own=100) == encoder_rows(mixture, seed=3, n_own=100)


def test_own_rows_fill_every_slot_and_label_known_heads() -> None:
    rows = own_rows(2000, hateful=["they are vermin"], seed=0)
    slots = {f"{{{slot}}}" for slot in SLOTS}  # code in an instruction has braces of its own
    assert not [row.text for row in rows if any(slot in row.text for slot in slots)]
    assert {head for row in rows for head in row.labels} == set(HEADS)
    for head in HEADS:
        values = {row.labels[head] for row in rows if head in row.labels}
        assert values == {0.0, 1.0}


def test_heldout_sentences_are_not_in_the_templates() -> None:
    held = {normal_form(row.text) for row in [*heldout_speech(), *heldout_requests()]}
    drawn = {normal_form(row.text) for row in own_rows(9000, hateful=[], seed=0)}
    assert len(held) > 150
    assert not held & drawn
