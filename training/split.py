"""Which rows a model learns from, is calibrated on and is judged by: apart in time and in patients."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.targets import Target, TrainingError

Rows = NDArray[np.intp]
TEST_SHARE = 0.20
CALIBRATION_SHARE = 0.15
STOPPING_SHARE = 0.15
"""Of the training rows; a booster stops growing by them."""
N_FOLDS = 5
FEWEST_CALIBRATION_ROWS = 100
SETTLED_SHARE = 0.99
"""A slice ends so long before its data do that this share of its labels would be known by then."""


@dataclass(frozen=True, eq=False)
class Split:
    """Row positions of the three slices; `facts` tells people how they came about, with counts.

    `test_from` is the first day of the test; None for a split by patient alone.

    `patient` is a number for each row of the table. No patient that the trees learned from is met again:
    the patients of the training slice are in no other. Calibration and test share patients but no row,
    since leaving out of the calibration whoever came back later would leave out the very readmissions
    (see `docs/decisions.md`). Raises ValueError otherwise.
    """

    patient: NDArray[np.intp]
    training: Rows
    calibration: Rows
    test: Rows
    test_from: dt.date | None
    facts: Mapping[str, Any]

    def __post_init__(self) -> None:
        learned = np.zeros(self.patient.max(initial=-1) + 1, dtype=bool)
        learned[self.patient[self.training]] = True
        for other in (self.calibration, self.test):
            n_shared = len(np.unique(self.patient[other][learned[self.patient[other]]]))
            if n_shared:
                raise ValueError(f"split: {n_shared} patients stand on two sides. Each must be on one.")
        n_twice = len(np.intersect1d(self.calibration, self.test))
        if n_twice:
            raise ValueError(f"split: {n_twice} rows stand in calibration and test. Each must be in one.")

    @property
    def n(self) -> dict[str, int]:
        """Rows of each slice."""
        return {"train": len(self.training), "calibration": len(self.calibration), "test": len(self.test)}


def labelled_rows(frame: pd.DataFrame, target: Target) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """Which rows may be learned from or judged by, and how many leave for which reason.

    An unlabelled row has no outcome yet. A discharge after which the stay went on is no row at all: stays
    are merged into episodes before rows are made.
    """
    is_labelled = frame[target.label].notna().to_numpy(dtype=bool)
    return is_labelled, {"unlabelled": int((~is_labelled).sum())}


def settled_on(frame: pd.DataFrame, target: Target) -> pd.Series:
    """The day by which a row's label would be known however long its stay had lasted.

    Before discharge a label becomes known the sooner, the shorter the stay: the last rows that have one are
    rows of short stays. So each row waits as long as 99 of 100 of the earlier half of the labelled rows had
    to, from its prediction to the end of its label window, or longer if its own window ended later. At
    discharge, where all wait equally long, that is the end of the window.
    """
    is_labelled, _ = labelled_rows(frame, target)
    predicted_on = pd.to_datetime(frame["prediction_time"]).dt.normalize()
    ended_on = pd.to_datetime(frame[target.label_end])
    is_early = is_labelled & (predicted_on <= predicted_on[is_labelled].median()).to_numpy()
    waited_days = (ended_on - predicted_on)[is_early].dt.days
    longest = pd.Timedelta(days=waited_days.quantile(SETTLED_SHARE, interpolation="higher"))
    return ended_on.where(ended_on > predicted_on + longest, predicted_on + longest)


def split_by_time(
    frame: pd.DataFrame,
    target: Target,
    *,
    test_share: float = TEST_SHARE,
    calibration_share: float = CALIBRATION_SHARE,
) -> Split:
    """Split by prediction time, at midnights: training, then calibration, then the latest rows as test.

    A row enters a slice only if its label was settled before the next slice starts, the test only if it was
    before the data end (`settled_on`). A patient with a row in a later slice loses the rows in the training
    slice. Shares are of the settled rows before that.
    Raises TrainingError if prediction times are missing.
    """
    is_usable, left = settled_rows(frame, target)
    calibration_from, test_from = midnights(
        frame, target, is_usable, (1 - test_share - calibration_share, 1 - test_share)
    )
    found = split_at(frame, target, is_usable, calibration_from, test_from)
    return replace(found, facts={**found.facts, **left})


def settled_rows(frame: pd.DataFrame, target: Target) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """As `labelled_rows`, without those that might have been unlabelled yet, had their stay lasted longer."""
    is_labelled, left = labelled_rows(frame, target)
    known_until = pd.to_datetime(frame[target.label_end])[is_labelled].max()
    is_settled = is_labelled & ~(settled_on(frame, target) > known_until).to_numpy()
    return is_settled, {**left, "unsettled": int((is_labelled & ~is_settled).sum())}


def judgeable_rows(frame: pd.DataFrame, target: Target, *, has_calendar: bool) -> NDArray[np.bool_]:
    """The rows that a model may be judged by: settled ones, or where dates mean nothing labelled ones."""
    return (settled_rows if has_calendar else labelled_rows)(frame, target)[0]


def midnights(
    frame: pd.DataFrame, target: Target, is_usable: NDArray[np.bool_], shares: Sequence[float]
) -> list[pd.Timestamp]:
    """The midnights before which about these shares (below 1) of the usable rows lie.

    Raises TrainingError if prediction times are missing.
    """
    times = pd.to_datetime(frame["prediction_time"])[is_usable]
    n_timeless = int(times.isna().sum())
    if n_timeless or times.empty:
        raise TrainingError(
            f"{target.name}: {n_timeless} of {len(times)} labelled rows have no prediction time. "
            "Give dates, or declare timeline = none."
        )
    ordered = times.sort_values()
    return [ordered.iloc[int(share * len(ordered))].normalize() for share in shares]


def split_at(
    frame: pd.DataFrame,
    target: Target,
    is_usable: NDArray[np.bool_],
    calibration_from: pd.Timestamp,
    test_from: pd.Timestamp,
) -> Split:
    """Split the usable rows at two midnights: training, then calibration, then the latest as test.

    Rows leave as `split_by_time` tells. The calibration is empty where both midnights are the same.
    """
    times = pd.to_datetime(frame["prediction_time"])
    in_test = is_usable & (times >= test_from).to_numpy()
    in_calibration = is_usable & ((times >= calibration_from) & (times < test_from)).to_numpy()
    in_training = is_usable & (times < calibration_from).to_numpy()

    settled = settled_on(frame, target)
    patient = pd.factorize(frame["patient_id"])[0].astype(np.intp)
    nobody = np.array([], dtype=np.intp)
    calibration, lost_calibration = _kept(
        frame, target, in_calibration, (settled < test_from).to_numpy(), patient, nobody
    )
    later = np.concatenate([patient[in_test], patient[calibration]])
    training, lost_training = _kept(
        frame, target, in_training, (settled < calibration_from).to_numpy(), patient, later
    )
    facts = {
        "by": "time and patient",
        "training_from": times[is_usable].min().date().isoformat(),
        "calibration_from": calibration_from.date().isoformat(),
        "test_from": test_from.date().isoformat(),
        "test_until": times[is_usable].max().date().isoformat(),
        "removed": {"training": lost_training, "calibration": lost_calibration},
        "calibration_rows_of_test_patients": int(np.isin(patient[calibration], patient[in_test]).sum()),
    }
    return Split(patient, training, calibration, np.flatnonzero(in_test), test_from.date(), facts)


def _kept(
    frame: pd.DataFrame,
    target: Target,
    in_slice: NDArray[np.bool_],
    has_ended: NDArray[np.bool_],
    patient: NDArray[np.intp],
    later_patients: NDArray[np.intp],
) -> tuple[Rows, dict[str, Any]]:
    """The slice's rows that stay, and the counts of those that leave for each reason."""
    is_open = in_slice & ~has_ended
    comes_later = in_slice & has_ended & np.isin(patient, later_patients)
    removed = {
        "label_window_open": _counted(frame, target, is_open),
        "patient_in_later_slice": _counted(frame, target, comes_later),
    }
    return np.flatnonzero(in_slice & has_ended & ~comes_later), removed


def _counted(frame: pd.DataFrame, target: Target, is_counted: NDArray[np.bool_]) -> dict[str, Any]:
    n_rows = int(is_counted.sum())
    if target.kind == "amount":
        return {"rows": n_rows}
    n_events = int(target.labels(frame)[is_counted].sum())
    return {"rows": n_rows, "events": n_events, "prevalence": n_events / n_rows if n_rows else None}


def split_by_patient(
    frame: pd.DataFrame,
    target: Target,
    *,
    seed: int,
    among: Rows | None = None,
    calibration_share: float = CALIBRATION_SHARE,
) -> Split:
    """Split by patient alone, for extracts without a calendar: training and calibration, no test.

    `among` limits the split to these rows (a fold); otherwise every labelled row takes part. Where rows are
    few, the calibration takes more than its share, as many as it needs.
    """
    is_usable, left = labelled_rows(frame, target)
    rows = np.flatnonzero(is_usable) if among is None else among
    place = patient_places(frame["patient_id"].iloc[rows], "calibration", seed)
    in_calibration = place < calibration_share
    if in_calibration.sum() < FEWEST_CALIBRATION_ROWS <= len(rows):
        in_calibration = place <= np.sort(place)[FEWEST_CALIBRATION_ROWS - 1]
    patient = pd.factorize(frame["patient_id"])[0].astype(np.intp)
    facts = {"by": "patient", **left}
    empty = np.array([], dtype=np.intp)
    return Split(patient, rows[~in_calibration], rows[in_calibration], empty, None, facts)


def patient_folds(patient_id: pd.Series, seed: int, n_folds: int = N_FOLDS) -> NDArray[np.intp]:
    """The fold of each row, 0 … n_folds − 1; all rows of a patient fall in one."""
    return np.floor(patient_places(patient_id, "fold", seed) * n_folds).astype(np.intp)


def stopping_rows(patient_id: pd.Series, seed: int) -> NDArray[np.bool_]:
    """Which training rows say when to stop growing: all those of about 15 % of the patients."""
    return patient_places(patient_id, "stopping", seed) < STOPPING_SHARE


def sample_of(frame: pd.DataFrame, rows: Rows, most: int, seed: int) -> Rows:
    """These rows, or of more than `most` about as many: those of a sample of the patients."""
    if len(rows) <= most:
        return rows
    return rows[patient_places(frame["patient_id"].iloc[rows], "sample", seed) < most / len(rows)]


def patient_places(patient_id: pd.Series, purpose: str, seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each row that depends on nothing but its patient, the purpose and the seed.

    Neither the order of rows nor other patients move it. Different purposes are independent.
    """
    key = hashlib.blake2b(f"{purpose}-{seed}".encode(), digest_size=8).hexdigest()
    hashed = pd.util.hash_array(patient_id.astype(object).to_numpy(), hash_key=key)
    # 53 bits: a full 64-bit hash could round up to 1.
    return np.asarray((hashed >> np.uint64(11)) / 2.0**53, dtype=np.float64)
