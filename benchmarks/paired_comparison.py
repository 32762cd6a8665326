"""What ``assay compare`` claims, by simulation: false positives at nominal, and fewer prompts than an unpaired test.

Run as ``python -m benchmarks.paired_comparison [--data-sets N] [--seed S]``. Prints the tables and writes
``benchmarks/results/paired_comparison.json``.

Two models answer the same prompts. What they do on a prompt correlates, as a hard prompt is hard for both. Beside our
tests stand the unpaired z-test of lm-evaluation-harness (``scripts/model_comparator.py``), McNemar's test over pairs of
samples as if they were independent, and the paired t interval of NeMo Evaluator's gate (``engine/gate.py``).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import special

from benchmarks.kept import keep
from evals.intervals import bounded_difference_interval
from evals.permutation import holm, mcnemar, sign_flip

Floats = npt.NDArray[np.float64]
Table = list[dict[str, object]]

ALPHA, POWER, EFFECT = 0.05, 0.8, 0.03
CORRELATIONS = (0.0, 0.3, 0.5, 0.7)
"""Between frontier models 0.3 to 0.7 (Anthropic 2024, "A statistical approach to model evaluations")."""

TYPICAL = 0.5
RATES = (0.05, 0.2, 0.5)
OUT = Path(__file__).parent / "results" / "paired_comparison.json"


def pair_counts(
    rng: np.random.Generator, rates: tuple[float, float], correlation: float, n_prompts: int, n_data_sets: int
) -> npt.NDArray[np.int64]:
    """Draw how many of the prompts hit on both sides, the first, the second and neither; shape (n_data_sets, 4)."""
    a, b = rates
    both = a * b + correlation * np.sqrt(a * (1 - a) * b * (1 - b))
    cells = np.array([both, a - both, b - both, 1 - a - b + both])
    if cells.min() < -1e-12:
        raise ValueError(f"rates {rates} cannot correlate by {correlation}")
    return rng.multinomial(n_prompts, np.clip(cells, 0, None) / np.clip(cells, 0, None).sum(), n_data_sets)


def unpaired_z(hits_a: Floats, hits_b: Floats, n: int) -> Floats:
    """Return the p-values of the z-test of two rates with their own standard errors, as if on other prompts."""
    a, b = hits_a / n, hits_b / n
    error = np.sqrt((a * (1 - a) + b * (1 - b)) / (n - 1))
    z = np.abs(a - b) / np.where(error > 0, error, np.inf)
    return np.asarray(2 * special.ndtr(-z))


def level_rows(*, seed: int, n_data_sets: int) -> Table:
    """Return false positives with one 0 or 1 a prompt: two models of one rate."""
    rows: Table = []
    for n in (100, 400):
        for rate in RATES:
            for correlation in CORRELATIONS:
                rng = np.random.default_rng([seed, n, round(100 * rate), round(10 * correlation)])
                both, first, second, _ = pair_counts(rng, (rate, rate), correlation, n, n_data_sets).T
                row = {"prompts": n, "rate": rate, "correlation": correlation}
                unpaired = unpaired_z((both + first).astype(float), (both + second).astype(float), n)
                rows.append({**row, "assay": _percent(mcnemar(second, first)), "unpaired z": _percent(unpaired)})
    return rows


# Several samples a prompt. The prompts' own rates on both sides, shape (n_data_sets, n_prompts): beta with the
# correlation INTRA between two samples of a prompt, tied by a Gaussian copula. The two sides are alike in distribution
# and unlike on each prompt, which is what "no difference" means when the prompts are a sample of those that matter.

INTRA = 0.4


def own_rates(
    rng: np.random.Generator, rates: tuple[float, float], correlation: float, shape: tuple[int, int]
) -> tuple[Floats, Floats]:
    """Draw the prompts' rates on both sides."""
    scale = (1 - INTRA) / INTRA
    first = rng.standard_normal(shape)
    second = correlation * first + np.sqrt(1 - correlation**2) * rng.standard_normal(shape)
    grid = np.linspace(0, 1, 2001)
    made = []
    for score, rate in ((first, rates[0]), (second, rates[1])):
        distribution = special.betainc(rate * scale, (1 - rate) * scale, grid)
        made.append(np.interp(special.ndtr(score), distribution, grid))
    return made[0], made[1]


def steadfast(rng: np.random.Generator, rate: float, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Draw rates of equal mean and unlike spread: one side is the same everywhere, the other all or nothing."""
    return np.full(shape, rate), (rng.random(shape) < rate).astype(float)


def clustered_rows(*, seed: int, n_data_sets: int, n_prompts: int = 100, k: int = 5) -> Table:
    """Return false positives with several samples a prompt."""
    rows: Table = []
    shape = (n_data_sets, n_prompts)
    for rate in (0.05, 0.2):
        for kind in (*CORRELATIONS, "unlike spread"):
            rng = np.random.default_rng([seed, round(100 * rate), sum(map(ord, str(kind)))])
            a, b = (
                steadfast(rng, rate, shape)
                if kind == "unlike spread"
                else own_rates(rng, (rate, rate), float(kind), shape)
            )
            old, new = (rng.random((*shape, k)) < side[..., None] for side in (a, b))
            gained, lost = (new & ~old).sum((1, 2)), (old & ~new).sum((1, 2))
            hits = (old.sum((1, 2)).astype(float), new.sum((1, 2)).astype(float))
            differences = new.mean(-1) - old.mean(-1)
            ours = np.array([sign_flip(row).p for row in differences])
            rows.append(
                {
                    "rate": rate,
                    "correlation of rates": kind,
                    "assay": _percent(ours),
                    "McNemar over samples": _percent(mcnemar(gained, lost)),
                    "unpaired z over samples": _percent(unpaired_z(*hits, n_prompts * k)),
                }
            )
    return rows


def continuous_rows(*, seed: int, n_data_sets: int, n_prompts: int = 60) -> Table:
    """Return false positives on skewed scores in [0, 1], one a prompt, by random sign patterns."""
    rows: Table = []
    for correlation in (0.0, 0.7):
        rng = np.random.default_rng([seed, round(10 * correlation)])
        old, new = own_rates(rng, (0.1, 0.1), correlation, (n_data_sets, n_prompts))
        ours = np.array([sign_flip(row, seed=i, draws=999).p for i, row in enumerate(new - old)])
        rows.append({"correlation of scores": correlation, "assay": _percent(ours)})
    return rows


def family_rows(*, seed: int, n_data_sets: int, n_prompts: int = 200, n_metrics: int = 10) -> Table:
    """Return how often any metric without a difference is called different, before and after Holm.

    The metrics of a prompt share a factor of both models and one of each model, so that their tests are dependent.
    """
    rows: Table = []
    for n_different in (0, 3):
        rng = np.random.default_rng([seed, n_different])
        raw, corrected, found = 0, 0, 0
        for _ in range(n_data_sets):
            p = _family(rng, n_prompts, n_metrics, n_different)
            raw += min(p[n_different:]) <= ALPHA
            adjusted = holm(p.tolist())
            corrected += min(adjusted[n_different:]) <= ALPHA
            found += sum(value <= ALPHA for value in adjusted[:n_different])
        row = {"metrics": n_metrics, "of them different": n_different, "any wrongly, alone": 100 * raw / n_data_sets}
        row["any wrongly, Holm"] = 100 * corrected / n_data_sets
        row["found, Holm"] = round(100 * found / n_data_sets / n_different, 1) if n_different else None
        rows.append({key: round(value, 2) if isinstance(value, float) else value for key, value in row.items()})
    return rows


def _family(rng: np.random.Generator, n_prompts: int, n_metrics: int, n_different: int) -> Floats:
    """Return the p-values of one data set."""
    shared = rng.standard_normal((n_prompts, 1, 1))
    own = rng.standard_normal((n_prompts, 2, 1))
    noise = rng.standard_normal((n_prompts, 2, n_metrics))
    score = 0.7 * shared + 0.5 * own + np.sqrt(1 - 0.49 - 0.25) * noise
    line = np.full((2, n_metrics), special.ndtri(0.2))
    line[1, :n_different] = special.ndtri(0.32)
    hit = score < line
    gained, lost = (hit[:, 1] & ~hit[:, 0]).sum(0), (hit[:, 0] & ~hit[:, 1]).sum(0)
    return mcnemar(gained, lost)


def drop_rows(*, seed: int, n_data_sets: int) -> Table:
    """Return the outcomes of an allowed drop of EFFECT, with one 0 or 1 a prompt."""
    rows: Table = []
    for rate, correlation, sizes in ((0.2, TYPICAL, (200, 1000)), (0.01, 0.3, (30, 60, 120))):
        for n in sizes:
            for truth in (0.0, EFFECT, 2 * EFFECT):
                rng = np.random.default_rng([seed, n, round(1000 * truth)])
                counts = pair_counts(rng, (rate, rate + truth), correlation, n, n_data_sets)
                ours = bounded_difference_interval(_differences(counts, n))
                row = {"rate": rate, "prompts": n, "true drop": truth}
                rows.append({**row, **_outcomes("assay", ours), **_outcomes("paired t", _paired_t(counts, n))})
    return rows


def _differences(counts: npt.NDArray[np.int64], n: int) -> Floats:
    """Return the differences of the prompts behind the counts, shape (n_data_sets, n)."""
    places, lost, gained = np.arange(n), counts[:, 1:2], counts[:, 2:3]
    changed = np.where(places < gained, 1.0, np.where(places < gained + lost, -1.0, 0.0))
    return np.asarray(changed)


def _paired_t(counts: npt.NDArray[np.int64], n: int) -> tuple[Floats, Floats]:
    """Return the mean difference and t times its standard error around it, of zero width where nothing changed."""
    lost, gained = counts[:, 1], counts[:, 2]
    mean = (gained - lost) / n
    error = np.sqrt(((gained + lost) / n - mean**2) / (n - 1))
    half = special.stdtrit(n - 1, 0.975) * error
    return mean - half, mean + half


def _outcomes(method: str, interval: tuple[Floats, Floats]) -> dict[str, float]:
    low, high = interval
    return {f"{method} PASS": _share(high <= EFFECT), f"{method} FAIL": _share(low > EFFECT)}


def power_rows(*, seed: int, n_data_sets: int) -> Table:
    """Return the prompts that find EFFECT with the power POWER, with one 0 or 1 a prompt.

    The unpaired test sees the same prompts; without any correlation it is that of two samples of prompts.
    """
    rows: Table = []
    for rate in (0.1, 0.2, 0.5):
        apart = 0
        for correlation in CORRELATIONS:
            rates = (rate, rate + EFFECT)

            def paired(n: int, rates: tuple[float, float] = rates, correlation: float = correlation) -> float:
                rng = np.random.default_rng([seed, n])
                _, first, second, _ = pair_counts(rng, rates, correlation, n, n_data_sets).T
                return float(np.mean(mcnemar(second, first) <= ALPHA))

            def unpaired(n: int, rates: tuple[float, float] = rates, correlation: float = correlation) -> float:
                rng = np.random.default_rng([seed, n])
                both, first, second, _ = pair_counts(rng, rates, correlation, n, n_data_sets).T
                p = unpaired_z((both + first).astype(float), (both + second).astype(float), n)
                return float(np.mean(p <= ALPHA))

            needed = (smallest(paired), smallest(unpaired))
            apart = apart or needed[1]
            row = {"rates": f"{rate:g} and {rate + EFFECT:g}", "correlation": correlation}
            saved = {"saved %": _saved(*needed), "against other prompts %": _saved(needed[0], apart)}
            rows.append({**row, "paired": needed[0], "unpaired": needed[1], **saved})
    return rows


def clustered_power_rows(*, seed: int, n_data_sets: int, k: int = 5) -> Table:
    """Return the same with several samples a prompt: by our interval, against an unpaired z clustered by prompt."""
    rows: Table = []
    for correlation in (0.5, 0.7, 0.9):
        rates = (0.2, 0.2 + EFFECT)

        def draw(n: int, rates: tuple[float, float] = rates, correlation: float = correlation) -> tuple[Floats, Floats]:
            rng = np.random.default_rng([seed, n])
            a, b = own_rates(rng, rates, correlation, (n_data_sets, n))
            return rng.binomial(k, a) / k, rng.binomial(k, b) / k

        def paired(n: int, draw: Callable[[int], tuple[Floats, Floats]] = draw) -> float:
            old, new = draw(n)
            low, high = bounded_difference_interval(new - old)
            return float(np.mean((low > 0) | (high < 0)))

        def unpaired(n: int, draw: Callable[[int], tuple[Floats, Floats]] = draw) -> float:
            old, new = draw(n)
            error = np.sqrt((old.var(-1, ddof=1) + new.var(-1, ddof=1)) / n)
            return float(np.mean(np.abs(new.mean(-1) - old.mean(-1)) > 1.96 * error))

        old, new = draw(400)
        measured = float(np.mean([np.corrcoef(x, y)[0, 1] for x, y in zip(old, new, strict=True)]))
        needed = (smallest(paired, steps=9), smallest(unpaired, steps=9))
        row = {"correlation of rates": correlation, "of prompts' means": round(measured, 2)}
        rows.append({**row, "paired": needed[0], "unpaired": needed[1], "saved %": _saved(*needed)})
    return rows


def smallest(power: Callable[[int], float], *, steps: int = 14) -> int:
    """Return about the smallest number of prompts with the power POWER, by bisection."""
    low, high = 50, 50
    while power(high) < POWER:
        low, high = high, 2 * high
    for _ in range(steps):
        if high - low <= max(1, high // 200):
            break
        middle = (low + high) // 2
        low, high = (middle, high) if power(middle) < POWER else (low, middle)
    return high


def _saved(paired: int, unpaired: int) -> float:
    return round(100 * (1 - paired / unpaired), 1)


def _percent(p_values: Floats) -> float:
    return _share(p_values <= ALPHA)


def _share(flags: npt.NDArray[np.bool_]) -> float:
    return round(100 * float(np.mean(flags)), 2)


def show(title: str, rows: Table) -> None:
    print(f"\n{title}")
    widths = {name: max(len(name), *(len(str(row[name])) for row in rows)) for name in rows[0]}
    print("  ".join(f"{name:>{width}}" for name, width in widths.items()))
    for row in rows:
        print("  ".join(f"{row[name]!s:>{width}}" for name, width in widths.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-sets", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    n, started = options.data_sets, time.process_time()
    some = {"seed": options.seed, "n_data_sets": n}
    many = {"seed": options.seed, "n_data_sets": 10 * n}
    tables = {
        "false positives, one 0 or 1 a prompt (%)": level_rows(**many),
        "false positives, 100 prompts x 5 samples (%)": clustered_rows(**some),
        "false positives, skewed scores, 60 prompts (%)": continuous_rows(**some),
        "false positives over a family, 200 prompts (%)": family_rows(**some),
        "outcomes of an allowed drop of 0.03 (%)": drop_rows(**some),
        "prompts that find a difference of 0.03 with power 0.8": power_rows(**many),
        "the same with 5 samples a prompt, rates 0.2 and 0.23": clustered_power_rows(
            seed=options.seed, n_data_sets=n // 4
        ),
    }
    for title, rows in tables.items():
        show(title, rows)
    seconds = round(time.process_time() - started, 1)
    keep({"alpha": ALPHA, **some, "cpu seconds": seconds, **tables}, OUT)
    print(f"\n{seconds} CPU seconds")


if __name__ == "__main__":
    main()
