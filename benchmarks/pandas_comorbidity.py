"""The plain pandas way, comorbidity: what the diagnoses of earlier stays say."""

from __future__ import annotations

import pandas as pd

from features.catalogue import CATALOGUE
from features.codes.comorbidity import (
    CHARLSON,
    CHARLSON_HIERARCHY,
    ELIXHAUSER,
    ELIXHAUSER_HIERARCHY,
    Hierarchy,
)

LOOKBACK = pd.Timedelta(days=365)


def comorbidity(
    rows: pd.DataFrame, stays: pd.DataFrame, coded: pd.DataFrame, code_flags: pd.DataFrame
) -> pd.DataFrame:
    """Flags and scores over the discharge diagnoses of the last year's stays that were known by then.

    `coded` are the discharge diagnoses; one row per admission.
    """
    wide = coded.merge(wide_flags(code_flags), on="code")
    conditions = condition_columns(wide)
    by_stay = wide.groupby(["stay_id", "known_at"])[conditions].max().reset_index()
    by_stay = by_stay.merge(stays[["stay_id", "patient_id", "admitted_at"]], on="stay_id")
    anchors = rows[["patient_id", "admitted_at", "prediction_time"]].rename_axis("index_id").reset_index()
    merged = anchors.rename(columns={"admitted_at": "anchor_at"}).merge(by_stay, on="patient_id")
    in_window = merged["admitted_at"].between(
        merged["anchor_at"] - LOOKBACK, merged["anchor_at"], inclusive="left"
    )
    merged = merged[in_window & (merged["known_at"] <= merged["prediction_time"])]
    present = merged.groupby("index_id")[conditions].max()
    return features_of_conditions(present.reindex(rows.index, fill_value=False))


def wide_flags(code_flags: pd.DataFrame) -> pd.DataFrame:
    """One boolean column per condition, one row per code."""
    columns = {f"charlson:{c.name}": code_flags["charlson"] & c.bit > 0 for c in CHARLSON}
    columns |= {f"elixhauser:{c.name}": code_flags["elixhauser"] & c.bit > 0 for c in ELIXHAUSER}
    return pd.DataFrame({"code": code_flags["code"], **columns})


def condition_columns(wide: pd.DataFrame) -> list[str]:
    """The columns that `wide_flags` made."""
    return [name for name in wide.columns if ":" in name]


def features_of_conditions(present: pd.DataFrame) -> pd.DataFrame:
    """The catalogue's flags and scores from one boolean column per condition."""
    charlson = present.filter(like="charlson:").rename(columns=lambda name: name.removeprefix("charlson:"))
    elixhauser = present.filter(like="elixhauser:").rename(
        columns=lambda name: name.removeprefix("elixhauser:")
    )
    flags = charlson.join(elixhauser.drop(columns=charlson.columns, errors="ignore"))
    charlson_score = _score(charlson, {c.name: c.weight_quan2011 for c in CHARLSON}, CHARLSON_HIERARCHY)
    elixhauser_score = _score(
        elixhauser, {c.name: c.weight_van_walraven for c in ELIXHAUSER}, ELIXHAUSER_HIERARCHY
    )
    scores = pd.DataFrame(
        {"charlson_score_earlier": charlson_score, "elixhauser_score_earlier": elixhauser_score}
    )
    named = [f"had_{name}" for name in flags.columns if f"had_{name}" in CATALOGUE]
    return scores.join(flags.astype(int).add_prefix("had_")[named])


def _score(present: pd.DataFrame, weights: dict[str, int], hierarchy: Hierarchy) -> pd.Series:
    """The weights of the conditions present, where the severe form supersedes the mild one."""
    counted = present.copy()
    for severe, mild in hierarchy:
        counted[mild] &= ~present[severe]
    return counted.astype(int) @ pd.Series(weights).reindex(counted.columns)
