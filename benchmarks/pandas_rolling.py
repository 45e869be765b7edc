"""The plain pandas way with `groupby().rolling()`: what pandas itself offers for windows of time.

A rolling window knows when an event happened, not when it became known: diagnoses that were coded after
the prediction time are counted here. What has no window is computed as in `benchmarks/pandas_way.py`.
"""

from __future__ import annotations

import pandas as pd

from benchmarks.pandas_comorbidity import condition_columns, features_of_conditions, wide_flags
from features.families.windows import WINDOWS_DAYS


def rolling_stays(stays: pd.DataFrame) -> pd.DataFrame:
    """Sums over the earlier stays of each window, one row per stay."""
    counted = (~stays["is_continuation"]).astype(float)
    urgent = stays["admission_type"].isin(["emergency", "urgent"])
    midnights = stays["discharged_at"].dt.normalize() - stays["admitted_at"].dt.normalize()
    events = pd.DataFrame(
        {
            "n_stays": counted,
            "n_emergency_stays": counted * urgent,
            "stay_cost": stays["total_cost"].fillna(0),
            "days_in_hospital": midnights.dt.days.fillna(0),
        }
    )
    return _windows(events, stays["patient_id"], stays["admitted_at"]).set_axis(stays["stay_id"])


def rolling_visits(rows: pd.DataFrame, visits: pd.DataFrame) -> pd.DataFrame:
    """Sums over the earlier visits of each window, one row per admission."""
    is_emergency = visits["kind"] == "emergency"
    events = visits[["patient_id", "visited_at"]].assign(
        n_emergency_visits=is_emergency.astype(float),
        n_outpatient_visits=(~is_emergency).astype(float),
        visit_cost=visits["cost"].fillna(0),
    )
    anchors = rows[["patient_id", "admitted_at"]].rename(columns={"admitted_at": "visited_at"})
    together = pd.concat([events.assign(stay_id=None), anchors.reset_index()], ignore_index=True)
    together = together.sort_values(["patient_id", "visited_at"], ignore_index=True)
    values = together[["n_emergency_visits", "n_outpatient_visits", "visit_cost"]].fillna(0)
    found = _windows(values, together["patient_id"], together["visited_at"])
    led_here = _rolling(values["n_emergency_visits"], together["patient_id"], together["visited_at"], 1)
    for days in WINDOWS_DAYS:
        found[f"n_emergency_visits_prior_{days}d"] -= led_here
    is_anchor = together["stay_id"].notna()
    return found[is_anchor].set_axis(together.loc[is_anchor, "stay_id"])


def rolling_comorbidity(stays: pd.DataFrame, coded: pd.DataFrame, code_flags: pd.DataFrame) -> pd.DataFrame:
    """Flags and scores over the discharge diagnoses of the last year's stays, one row per stay."""
    wide = coded.merge(wide_flags(code_flags), on="code")
    conditions = condition_columns(wide)
    by_stay = wide.groupby("stay_id")[conditions].max().reindex(stays["stay_id"], fill_value=False)
    values = by_stay.astype(float).set_axis(stays.index)
    rolled = pd.DataFrame(
        {name: _rolling(values[name], stays["patient_id"], stays["admitted_at"], 365) for name in conditions}
    )
    return features_of_conditions((rolled > 0).set_axis(stays["stay_id"]))


def _windows(events: pd.DataFrame, patient: pd.Series, at: pd.Series) -> pd.DataFrame:
    return pd.DataFrame(
        {
            f"{name}_prior_{days}d": _rolling(events[name], patient, at, days)
            for days in WINDOWS_DAYS
            for name in events.columns
        }
    )


def _rolling(values: pd.Series, patient: pd.Series, at: pd.Series, days: int) -> pd.Series:
    """The sum over [at - days, at) within the patient; rows are sorted by patient and time."""
    dated = pd.DataFrame({"patient": patient.to_numpy(), "value": values.to_numpy()}, index=at)
    rolled = dated.groupby("patient", sort=False)["value"].rolling(f"{days}D", closed="left").sum()
    return pd.Series(rolled.fillna(0).to_numpy(), index=values.index)
