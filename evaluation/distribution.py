"""How good a whole predicted distribution of amounts is: its score, and whether its quantiles are true ones.

The score is the continuous ranked probability score, CRPS = ∫ (F(x) − 1{actual ≤ x})² dx, in the unit of
the amount; smaller is better. It is proper: no distribution is expected to score less than the true one. For
a forecast without spread it is the absolute error. Source: Gneiting and Raftery, JASA 2007;102:359–378.
"""

from __future__ import annotations

import numpy as np

from evaluation.arrays import FloatArray, Vector, numbers, same_length


def crps_of_quantiles(actual: Vector, quantiles: FloatArray, levels: Vector) -> FloatArray:
    """The CRPS per row [n] of distributions given by `quantiles` [n, K] at `levels` [K].

    CRPS = 2 ∫ pinball loss at τ dτ over 0 to 1 (Laio and Tamea, Hydrol Earth Syst Sci 2007;11:1267–1277).
    Each level stands for the levels nearer to it than to any other, the outer two for those up to 0 and 1 as
    well. For evenly spaced levels (k − ½) ÷ K this is exactly the CRPS of the distribution on K quantiles of
    1 ÷ K each. It is proper for any levels. Discretised, it lies above the CRPS of the distribution
    itself: for a true log-normal one (σ = 1) by 1 % with 10 such levels on average, by 0.3 % with 20 and by
    0.02 % with 99; at k ÷ (K + 1), which leaves the tails out, by 4 %, 1.5 % and 0.1 %. Compare
    distributions at the same levels only.

    Raises ValueError if sizes do not fit, values are missing or infinite, levels do not ascend strictly
    between 0 and 1, or a row's quantiles descend.
    """
    observed, shares, table = _checked(actual, quantiles, levels)
    weights = np.diff(_borders(shares))
    score = np.zeros(len(observed))
    # Level by level: nothing of the size rows × levels is made.
    for level, weight, quantile in zip(shares, weights, table.T, strict=True):
        error = observed - quantile
        score += 2 * weight * np.maximum(level * error, (level - 1) * error)
    return score


def crps_of_samples(actual: Vector, samples: FloatArray, *, fair: bool = False) -> FloatArray:
    """The CRPS per row [n] of distributions given by equally likely `samples` [n, m]: exact.

    E|X − actual| − ½ E|X − X′|. With `fair`, X and X′ are never the same sample: then the score is expected
    to be that of the distribution that the samples were drawn from, whatever their number (Ferro, Q J R
    Meteorol Soc 2014;140:1917–1923). Without, it is that of the m values themselves, larger by a part ∝ 1/m.

    Raises ValueError if sizes do not fit, values are missing or infinite, or `fair` has one sample only.
    """
    observed, table = numbers(actual, "actual"), _table(samples, "samples")
    same_length(actual=observed, samples=table)
    m = table.shape[1]
    if fair and m < 2:
        raise ValueError("samples: a fair score needs at least two of every row.")
    # In ascending order, sample i lies above i of the others and below m − 1 − i of them.
    places = 2 * np.arange(m) - (m - 1)
    half_distance = np.sort(table, axis=1) @ places / (m * (m - 1 if fair else m))
    score: FloatArray = np.abs(table - observed[:, np.newaxis]).mean(axis=1) - half_distance
    return score


def pit_of_quantiles(actual: Vector, quantiles: FloatArray, levels: Vector) -> FloatArray:
    """Between which levels each actual amount lies in its predicted distribution [n, 2].

    Quantiles tell no more than that: an amount between two of them lies between their levels, one below the
    first between 0 and its level. Where an amount equals several quantiles, as zeros may, it lies anywhere
    between the levels that they stand for, and is counted evenly over them (the non-randomised form of Czado,
    Gneiting and Held, Biometrics 2009;65:1254–1261): nothing is drawn. Errors as `crps_of_quantiles`.
    """
    observed, shares, table = _checked(actual, quantiles, levels)
    n_below = (table < observed[:, np.newaxis]).sum(axis=1)
    n_reached = (table <= observed[:, np.newaxis]).sum(axis=1)
    ends, borders = np.concatenate([[0.0], shares, [1.0]]), _borders(shares)
    is_tied = n_reached > n_below
    low = np.where(is_tied, borders[n_below], ends[n_below])
    high = np.where(is_tied, borders[n_reached], ends[n_below + 1])
    return np.column_stack([low, high])


def pit_histogram(pit: FloatArray, n_bins: int = 10) -> FloatArray:
    """The share of rows in each of `n_bins` equal parts of 0 to 1, lowest first; they add up to 1.

    `pit` is the place of each actual amount in its predicted distribution [n], or the two ends between which
    it lies [n, 2]: such a row is spread evenly over them. If the distributions are true, every part holds
    1 ÷ `n_bins` of the rows, but for chance. A place at a border counts to the part above it, 1 to the last.

    Raises ValueError if there are no rows, or places are missing, outside 0 to 1 or crossed.
    """
    places = np.asarray(pit, dtype=np.float64)
    low, high = (places, places) if places.ndim == 1 else places.T
    if not len(low) or not ((low >= 0) & (low <= high) & (high <= 1)).all():
        raise ValueError(
            "pit: there must be rows, and every place must lie within 0 to 1, its low end first."
        )
    width = high - low
    edges = np.linspace(0, 1, n_bins + 1)[1:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.stack([np.clip((edge - low) / width, 0.0, 1.0) for edge in edges])
    below = np.where(width > 0, spread, low < edges[:, np.newaxis]).mean(axis=1)
    return np.diff(np.concatenate([[0.0], below, [1.0]]))


def _borders(levels: FloatArray) -> FloatArray:
    """From where to where [K + 1] each level stands for the levels around it."""
    return np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2, [1.0]])


def _table(values: FloatArray, name: str) -> FloatArray:
    table = np.asarray(values, dtype=np.float64)
    n_bad = int((~np.isfinite(table)).sum())
    if table.ndim != 2 or not table.shape[1] or n_bad:
        raise ValueError(
            f"{name}: must be a row of finite numbers per actual amount; {n_bad} are not finite."
        )
    return table


def _checked(
    actual: Vector, quantiles: FloatArray, levels: Vector
) -> tuple[FloatArray, FloatArray, FloatArray]:
    observed, shares = numbers(actual, "actual"), numbers(levels, "levels")
    table = _table(quantiles, "quantiles")
    same_length(actual=observed, quantiles=table)
    same_length(levels=shares, quantiles_of_a_row=table.T)
    if shares[0] <= 0 or shares[-1] >= 1 or (np.diff(shares) <= 0).any():
        raise ValueError("levels: must ascend, strictly between 0 and 1.")
    n_crossed = int((np.diff(table, axis=1) < 0).any(axis=1).sum())
    if n_crossed:
        raise ValueError(f"quantiles: they descend in {n_crossed} of {len(table)} rows. Sort them first.")
    return observed, shares, table
