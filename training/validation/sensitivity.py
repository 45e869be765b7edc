"""How good a model is where it is used otherwise than it was trained: asked earlier, deaths counted in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.bootstrap import Metric, Resampling
from evaluation.evaluate import evaluate_amount, evaluate_risk
from evaluation.groups import SMALLEST_N_EVENTS, too_small
from features.build import PatientLevelData
from features.points import Point
from models.model import Model
from training.counts import told
from training.inputs import read_rows
from training.split import Split, labelled_rows, settled_rows
from training.targets import Target


@dataclass(frozen=True)
class Subject:
    """The model that is judged, and how."""

    model: Model
    target: Target
    resampling: Resampling
    threads: int = 1

    def judged(self, rows: pd.DataFrame, label: NDArray[np.float64]) -> dict[str, Any]:
        """`n` and `metrics` on these rows with these labels; too few are withheld, with the reason."""
        reason = too_small(len(rows), label if self.target.kind == "risk" else None)
        return {"missing": reason} if reason else {"n": len(rows), "metrics": self._metrics(rows, label)}

    def _metrics(self, rows: pd.DataFrame, label: NDArray[np.float64]) -> dict[str, Metric]:
        predicted = self.model.predict(rows, contributions=False, threads=self.threads)
        patients = rows["patient_id"]
        if self.target.kind == "risk":
            return evaluate_risk(label, predicted.value, patients, self.resampling)
        ends = predicted.low, predicted.high
        return evaluate_amount(label, predicted.value, *ends, patients, self.resampling)


def other_uses(
    subject: Subject,
    data: PatientLevelData,
    earlier: Sequence[PatientLevelData],
    frame: pd.DataFrame,
    split: Split,
) -> dict[str, Any]:
    """`asked_earlier`, one entry for each of the data sets `earlier`, and `deaths_as_not_readmitted`.

    `frame` are the rows of `data`, which the model was trained on, and `split` their slices. Without a test
    period nothing can be told.
    """
    if split.test_from is None:
        return {"asked_earlier": []}
    learned = frame["patient_id"].iloc[split.training]
    found: dict[str, Any] = {
        "asked_earlier": [
            asked_earlier(
                subject,
                read_rows(sooner, subject.target),
                sooner.settings.landmark_hours,
                learned,
                split.test_from,
            )
            for sooner in earlier
        ]
    }
    deaths = deaths_as_not_readmitted(subject, frame, split, data.declaration.observed_until)
    return found if deaths is None else found | {"deaths_as_not_readmitted": deaths}


def asked_earlier(
    subject: Subject, frame: pd.DataFrame, hours: float, learned_patients: pd.Series, test_from: dt.date
) -> dict[str, Any]:
    """Metrics of the model for predictions asked for `hours` after admission, before its own landmark.

    `frame` is the data set built with that landmark: what is known by then, of everyone still in hospital
    by then. Judged are the admissions of the test period (from the day `test_from` on) of patients that
    the model has not learned from, settled at the model's own landmark as those of its test are. Keys:
    hours_after_admission, n, n_unsettled (left out: only the short stays of their days have a label yet; None
    for 1 to 9), metrics; or, of too few, `missing`.
    """
    landmark = subject.model.artefact.landmark_hours
    own_time = pd.to_datetime(frame["prediction_time"]) + pd.Timedelta(hours=landmark - hours)
    at_landmark = frame.assign(prediction_time=own_time)
    is_labelled, _ = labelled_rows(at_landmark, subject.target)
    is_settled, _ = settled_rows(at_landmark, subject.target)
    is_new = ~frame["patient_id"].isin(learned_patients).to_numpy()
    is_meant = is_new & (own_time >= pd.Timestamp(test_from)).to_numpy()
    rows = frame[is_meant & is_settled].reset_index(drop=True)
    found = {"hours_after_admission": float(hours), **subject.judged(rows, subject.target.labels(rows))}
    if "missing" in found:
        return found
    n_unsettled, found["n"] = told((int((is_meant & is_labelled & ~is_settled).sum()), found["n"]))
    return found | {"n_unsettled": n_unsettled}


def deaths_as_not_readmitted(
    subject: Subject, frame: pd.DataFrame, split: Split, observed_until: dt.date | None
) -> dict[str, Any] | None:
    """Metrics of a readmission model if whoever died in hospital counts as not readmitted.

    Before discharge nobody knows who will die; the model's own evaluation leaves them out. None where the
    question does not arise: another target, the point `discharge`, a split without a test period. Keys: n,
    n_deaths, metrics; or, of fewer than 10 deaths, `missing`.
    """
    target = subject.target
    if target.name != "readmission" or subject.model.artefact.point == Point.DISCHARGE:
        return None
    if split.test_from is None or observed_until is None:
        return None
    is_test = pd.to_datetime(frame["prediction_time"]) >= pd.Timestamp(split.test_from)
    is_mature = pd.to_datetime(frame[target.label_end]) <= pd.Timestamp(observed_until)
    is_death = frame["row_died_in_hospital"].eq(1).fillna(False) & is_test & is_mature
    was_learned_from = np.isin(split.patient, split.patient[split.training])
    deaths = np.flatnonzero(is_death.to_numpy(dtype=bool) & ~was_learned_from)
    if len(deaths) < SMALLEST_N_EVENTS:
        return {"missing": f"fewer than {SMALLEST_N_EVENTS} deaths"}
    rows = frame.iloc[np.concatenate([split.test, deaths])].reset_index(drop=True)
    label = np.concatenate([target.labels(frame)[split.test], np.zeros(len(deaths))])
    return {"n_deaths": len(deaths), **subject.judged(rows, label)}
