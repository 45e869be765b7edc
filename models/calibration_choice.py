"""Which calibration: methods compared by their log loss on the calibration slice, and the simplest good one.

Sources: the rule of one standard error, Hastie, Tibshirani and Friedman, The Elements of Statistical
Learning, 2009, section 7.10; how many rows a curve needs, Niculescu-Mizil and Caruana, ICML 2005.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from models.calibration import Calibration, Method, NoMap, fit_calibration

N_FOLDS = 5
METHODS: tuple[Method, ...] = get_args(Method)
"""Simplest first."""
FEWEST_EVENTS: Mapping[Method, int] = {
    "none": 0,
    "shift": 50,
    "platt": 50,
    "beta": 50,
    "isotonic": 500,
    "venn_abers": 500,
}
"""Below as many events (or non-events) a method is not tried: see docs/decisions.md."""


@dataclass(frozen=True)
class Compared:
    """How a method did on the calibration slice, each patient predicted by a map fitted on others.

    `log_loss` and `brier` are means over rows; None where the method was not possible, and `reason` says why.
    """

    method: Method
    log_loss: float | None
    brier: float | None
    is_chosen: bool
    reason: str

    def document(self) -> dict[str, Any]:
        """All of it as plain values, by name."""
        reason = {"reason": self.reason} if self.reason else {}
        scores = {"log_loss": self.log_loss, "brier": self.brier}
        return {"method": self.method, **scores, "chosen": self.is_chosen, **reason}


@dataclass(frozen=True)
class Chosen:
    """The map that was taken, fitted on the whole slice, and all methods, simplest first."""

    calibration: Calibration
    compared: tuple[Compared, ...]


def choose_calibration(
    raw: NDArray[np.float64],
    label: NDArray[np.float64],
    patient_id: NDArray[Any],
    *,
    seed: int,
    fewest_events: Mapping[Method, int] = FEWEST_EVENTS,
) -> Chosen:
    """Compare all methods on raw log-odds and labels (0/1) of the calibration slice, and fit the one to take.

    Each method predicts each fifth of the patients by a map fitted on the others. The raw output is moved
    (shift) where that lowers the log loss at all; a map that changes its shape is taken only if all simpler
    ones are worse by more than one standard error, which is that of the paired difference, by patient.
    Few events leave the raw output as it is. `patient_id` are codes or names that can be sorted. Neither the
    order of rows nor the number of threads moves a byte.
    """
    _, patient = np.unique(patient_id, return_inverse=True)
    order = np.lexsort((patient, label, raw))
    raw, label, patient = raw[order], label[order], patient[order]
    fold = np.random.default_rng(seed).permutation(patient.max(initial=0) + 1)[patient] % N_FOLDS
    n_events = int(label.sum())
    fewest = min(n_events, len(label) - n_events)
    maps: dict[Method, Calibration] = {}
    probabilities: dict[Method, NDArray[np.float64]] = {}
    reasons: dict[Method, str] = {}
    for method in METHODS:
        try:
            if fewest < fewest_events[method]:
                raise NoMap(
                    f"the calibration slice has {n_events} events among {len(label)} rows; "
                    f"{fewest_events[method]} events and as many non-events are needed"
                )
            maps[method] = fit_calibration(method, raw, label)
            probabilities[method] = _cross_fitted(method, raw, label, fold)
        except NoMap as error:
            reasons[method] = str(error)
    losses = {method: _log_loss(label, probability) for method, probability in probabilities.items()}
    method, why = _simplest(losses, patient)
    if len(losses) == 1:
        why = reasons["shift"]
    compared = tuple(
        Compared(
            each,
            float(losses[each].mean()) if each in losses else None,
            float(((label - probabilities[each]) ** 2).mean()) if each in losses else None,
            each == method,
            why if each == method else reasons.get(each, ""),
        )
        for each in METHODS
    )
    return Chosen(replace(maps[method], reason=why), compared)


def _cross_fitted(
    method: Method, raw: NDArray[np.float64], label: NDArray[np.float64], fold: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Each row's probability by a map that was fitted on the other folds."""
    probability = np.empty(len(raw))
    for number in range(N_FOLDS):
        is_out = fold == number
        fitted = fit_calibration(method, raw[~is_out], label[~is_out])
        probability[is_out] = fitted.probability(raw[is_out])
    return probability


def _log_loss(label: NDArray[np.float64], probability: NDArray[np.float64]) -> NDArray[np.float64]:
    return -np.log(np.where(label == 1, probability, 1 - probability))


def _simplest(losses: Mapping[Method, NDArray[np.float64]], patient: NDArray[np.intp]) -> tuple[Method, str]:
    """The method to take, by each row's log loss under the methods in the order of simplicity, and why."""
    mean = {method: float(loss.mean()) for method, loss in losses.items()}
    best = min(mean, key=lambda method: mean[method])
    # One number for the level is known well enough wherever there are events enough to try.
    unmoved = {"none"} if mean.get("shift", math.inf) < mean["none"] else {"shift"}
    for method in (method for method in losses if method not in unmoved):
        difference = losses[method] - losses[best]
        if difference.mean() <= _standard_error(difference, patient):
            break
    if method == best:
        return method, "the lowest log loss"
    return method, f"the simplest within one standard error of the lowest log loss, that of {best}"


def _standard_error(difference: NDArray[np.float64], patient: NDArray[np.intp]) -> float:
    """Of the mean over rows, where the rows of a patient are not independent (linearised)."""
    by_patient = np.bincount(patient, difference - difference.mean())
    return math.sqrt(float((by_patient**2).sum())) / len(difference)
