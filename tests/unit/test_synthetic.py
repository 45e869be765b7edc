"""The made-up hospital group: what its records must hold, and that its truth is the truth."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from features.ingest import ingest
from features.sources.synthetic import stage
from features.sources.synthetic.charges import CATEGORIES, Charges, charge
from features.sources.synthetic.codes import cases, conditions
from features.sources.synthetic.costs import cost_noise, stay_cost, stay_days
from features.sources.synthetic.course import play
from features.sources.synthetic.laboratory import severity
from features.sources.synthetic.outcomes import (
    complication_log_odds,
    complication_log_odds_by_case,
    place_shares,
    readmission_log_odds,
)
from features.sources.synthetic.population import Cohort, draw_cohort
from features.sources.synthetic.risks import State, case_weights
from features.sources.synthetic.stays import Ending, Link, Stays, taken
from features.sources.synthetic.visits import draw_emergency_visits
from features.sources.synthetic.writing import pseudonyms
from features.tables import TableError


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A staged group of about 6,000 admissions in three chunks."""
    folder = tmp_path_factory.mktemp("staged")
    stage(None, folder, admissions=6_000, seed=7, patients_per_chunk=1_500)
    return folder


@pytest.fixture(scope="module")
def played() -> tuple[Cohort, Stays]:
    """The courses of 12,000 patients, sorted by patient and time."""
    rng = np.random.default_rng(11)
    cohort = draw_cohort(12_000, rng)
    cohort.visit_keys = draw_emergency_visits(cohort, rng)
    stays = play(cohort, rng)
    return cohort, taken(stays, np.lexsort((stays.admitted, stays.patient)))


def query(staged: Path, sql: str) -> pd.DataFrame:
    """Run SQL on the staged tables, each a view of its name."""
    with duckdb.connect() as data:
        for folder in staged.iterdir():
            data.execute(f"CREATE VIEW {folder.name} AS SELECT * FROM read_parquet('{folder}/*.parquet')")
        return data.execute(sql).df()


def digest(folder: Path) -> str:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    content = b"".join(str(file.relative_to(folder)).encode() + file.read_bytes() for file in files)
    return hashlib.sha256(content).hexdigest()


def test_the_same_seed_and_size_give_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        stage(None, tmp_path / name, admissions=500, seed=seed, patients_per_chunk=200)
    assert digest(tmp_path / "first") == digest(tmp_path / "again")
    assert digest(tmp_path / "first") != digest(tmp_path / "other")


def test_the_size_asked_for_is_about_met(tmp_path: Path) -> None:
    stage(None, tmp_path, admissions=20_000)
    assert query(tmp_path, "SELECT count(*) AS n FROM stays")["n"][0] == pytest.approx(20_000, rel=0.03)


@pytest.mark.parametrize("admissions", [1, 4])
def test_a_tiny_group_can_be_read(admissions: int, tmp_path: Path) -> None:
    quality = ingest("synthetic", None, tmp_path / "out", options={"admissions": admissions})
    assert not quality.rules


def test_a_size_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        stage(None, tmp_path, admissions=0)


def test_charge_categories_add_up_to_the_total_of_the_stay(staged: Path) -> None:
    beyond = query(
        staged,
        """SELECT s.stay_id FROM stays s JOIN charges c USING (stay_id)
        WHERE s.status = 'discharged' AND c.category <> 'antimicrobials'
        GROUP BY s.stay_id, s.total_cost HAVING abs(sum(c.amount) - s.total_cost) > 0.005""",
    )
    assert beyond.empty


def test_antimicrobials_are_a_part_of_the_drugs_of_the_day(staged: Path) -> None:
    beyond = query(
        staged,
        """SELECT stay_id FROM charges GROUP BY stay_id, incurred_on
        HAVING coalesce(sum(amount) FILTER (category = 'antimicrobials'), 0)
             > coalesce(sum(amount) FILTER (category = 'drugs'), 0) + 0.005""",
    )
    assert beyond.empty


def charged(cost: float, days: float) -> Charges:
    """The charges of a stay for pneumonia, whose usual stay costs 900 a day."""
    case = np.array([cases().place("pneumonia")])
    begins, usual = np.array([10.4]), np.array([900.0])
    return charge(case, begins, begins + days, np.array([cost]), usual, np.random.default_rng(1))


def test_the_first_day_knows_nothing_of_what_the_stay_will_turn_out_to_be() -> None:
    usual, complicated = charged(cost=9_000.0, days=9), charged(cost=27_000.0, days=21)
    first = [lines.amount[lines.day == 10.0].sum() for lines in (usual, complicated)]
    assert first[0] == pytest.approx(first[1])
    assert 0 < first[0] < 4_500


def test_one_stay_of_one_night_is_charged_to_the_cent() -> None:
    lines = charged(cost=1234.56, days=1.1)
    is_part = lines.category == CATEGORIES.index("antimicrobials")
    assert round(float(lines.amount[~is_part].sum()), 2) == 1234.56
    assert set(lines.day) <= {10.0, 11.0}


def test_nothing_is_recorded_after_the_end_of_observation(staged: Path) -> None:
    late = query(
        staged,
        """SELECT (SELECT count(*) FROM stays WHERE admitted_at >= '2026-01-01') AS admitted,
        (SELECT count(*) FROM stays WHERE discharged_at >= '2026-01-01') AS discharged,
        (SELECT count(*) FROM stays WHERE booked_at >= '2026-01-01') AS booked,
        (SELECT count(*) FROM charges WHERE incurred_on >= '2026-01-01') AS charged,
        (SELECT count(*) FROM observations WHERE known_at >= '2026-01-01') AS measured,
        (SELECT count(*) FROM procedures WHERE performed_at >= '2026-01-01') AS operated,
        (SELECT count(*) FROM diagnoses WHERE known_at >= '2026-01-01') AS diagnosed,
        (SELECT count(*) FROM visits WHERE visited_at >= '2026-01-01') AS visited,
        (SELECT count(*) FROM patients WHERE death_date >= '2026-01-01') AS died""",
    )
    assert late.iloc[0].sum() == 0


def test_an_open_stay_knows_neither_its_end_nor_its_discharge_diagnoses(staged: Path) -> None:
    known = query(
        staged,
        """SELECT status, count(*) AS n, count(discharged_at) AS ended, count(total_cost) AS billed,
        count(discharge_disposition) AS left_for, count(payment_group) AS grouped,
        count(d.stay_id) AS diagnosed FROM stays LEFT JOIN
        (SELECT DISTINCT stay_id FROM diagnoses WHERE kind = 'discharge') d USING (stay_id)
        GROUP BY status""",
    ).set_index("status")
    for status in ("in", "booked"):
        assert known.loc[status, "n"] > 0
        assert known.loc[status].drop("n").sum() == 0
    assert known.loc["discharged", "diagnosed"] == known.loc["discharged", "n"]


def test_ids_show_neither_time_nor_risk(staged: Path) -> None:
    rows = query(
        staged,
        """SELECT stay_id, admitted_at, complication_probability AS risk FROM stays
        JOIN truth USING (stay_id) WHERE admitted_at IS NOT NULL""",
    )
    place = rows["stay_id"].rank()
    # Independent ranks of 6,000 rows correlate by 0 ± 1/√6000 = 0.013; four such steps are allowed.
    assert abs(place.corr(rows["admitted_at"].rank())) < 0.052
    assert abs(place.corr(rows["risk"].rank())) < 0.052


def test_pseudonyms_are_the_shuffled_numbers() -> None:
    # (0 + 1) × 387420489, (1 + 1) × 387420489, and 3 × 387420489 = 1162261467 less the prime 999999937.
    assert pseudonyms("S", np.arange(3)).to_pylist() == ["S387420489", "S774840978", "S162261530"]


def test_a_patient_lies_in_one_bed_at_a_time_and_not_after_death(played: tuple[Cohort, Stays]) -> None:
    cohort, stays = played
    same = stays.patient[1:] == stays.patient[:-1]
    assert (stays.admitted[1:][same] > stays.discharged[:-1][same]).all()
    assert (stays.admitted < cohort.death[stays.patient]).all()


def test_unplanned_returns_come_as_often_as_their_true_probability_says(played: tuple[Cohort, Stays]) -> None:
    _, stays = played
    left = ~np.isin(stays.ending, [Ending.DIED, Ending.ACUTE_TRANSFER, Ending.SPLIT])
    # Courses end 45 days after the end of observation: leave the returns that are cut off out.
    left &= stays.discharged < stays.admitted.max() - 45
    next_link = np.append(stays.link[1:], -1)
    follows = np.append(stays.patient[1:] == stays.patient[:-1], False)
    returned = (follows & (next_link == Link.UNPLANNED_RETURN))[left]
    risk = stays.readmission_probability[left]
    # The number of returns is a sum of independent draws: its standard deviation is √Σp(1 − p).
    assert abs(returned.sum() - risk.sum()) < 4 * np.sqrt((risk * (1 - risk)).sum())


def test_unplanned_returns_start_0_to_30_days_later_and_are_never_transfers(
    played: tuple[Cohort, Stays],
) -> None:
    _, stays = played
    returned = np.flatnonzero(stays.link == Link.UNPLANNED_RETURN)
    gap = np.floor(stays.admitted[returned]) - np.floor(stays.discharged[returned - 1])
    assert gap.min() == 0
    assert gap.max() == 30
    assert (stays.hospital[returned] == stays.hospital[returned - 1])[gap <= 1].all()


def test_without_a_drawn_return_nothing_unplanned_starts_within_30_days(played: tuple[Cohort, Stays]) -> None:
    _, stays = played
    later = np.flatnonzero((stays.link[1:] == Link.NEW) & (stays.patient[1:] == stays.patient[:-1])) + 1
    gap = np.floor(stays.admitted[later]) - np.floor(stays.discharged[later - 1])
    assert gap.min() >= 31


def test_chemotherapy_comes_back_as_planned_cycles(played: tuple[Cohort, Stays]) -> None:
    _, stays = played
    chemotherapy = cases().place("chemotherapy")
    cycle = np.flatnonzero((stays.link == Link.PLANNED_RETURN) & (stays.case == chemotherapy))
    assert len(cycle) > 100
    start_to_start = np.floor(stays.admitted[cycle]) - np.floor(stays.admitted[cycle - 1])
    # Cycles of 20 to 23 days.
    assert np.median(start_to_start) in (20, 21, 22, 23)


def test_a_hospital_acquired_complication_is_coded_n_and_only_it(staged: Path) -> None:
    flags = query(
        staged,
        """SELECT count(*) FILTER (present_on_admission = 'N') AS n,
        count(*) FILTER (present_on_admission IS NULL) AS missing,
        count(*) FILTER (position = 1 AND present_on_admission <> 'Y') AS principal
        FROM diagnoses WHERE kind = 'discharge'""",
    ).iloc[0]
    assert flags["n"] > 0
    assert flags["missing"] == flags["principal"] == 0


def test_the_heart_valve_programme_is_one_in_forty_of_all_stays(tmp_path: Path) -> None:
    stage(None, tmp_path, admissions=20_000, seed=5)
    share = query(
        tmp_path,
        """SELECT (SELECT count(*) FROM procedures WHERE code IN ('3521', '3522', '3523', '3524'))
        / (SELECT count(*) FROM stays) AS share""",
    )["share"][0]
    # 500 a year of 100,000 admissions in five years = 2.5 %; ± √(0.025 / 20,000) = 0.11 %, three times.
    assert share == pytest.approx(0.025, abs=0.0033)


def test_grades_of_severity_are_ramps() -> None:
    graded = severity(
        {
            "haemoglobin": np.array([13.0, 9.0]),  # 12 and above is normal; (12 − 9) / 1.5 = 2
            "sodium": np.array([137.0, 120.0]),  # (137 − 120) / 4 = 4.25, cut at 3
            "albumin": np.array([4.0, 3.2]),  # (3.7 − 3.2) / 0.5 = 1
            "creatinine": np.array([0.9, 1.6]),  # (1.6 − 1.2) / 0.8 = 0.5; above 1.5 is poor
            "potassium": np.array([4.2, 3.4]),  # (3.7 − 3.4) / 0.15 = 2
            "glucose": np.array([100.0, 172.5]),  # (172.5 − 165) / 15 = 0.5; above 145 is high
            "white_cells": np.array([8.0, 15.0]),  # above 13 is many
        }
    )
    assert graded.anaemia == pytest.approx([0, 2])
    assert graded.low_sodium == pytest.approx([0, 3])
    assert graded.low_albumin == pytest.approx([0, 1])
    assert graded.kidney == pytest.approx([0, 0.5])
    assert graded.sodium_off == pytest.approx([0, 2])  # (135.5 − 120) / 1.5 = 10.3, cut at 2
    assert graded.potassium_off == pytest.approx([0, 2])
    assert graded.glucose_off == pytest.approx([0, 0.5])
    # Haemoglobin 9 lies below 10; albumin 3.2 does not lie below 3.2.
    flags = (graded.deep_anaemia, graded.poor_kidney, graded.high_glucose, graded.many_white_cells)
    assert all(flag.tolist() == [0, 1] for flag in flags)
    assert graded.very_low_albumin.tolist() == [0, 0]


def one_patient(
    case: str, *, having: tuple[str, ...] = (), age: float = 60.0, values: dict[str, float] | None = None
) -> State:
    """A patient with normal laboratory values but for `values`, in summer, without earlier stays."""
    normal = {"haemoglobin": 14.0, "sodium": 139.0, "albumin": 4.2, "creatinine": 0.9}
    normal |= {"potassium": 4.2, "glucose": 100.0, "white_cells": 8.0}
    return State(
        case=np.array([cases().place(case)]),
        age=np.array([age]),
        has=np.isin(conditions().names, having)[None, :],
        frailty=np.zeros(1),
        severity=severity({name: np.array([value]) for name, value in (normal | (values or {})).items()}),
        stays_before=np.zeros(1),
        discharged_30d=np.zeros(1, dtype=bool),
        discharged_90d=np.zeros(1, dtype=bool),
        emergency_visits=np.zeros(1),
        is_self_pay=np.zeros(1, dtype=bool),
        winter=np.array([-1.0]),
    )


def readmission_risk(state: State, days: float = 8.0, ending: Ending = Ending.HOME) -> float:
    return float(readmission_log_odds(state, np.array([days]), np.zeros(1), np.array([ending]))[0])


@pytest.mark.parametrize(
    ("value", "low", "high"), [("potassium", 3.3, 5.2), ("sodium", 131, 146), ("glucose", 70, 200)]
)
def test_a_value_off_normal_on_either_side_raises_the_risk_of_a_return(
    value: str, low: float, high: float
) -> None:
    usual = readmission_risk(one_patient("pneumonia"))
    assert readmission_risk(one_patient("pneumonia", values={value: low})) > usual + 0.5
    assert readmission_risk(one_patient("pneumonia", values={value: high})) > usual + 0.5


def test_an_early_discharge_weighs_on_the_polymorbid() -> None:
    four = ("heart_failure", "hypertension", "coronary_disease", "stroke_history")
    added = [
        readmission_risk(one_patient("pneumonia", having=having), days=3)
        - readmission_risk(one_patient("pneumonia", having=having), days=8)
        for having in ((), four)
    ]
    assert added[1] > added[0] + 0.5


def test_leaving_against_advice_raises_the_risk_of_a_return() -> None:
    patient = one_patient("pneumonia")
    assert readmission_risk(patient, ending=Ending.AGAINST_ADVICE) > readmission_risk(patient) + 0.5


def test_the_risk_of_every_case_is_that_of_the_own_case() -> None:
    patient = one_patient("valve_surgery", age=82, values={"albumin": 2.9, "glucose": 180, "creatinine": 2})
    own = complication_log_odds(patient, patient.case)
    assert complication_log_odds_by_case(patient)[0, patient.case] == pytest.approx(own)


def test_high_glucose_weighs_on_a_complication_of_major_surgery_only() -> None:
    added = [
        complication_log_odds(one_patient(case, values={"glucose": 160}), np.array([cases().place(case)]))
        - complication_log_odds(one_patient(case), np.array([cases().place(case)]))
        for case in ("hip_replacement", "pneumonia")
    ]
    assert added[0] > 0.5
    assert added[1] == pytest.approx(0)


def test_old_age_makes_planned_major_surgery_dearer_and_an_emergency_cheaper() -> None:
    def ratio(case: str) -> float:
        old, young = (one_patient(case, age=age) for age in (85.0, 75.0))
        return float(stay_cost(old, old.case)[0] / stay_cost(young, young.case)[0])

    assert ratio("hip_replacement") > 1.2
    assert ratio("pneumonia") < 0.9


def test_survivors_leave_somewhere() -> None:
    shares = place_shares(np.array([50.0, 90.0]))
    total = np.sum(list(shares.values()), axis=0)
    # Not home at 50: 0.012 + 0.003 + 0.038 + 0.02 + 0.03; beyond 75 another 0.001 + 0.08 + 0.06 + 0.03.
    assert total == pytest.approx([0.103, 0.274])


def test_a_complicated_stay_lasts_half_as_long_again_and_two_days_at_least() -> None:
    mean, normal = np.array([10.0, 0.5]), np.array([0.0, 0.0])
    plain = stay_days(mean, normal, np.zeros(2))
    complicated = stay_days(mean, normal, np.ones(2))
    assert complicated[0] == pytest.approx(1.5 * plain[0])
    assert complicated[1] == 2


def test_cost_noise_has_mean_one_and_a_heavy_tail() -> None:
    rng = np.random.default_rng(5)
    noise = cost_noise(rng.normal(0, 1, 400_000), rng)
    assert noise.mean() == pytest.approx(1, abs=0.005)
    assert np.quantile(noise, 0.999) > 3.5


def test_men_do_not_have_their_womb_removed() -> None:
    weights = case_weights(
        cases().entry,
        np.zeros((2, 18), dtype=bool),
        np.array([50.0, 50.0]),
        np.array([True, False]),
        np.zeros(2),
    )
    place = cases().place("hysterectomy")
    assert weights[0, place] < 1e-30
    assert weights[1, place] > 0.1


def test_planted_faults_end_in_quarantine_with_the_counts_kept(tmp_path: Path) -> None:
    quality = ingest("synthetic", None, tmp_path / "out", options={"admissions": 4_000, "dirty": True})
    faults = json.loads((tmp_path / "out" / "truth" / "faults.json").read_text("utf-8"))
    planted = {(fault["table"], fault["rule"]): fault["rows"] for fault in faults.values()}
    assert {(rule.table, rule.rule): rule.n_rows for rule in quality.rules} == planted
    assert len(planted) == len(faults) == 12


def test_a_clean_group_has_nothing_to_quarantine(tmp_path: Path) -> None:
    quality = ingest("synthetic", None, tmp_path / "out", options={"admissions": 4_000})
    assert not quality.rules
    assert not quality.warnings


def test_faults_need_enough_stays(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="Ask for more admissions"):
        stage(None, tmp_path, admissions=10, dirty=True)
