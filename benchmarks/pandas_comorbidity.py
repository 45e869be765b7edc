"""The plain pandas way, comorbidity: what the diagnoses of earlier stays say."""

from __future__ import annotations

import pandas as pd

from features.comorbidity import (
    CHARLSON,
    CHARLSON_HIERARCHY,
    ELIXHAUSER,
    ELIXHAUSER_HIERARCHY,
    Condition,
    Hierarchy,
)

LOOKBACK = pd.Timedelta(days=365)


def comorbidity(
    rows: pd.DataFrame,
    stays: pd.DataFrame,
    diagnoses: pd.DataFrame,
    code_flags: pd.DataFrame,
    complete: pd.Series,
) -> pd.DataFrame:
    """Flags and scores over the discharge diagnoses of stays of the last year that were known by then."""
    coded = diagnoses[diagnoses["kind"] == "discharge"].merge(_wide(code_flags), on="code")
    conditions = [name for name in coded.columns if ":" in name]
    by_stay = coded.groupby(["stay_id", "known_at"])[conditions].max().reset_index()
    by_stay = by_stay.merge(stays[["stay_id", "patient_id", "admitted_at"]], on="stay_id")
    anchors = rows[["patient_id", "admitted_at", "prediction_time"]].rename_axis("index_id").reset_index()
    anchors = anchors.rename(columns={"admitted_at": "anchor_at"})
    merged = anchors.merge(by_stay, on="patient_id")
    in_window = merged["admitted_at"].between(
        merged["anchor_at"] - LOOKBACK, merged["anchor_at"], inclusive="left"
    )
    merged = merged[in_window & (merged["known_at"] <= merged["prediction_time"])]
    present = merged.groupby("index_id")[conditions].max().reindex(rows.index, fill_value=False)
    return _features(present).where(complete)


def _wide(code_flags: pd.DataFrame) -> pd.DataFrame:
    """One boolean column per condition and code."""
    columns = {f"charlson:{c.name}": code_flags["charlson"] & c.bit > 0 for c in CHARLSON}
    columns |= {f"elixhauser:{c.name}": code_flags["elixhauser"] & c.bit > 0 for c in ELIXHAUSER}
    return pd.DataFrame({"code": code_flags["code"], **columns})


def _features(present: pd.DataFrame) -> pd.DataFrame:
    charlson = present.filter(like="charlson:").rename(columns=lambda name: name.removeprefix("charlson:"))
    elixhauser = present.filter(like="elixhauser:").rename(
        columns=lambda name: name.removeprefix("elixhauser:")
    )
    flags = charlson.join(elixhauser.drop(columns=[n for n in elixhauser if n in charlson]))
    scores = pd.DataFrame(
        {
            "charlson_score_earlier": _score(
                charlson, {c: c.weight_quan2011 for c in CHARLSON}, CHARLSON_HIERARCHY
            ),
            "elixhauser_score_earlier": _score(
                elixhauser, {c: c.weight_van_walraven for c in ELIXHAUSER}, ELIXHAUSER_HIERARCHY
            ),
        }
    )
    return scores.join(flags.astype(int).add_prefix("had_"))


def _score(present: pd.DataFrame, weights: dict[Condition, int], hierarchy: Hierarchy) -> pd.Series:
    """The weights of the conditions present, where the severe form supersedes the mild one."""
    counted = present.copy()
    for severe, mild in hierarchy:
        counted[mild] &= ~present[severe]
    return sum(counted[condition.name].astype(int) * weight for condition, weight in weights.items())
