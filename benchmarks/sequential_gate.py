"""The sequential gate by simulation: wrong verdicts under continuous looking, prompts it takes, and other bets.

Run as ``python -m benchmarks.sequential_gate [--runs N] [--seed S]`` (2,000 runs: some minutes on one core). Prints the
tables and writes ``benchmarks/results/sequential_gate.json``.

Prompts give one 0 or 1 ("1 sample"), or the mean of 25 samples that correlate by 0.6 within a prompt ("25 samples").
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import special

from benchmarks.kept import keep
from evals.betting import ODDS_RATIOS, Side, log_evidence
from evals.intervals import bounded_mean_interval
from evals.judged_rate import correct_rate
from evals.schema import Outcome
from evals.scorers.linear import JudgeRates
from evals.sequential import SequentialGate
from evals.sizes import fixed_prompts
from evals.stats import Observations, clustered_rate
from evals.watched import PromptValue, SequentialLimit

Floats = npt.NDArray[np.float64]
Table = list[dict[str, object]]

LIMITS = (0.05, 0.1, 0.2, 0.25)
DESIGNS = {"1 sample": 1, "25 samples": 25}
CORRELATION = 0.6
SHARE = 0.025
"""Error that one end has on the way; as large as that of one end of the ordinary 95% interval."""

POWER = 0.9
POOL = 400
"""Prompts of a run in the tables of wrong verdicts and of agreement."""

OUT = Path(__file__).parent / "results" / "sequential_gate.json"


def draw(rng: np.random.Generator, rate: float, shape: tuple[int, ...], n_samples: int) -> Floats:
    """Draw the means of prompts: each of `n_samples` samples, whose hit rates follow a beta distribution."""
    if n_samples == 1 or rate == 0:
        return np.asarray(rng.random(shape) < rate, np.float64)
    scale = (1 - CORRELATION) / CORRELATION
    return np.asarray(rng.binomial(n_samples, rng.beta(rate * scale, (1 - rate) * scale, shape)) / n_samples)


# Wrong verdicts: the gate itself, over runs that are never stopped, so that any look that would have erred counts.


def gate_outcomes(limits: list[tuple[str, float]], values: Floats) -> list[tuple[Outcome | None, ...]]:
    """Return the outcomes of the limits in each run, from prompt values of shape (runs, limits, prompts)."""
    order = tuple(f"p{i}" for i in range(values.shape[-1]))
    found = []
    for run in values:
        gate = SequentialGate({i: SequentialLimit(bound, at, order) for i, (bound, at) in enumerate(limits)})
        block = [{p: PromptValue(float(v), 1, 0) for p, v in zip(order, row, strict=True)} for row in run]
        gate.observe_prompts(dict(enumerate(block)))
        found.append(tuple(gate.outcomes.values()))
    return found


def wrong_rows(*, seed: int, runs: int) -> Table:
    """Return how often the gate decides where it is hardest: rates at the limit, a look after each prompt."""
    rows: Table = []
    for design, n_samples in DESIGNS.items():
        for bound, at in (*(("max", limit) for limit in LIMITS), ("min", 0.6)):
            rng = np.random.default_rng([seed, round(at * 1000), n_samples])
            values = draw(rng, at, (runs, 1, POOL), n_samples)
            peeked = peeking(values[:, 0], at) if bound == "max" and n_samples == 1 else (None, None)
            outcomes = gate_outcomes([(bound, at)], values)
            rows.append({"design": design, "limits": f"{bound} {at}", **_wrong(outcomes, *peeked)})
        rng = np.random.default_rng([seed, 5, n_samples])
        values = np.stack([draw(rng, at, (runs, POOL), n_samples) for at in (*LIMITS, 0.15)], axis=1)
        outcomes = gate_outcomes([("max", at) for at in (*LIMITS, 0.15)], values)
        rows.append({"design": design, "limits": "5, all rates at them", **_wrong(outcomes)})
        values[:, 1:] = np.stack([draw(rng, at / 4, (runs, POOL), n_samples) for at in (*LIMITS[1:], 0.15)], axis=1)
        outcomes = gate_outcomes([("max", at) for at in (*LIMITS, 0.15)], values)
        rows.append({"design": design, "limits": "5, one rate at its limit", **_wrong(outcomes)})
    return rows


def peeking(values: Floats, limit: float) -> tuple[float, float]:
    """Return how often the ordinary interval lies below or above the limit at any look, from the tenth prompt on."""
    n = np.arange(1, values.shape[-1] + 1)[None, 9:]
    hits = np.cumsum(values, axis=-1)[:, 9:]
    below = special.bdtr(hits, n, limit) <= SHARE
    above = special.bdtrc(hits - 1, n, limit) < SHARE
    return _percent(list(below.any(axis=-1))), _percent(list(above.any(axis=-1)))


def _wrong(
    outcomes: list[tuple[Outcome | None, ...]], passed: float | None = None, failed: float | None = None
) -> dict[str, object]:
    return {
        "passed %": _percent([all(one is Outcome.PASS for one in run) for run in outcomes]),
        "failed %": _percent([any(one is Outcome.FAIL for one in run) for run in outcomes]),
        "peeking: passed %": passed,
        "peeking: failed %": failed,
    }


# Prompts until the verdict on clear cases.


def first(evidence: Floats, share: float) -> Floats:
    """Return after how many prompts the evidence reaches ``1 / share`` in each run; infinite where it does not."""
    over = evidence >= -np.log(share)
    return np.where(over.any(axis=-1), over.argmax(axis=-1) + 1.0, np.inf)


def clear_cases() -> Iterator[tuple[float, str, Side, float]]:
    """Yield the limit, the case, the side to be shown and the rate."""
    for limit in LIMITS:
        yield limit, "half", "below", limit / 2
        yield limit, "twice", "above", 2 * limit
        yield limit, "no hit", "below", 0.0


def prompt_rows(*, seed: int, runs: int) -> Table:
    """Return how many prompts the gate takes on clear cases, at most 5 times `told`, beside three sizes of a fixed run.

    ``near``: decides a rate a quarter off the limit (0.75 or 1.25 times) with the power POWER. ``told``: decides this
    very rate with that power, as if it had been known beforehand. ``bound``: what any test with these errors takes on
    average at this rate (Wald 1945), for one 0 or 1 a prompt.
    """
    rows: Table = []
    for design, n_samples in DESIGNS.items():
        for limit, case, side, rate in clear_cases():
            near = limit * (0.75 if side == "below" else 1.25)
            sizes = [fixed_size(limit, at, side=side, n_samples=n_samples, seed=seed) for at in (near, rate)]
            rng = np.random.default_rng([seed, round(limit * 1000), round(rate * 1000), n_samples])
            most = 5 * max(sizes[1], 60)
            evidence = log_evidence(draw(rng, rate, (runs, most), n_samples), limit, side=side)
            taken, corrected = (np.minimum(first(evidence, share), most) for share in (SHARE, SHARE / 5))
            row = {"design": design, "limit": limit, "rate": case, "near": sizes[0], "told": sizes[1]}
            row |= {"bound": wald_bound(limit, rate) if n_samples == 1 else None}
            row |= {"median": float(np.median(taken)), "mean": _mean(taken), "9 in 10": _quantile(taken, 0.9)}
            row |= {"mean % of near": round(100 * _mean(taken) / sizes[0], 1)}
            row |= {"median % of near": round(100 * float(np.median(taken)) / sizes[0], 1)}
            row |= {"mean % of told": round(100 * _mean(taken) / sizes[1], 1)}
            row |= {"cut short %": _percent(list(taken == most))}
            row |= {"mean, one of 5 limits": _mean(corrected) if side == "above" else _mean(taken)}
            rows.append(row)
    return rows


def fixed_size(limit: float, rate: float, *, side: Side, n_samples: int, seed: int) -> int:
    """Return how many prompts the ordinary 95% interval needs to lie on `side` of the limit with the power POWER."""
    worst = fixed_prompts(limit, rate, side=side, alpha=SHARE, power=POWER) or 0
    if n_samples == 1 or rate == 0:
        return worst
    low, high = 5, worst
    while high - low > max(2, low // 100):
        n = (low + high) // 2
        rng = np.random.default_rng([seed, n])
        ends = bounded_mean_interval(draw(rng, rate, (400, n), n_samples))
        decides = float(np.mean(ends[1] <= limit if side == "below" else ends[0] > limit))
        low, high = (low, n) if decides >= POWER else (n, high)
    return high


def wald_bound(limit: float, rate: float) -> int:
    """Return the least mean number of prompts of any test that errs by SHARE at the limit and decides with POWER."""
    information = special.rel_entr(rate, limit) + special.rel_entr(1 - rate, 1 - limit)
    needed = POWER * np.log(POWER / SHARE) + (1 - POWER) * np.log((1 - POWER) / (1 - SHARE))
    return int(np.ceil(needed / information))


# Other bets on the same runs, all with the same guarantee.


def hedged(values: Floats, limit: float, *, side: Side) -> Floats:
    """Bet by the plug-in rule of Waudby-Smith and Ramdas (2024, equation 26), the default of the confseq package."""
    counts = np.arange(1, values.shape[-1] + 1)
    mean = (0.5 + np.cumsum(values, axis=-1)) / (counts + 1)
    variance = (0.25 + np.cumsum((values - mean) ** 2, axis=-1)) / (counts + 1)
    before = np.concatenate([np.full((len(values), 1), 0.25), variance[:, :-1]], axis=-1)
    bets = np.sqrt(2 * np.log(1 / SHARE) / (before * counts * np.log(counts + 1)))
    sign, least = (1.0, limit) if side == "above" else (-1.0, 1 - limit)
    return np.asarray(np.cumsum(np.log1p(sign * np.minimum(bets, 0.5 / least) * (values - limit)), axis=-1))


def beta_binomial(values: Floats, limit: float, *, side: Side) -> Floats:
    """Mix the likelihood ratios of all rates on one side evenly: for one 0 or 1 a prompt only."""
    hits, n = np.cumsum(values, axis=-1), np.arange(1, values.shape[-1] + 1)
    beyond = special.betainc if side == "below" else special.betaincc
    tail = np.log(np.maximum(beyond(hits + 1, n - hits + 1, limit), 1e-300))
    width = np.log(limit if side == "below" else 1 - limit)
    null = hits * np.log(limit) + (n - hits) * np.log1p(-limit)
    return np.asarray(special.betaln(hits + 1, n - hits + 1) + tail - width - null)


def even(values: Floats, limit: float, *, side: Side) -> Floats:
    """Mix the bets of the gate evenly."""
    return _mixture(values, limit, ODDS_RATIOS if side == "above" else 1 / ODDS_RATIOS)


def _mixture(values: Floats, limit: float, odds: Floats) -> Floats:
    n = np.arange(1, values.shape[-1] + 1)
    paths = [np.cumsum(np.log1p((r - 1) * values), axis=-1) - n * np.log1p((r - 1) * limit) for r in odds]
    return np.asarray(np.logaddexp.reduce(np.stack(paths), axis=0) - np.log(len(odds)))


BETS: dict[str, Callable[..., Floats]] = {
    "assay": log_evidence,
    "even weights": even,
    "beta-binomial": beta_binomial,
    "hedged plug-in": hedged,
}


def bet_rows(*, seed: int, runs: int) -> Table:
    """Return the mean number of prompts, at most 4 times `told`, of each way to bet."""
    rows: Table = []
    for design, n_samples in DESIGNS.items():
        for limit, case, side, rate in clear_cases():
            horizon = 4 * max(fixed_prompts(limit, rate, side=side, alpha=SHARE, power=POWER) or 0, 60)
            rng = np.random.default_rng([seed, round(limit * 1000), round(rate * 1000), n_samples])
            values = draw(rng, rate, (runs, horizon), n_samples)
            row: dict[str, object] = {"design": design, "limit": limit, "rate": case}
            for name, bet in BETS.items():
                usable = n_samples == 1 or name != "beta-binomial"
                row[name] = _mean(np.minimum(first(bet(values, limit, side=side), SHARE), horizon)) if usable else None
            rows.append(row)
    return rows


# The verdict of a run that stops, beside that of the whole run.


def agreement_rows(*, seed: int, runs: int) -> Table:
    """Return how verdicts compare with those of the ordinary gate on all prompts, and what share of them they took."""
    rows: Table = []
    order = tuple(f"p{i}" for i in range(POOL))
    for rate in (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4):
        values = draw(np.random.default_rng([seed, round(rate * 1000)]), rate, (runs, POOL), 1)
        low, high = bounded_mean_interval(values)
        ordinary = np.where(high <= 0.2, Outcome.PASS, np.where(low > 0.2, Outcome.FAIL, Outcome.INCONCLUSIVE))
        stopped = [_stopped_run(order, row) for row in values]
        pairs = list(zip([Outcome(int(one)) for one in ordinary], [outcome for outcome, _ in stopped], strict=True))
        decided = {Outcome.PASS, Outcome.FAIL}
        row = {"rate": rate, "same %": _percent([a is b for a, b in pairs])}
        row |= {"opposite %": _percent([{a, b} == decided for a, b in pairs])}
        row |= {"given up, ordinary decides %": _percent([a in decided and b not in decided for a, b in pairs])}
        row |= {"decides, ordinary does not %": _percent([a not in decided and b in decided for a, b in pairs])}
        rows.append({**row, "prompts %": round(100 * float(np.mean([n for _, n in stopped])) / POOL, 1)})
    return rows


def _stopped_run(order: tuple[str, ...], row: Floats) -> tuple[Outcome | None, int]:
    gate = SequentialGate({"limit": SequentialLimit("max", 0.2, order)})
    for start in range(0, len(order), 20):
        block = {order[i]: PromptValue(float(row[i]), 1, 0) for i in range(start, min(start + 20, len(order)))}
        gate.observe_prompts({"limit": block})
        if gate.settled():
            break
    return gate.outcome, gate.standing("limit").n_prompts


# The rate corrected for the judge.


def judge_rows(*, seed: int, runs: int) -> Table:
    """Return how often the corrected 95% interval holds the true rate; refused ones count as not holding it."""
    rows: Table = []
    for sensitivity, specificity, n_labelled in ((0.63, 0.89, 500), (0.95, 0.95, 100), (0.7, 0.7, 400)):
        for n_prompts, n_samples in ((200, 1), (64, 25)):
            rng = np.random.default_rng([seed, n_prompts, n_labelled])
            row: dict[str, object] = {"judge": f"{sensitivity}, {specificity} of {n_labelled}"}
            row["prompts x samples"] = f"{n_prompts} x {n_samples}"
            for rate in (0.01, 0.05, 0.2, 0.5):
                held = []
                for _ in range(runs):
                    obs = _judged(rng, rate, n_prompts, n_samples, sensitivity, specificity)
                    measured = rng.binomial(n_labelled, [sensitivity, specificity]) / n_labelled
                    judge = JudgeRates(0.5, float(measured[0]), float(measured[1]), n_labelled, n_labelled)
                    estimate = clustered_rate(obs)
                    found = correct_rate(estimate.value, estimate.interval, judge).interval
                    held.append(found is not None and found[0] <= rate <= found[1])
                row[f"rate {rate}"] = _percent(held)
            rows.append(row)
    return rows


def _judged(
    rng: np.random.Generator, rate: float, n_prompts: int, n_samples: int, sensitivity: float, specificity: float
) -> Observations:
    own = np.rint(draw(rng, rate, (n_prompts,), n_samples) * n_samples)[:, None] > np.arange(n_samples)
    seen = rng.random(own.shape) < np.where(own, sensitivity, 1 - specificity)
    return {f"p{i}": row for i, row in enumerate(seen.astype(float).tolist())}


def _mean(taken: Floats) -> float:
    return round(float(np.mean(taken)), 1)


def _quantile(taken: Floats, share: float) -> float:
    return float(np.quantile(taken, share, method="higher"))


def _percent(flags: list[bool]) -> float:
    return round(100 * float(np.mean(flags)), 2)


def print_table(title: str, rows: Table) -> None:
    """Print rows under the names of their columns."""
    widths = {key: max(len(key), *(len(str(row[key])) for row in rows)) for key in rows[0]}
    print(f"\n{title}\n" + "  ".join(f"{key:>{width}}" for key, width in widths.items()))
    for row in rows:
        print("  ".join(f"{row[key]!s:>{width}}" for key, width in widths.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    seed, runs = options.seed, options.runs
    few = max(runs // 20, 10)
    tables = {
        f"Verdicts where rates are at the limits, of {runs} runs of {POOL} prompts": wrong_rows(seed=seed, runs=runs),
        f"Prompts until the verdict on clear cases, of {runs} runs": prompt_rows(seed=seed, runs=runs),
        f"Mean prompts by way to bet, of {5 * few} runs": bet_rows(seed=seed, runs=5 * few),
        f"Limit at most 0.2, stopped and whole runs of {POOL} prompts, of {few}": agreement_rows(seed=seed, runs=few),
        f"Corrected rates: intervals that hold the truth, %, of {5 * few} runs": judge_rows(seed=seed, runs=5 * few),
    }
    for title, rows in tables.items():
        print_table(title, rows)
    keep({"seed": seed, "runs": runs, "alpha": 2 * SHARE, "power": POWER, **tables}, OUT)


if __name__ == "__main__":
    main()
