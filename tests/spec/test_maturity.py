"""Maturity

A row is learned from and judged only once its window was observed to the end, whatever its outcome:
`date(discharge) + window <= observed_until`. An early event in a younger row may be displayed, and is
never learned from: otherwise the newest rows would all be events. A follow-up that runs out is missing,
not "no".

An extract of discharged patients only (`complete_by = "discharge"`, such as the front page) matures
`max_stay_days` (60) later: a patient who is back in a bed is not yet in the file. Each cost window matures
on its own. What is told of the episode alone, its complications and its cost without what follows, matures
one day after the discharge: until then a transfer or a split stay may still prolong the episode. Where only
codes can tell whether a return within 24 hours is the second half of a split stay, and one of the two is not
coded, the first has no labels yet.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from features.points import Point
from features.settings import FeatureSettings
from tests.hospital import hospital, rows, told

STAYS = """
    stay_id | patient_id | admitted_at | discharged_at | total_cost
    early   | A          | 2024-01-01  | 2024-01-05    | 100
    event   | B          | 2024-01-01  | 2024-01-05    | 100
    again   | B          | 2024-01-12  | 2024-01-13    | 100
    """


# 5 January 2024 + 30 = 4 February; + 60 for those not yet discharged = 4 April; + 90 instead = 4 May.
@pytest.mark.parametrize(
    ("complete_by", "max_stay_days", "last_open", "first_mature"),
    [
        ("admission", 60, "2024-02-03", "2024-02-04"),
        ("discharge", 60, "2024-04-03", "2024-04-04"),
        ("discharge", 90, "2024-05-03", "2024-05-04"),
    ],
)
def test_a_window_counts_from_the_day_on_which_it_was_observed_to_its_end(
    tmp_path: Path, complete_by: str, max_stay_days: int, last_open: str, first_mature: str
) -> None:
    settings = FeatureSettings(max_stay_days=max_stay_days)
    found = {}
    for day in (last_open, first_mature):
        extract = hospital(tmp_path / day, observed_until=day, complete_by=complete_by, stays=STAYS)
        found[day] = rows(extract, Point.DISCHARGE, settings).loc[["early", "event"]]
    # The known return of 12 January is no outcome either while the window is open.
    for label in ("label_readmission", "label_readmission_or_death"):
        assert told(found[last_open], label) == {"early": None, "event": None}
        assert told(found[first_mature], label) == {"early": 0, "event": 1}
    ends_on = found[first_mature]["row_label_end_on_readmission"].astype(str)
    assert set(ends_on) == {first_mature}


# 5 January + 1 (of the 0 days), 30 and 90 days: 6 January, 4 February, 4 April 2024; discharged only: 60 days
# later each.
@pytest.mark.parametrize(
    ("complete_by", "until", "mature"),
    [
        ("admission", "2024-01-05", []),
        ("admission", "2024-01-06", ["0d"]),
        ("admission", "2024-02-04", ["0d", "30d"]),
        ("admission", "2024-04-04", ["0d", "30d", "90d"]),
        ("discharge", "2024-03-05", []),
        ("discharge", "2024-03-06", ["0d"]),
        ("discharge", "2024-04-04", ["0d", "30d"]),
        ("discharge", "2024-06-03", ["0d", "30d", "90d"]),
    ],
)
def test_each_cost_window_matures_on_its_own(
    tmp_path: Path, complete_by: str, until: str, mature: list[str]
) -> None:
    extract = hospital(tmp_path, observed_until=until, complete_by=complete_by, stays=STAYS)
    found = rows(extract, Point.ADMISSION).loc["early"]
    known = [days for days in ("0d", "30d", "90d") if found[f"label_episode_cost_{days}"] == 100]
    assert known == mature
    assert (found["label_episode_cost"] == 100) == ("30d" in mature)


@pytest.mark.parametrize(
    ("complete_by", "until", "label"),
    [
        ("admission", "2024-01-05", None),
        ("admission", "2024-01-06", 1),
        ("discharge", "2024-03-05", None),
        ("discharge", "2024-03-06", 1),
    ],
)
def test_a_complication_is_told_once_nothing_can_prolong_the_episode(
    tmp_path: Path, complete_by: str, until: str, label: float | None
) -> None:
    coded = "stay_id | position | code | present_on_admission\nearly | 1 | J449 | Y\nearly | 2 | N179 | N"
    extract = hospital(tmp_path, observed_until=until, complete_by=complete_by, stays=STAYS, diagnoses=coded)
    found = rows(extract, Point.ADMISSION)
    assert told(found, "label_complication")["early"] == label
    days = 1 if complete_by == "admission" else 61
    ends_on = pd.Timestamp("2024-01-05") + pd.Timedelta(days=days)
    assert pd.Timestamp(found.loc["early", "row_label_end_on_complication"]) == ends_on


def test_what_may_be_the_second_half_of_a_split_stay_leaves_the_first_untold(tmp_path: Path) -> None:
    stays = """
        stay_id | patient_id | admitted_at         | discharged_at       | total_cost
        half    | A          | 2024-01-01 08:00:00 | 2024-01-05 10:00:00 | 100
        other   | A          | 2024-01-05 20:00:00 | 2024-01-09 10:00:00 | 40
        """
    coded = "stay_id | position | code | present_on_admission\nhalf | 1 | J449 | Y"
    labels = ["label_readmission", "label_complication", "label_episode_cost_0d", "label_episode_cost"]
    unclear = rows(hospital(tmp_path / "unclear", stays=stays, diagnoses=coded), Point.ADMISSION)
    assert unclear.loc["half", labels].isna().all()
    # Another principal diagnosis: a return on the day of the discharge; the same: one episode of 140.
    told_apart = f"{coded}\nother | 1 | I500 | Y"
    apart = rows(hospital(tmp_path / "apart", stays=stays, diagnoses=told_apart), Point.ADMISSION)
    assert apart.loc["half", labels].tolist() == [1, 0, 140, 140]
    same = f"{coded}\nother | 1 | J440 | Y"
    split = rows(hospital(tmp_path / "split", stays=stays, diagnoses=same), Point.ADMISSION)
    assert split.loc["half", labels].tolist() == [0, 0, 140, 140]
