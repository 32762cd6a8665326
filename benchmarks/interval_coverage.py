"""How often the 95% intervals hold the truth, by simulation, beside the intervals that others use.

Run as ``python -m benchmarks.interval_coverage [--data-sets N] [--seed S]``. Prints the tables and writes
``benchmarks/results/interval_coverage.json``, which keeps the ``summary`` of the run before as ``previous``.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

from evals.intervals import bounded_difference_interval, bounded_mean_interval, t_interval

Floats = npt.NDArray[np.float64]
Interval = tuple[Floats, Floats]

N_PROMPTS, N_SAMPLES, CORRELATION = 64, 25, 0.6
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 0.95, 0.98)
CHANGES = ((0.1, 0.2), (0.1, 0.5), (0.1, 0.9), (0.3, 0.05), (0.3, 0.2), (0.3, 0.5), (0.3, 0.9), (0.5, 0.5), (0.5, 0.9))
TABLES = ((0.0, 0.0), (0.03, 0.0), (0.05, 0.0), (0.1, 0.0), (0.1, 0.05), (0.3, 0.0), (0.3, 0.1), (0.2, 0.2))
OUT = Path(__file__).parent / "results" / "interval_coverage.json"


# Four populations of prompts. Each gives the prompts' own hit rates, shape (n_data_sets, N_PROMPTS), such that two
# samples of one prompt correlate by CORRELATION. What differs is the shape: no method may lean on one of them.


def beta_binomial(rng: np.random.Generator, rate: float, n_data_sets: int) -> Floats:
    """Draw the prompts' rates from a beta distribution."""
    scale = (1 - CORRELATION) / CORRELATION
    return rng.beta(rate * scale, (1 - rate) * scale, (n_data_sets, N_PROMPTS))


def gaussian_copula(rng: np.random.Generator, rate: float, n_data_sets: int) -> Floats:
    """Let a normal score of the prompt shift a normal score of the sample over a threshold."""
    shared = _latent_correlation(rate)
    prompt = rng.standard_normal((n_data_sets, N_PROMPTS))
    return np.asarray(special.ndtr((special.ndtri(rate) + np.sqrt(shared) * prompt) / np.sqrt(1 - shared)))


def all_or_nothing(rng: np.random.Generator, rate: float, n_data_sets: int) -> Floats:
    """Let a share CORRELATION of the prompts give hits only or none, and the others independent samples."""
    shape = (n_data_sets, N_PROMPTS)
    return np.where(rng.random(shape) < CORRELATION, rng.random(shape) < rate, rate)


def two_kinds(rng: np.random.Generator, rate: float, n_data_sets: int) -> Floats:
    """Make a share `rate` of the prompts bad; a sample follows its prompt with probability sqrt(CORRELATION)."""
    bad = rng.random((n_data_sets, N_PROMPTS)) < rate
    follow = np.sqrt(CORRELATION)
    return np.asarray(follow * bad + (1 - follow) * rate)


@cache
def _latent_correlation(rate: float) -> float:
    """Return the normal correlation that gives hits the correlation CORRELATION."""
    score = np.linspace(-8.5, 8.5, 4001)
    density = stats.norm.pdf(score) * (score[1] - score[0])

    def excess(shared: float) -> float:
        own = special.ndtr((special.ndtri(rate) + np.sqrt(shared) * score) / np.sqrt(1 - shared))
        return float(density @ own**2 - rate**2 - CORRELATION * rate * (1 - rate))

    return float(optimize.brentq(excess, 0.01, 0.9999))


POPULATIONS: dict[str, Callable[[np.random.Generator, float, int], Floats]] = {
    "beta-binomial": beta_binomial,
    "gaussian copula": gaussian_copula,
    "all or nothing": all_or_nothing,
    "two kinds": two_kinds,
}


# The methods. Each takes the prompts' means, shape (n_data_sets, N_PROMPTS).


def naive_normal(means: Floats) -> Interval:
    """Take samples for independent: p +- 1.96 standard errors over all samples (stderr of lm-evaluation-harness)."""
    rate, n = means.mean(axis=-1), means.shape[-1] * N_SAMPLES
    half = 1.96 * np.sqrt(rate * (1 - rate) / (n - 1))
    return rate - half, rate + half


def naive_binomial(means: Floats) -> Interval:
    """Take samples for independent: Clopper-Pearson over all samples."""
    n = means.shape[-1] * N_SAMPLES
    hits = np.rint(means.mean(axis=-1) * n)
    return _exact(hits, np.full_like(hits, n))


def cluster_t(means: Floats) -> Interval:
    """Return Student's t interval on the prompts' means (Inspect's ``ci(cluster=...)``); NaN where they are equal."""
    return t_interval(means)


def korn_graubard(means: Floats) -> Interval:
    """Return Clopper-Pearson on the effective number of samples (Korn and Graubard 1998), as survey packages do."""
    rate, n_prompts = means.mean(axis=-1), means.shape[-1]
    n = n_prompts * N_SAMPLES
    variance = means.var(axis=-1, ddof=1) / n_prompts
    effective = np.where(variance > 0, rate * (1 - rate) / np.where(variance > 0, variance, 1), n_prompts)
    quantiles = stats.t.ppf(0.975, n - 1) / stats.t.ppf(0.975, n_prompts - 1)
    effective = np.minimum(effective * quantiles**2, n)
    return _exact(rate * effective, effective)


def _exact(hits: Floats, n: Floats) -> Interval:
    """Return the Clopper-Pearson bounds."""
    some, other = np.maximum(hits, 1e-12), np.maximum(n - hits, 1e-12)
    low = np.where(hits > 0, special.betaincinv(some, n - hits + 1, 0.025), 0.0)
    return low, np.where(hits < n, special.betaincinv(hits + 1, other, 0.975), 1.0)


METHODS: dict[str, Callable[[Floats], Interval]] = {
    "assay": bounded_mean_interval,
    "cluster t": cluster_t,
    "Korn-Graubard": korn_graubard,
    "naive binomial": naive_binomial,
    "naive normal": naive_normal,
}


def sample_means(rng: np.random.Generator, own_rates: Floats) -> Floats:
    """Draw N_SAMPLES samples of each prompt and return the share of hits."""
    return np.asarray(rng.binomial(N_SAMPLES, own_rates) / N_SAMPLES)


def coverage(interval: Interval, truth: float) -> dict[str, float]:
    """Return in percent how often the interval holds the truth, lies above it, lies below it; and the mean width."""
    low, high = interval
    return {
        "covers": round(100 * float(np.mean((low <= truth) & (truth <= high))), 2),
        "above": round(100 * float(np.mean(low > truth)), 2),
        "below": round(100 * float(np.mean(high < truth)), 2),
        "width": round(float(np.nanmean(high - low)), 4),
    }


def rate_rows(*, seed: int, n_data_sets: int) -> list[dict[str, object]]:
    """Return one row a population, rate and method."""
    rows: list[dict[str, object]] = []
    for population, draw in POPULATIONS.items():
        for rate in RATES:
            rng = np.random.default_rng([seed, round(rate * 1000)])
            means = sample_means(rng, draw(rng, rate, n_data_sets))
            for method, interval in METHODS.items():
                row = {"population": population, "rate": rate, "method": method}
                rows.append({**row, **coverage(interval(means), rate)})
    return rows


def changed(rng: np.random.Generator, own_rates: Floats, *, kind: str, removed: float) -> tuple[Floats, Floats]:
    """Return the prompts' means before and after a guard that removes a share of the hits.

    `kind` says how: "sample" drops single hits, "prompt" all hits of a prompt, "anew" samples again at a lower rate.
    """
    before = sample_means(rng, own_rates)
    if kind == "anew":
        return before, sample_means(rng, own_rates * (1 - removed))
    if kind == "prompt":
        return before, np.where(rng.random(before.shape) < removed, 0.0, before)
    return before, np.asarray(rng.binomial(np.rint(before * N_SAMPLES).astype(int), 1 - removed) / N_SAMPLES)


def change_rows(*, seed: int, n_data_sets: int) -> list[dict[str, object]]:
    """Return one row a kind of change and method, for rates over several samples a prompt."""
    rows: list[dict[str, object]] = []
    for rate, removed in CHANGES:
        for kind in ("sample", "prompt", "anew"):
            rng = np.random.default_rng([seed, round(rate * 1000), round(removed * 1000)])
            before, after = changed(rng, beta_binomial(rng, rate, n_data_sets), kind=kind, removed=removed)
            for method, interval in (("assay", bounded_difference_interval), ("paired t", t_interval)):
                low, high = interval(after - before)
                row = {"rate": rate, "removed": removed, "kind": kind, "method": method}
                figures = {**coverage((low, high), -rate * removed), "excludes_zero": _percent(high < 0)}
                rows.append({**row, **figures})
    return rows


def table_rows(*, seed: int, n_data_sets: int) -> list[dict[str, object]]:
    """Return one row a pair of change probabilities, for one 0 or 1 a prompt in each arm."""
    rows: list[dict[str, object]] = []
    for lost, gained in TABLES:
        rng = np.random.default_rng([seed, round(lost * 1000), round(gained * 1000)])
        draw = rng.random((n_data_sets, N_PROMPTS))
        difference = np.where(draw < lost, -1.0, np.where(draw > 1 - gained, 1.0, 0.0))
        figures = coverage(bounded_difference_interval(difference), gained - lost)
        rows.append({"lost": lost, "gained": gained, "method": "assay", **figures})
    return rows


def _percent(flags: npt.NDArray[np.bool_]) -> float:
    return round(100 * float(np.mean(flags)), 1)


def print_rates(rows: list[dict[str, object]]) -> None:
    """Print one line a population and rate, with the coverage of each method."""
    print(
        f"{'population':16} {'rate':>5}"
        + "".join(f"{method:>16}" for method in METHODS)
        + "   assay above/below, width"
    )
    for start in range(0, len(rows), len(METHODS)):
        line = rows[start : start + len(METHODS)]
        first = line[0]
        figures = "".join(f"{row['covers']:>16}" for row in line)
        tails = f"{first['above']} / {first['below']}, {first['width']}"
        print(f"{first['population']!s:16} {first['rate']:>5}{figures}   {tails}")


def print_rows(rows: list[dict[str, object]]) -> None:
    """Print rows under the names of their columns."""
    print("  ".join(f"{name:>13}" for name in rows[0]))
    for row in rows:
        print("  ".join(f"{value!s:>13}" for value in row.values()))


def summary(rows: list[dict[str, object]]) -> dict[str, tuple[float, float]]:
    """Return the least and the greatest coverage of each method over all rows."""
    covers: dict[str, list[float]] = {}
    for row in rows:
        covers.setdefault(str(row["method"]), []).append(float(str(row["covers"])))
    return {method: (min(values), max(values)) for method, values in covers.items()}


def write_results(head: dict[str, object], tables: dict[str, list[dict[str, object]]]) -> None:
    """Write the results with one row a line, and the summary of the run before, in one step."""
    previous = json.loads(OUT.read_text(encoding="utf-8"))["summary"] if OUT.exists() else None
    head = {**head, "summary": {name: summary(rows) for name, rows in tables.items()}, "previous": previous}
    parts = [f'"{key}": {json.dumps(value)}' for key, value in head.items()]
    for name, rows in tables.items():
        parts.append(f'"{name}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]")
    OUT.parent.mkdir(parents=True, exist_ok=True)
    unfinished = OUT.with_suffix(".unfinished")
    unfinished.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
    os.replace(unfinished, OUT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-sets", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    seed, n_data_sets = options.seed, options.data_sets
    tables = {
        "rates": rate_rows(seed=seed, n_data_sets=n_data_sets),
        "differences_of_rates": change_rows(seed=seed, n_data_sets=n_data_sets),
        "differences_of_binaries": table_rows(seed=seed, n_data_sets=n_data_sets),
    }
    shape = f"{N_PROMPTS} prompts x {N_SAMPLES} samples, intra-prompt correlation {CORRELATION}"
    print(f"Rates: {shape}; percent of {n_data_sets} data sets in which the 95% interval holds the truth")
    print_rates(tables["rates"])
    print("\nDifference of rates after a guard that removes a share of the hits: beta-binomial, the same shape")
    print_rows(tables["differences_of_rates"])
    print(f"\nDifference of one 0 or 1 a prompt: {N_PROMPTS} prompts")
    print_rows(tables["differences_of_binaries"])
    write_results({"shape": shape, "seed": seed, "n_data_sets": n_data_sets}, tables)


if __name__ == "__main__":
    main()
