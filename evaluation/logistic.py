"""Logistic fits of many resamples at once, by Newton's method with shared matrix products."""

from __future__ import annotations

from dataclasses import dataclass

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
    """Maximum likelihood of P(label) = expit(offset + design · beta), for any number of weight vectors."""

    design: FloatArray
    products: FloatArray
    """The products of design columns i ≤ j per row: the information matrices become one matrix product."""
    offset: FloatArray
    label: FloatArray
    ridge: float
    start: FloatArray

    @staticmethod
    def of(design: FloatArray, offset: FloatArray, label: FloatArray, *, ridge: float = 0.0) -> LogisticFit:
        """Prepare a fit. Resamples start from the fit to all rows and then need two or three steps."""
        n, k = design.shape
        rows, columns = np.triu_indices(k)
        products = design[:, rows] * design[:, columns]
        cold = LogisticFit(design, products, offset, label, ridge, np.zeros(k))
        start = np.nan_to_num(cold.coefficients(np.ones((1, n)))[0])
        return LogisticFit(design, products, offset, label, ridge, start)

    def coefficients(self, weights: FloatArray) -> FloatArray:
        """Beta per resample; NaN where a resample has one outcome only or no finite maximum."""
        k = self.design.shape[1]
        beta = np.full((len(weights), k), np.nan)
        total, n_events = weights.sum(axis=1), weights @ self.label
        open_rows = np.flatnonzero((n_events > 0) & (n_events < total))
        current = np.tile(self.start, (len(open_rows), 1))
        previous, reach = np.zeros_like(current), np.full((len(open_rows), 1), MAX_REACH)
        for _ in range(MAX_ITERATIONS):
            if not len(open_rows):
                break
            # The common case is that all resamples are open: then no weight is copied.
            active = weights if len(open_rows) == len(weights) else weights[open_rows]
            step, information = self._step(active, current)
            # A step that turns back has overshot; halving the reach ends the swinging.
            has_turned = (step * previous).sum(axis=1, keepdims=True) < 0
            reach = np.where(has_turned, reach / 2, np.minimum(1.2 * reach, MAX_REACH))
            previous = np.clip(step, -reach, reach)
            current = current + previous
            is_done = np.abs(step).max(axis=1) < STEP_TOLERANCE
            weakest = np.linalg.eigvalsh(information)[:, 0] / total[open_rows]
            is_finite = (weakest > SINGULAR) if self.ridge == 0 else np.ones_like(is_done)
            beta[open_rows[is_done & is_finite]] = current[is_done & is_finite]
            open_rows, current = open_rows[~is_done], current[~is_done]
            previous, reach = previous[~is_done], reach[~is_done]
        return beta

    def _step(self, weights: FloatArray, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
        k = beta.shape[1]
        if (beta == beta[0]).all():
            # All resamples still stand at the common start: the sums over rows become two plain products.
            expected = self.fitted(beta[:1])[0]
            gradient = weights @ ((self.label - expected)[:, np.newaxis] * self.design)
            sums = weights @ ((expected * (1 - expected))[:, np.newaxis] * self.products)
        else:
            expected = self.fitted(beta)
            gradient = (weights * (self.label - expected)) @ self.design
            expected *= 1 - expected
            expected *= weights
            sums = expected @ self.products
        gradient -= self.ridge * beta
        information = np.empty((len(beta), k, k))
        rows, columns = np.triu_indices(k)
        information[:, rows, columns] = information[:, columns, rows] = sums
        # The damping keeps the system solvable; it slows a step and does not move the maximum.
        damping = (self.ridge + 1e-3 * SINGULAR * weights.sum(axis=1))[:, np.newaxis, np.newaxis] * np.eye(k)
        step: FloatArray = np.linalg.solve(information + damping, gradient[:, :, np.newaxis])[:, :, 0]
        return step, information

    def fitted(self, beta: FloatArray) -> FloatArray:
        """Fitted probabilities [resamples, rows]."""
        from scipy.special import expit

        fitted: FloatArray = expit(self.offset + beta @ self.design.T)
        return fitted
