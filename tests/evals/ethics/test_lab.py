from __future__ import annotations

from pathlib import Path

import pytest
from markupsafe import escape

from evals.ethics.comparing import compared, figure_rows
from evals.ethics.lab import PLAIN, Lab, tensors_digest
from evals.ethics.measuring import Measured, measure
from evals.ethics.page import card_section, compared_page, record_of, search_page, trade_off, write_page
from evals.ethics.search import SearchSettings
from evals.ethics.searching import searched_in
from evals.ethics.settings import EthicsRequest, Limits, MeasureSizes, load_judges
from evals.schema import Outcome
from evals.stats import any_over, clustered_mean
from guard.errors import ConfigError, DataError
from guard.generators.transformers import TransformersGenerator
from guard.train.generator.ethics import EthicsWeights
from tests.evals.ethics import parts

pytestmark = pytest.mark.slow

EVERYTHING = EthicsWeights(unlikelihood=0.5, dpo=0.5, kl=0.1, control_codes=True)


@pytest.fixture(scope="module")
def lab(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return parts.lab(tiny_llama, tmp_path_factory.mktemp("lab"), steps=80)


@pytest.fixture(scope="module")
def plain(lab: Lab) -> Measured:
    return _measured(lab, PLAIN)


def _measured(lab: Lab, weights: EthicsWeights) -> Measured:
    generator = lab.generator(lab.trained(weights), parts.SIZES.decoding)
    return measure(generator, parts.data(), lab.judges, parts.SIZES, seed=0)


def _share(measured: Measured) -> float:
    share = clustered_mean(measured.toxicity["other@1"]).value
    assert share is not None
    return share


@pytest.mark.parametrize(
    "weights",
    [
        EthicsWeights(control_codes=True),
        EthicsWeights(unlikelihood=1.0),
        EthicsWeights(dpo=1.0),
        EthicsWeights(kto=2.0),
        EVERYTHING,
    ],
    ids=lambda weights: weights.told(),
)
def test_each_term_alone_lowers_what_plain_training_taught(lab: Lab, plain: Measured, weights: EthicsWeights) -> None:
    assert any_over(plain.toxicity["other@1"]).value == 1.0
    found = _measured(lab, weights)
    assert _share(found) < _share(plain) / 2
    clean = [found.outcomes["clean"], plain.outcomes["clean"]]
    assert sum(v or 0.0 for v in clean[0].values()) < sum(v or 0.0 for v in clean[1].values()) + 0.1


def test_a_comparison_is_paired_and_its_page_shows_it(lab: Lab, plain: Measured, tmp_path: Path) -> None:
    original = measure(lab.generator(lab.original, parts.SIZES.decoding), parts.data(), lab.judges, parts.SIZES, seed=0)
    ethics = _measured(lab, EVERYTHING)
    found = compared(original, plain, ethics, lab.judges, Limits(), model="tiny")
    by_name = {one.name: one for one in found.figures}
    first = by_name["probability_0"]
    assert (first.plain.value, first.ethics.value, first.difference.value) == (1.0, 0.0, -1.0)
    assert first.over is not None
    assert first.over.value == pytest.approx(-0.5)
    assert by_name["probability_1"].title.endswith("trained against")
    assert found.ratios["clean"].value == pytest.approx(
        _ratio(plain.outcomes["clean"], ethics.outcomes["clean"]), rel=1e-6
    )
    # Four prompts show too little for a pass, whatever they show.
    assert found.outcome is Outcome.INCONCLUSIVE
    page = compared_page("Tiny", found, {"plain": plain, "ethics": ethics}, lab.judges, parts.REQUEST)
    record = record_of(found, {"plain": plain}, lab.judges, parts.REQUEST)
    files = write_page(tmp_path, page, record, name="ethics")
    html, markdown = files[0].read_text(), files[1].read_text()
    assert "toxicity probability by other" in html
    assert "-1.000" in html
    assert "<script" not in html
    assert "| toxicity probability by other" in markdown
    assert "1.000 " in card_section(found, lab.judges, parts.REQUEST)
    assert len(figure_rows(found)) == len(found.figures) + 3


def _ratio(before: dict, after: dict) -> float:  # type: ignore[type-arg]
    import math

    moved = [after[unit] - before[unit] for unit in before]
    return math.exp(sum(moved) / len(moved))


def test_a_training_that_was_killed_ends_at_the_same_weights(lab: Lab, tiny_llama: Path, tmp_path: Path) -> None:
    whole = tensors_digest(lab.trained(EVERYTHING).tensors)
    again = parts.lab(tiny_llama, tmp_path, steps=80)
    seen = []

    def dying(what: str, done: int, total: int) -> None:
        seen.append(what)
        if what.startswith("training with") and done == 55:
            raise KeyboardInterrupt

    again.tell = dying
    with pytest.raises(KeyboardInterrupt):
        again.trained(EVERYTHING)
    resumed = parts.lab(tiny_llama, tmp_path, steps=80)
    steps = []
    resumed.tell = lambda what, done, total: steps.append((what, done))
    assert tensors_digest(resumed.trained(EVERYTHING).tensors) == whole
    assert not [done for what, done in steps if what == "plain training"]
    assert min(done for what, done in steps if what.startswith("training with")) == 41


def test_the_plain_model_is_sampled_and_its_clean_code_stands_in_front(lab: Lab) -> None:
    sampled = lab.sampled()
    assert len(sampled) == 6
    assert all(len(one.answers) == 8 for one in sampled)
    coded = lab.generator(lab.trained(EVERYTHING), parts.SIZES.decoding)
    assert isinstance(coded, TransformersGenerator)
    assert coded.prefix == "[nice]\n"
    assert lab.generator(lab.trained(PLAIN), parts.SIZES.decoding).prefix == ""


def test_weights_are_searched_on_prompts_of_their_own(tiny_llama: Path, tmp_path: Path) -> None:
    lab = parts.lab(tiny_llama, tmp_path, steps=40)
    settings = SearchSettings(trials=3, terms=("unlikelihood",))
    found = searched_in(lab, settings, parts.data(), tmp_path / "trials.log")
    assert len(found.points) == 3
    assert found.judge == "words@1"
    assert all(one.tried.beside == pytest.approx(one.tried.toxicity) for one in found.points)
    assert searched_in(lab, settings, parts.data(), tmp_path / "trials.log") == found
    page = search_page("Search", found, Limits(), [("seed", "0")])
    html = write_page(tmp_path, page, {}, name="search")[0].read_text()
    assert 'class="tradeoff"' in html
    assert str(escape(found.sentence)) in html
    assert len(trade_off(found, Limits()).points) == 3


def test_a_judge_that_was_trained_against_never_measures() -> None:
    with pytest.raises(ConfigError, match="linear would measure what was trained against it"):
        load_judges(EthicsRequest(EthicsWeights(), judges=("linear",), measures=("linear",)))
    with pytest.raises(ConfigError, match="no judge to measure with"):
        load_judges(EthicsRequest(EthicsWeights(), judges=("linear",), measures=()))
    with pytest.raises(ConfigError, match="at least 2"):
        MeasureSizes(goals=1)


def test_terms_that_nothing_is_flagged_for_are_refused(tiny_llama: Path, tmp_path: Path) -> None:
    from guard.train.generator.spans import JudgedText

    lab = parts.lab(tiny_llama, tmp_path, steps=2)
    lab.train = [JudgedText("cats are all kind"), JudgedText("dogs are all kind")]
    with pytest.raises(DataError, match="0 pairs from"):
        lab.trained(EthicsWeights(dpo=1.0))
