"""How often a calibrated threshold keeps its bound on texts that did not choose it, beside what others do.

Real scores (the toxicity head of the encoder) on labelled public sets. In each of N rounds the texts of one class
are split in half at random: one half chooses the threshold, the other one is the check. Two things are counted:

- *check set*: the rate on the other half is at most the level. The half has noise of its own, so a method that bounds
  the population's rate alone does not reach its confidence here.
  Of two halves of different scores the chance is known exactly, and given beside the share of rounds, whose standard
  error is 0.7 points for 1,000 of them.
- *population*: the set as a whole is taken as the population, the texts to calibrate on are drawn from it with
  replacement, and the rate in the whole set is at most the level.

Methods: ``assay`` (the default: the population, and a check set of the same size), ``population`` (``future_n=0``),
``average`` (conformal risk control), ``empirical`` (the threshold whose rate on the calibration texts is at most the
level, as one reads it off a ROC curve), ``0.5`` and ``0.75`` (fixed, as guardrail libraries do), and, where it is
installed, MAPIE's ``BinaryClassificationController`` at 95% confidence: as it comes, and with fixed-sequence testing.

Run ``python -m benchmarks.calibration --data FOLDER [--rounds 1000] [--seed 0] [--cache FILE]``; figures go to
``benchmarks/results/calibration.json``, which keeps the ``summary`` of the run before as ``previous``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from guard.calibrate import calibrate
from guard.certificate import Risk
from guard.errors import DataError
from guard.filters.encoder import EncoderFilter

RESULTS = Path(__file__).parent / "results" / "calibration.json"
LEVELS = (0.01, 0.05, 0.1)
RISKS: tuple[Risk, Risk] = ("miss", "false_alarm")
MOST_A_CLASS = 1_000
MOST_WITHOUT = 50  # percent of rounds without a threshold: a row with more says nothing of those with one
SETS: dict[str, tuple[str, str, str]] = {
    "davidson_twitter": ("davidson_twitter.csv.gz", "label", "neither"),
    "measuring_hate": ("measuring_hate.csv.gz", "label", "0"),
    "wiki_talk_toxicity": ("wiki_talk_toxicity.csv", "toxic", "0"),
}
"""File, label column and the label of harmless texts."""

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Chooser = Callable[[Floats, Floats, Risk, float], float]


def texts_of(data: Path, name: str) -> tuple[list[str], Bools]:
    """Return at most 1,000 texts of each class, chosen at random, and whether each is harmful."""
    file, column, harmless = SETS[name]
    table = pd.read_csv(data / name / file, dtype=str, keep_default_na=False).drop_duplicates("text")
    harmful = (table[column] != harmless).to_numpy()
    rng = np.random.default_rng(0)
    places = [rng.permutation(np.flatnonzero(harmful == kind))[:MOST_A_CLASS] for kind in (True, False)]
    chosen = np.sort(np.concatenate(places))
    return table["text"].iloc[chosen].tolist(), harmful[chosen]


def scores_of(data: Path, cache: Path) -> tuple[str, dict[str, tuple[Floats, Bools]]]:
    """Return the name of the filter, and scores and labels by set, from the cache where it is of these weights."""
    encoder = EncoderFilter.load()
    column = encoder.categories.index("toxicity")
    stored = dict(np.load(cache)) if cache.exists() else {}
    found: dict[str, tuple[Floats, Bools]] = {}
    for name in SETS:
        texts, harmful = texts_of(data, name)
        key = f"{name} {encoder.name} {MOST_A_CLASS}"
        if key not in stored:
            stored[key] = encoder.score_batch(texts)[:, column]
            np.savez(cache, **stored)
        found[name] = (np.round(stored[key].astype(np.float64), 7), harmful)
    return encoder.name, found


def by_assay(scores: Floats, _other: Floats, risk: Risk, level: float) -> float:
    """Bound the population's rate and that of a check set of the same size."""
    return calibrate(scores, np.full(len(scores), risk == "miss"), risk=risk, level=level).threshold


def by_population(scores: Floats, _other: Floats, risk: Risk, level: float) -> float:
    """Bound the population's rate alone."""
    return calibrate(scores, np.full(len(scores), risk == "miss"), risk=risk, level=level, future_n=0).threshold


def by_average(scores: Floats, _other: Floats, risk: Risk, level: float) -> float:
    """Bound the average of the population's rate."""
    labels = np.full(len(scores), risk == "miss")
    return calibrate(scores, labels, risk=risk, level=level, method="conformal-risk-control").threshold


def by_rate(scores: Floats, _other: Floats, risk: Risk, level: float) -> float:
    """Take the threshold whose rate on these very texts is at most the level."""
    allowed = int(level * len(scores) + 1e-9)
    ordered = np.sort(scores)
    return float(ordered[allowed]) if risk == "miss" else float(np.round(ordered[-1 - allowed] + 1e-7, 7))


def by_mapie(scores: Floats, other: Floats, risk: Risk, level: float, *, testing: str) -> float:
    """Let MAPIE choose from its 100 thresholds, tried from the safest; NaN where it finds none."""
    from mapie.risk_control import BinaryClassificationController

    controller = BinaryClassificationController(
        lambda column: np.column_stack([1 - column[:, 0], column[:, 0]]),
        "recall" if risk == "miss" else "fpr",
        1 - level if risk == "miss" else level,
        confidence_level=0.95,
        fwer_method=testing,
        list_predict_params=np.linspace(0, 0.99, 100)[:: 1 if risk == "miss" else -1],
    )
    labels = np.repeat([int(risk == "miss"), int(risk != "miss")], [len(scores), len(other)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        controller.calibrate(np.concatenate([scores, other])[:, None], labels)
    found = controller.best_predict_param
    return float("nan") if found is None else float(found)


METHODS: dict[str, Chooser] = {
    "assay": by_assay,
    "population": by_population,
    "average": by_average,
    "empirical": by_rate,
    "0.5": lambda _scores, _other, _risk, _level: 0.5,
    "0.75": lambda _scores, _other, _risk, _level: 0.75,
}
if importlib.util.find_spec("mapie") is not None:
    METHODS["MAPIE"] = partial(by_mapie, testing="bonferroni_holm")
    METHODS["MAPIE sequence"] = partial(by_mapie, testing="fixed_sequence")


def rate(scores: Floats, threshold: float, risk: Risk) -> float:
    """Return the share of texts of the class at risk that the threshold gets wrong."""
    return float(np.mean(scores < threshold if risk == "miss" else scores >= threshold))


def measured(
    scores: Floats, other: Floats, risk: Risk, level: float, choose: Chooser, *, rounds: int, seed: int
) -> dict[str, object]:
    """Return how often, in percent, one method keeps the level, and at what price."""
    rng = np.random.default_rng([seed, RISKS.index(risk), round(level * 1000), len(scores)])
    half = len(scores) // 2
    none, checks, populations, prices = 0, [], [], []
    for _ in range(rounds):
        order = rng.permutation(len(scores))
        drawn = scores[rng.integers(len(scores), size=half)]
        try:
            threshold = choose(scores[order[:half]], other, risk, level)
            again = choose(drawn, other, risk, level)
        except DataError as error:
            return {"refused": str(error).split(";")[0]}
        if np.isnan(threshold + again):
            none += 1
            continue
        checks.append(rate(scores[order[half : 2 * half]], threshold, risk))
        populations.append(rate(scores, again, risk))
        prices.append(rate(other, threshold, "false_alarm" if risk == "miss" else "miss"))
    if none == rounds:
        return {"refused": "no threshold in any round"}
    return {
        "check_set_held": round(100 * float(np.mean(np.array(checks) <= level + 1e-12)), 1),
        "population_held": round(100 * float(np.mean(np.array(populations) <= level + 1e-12)), 1),
        "mean_rate": round(100 * float(np.mean(checks)), 2),
        "other_error": round(100 * float(np.mean(prices)), 1),
        **({"no_threshold": round(100 * none / rounds, 1)} if none else {}),
    }


def exact_check_set(n: int, risk: Risk, level: float) -> dict[str, object]:
    """Return in percent how often the default keeps the level on a check set when no two scores are alike.

    The number wrong is then beta-binomial, whatever the scores: what the rounds estimate, without their noise.
    """
    try:
        found = calibrate((np.arange(n) + 0.5) / n, np.full(n, risk == "miss"), risk=risk, level=level)
    except DataError:
        return {}
    wrong = stats.betabinom(n, found.n_events + 1, n - found.n_events)
    return {"check_set_exact": round(100 * float(wrong.cdf(int(level * n + 1e-9))), 2)}


def rows_of(found: dict[str, tuple[Floats, Bools]], *, rounds: int, seed: int) -> list[dict[str, object]]:
    """Return one row a set, risk, level and method."""
    rows: list[dict[str, object]] = []
    for name, (scores, harmful) in found.items():
        for risk in RISKS:
            at_risk = harmful if risk == "miss" else ~harmful
            for level in LEVELS:
                for method, choose in METHODS.items():
                    figures = measured(scores[at_risk], scores[~at_risk], risk, level, choose, rounds=rounds, seed=seed)
                    row = {"set": name, "risk": risk, "level": level, "n": int(at_risk.sum()) // 2, "method": method}
                    exact = exact_check_set(int(row["n"]), risk, level) if method == "assay" else {}
                    rows.append({**row, **figures, **exact})
                    print("  ".join(f"{value!s:>12}" for value in rows[-1].values()), flush=True)
    return rows


def summary(rows: list[dict[str, object]]) -> dict[str, dict[str, float]]:
    """Return the least and the mean share of rounds in which each method kept the level, where it found one."""
    kept: dict[str, dict[str, list[float]]] = {method: {} for method in METHODS}
    for row in rows:
        if float(str(row.get("no_threshold", 0))) > MOST_WITHOUT:
            continue
        for figure in ("check_set_held", "check_set_exact", "population_held"):
            if figure in row:
                kept[str(row["method"])].setdefault(figure, []).append(float(str(row[figure])))
    return {
        method: {
            **{f"least_{figure}": min(values) for figure, values in found.items()},
            **{f"mean_{figure}": round(float(np.mean(values)), 2) for figure, values in found.items()},
        }
        for method, found in kept.items()
    }


def write_results(head: dict[str, object], rows: list[dict[str, object]]) -> None:
    """Write the results with one row a line, and the summary of the run before, in one step."""
    previous = json.loads(RESULTS.read_text(encoding="utf-8"))["summary"] if RESULTS.exists() else None
    parts = [f'"{key}": {json.dumps(value)}' for key, value in {**head, "previous": previous}.items()]
    parts.append('"rows": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    unfinished = RESULTS.with_suffix(".unfinished")
    unfinished.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
    os.replace(unfinished, RESULTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled sets")
    parser.add_argument("--rounds", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "assay_calibration_scores.npz")
    options = parser.parse_args()
    name, found = scores_of(options.data, options.cache)
    rows = rows_of(found, rounds=options.rounds, seed=options.seed)
    head = {"filter": name, "rounds": options.rounds, "seed": options.seed, "summary": summary(rows)}
    print(json.dumps(head["summary"], indent=1))
    write_results(head, rows)


if __name__ == "__main__":
    main()
