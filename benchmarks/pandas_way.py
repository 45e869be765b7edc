"""The plain pandas way: the features at admission, as an analyst would write them for this definition.

Each history table is merged with the admissions by patient and filtered to what was known; then one
filter and one group-by per window. Codes are looked up once per distinct code, by wardcast's own
tables. No labels and no cohort flow: the data-set builder makes these besides.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks.pandas_comorbidity import comorbidity
from benchmarks.pandas_rolling import rolling_comorbidity, rolling_stays, rolling_visits
from features.catalogue import CATALOGUE
from features.codes.measures import MEASURES, codes_of
from features.coding import code_flags_for
from features.dataset import DataSet
from features.families.laboratory import FIRST_DAY
from features.families.windows import LATEST_DAYS, WINDOWS_DAYS
from features.feature import Feature
from features.settings import DEFAULT_SETTINGS

LANDMARK = pd.Timedelta(hours=DEFAULT_SETTINGS.landmark_hours)
DAY = pd.Timedelta(days=1)
LATEST = pd.Timedelta(days=LATEST_DAYS)
_STAY_COLUMNS = [
    *("stay_id", "patient_id", "hospital_id", "status", "booked_at", "admitted_at", "discharged_at"),
    *("planned_admission_at", "admission_type", "admission_source", "admission_department", "payer"),
    "total_cost",
]


def build_with_pandas(dataset: DataSet, out: Path, *, rolling: bool) -> pd.DataFrame:
    """Write the features of every index admission at the point `admission` to `out`, and return them.

    One row per admission, indexed by stay. `rolling` takes the windows by `groupby().rolling()` instead
    of merging and filtering. Assumes what the made-up hospital gives: dates, one code system,
    `known_at` in every event table, and a birth date for everyone.
    """
    stays = _episodes(dataset)
    rows = _index_rows(dataset, stays)
    flags = _code_flags(dataset)
    diagnoses = _diagnoses(dataset)
    coded = diagnoses[diagnoses["kind"] == "discharge"].drop(columns=["kind", "position"])
    visits = _read(dataset, "visits", ["patient_id", "visited_at", "kind", "cost"])
    visits["cost"] = visits["cost"].astype("float64")
    parts = [_this_stay(rows), *_last_events(rows, stays, visits)]
    if rolling:
        parts += [rolling_stays(stays), rolling_visits(rows, visits)]
        parts.append(rolling_comorbidity(stays, coded, flags["diagnosis_flags"]))
    else:
        parts += [_windowed_stays(rows, stays), _windowed_visits(rows, visits)]
        parts.append(comorbidity(rows, stays, coded, flags["diagnosis_flags"]))
    parts += [_groups(rows, stays, dataset, flags), _laboratory(rows, dataset)]
    features = pd.concat([part.reindex(rows.index) for part in parts], axis=1)
    features = _where_complete(features, rows["admitted_at"], dataset)
    features.to_parquet(out, compression="zstd")
    return features


def _where_complete(features: pd.DataFrame, anchor: pd.Series, dataset: DataSet) -> pd.DataFrame:
    """Missing where the window starts before the extract does."""
    history_from = pd.Timestamp(dataset.declaration.observed_from)
    for days in WINDOWS_DAYS:
        names = [name for name in features if days in _history_days(CATALOGUE[name])]
        is_complete = anchor - pd.Timedelta(days=days) >= history_from
        features[names] = features[names].where(is_complete)
    return features


def _history_days(feature: Feature) -> set[int | None]:
    return {declared.history_days for declared in (feature, *feature.needs)}


def _read(dataset: DataSet, table: str, columns: list[str]) -> pd.DataFrame:
    return pd.read_parquet(dataset.path / table, columns=columns)


def _diagnoses(dataset: DataSet) -> pd.DataFrame:
    return _read(dataset, "diagnoses", ["stay_id", "kind", "position", "code", "known_at"])


def _code_flags(dataset: DataSet) -> dict[str, pd.DataFrame]:
    systems = dataset.declaration.code_systems
    system_of = {"diagnoses": systems.diagnosis or "", "procedures": systems.procedure or ""}
    codes = {table: _read(dataset, table, ["code"])["code"].unique() for table in system_of}
    return code_flags_for({table: [(c, system_of[table]) for c in sorted(codes[table])] for table in codes})


def _episodes(dataset: DataSet) -> pd.DataFrame:
    """The stays that took place, each with its episode: a stay continues the latest one that ended."""
    stays = _read(dataset, "stays", _STAY_COLUMNS)
    stays = stays[stays["status"].isin(["in", "discharged"])]
    stays = stays.assign(total_cost=stays["total_cost"].astype("float64"))
    diagnoses = _diagnoses(dataset)
    principal = diagnoses[(diagnoses["kind"] == "discharge") & (diagnoses["position"] == 1)]
    code3 = principal.set_index("stay_id")["code"].str[:3].rename("code3")
    stays = stays.join(code3, on="stay_id")
    stays["ends_at"] = stays["discharged_at"].fillna(pd.Timestamp.max.floor("us"))
    stays = stays.sort_values(["patient_id", "admitted_at", "ends_at", "stay_id"], ignore_index=True)
    patient = stays["patient_id"]
    latest_end = stays.groupby(patient)["ends_at"].cummax()
    last_end = latest_end.groupby(patient).shift()
    # The hospital and diagnosis of whichever earlier stay ended last.
    ended_last = last_end.isna() | (stays["ends_at"] > last_end)
    last_hospital = stays["hospital_id"].where(ended_last).groupby(patient).ffill().groupby(patient).shift()
    last_code3 = stays["code3"].fillna("").where(ended_last).groupby(patient).ffill().groupby(patient).shift()
    gap_days = (stays["admitted_at"].dt.normalize() - last_end.dt.normalize()) / DAY
    same = stays["hospital_id"] == last_hospital
    is_overlap = stays["admitted_at"] < last_end
    is_transfer = last_end.notna() & ~same & gap_days.between(0, 1)
    is_split = same & (stays["code3"] == last_code3) & (stays["admitted_at"] <= last_end + DAY)
    stays["is_continuation"] = is_overlap | is_transfer | is_split
    first = (~stays["is_continuation"]).cumsum()
    stays["episode_id"] = stays.groupby(first)["stay_id"].transform("first")
    # Not known by the landmark: a link to a stay that starts later, and a split stay, which takes its codes.
    starts_later = stays["admitted_at"] > stays.groupby(first)["admitted_at"].transform("first") + LANDMARK
    is_open = starts_later | (is_split & ~is_overlap & ~is_transfer)
    stays["is_known_link"] = ~is_open.groupby(first).cummax()
    known_end = stays["ends_at"].where(stays["is_known_link"])
    stays["episode_ends_at"] = known_end.groupby(first).transform("max")
    return stays


def _index_rows(dataset: DataSet, stays: pd.DataFrame) -> pd.DataFrame:
    """Adults still in hospital at the landmark, one row per episode."""
    patients = _read(dataset, "patients", ["patient_id", "birth_date", "sex"])
    rows = stays[~stays["is_continuation"]].merge(patients, on="patient_id")
    admitted, born = rows["admitted_at"], pd.to_datetime(rows["birth_date"])
    birthday_ahead = (admitted.dt.month * 100 + admitted.dt.day) < (born.dt.month * 100 + born.dt.day)
    rows["age_years"] = admitted.dt.year - born.dt.year - birthday_ahead
    rows["prediction_time"] = admitted + LANDMARK
    adult = (rows["age_years"] >= DEFAULT_SETTINGS.minimum_age) & (rows["admission_type"] != "newborn")
    return rows[adult & (rows["episode_ends_at"] > rows["prediction_time"])].set_index("stay_id")


def _this_stay(rows: pd.DataFrame) -> pd.DataFrame:
    columns = ["age_years", "sex", "admission_type", "admission_source", "admission_department", "payer"]
    known = rows[columns]
    known = known.assign(**{name: known[name].where(known[name] != "unknown") for name in columns[1:]})
    return known.assign(
        is_booked=(rows["booked_at"] < rows["admitted_at"]).astype(int),
        admission_hour=rows["admitted_at"].dt.hour,
        admission_month=rows["admitted_at"].dt.month,
        admission_weekday=rows["admitted_at"].dt.day_of_week + 1,
        booked_waiting_days=_midnights(rows["booked_at"], rows["planned_admission_at"]),
    )


def _events(rows: pd.DataFrame, events: pd.DataFrame, time: str) -> pd.DataFrame:
    """Each admission's earlier events, with the admission's own times as anchor_at and prediction_time."""
    anchors = rows[["patient_id", "admitted_at", "prediction_time"]].rename_axis("index_id").reset_index()
    anchors = anchors.rename(columns={"admitted_at": "anchor_at"})
    merged = anchors.merge(events, on="patient_id")
    return merged[merged[time] < merged["anchor_at"]]


def _last_events(rows: pd.DataFrame, stays: pd.DataFrame, visits: pd.DataFrame) -> list[pd.DataFrame]:
    """The latest stay and the latest emergency visit before each admission."""
    earlier = _events(rows, stays[["patient_id", "stay_id", "admitted_at", "discharged_at"]], "admitted_at")
    earlier["discharged_at"] = earlier["discharged_at"].where(
        earlier["discharged_at"] <= earlier["prediction_time"]
    )
    past = earlier[earlier["discharged_at"].between(earlier["anchor_at"] - LATEST, earlier["anchor_at"])]
    since = _midnights(past["discharged_at"], past["anchor_at"]).groupby(past["index_id"]).min()
    recent = earlier[earlier["admitted_at"] >= earlier["anchor_at"] - LATEST]
    last = recent.sort_values(["admitted_at", "stay_id"]).drop_duplicates("index_id", keep="last")
    last_days = _midnights(last["admitted_at"], last["discharged_at"]).set_axis(last["index_id"])
    emergency = _events(rows, visits[visits["kind"] == "emergency"], "visited_at")
    days_before = emergency["anchor_at"] - emergency["visited_at"]
    emergency = emergency[(days_before > DAY) & (days_before <= LATEST)]
    visited = _midnights(emergency["visited_at"], emergency["anchor_at"]).groupby(emergency["index_id"]).min()
    return [
        since.to_frame("days_since_last_discharge"),
        last_days.to_frame("last_stay_days"),
        visited.to_frame("days_since_last_emergency_visit"),
    ]


def _midnights(since: pd.Series, until: pd.Series) -> pd.Series:
    return (until.dt.normalize() - since.dt.normalize()) / DAY


def _windowed_stays(rows: pd.DataFrame, stays: pd.DataFrame) -> pd.DataFrame:
    columns = ["patient_id", "admitted_at", "discharged_at", "admission_type", "total_cost"]
    earlier = _events(rows, stays[[*columns, "is_continuation"]], "admitted_at")
    is_over = earlier["discharged_at"] <= earlier["prediction_time"]
    until = earlier[["discharged_at", "anchor_at"]].min(axis=1).where(is_over, earlier["anchor_at"])
    earlier["n_stays"] = (~earlier["is_continuation"]).astype(int)
    urgent = earlier["admission_type"].isin(["emergency", "urgent"])
    earlier["n_emergency_stays"] = earlier["n_stays"] * urgent
    earlier["stay_cost"] = earlier["total_cost"].where(is_over)
    earlier["days_in_hospital"] = _midnights(earlier["admitted_at"], until)
    sums = ["n_stays", "n_emergency_stays", "stay_cost", "days_in_hospital"]
    return _windowed(rows, earlier, "admitted_at", sums)


def _windowed_visits(rows: pd.DataFrame, visits: pd.DataFrame) -> pd.DataFrame:
    earlier = _events(rows, visits, "visited_at")
    is_emergency = earlier["kind"] == "emergency"
    led_here = earlier["visited_at"] >= earlier["anchor_at"] - DAY
    earlier["n_emergency_visits"] = (is_emergency & ~led_here).astype(int)
    earlier["n_outpatient_visits"] = (~is_emergency).astype(int)
    earlier["visit_cost"] = earlier["cost"]
    return _windowed(rows, earlier, "visited_at", ["n_emergency_visits", "n_outpatient_visits", "visit_cost"])


def _windowed(rows: pd.DataFrame, earlier: pd.DataFrame, time: str, sums: list[str]) -> pd.DataFrame:
    """The sums over each window; 0 where there was nothing, missing where a value is not known."""
    parts = []
    for days in WINDOWS_DAYS:
        window = earlier[earlier[time] >= earlier["anchor_at"] - pd.Timedelta(days=days)]
        totals = window.groupby("index_id")[sums].sum(skipna=False).reindex(rows.index, fill_value=0)
        parts.append(totals.add_suffix(f"_prior_{days}d"))
    return pd.concat(parts, axis=1)


def _groups(
    rows: pd.DataFrame, stays: pd.DataFrame, dataset: DataSet, flags: dict[str, pd.DataFrame]
) -> pd.DataFrame:
    diagnoses = _diagnoses(dataset)
    admitting = _known_now(rows, stays, diagnoses[diagnoses["kind"] == "admitting"])
    procedures = _read(dataset, "procedures", ["stay_id", "position", "code", "is_planned", "known_at"])
    planned = _known_now(rows, stays, procedures[procedures["is_planned"].fillna(False).astype(bool)])
    return pd.DataFrame(
        {
            "admitting_diagnosis_group": _first_title(admitting, flags["diagnosis_flags"]),
            "planned_procedure_group": _first_title(planned, flags["procedure_flags"]),
            "has_planned_procedure": rows.index.isin(planned["episode_id"]).astype(int),
        },
        index=rows.index,
    )


def _known_now(rows: pd.DataFrame, stays: pd.DataFrame, coded: pd.DataFrame) -> pd.DataFrame:
    """Coded rows, known at the prediction time, of the stays that were known to be of the episode."""
    linked = stays.loc[stays["is_known_link"], ["stay_id", "episode_id"]]
    known = coded.merge(linked, on="stay_id")
    known = known.merge(rows["prediction_time"], left_on="episode_id", right_index=True)
    return known[known["known_at"] <= known["prediction_time"]]


def _first_title(coded: pd.DataFrame, flags: pd.DataFrame) -> pd.Series:
    own = coded[coded["stay_id"] == coded["episode_id"]].merge(flags[["code", "ccs_title"]], on="code")
    own = own.dropna(subset=["ccs_title"]).sort_values("position")
    return own.drop_duplicates("stay_id").set_index("stay_id")["ccs_title"]


def _laboratory(rows: pd.DataFrame, dataset: DataSet) -> pd.DataFrame:
    """The last value of the first day of each analyte; the made-up hospital writes canonical units."""
    columns = ["patient_id", "taken_at", "code", "value", "unit", "known_at"]
    values = _read(dataset, "observations", columns)
    codes = [(code, name, MEASURES[name].unit) for name in FIRST_DAY for code in codes_of(name)]
    values = values.merge(pd.DataFrame(codes, columns=["code", "name", "unit"]), on=["code", "unit"])
    anchors = rows[["patient_id", "admitted_at", "prediction_time"]].rename_axis("index_id").reset_index()
    values = values.merge(anchors, on="patient_id")
    in_time = values["taken_at"].between(values["admitted_at"], values["admitted_at"] + DAY)
    values = values[in_time & (values[["taken_at", "known_at"]].max(axis=1) <= values["prediction_time"])]
    last = values.sort_values(["taken_at", "value"]).drop_duplicates(["index_id", "name"], keep="last")
    found = last.pivot_table(index="index_id", columns="name", values="value")
    return found.reindex(columns=list(FIRST_DAY)).add_suffix("_first_day")
