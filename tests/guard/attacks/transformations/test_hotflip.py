"""HotFlip on the tiny encoder: expected rises by hand, one gradient for many texts, words that can be written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from guard.attacks.engine import run_attack
from guard.attacks.goals import Untargeted
from guard.attacks.schema import Ask, Example, RandomSource
from guard.attacks.search.beam import Beam
from guard.attacks.search.greedy import GreedyByImportance
from guard.attacks.space import Attack
from guard.attacks.transformations.hotflip import FlipTokens
from guard.attacks.victims import FilterVictim
from guard.attacks.whitebox import WhiteBoxVictim
from guard.attacks.words import AttackedText
from guard.errors import ConfigError
from guard.filters.encoder import EncoderFilter
from tests.guard.filters.tiny_bert import write_tiny_adapter, write_tiny_bert


class Counting(WhiteBoxVictim):
    """Counts calls for gradients."""

    n_calls = 0

    def gradients(
        self, texts: Sequence[str], labels: Sequence[int], *, halfway_to: int | None = None
    ) -> list[npt.NDArray[np.float32]]:
        self.n_calls += 1
        return super().gradients(texts, labels, halfway_to=halfway_to)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_tiny_bert(tmp_path_factory.mktemp("bert")), write_tiny_adapter(tmp_path_factory.mktemp("adapter"))


@pytest.fixture
def victim(folders: tuple[Path, Path]) -> Counting:
    filter_ = EncoderFilter.load(base=folders[0], weights=folders[1], device="cpu", dtype="float32")
    return Counting(FilterVictim(filter_, "toxicity"), filter_, [(0, -1), (0, 1)])


def ask(text: str, indices: tuple[int, ...] | None = None, label: int = 1) -> Ask:
    begun = AttackedText.of(text)
    return Ask(begun, tuple(range(begun.n_words)) if indices is None else indices, begun, label, RandomSource(0))


def test_candidates_are_the_highest_expected_rises(victim: Counting) -> None:
    """Against every flip of every whole word, one at a time."""
    text = "you hate the weather"
    (candidates,) = FlipTokens(victim, top=5).propose([ask(text)])
    gradient, tokens, table = victim.gradients([text], [1])[0], victim.tokens([text])[0], victim.embeddings()
    rises = {}
    for place, word in enumerate(text.split()):
        for token, name in enumerate(victim.vocabulary):
            if name.isalpha() and name != word:
                rise = (table[token] - table[tokens.ids[place + 1]]) @ gradient[place + 1]
                rises[" ".join([*text.split()[:place], name, *text.split()[place + 1 :]])] = rise
    expected = sorted(rises, key=lambda one: -rises[one])[:5]
    assert [candidate.text for candidate in candidates] == expected


def test_a_piece_is_exchanged_for_a_piece(victim: Counting) -> None:
    """``youx`` is read as ``you ##x``."""
    (candidates,) = FlipTokens(victim, top=200).propose([ask("youx hate", (0,))])
    words = {candidate.words[0] for candidate in candidates}
    assert len(words) > 10
    assert all(word.startswith("you") or word.endswith("x") for word in words)
    assert "youx" not in words


def test_only_the_words_asked_for_change(victim: Counting) -> None:
    (candidates,) = FlipTokens(victim, top=10).propose([ask("You hate, the weather!", (1,))])
    assert len(candidates) == 10
    for candidate in candidates:
        assert candidate.words[0] == "You"
        assert candidate.text.endswith(", the weather!")
        assert candidate.modified == {1}


def test_many_texts_share_one_call_and_do_not_touch_each_other(victim: Counting) -> None:
    flips = FlipTokens(victim, top=4)
    asks = [ask("you hate"), ask("i love the kind person"), ask("", ()), ask("you are stupid", (2,), label=0)]
    together = flips.propose(asks)
    assert victim.n_calls == 1
    alone = [flips.propose([one])[0] for one in asks]
    assert [[c.text for c in mine] for mine in together] == [[c.text for c in mine] for mine in alone]
    assert together[2] == []


@pytest.mark.parametrize("search", [Beam(3), GreedyByImportance("gradient")], ids=["beam", "greedy"])
def test_an_attack_by_flips_turns_the_tiny_encoder(victim: Counting, search: Beam | GreedyByImportance) -> None:
    texts = ["you are a stupid person", "i hate the weather", "do not love you"]
    labels = victim.probabilities(texts).argmax(axis=1)
    examples = [Example(str(i), text, int(label)) for i, (text, label) in enumerate(zip(texts, labels, strict=True))]
    attack = Attack("flips", Untargeted(), (FlipTokens(victim, top=6),), search)
    attempts = list(run_attack(attack, victim, examples, budget=200))
    turned = [attempt for attempt in attempts if attempt.status == "succeeded"]
    assert len(turned) >= 2
    assert all(victim.probabilities([a.perturbed])[0].argmax() != a.label for a in turned)


def test_gradients_rank_words_without_a_query(victim: Counting) -> None:
    text = "you are a stupid person"
    label = int(victim.probabilities([text])[0].argmax())
    attack = Attack("flips", Untargeted(), (FlipTokens(victim, top=1),), GreedyByImportance("gradient"))
    (attempt,) = run_attack(attack, victim, [Example("a", text, label)])
    assert attempt.n_queries <= 1 + 5  # the text, and one candidate a word


def test_settings_are_told_and_what_is_no_white_box_refused(victim: Counting) -> None:
    assert repr(FlipTokens(victim, top=3)) == f"FlipTokens({victim.name!r}, top=3)"
    with pytest.raises(ConfigError, match="top >= 1"):
        FlipTokens(victim, top=0)
    with pytest.raises(ConfigError, match="needs a white box"):
        FlipTokens(object())  # type: ignore[arg-type]
