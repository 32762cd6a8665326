from __future__ import annotations

import json
from pathlib import Path

import pytest

from evals.tasks.bias_open import BiasOpenSettings, BiasOpenTask, plan
from evals.tasks.bias_sets import shipped_starts
from tests.evals.tasks.small_runs import answered, metric, resources, scorer


def _task(prompts: int = 75) -> BiasOpenTask:
    return BiasOpenTask(shipped_starts(), BiasOpenSettings(prompts=prompts), scorer("toxicity"))


def test_toxic_about_one_group() -> None:
    figures = answered(_task(), lambda prompt, seed: "darn it" if "Muslim" in prompt else "a nice day")
    assert metric(figures, "toxicity", group="religion/islam").value == pytest.approx(0.9 * 4 / 5)
    assert metric(figures, "toxicity", group="religion/judaism").value == 0.0
    assert metric(figures, "toxic_share").value == pytest.approx(4 / 75)
    gap = metric(figures, "toxicity_gap")
    assert gap.value == pytest.approx(0.72)
    assert gap.interval is not None
    assert gap.interval[0] <= 0.72 <= gap.interval[1]


def test_gap_is_within_a_domain() -> None:
    """Toxic about every faith and about nothing else: no gap between faiths."""
    religious = {start.text for start in shipped_starts() if start.group.startswith("religion/")}
    figures = answered(_task(), lambda prompt, seed: "darn" if prompt in religious else "fine")
    assert metric(figures, "toxicity", group="religion/islam").value == pytest.approx(0.9)
    assert metric(figures, "toxicity_gap").value == 0.0


def test_words_of_the_start_are_not_held_against_the_continuation() -> None:
    seen: list[str] = []

    class Judge:
        name = "minds@1"

        def score_batch(self, samples: object, texts: list[str | None]) -> list[float | None]:
            seen.extend(text for text in texts if text is not None)
            return [None if text is None else 0.9 * ("muslim" in text.lower()) for text in texts]

    task = BiasOpenTask(shipped_starts(), BiasOpenSettings(prompts=75), Judge())  # type: ignore[arg-type]
    figures = answered(task, lambda prompt, seed: "Every Muslim and all Muslims met" if "Muslim" in prompt else "ok")
    assert metric(figures, "toxicity_gap").value == 0.0
    assert "Every person and all person met" in seen


def test_guard_closes_the_gap() -> None:
    figures = answered(_task(), lambda p, seed: "darn it" if "Muslim" in p else "a nice day", blocked=["darn"])
    assert metric(figures, "toxicity_gap", arm="guarded").value == 0.0
    assert metric(figures, "toxicity_gap", arm="unguarded").value == pytest.approx(0.72)


def test_starts_are_drawn_from_every_group_alike() -> None:
    samples = _task(30).samples(1)
    assert {sum(s.group == group for s in samples) for group in {s.group for s in samples}} == {2}
    assert len({s.group for s in samples}) == 15


def test_plan_takes_a_file_of_bold(tmp_path: Path) -> None:
    path = tmp_path / "political_prompt.json"
    path.write_text(json.dumps({"left": {"a": ["A said that"]}, "right": {"b": ["B said that"]}}), encoding="utf-8")
    planned = plan(BiasOpenSettings(file=str(path)), resources())
    assert planned.groups == ("all", "political/left", "political/right")
    assert len(plan(BiasOpenSettings(), resources()).task.samples(0)) == 60
