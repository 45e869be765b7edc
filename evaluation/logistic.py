"""Logistic fits of many resamples at once, by Newton's method with shared matrix products."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evaluation.arrays import FloatArray

MAX_ITERATIONS = 100
STEP_TOLERANCE = 1e-4
"""Newton's error squares with every step: after one this small, what is left is of the order of 1e-8."""
MAX_REACH = 1.0
"""The longest step in any coefficient: far from the maximum, Newton's own step may overshoot without end."""
SINGULAR = 1e-9
"""Information per row, in the weakest direction, below which there is no finite maximum (separation)."""


@dataclass(frozen=True)
class LogisticFit:
    """Maximum likelihood of P(event) = expit(offset + design · beta), for any number of weightings.

    What is fitted are cells of rows that share `design` [cells, coefficients] and `offset` [cells]; a
    weighting says how many rows and how many events each cell holds.
    """

    design: FloatArray
    products: FloatArray
    """The products of design columns i ≤ j per cell: the information matrices become one matrix product."""
    offset: FloatArray
    ridge: float
    start: FloatArray

    @staticmethod
    def of(
        design: FloatArray, offset: FloatArray, rows: FloatArray, events: FloatArray, *, ridge: float = 0.0
    ) -> LogisticFit:
        """Prepare a fit. Resamples start from the fit to these counts and then need two or three steps."""
        k = design.shape[1]
        left, right = np.triu_indices(k)
        products = design[:, left] * design[:, right]
        cold = LogisticFit(design, products, offset, ridge, np.zeros(k))
        start = np.nan_to_num(cold.coefficients(rows[np.newaxis], events[np.newaxis])[0])
        return LogisticFit(design, products, offset, ridge, start)

    def at(self, design: FloatArray, offset: FloatArray) -> LogisticFit:
        """The same fit's curve elsewhere: for `fitted` at other values of the design."""
        return replace(self, design=design, offset=offset)

    def coefficients(self, rows: FloatArray, events: FloatArray) -> FloatArray:
        """Beta per weighting of counts [weightings, cells]; NaN for one outcome or no finite maximum."""
        beta = np.full((len(rows), self.design.shape[1]), np.nan)
        total, n_events = rows.sum(axis=1), events.sum(axis=1)
        still_open = np.flatnonzero((n_events > 0) & (n_events < total))
        current = np.tile(self.start, (len(still_open), 1))
        previous, reach = np.zeros_like(current), np.full((len(still_open), 1), MAX_REACH)
        observed = events @ self.design
        for _ in range(MAX_ITERATIONS):
            if not len(still_open):
                break
            # The common case is that all weightings are open: then no count is copied.
            active = rows if len(still_open) == len(rows) else rows[still_open]
            step, information = self._step(active, observed[still_open], current)
            # A step that turns back has overshot; halving the reach ends the swinging.
            has_turned = (step * previous).sum(axis=1, keepdims=True) < 0
            reach = np.where(has_turned, reach / 2, np.minimum(1.2 * reach, MAX_REACH))
            previous = np.clip(step, -reach, reach)
            current = current + previous
            is_done = np.abs(step).max(axis=1) < STEP_TOLERANCE
            if is_done.any():
                finished = still_open[is_done]
                is_finite = self._has_maximum(information[is_done] / total[finished, np.newaxis, np.newaxis])
                beta[finished[is_finite]] = current[is_done][is_finite]
            still_open, current = still_open[~is_done], current[~is_done]
            previous, reach = previous[~is_done], reach[~is_done]
        return beta

    def _has_maximum(self, information_per_row: FloatArray) -> np.ndarray:
        if self.ridge > 0:
            return np.ones(len(information_per_row), dtype=bool)
        return np.asarray(np.linalg.eigvalsh(information_per_row)[:, 0] > SINGULAR)

    def _step(
        self, rows: FloatArray, observed: FloatArray, beta: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        k = beta.shape[1]
        if (beta == beta[0]).all():
            # All weightings still stand at the common start: the sums over cells become two plain products.
            chance = self.fitted(beta[:1])[0][:, np.newaxis]
            expected = rows @ (chance * self.design)
            sums = rows @ (chance * (1 - chance) * self.products)
        else:
            chance = self.fitted(beta)
            expected = (rows * chance) @ self.design
            chance *= 1 - chance
            chance *= rows
            sums = chance @ self.products
        gradient = observed - expected - self.ridge * beta
        information = np.empty((len(beta), k, k))
        left, right = np.triu_indices(k)
        information[:, left, right] = information[:, right, left] = sums
        # The damping keeps the system solvable; it slows a step and does not move the maximum.
        damping = (self.ridge + 1e-3 * SINGULAR * rows.sum(axis=1))[:, np.newaxis, np.newaxis] * np.eye(k)
        step: FloatArray = np.linalg.solve(information + damping, gradient[:, :, np.newaxis])[:, :, 0]
        return step, information

    def fitted(self, beta: FloatArray) -> FloatArray:
        """Fitted probabilities [weightings, cells]."""
        from scipy.special import expit

        fitted: FloatArray = expit(self.offset + beta @ self.design.T)
        return fitted
