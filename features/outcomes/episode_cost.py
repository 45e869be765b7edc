"""The cost of an episode with what follows it, in nominal money or at the prices of one year."""

from __future__ import annotations

import duckdb

from features.dataset import DataSet
from features.settings import FeatureSettings
from features.tables import OUTCOMES, STAYS, TableError

COST_WINDOWS_DAYS = (0, 30, 90)
"""The windows whose costs stand side by side in a data set, in days after the discharge."""
COST_LABELS = tuple(f"label_episode_cost_{days}d" for days in COST_WINDOWS_DAYS)


def windows_days(settings: FeatureSettings) -> dict[str, int]:
    """The window of each cost label: the set one, and those side by side."""
    return {"label_episode_cost": settings.cost_window_days} | dict(
        zip(COST_LABELS, COST_WINDOWS_DAYS, strict=True)
    )


def episode_costs_sql(settings: FeatureSettings) -> str:
    """SQL of every episode that ended: episode_id and a column for each window, null where not known.

    Total of the episode and of every acute stay that starts within the window, whole. Null if one of them
    has not ended, has no total, or lies in quarantine. How far the window was observed is the caller's.
    """
    windows = windows_days(settings)
    columns = ", ".join(
        f"CASE WHEN coalesce(l.is_costed_{days}d, true) AND coalesce(u.first_day > {days}, true) "
        f"THEN e.total_cost + coalesce(l.total_{days}d, 0) END AS {label}"
        for label, days in windows.items()
    )
    later = ", ".join(
        f"sum(total_cost) FILTER (day <= {days}) AS total_{days}d, "
        "bool_and(status = 'discharged' AND total_cost IS NOT NULL) "
        f"FILTER (day <= {days}) AS is_costed_{days}d"
        for days in sorted(set(windows.values()))
    )
    last_day = max(windows.values())
    return f"""
    WITH costed AS (
        SELECT episode_id, patient_id, admitted_at, status, {_at_prices(settings)} AS total_cost
        FROM episode_stays
    ), own AS (
        SELECT e.episode_id, e.patient_id, e.admitted_at, e.discharged_at,
            CASE WHEN count(c.total_cost) = count(*) THEN sum(c.total_cost) END AS total_cost
        FROM episodes e JOIN costed c USING (episode_id)
        WHERE e.is_discharged GROUP BY ALL
    ), starting AS (
        SELECT e.episode_id, c.total_cost, c.status,
            date_diff('day', e.discharged_at::DATE, c.admitted_at::DATE) AS day
        FROM own e JOIN costed c ON c.patient_id = e.patient_id AND c.admitted_at > e.admitted_at
            AND c.episode_id <> e.episode_id
        WHERE day BETWEEN 0 AND {last_day}
    ), later AS (
        SELECT episode_id, {later} FROM starting GROUP BY episode_id
    ), unseen AS (  -- before the discharge is as good as on its day
        SELECT e.episode_id,
            min(coalesce(date_diff('day', e.discharged_at::DATE, u.admitted_at::DATE), 0)) AS first_day
        FROM own e JOIN unseen_stays u USING (patient_id)
        WHERE u.admitted_at IS NULL OR u.admitted_at >= e.admitted_at GROUP BY e.episode_id
    )
    SELECT e.episode_id, {columns}
    FROM own e LEFT JOIN later l USING (episode_id) LEFT JOIN unseen u USING (episode_id)"""


def _at_prices(settings: FeatureSettings) -> str:
    """SQL of a stay's total: nominal, or at prices of `price_year` by its discharge's year, to the cent."""
    if settings.price_year is None:
        return "total_cost"
    index = dict(settings.price_index)
    factors = " ".join(
        f"WHEN {year} THEN {index[settings.price_year] / value!r}" for year, value in settings.price_index
    )
    factor = f"(CASE year(discharged_at) {factors} END)"
    return f"round(total_cost::DOUBLE * {factor}, 2)::DECIMAL(18,2)"


def check_prices(con: duckdb.DuckDBPyConnection, dataset: DataSet, settings: FeatureSettings) -> None:
    """Raise TableError where costs cannot be told at the prices of the year that is set."""
    if settings.price_year is None:
        return
    if not dataset.declaration.has_calendar:
        raise TableError(
            f"stays: costs cannot be told at prices of {settings.price_year}: timeline is "
            f"{dataset.declaration.timeline}, so the years of the discharges are not known. "
            "Leave price_year out."
        )
    if con.execute(f"SELECT count(episode_cost) FROM ({dataset.select(OUTCOMES)})").fetchall()[0][0]:
        raise TableError(
            f"outcomes: costs cannot be told at prices of {settings.price_year}: the extract gives the costs "
            "of episodes, and not the years of their stays. Leave price_year out."
        )
    found = con.execute(
        f"SELECT DISTINCT year(discharged_at) AS year FROM ({dataset.select(STAYS)}) "
        "WHERE status = 'discharged' AND total_cost IS NOT NULL ORDER BY year"
    ).fetchall()
    missing = [str(year) for (year,) in found if year not in dict(settings.price_index)]
    if missing:
        raise TableError(
            f"stays: the price index has no value for {', '.join(missing)}, in which stays with a cost were "
            "discharged. Add the year to the index table, or leave price_year out."
        )
