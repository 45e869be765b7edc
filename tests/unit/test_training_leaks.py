"""What gives a leak away, on tables whose numbers can be counted by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.feature import Feature, FeatureType
from features.points import Point
from tests.admission_rows import FACT, FEATURES, admissions, data_set
from training.leaks import Leak, find_leaks
from training.leaks.order import gained
from training.leaks.scores import Outcome, Sample, binned, mean_of_others
from training.targets import TARGETS
from training.train import Effort, train_model
from wardcast.reports import show_leaks

N_ROWS = 2000
RISK, DAYS = TARGETS["complication"], TARGETS["stay_days"]


def supplied(name: str, type: FeatureType = "number") -> Feature:
    return replace(FACT, name=name, label=name.capitalize(), type=type)


def of_the_product(name: str, type: FeatureType = "number") -> Feature:
    return replace(supplied(name, type), is_fact=False, tables=("stays",))


def table(n: int = N_ROWS, **columns: Any) -> pd.DataFrame:
    """Rows of as many patients, every second one with a complication; a feature that tells nothing."""
    random = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "patient_id": [f"P{row}" for row in range(n)],
            "prediction_time": pd.NaT,
            "label_complication": np.arange(n) % 2 * 1.0,
            "noise": random.normal(size=n),
        }
    )
    return frame.assign(**columns)


def agreeing(share: float, n: int = N_ROWS, seed: int = 0) -> np.ndarray:
    """A flag that is as the outcome in exactly this share of the rows with it, and of those without."""
    flag = np.arange(n) % 2 * 1.0
    random = np.random.default_rng(seed)
    for rows in (np.arange(0, n, 2), np.arange(1, n, 2)):
        other = random.choice(rows, round((1 - share) * len(rows)), replace=False)
        flag[other] = 1 - flag[other]
    return flag


def leaks(frame: pd.DataFrame, *features: Feature, point: Point = Point.ADMISSION) -> tuple[Leak, ...]:
    return find_leaks(frame, RISK, (*features, of_the_product("noise")), point, has_calendar=False)


def named(found: tuple[Leak, ...]) -> set[tuple[str, str]]:
    return {(leak.feature, leak.check) for leak in found}


# Scores


def test_a_row_is_judged_by_the_rows_of_other_patients_alone() -> None:
    outcome = np.array([1.0, 0.0, 1.0, 1.0])
    place, fold = np.array([0, 0, 0, 1]), np.array([0, 1, 1, 2])
    expected = mean_of_others(outcome, place, fold)
    # Of the first row's place the other folds hold 0 and 1, of all places 0, 1 and 1: (1 + 20 * 2/3) / 22.
    assert expected[0] == pytest.approx((1 + 20 * 2 / 3) / 22)
    # No other fold has the last row's place: the mean of the others, 2/3.
    assert expected[3] == pytest.approx(2 / 3)


def test_missing_is_a_place_of_its_own_and_numbers_fall_in_bins_of_equal_size() -> None:
    places = binned(np.array([np.nan, *range(100)]), is_category=False)
    assert set(places[1:]) == set(range(places[0]))
    # 100 numbers between 21 edges; the first edge is the smallest number itself.
    assert np.bincount(places[1:]).max() <= 6
    # Three levels, and what is missing comes after them.
    assert binned(np.array([2.0, 0.0, np.nan, 1.0]), is_category=True).tolist() == [2, 0, 3, 1]


def test_what_is_told_of_a_risk_and_of_an_amount() -> None:
    # Of the four pairs three are ranked rightly.
    risk = Outcome("risk", np.array([0.0, 0.0, 1.0, 1.0]))
    assert risk.told_by(np.array([0.1, 0.4, 0.35, 0.8])) == pytest.approx(0.75)
    # Squared errors 1 + 0 + 1 of 4 + 0 + 4.
    amount = Outcome("amount", np.array([0.0, 2.0, 4.0]))
    assert amount.told_by(np.array([1.0, 2.0, 3.0])) == pytest.approx(0.75)
    assert Outcome("risk", np.zeros(3)).told_by(np.arange(3.0)) == 0.5


# Alone


def test_a_supplied_feature_that_alone_tells_the_outcome_is_named() -> None:
    found = leaks(table(score=agreeing(0.9)), supplied("score"))
    assert named(found) == {("score", "alone")}
    # Right in 90 % of the rows with and of those without the outcome: AUROC (0.9 + 0.9) / 2.
    assert found[0].value == pytest.approx(0.9, abs=0.002)
    assert found[0].limit == 0.75  # noise together reaches nothing
    assert "Score alone ranks 90% of the pairs" in found[0].text
    assert "after the point admission" in found[0].text


def test_one_that_tells_as_much_as_honest_inputs_do_is_not_named() -> None:
    assert leaks(table(score=agreeing(0.72)), supplied("score")) == ()


def test_one_that_the_others_together_tell_as_well_is_not_named() -> None:
    # Each of five independent flags is right in 75 %, most of them in 90 %: more than 80 % alone.
    flags: dict[str, Any] = {f"flag_{seed}": agreeing(0.75, seed=seed) for seed in range(1, 6)}
    others = [of_the_product(name, "flag") for name in flags]
    frame = table(score=agreeing(0.8), **flags)
    assert leaks(frame, supplied("score"), *others) == ()
    assert named(leaks(frame, supplied("score"))) == {("score", "alone")}


def test_two_leaks_do_not_vouch_for_each_other() -> None:
    frame = table(score=agreeing(0.85), result=agreeing(0.85, seed=1))
    found = leaks(frame, supplied("score"), supplied("result"))
    assert named(found) == {("score", "alone"), ("result", "alone")}
    # Nor do two numbers that say the same.
    twins = table(charges=agreeing(0.85), charges_per_day=agreeing(0.85) / 3)
    found = leaks(twins, of_the_product("charges"), of_the_product("charges_per_day"))
    assert named(found) == {("charges", "alone"), ("charges_per_day", "alone")}
    assert found[0].limit == 0.8


def test_what_the_product_builds_may_tell_more_and_its_tables_are_named() -> None:
    assert leaks(table(charges=agreeing(0.78)), of_the_product("charges")) == ()
    found = leaks(table(charges=agreeing(0.9)), of_the_product("charges"))
    assert named(found) == {("charges", "alone")}
    assert "the dates in stays" in found[0].text


def test_an_amount_that_one_category_all_but_tells_is_named() -> None:
    group = np.arange(N_ROWS) % 4
    days = np.expm1(group + np.where(np.arange(N_ROWS) % 8 < 4, -0.25, 0.25))
    frame = table(label_stay_days=days, group=[f"level {number}" for number in group])
    features = (supplied("group", "category"), of_the_product("noise"))
    found = find_leaks(frame, DAYS, features, Point.ADMISSION, has_calendar=False)
    # Logarithms 0, 1, 2, 3 vary by 1.25 between the groups and by 0.25² = 0.0625 within: R² 1.25 / 1.3125.
    assert named(found) == {("group", "alone"), ("group", "after_outcome")}
    assert [leak.value for leak in found] == 2 * [pytest.approx(1.25 / 1.3125, abs=0.01)]
    assert {leak.limit for leak in found} == {0.4, 0.9}


# Gaps


def gaps(with_outcome: float, without: float) -> np.ndarray:
    """A number that tells nothing, missing in these shares of the rows with and without the outcome."""
    values = np.random.default_rng(3).normal(size=N_ROWS)
    for first, share in ((1, with_outcome), (0, without)):
        rows = np.arange(first, N_ROWS, 2)
        values[rows[: round(share * len(rows))]] = np.nan
    return values


def test_a_value_whose_absence_tells_the_outcome_is_named() -> None:
    found = leaks(table(day_3=gaps(0.7, 0.3)), supplied("day_3"))
    assert named(found) == {("day_3", "missingness")}
    # Missing in 70 % with and 30 % without the outcome: AUROC 0.7 * 0.7 + (0.7 * 0.3 + 0.3 * 0.7) / 2 = 0.7.
    assert (found[0].value, found[0].limit) == (0.7, 0.6)
    # Half of the rows have the outcome, so of those without a value 0.7 / (0.7 + 0.3), of the others 30 %.
    assert "missing in 50% of the rows" in found[0].text
    assert "in 70% of the rows without it and in 30% of the others" in found[0].text


def test_gaps_that_tell_little_are_not_named() -> None:
    # AUROC 0.55 * 0.55 + 0.55 * 0.45 = 0.55.
    assert leaks(table(day_3=gaps(0.55, 0.45)), supplied("day_3")) == ()


def test_gaps_of_few_rows_are_not_told_of() -> None:
    # All 40 rows with the outcome lack the value, and nobody else does.
    frame = table(400, day_3=np.arange(400.0), label_complication=(np.arange(400) < 40) * 1.0)
    frame.loc[frame["label_complication"] == 1, "day_3"] = np.nan
    assert "missingness" not in {leak.check for leak in leaks(frame, supplied("day_3"))}


def test_gaps_of_a_built_feature_have_a_meaning_and_may_tell_what_others_tell_too() -> None:
    # The others together reach 0.75 or more; half of that, in distance from 0.5, is passed by 0.65.
    frame = table(last_stay=gaps(0.65, 0.35), known=agreeing(0.75))
    features = of_the_product("last_stay"), of_the_product("known", "flag")
    assert leaks(frame, *features) == ()
    # A supplied value has no such meaning.
    assert named(leaks(frame, supplied("last_stay"), features[1])) == {("last_stay", "missingness")}


# Known later


def test_a_feature_that_is_known_later_than_the_point_is_named() -> None:
    late = replace(supplied("noise"), available_from=Point.DISCHARGE)
    found = find_leaks(table(), RISK, (late,), Point.ADMISSION, has_calendar=False)
    assert named(found) == {("noise", "after_outcome")}
    assert "declared to be known from discharge on, after the point admission" in found[0].text


def test_a_supplied_number_that_often_is_the_length_of_the_stay_is_named() -> None:
    random = np.random.default_rng(5)
    days = random.permutation(np.arange(N_ROWS) % 10 + 1)
    # In 60 % of the rows the day of an order that was never written, which is the last one.
    order_day = days.copy()
    for day in range(1, 11):
        rows = np.flatnonzero(days == day)
        order_day[rows[: 4 * len(rows) // 10]] = day % 10 + 1
    frame = table(label_stay_days=days * 1.0, order_day=order_day * 1.0)
    found = leaks(frame, supplied("order_day", "integer"))
    assert named(found) == {("order_day", "after_outcome")}
    # Both are 1 … 10 equally often: equal by chance in 10 %, so kappa is (0.6 - 0.1) / 0.9.
    assert found[0].value == pytest.approx(0.5 / 0.9, abs=0.001)
    assert found[0].limit == 0.25
    assert "equals the length of the stay in 60% of the 2,000 rows" in found[0].text
    # The stay is over at discharge: its length is known.
    assert leaks(frame, supplied("order_day", "integer"), point=Point.DISCHARGE) == ()
    # What is counted up to a date by the product may honestly agree.
    assert leaks(frame, of_the_product("order_day", "integer")) == ()


def test_a_number_that_agrees_by_chance_alone_is_not_named() -> None:
    random = np.random.default_rng(5)
    days, age = random.integers(1, 4, N_ROWS) * 1.0, random.integers(1, 4, N_ROWS) * 1.0
    assert leaks(table(label_stay_days=days, age=age), supplied("age", "integer")) == ()


def test_whatever_settles_how_the_stay_ends_is_named() -> None:
    random = np.random.default_rng(5)
    days, died = random.integers(1, 11, N_ROWS) * 1.0, (random.random(N_ROWS) < 0.1) * 1.0
    frame = table(label_stay_days=days, row_died_in_hospital=died, meals=3 * days, autopsy=died)
    # Ten lengths of stay, each in a bin of its own; drawn a little towards their mean.
    found = leaks(frame, of_the_product("meals"), supplied("autopsy", "flag"))
    assert named(found) == {("meals", "after_outcome"), ("autopsy", "after_outcome")}
    texts = " ".join(leak.text for leak in found)
    assert "Meals all but determines the length of the stay (R² 0.99)" in texts
    assert "Autopsy all but determines death in hospital (AUROC 1.00)" in texts


# Order


def test_a_gain_comes_with_its_standard_error() -> None:
    risk = Outcome("risk", np.array([1.0, 1.0, 0.0, 0.0]))
    gain, error = gained(risk, np.array([4.0, 3.0, 2.0, 1.0]), np.array([4.0, 1.0, 3.0, 2.0]))
    # From 2 of 4 pairs to all. The events are ranked rightly against 0 and 1 more of the others, a variance
    # of 1/4 over 2; each of the others against half of the events more, which does not vary.
    assert gain == pytest.approx(0.5)
    assert error == pytest.approx(np.sqrt(0.25 / 2))
    amount = Outcome("amount", np.array([0.0, 2.0]))
    # Squared errors of 1 and 1, of a variance of 1, fall to 0: by the same in both rows.
    np.testing.assert_allclose(gained(amount, amount.value, np.ones(2)), (1, 0))


def dated(**columns: Any) -> pd.DataFrame:
    return table(
        prediction_time=pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(N_ROWS), "h"), **columns
    )


def test_a_number_that_tells_the_outcome_by_its_time_makes_shuffling_gain() -> None:
    # 16 batches in the order of time; all rows of a batch have the same outcome.
    batch = np.arange(N_ROWS) // 125
    frame = dated(batch=batch * 1.0, label_complication=np.isin(batch % 4, (1, 2)) * 1.0)
    features = (of_the_product("batch", "integer"), of_the_product("noise"))
    found = find_leaks(frame, RISK, features, Point.ADMISSION, has_calendar=True)
    assert ("prediction_time", "shuffled_time") in named(found)
    # Of a batch that was seen all is known, AUROC 1; of the four later ones nothing, 0.5.
    assert found[-1].value == pytest.approx(0.5, abs=0.05)
    assert found[-1].limit == 0.04
    assert find_leaks(frame, RISK, features[1:], Point.ADMISSION, has_calendar=True) == ()


def test_in_a_steady_world_shuffling_gains_nothing() -> None:
    frame = dated(score=agreeing(0.7))
    features = (supplied("score"), of_the_product("noise"))
    assert find_leaks(frame, RISK, features, Point.ADMISSION, has_calendar=True) == ()


def test_a_file_that_is_sorted_by_the_outcome_is_named() -> None:
    frame = table().sort_values("label_complication", kind="stable")
    found = leaks(frame)
    assert named(found) == {("row_order", "shuffled_time")}
    # The first half has no outcome, the second has it.
    assert found[0].value == pytest.approx(1, abs=0.01)
    assert found[0].limit == 0.6
    assert leaks(table()) == ()


# As a whole


def test_noise_is_never_named() -> None:
    random = np.random.default_rng(9)
    names = [f"noise_{place}" for place in range(60)]
    values = random.normal(size=(600, 60))
    values[random.random((600, 60)) < 0.3] = np.nan
    frame = table(600).assign(**dict(zip(names, values.T, strict=True)))
    assert leaks(frame, *map(supplied, names)) == ()


def test_the_same_rows_give_the_same_leaks() -> None:
    batch = np.arange(N_ROWS) // 125
    frame = dated(batch=batch * 1.0, label_complication=np.isin(batch % 4, (1, 2)) * 1.0, day_3=agreeing(0.9))
    features = (supplied("batch"), supplied("day_3"))
    first, second = (
        find_leaks(frame, RISK, features, Point.ADMISSION, has_calendar=True, seed=4) for _ in range(2)
    )
    assert {leak.check for leak in first} == {"alone", "shuffled_time"}
    assert first == second


def test_many_rows_are_judged_by_some_of_them_drawn_by_patient() -> None:
    frame = table(60_000, patient_id=np.repeat([f"P{patient}" for patient in range(30_000)], 2))
    sample = Sample.of(frame, RISK, (of_the_product("noise"),), seed=0)
    assert 18_000 < len(sample.rows) < 22_000
    # Both rows of a patient are drawn, or none.
    assert (frame["patient_id"].iloc[sample.rows].value_counts() == 2).all()


def test_no_text_holds_a_value_or_an_identifier_of_a_patient() -> None:
    secret = np.where(np.arange(N_ROWS) % 2 == 1, 98_765.25, 43_210.75)
    frame = table(
        score=secret,
        ward=np.where(secret > 50_000, "MARKER-A", "MARKER-B"),
        label_stay_days=secret,
        row_died_in_hospital=(secret > 50_000) * 1.0,
    )
    frame["patient_id"] = "MARKER" + frame["patient_id"]
    found = leaks(frame, supplied("score"), supplied("ward", "category"))
    assert {leak.check for leak in found} == {"alone", "after_outcome"}
    texts = json.dumps([leak.document() for leak in found])
    assert not [text for text in ("MARKER", "98765", "98,765", "43210", "43,210") if text in texts]


def test_training_tells_its_leaks_and_the_terminal_shows_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = admissions(4000, stays_per_patient=1)
    honest = train_model(data_set(tmp_path, rows), "readmission", threads=1, effort=Effort(20)).results
    assert honest["leaks"] == []
    told = rows.assign(ward_score=rows["label_readmission"])
    results = train_model(data_set(tmp_path, told), "readmission", threads=1, effort=Effort(20)).results
    assert [(leak["feature"], leak["check"]) for leak in results["leaks"]] == [("ward_score", "alone")]
    assert set(results["leaks"][0]) == {"feature", "check", "text", "value", "limit"}
    capsys.readouterr()
    show_leaks([results])
    printed = " ".join(capsys.readouterr().out.split())
    assert "Warning: readmission-admission: ward_score (alone): Ward score alone ranks 100%" in printed


def test_honest_rows_give_no_warning_for_a_cost(tmp_path: Path) -> None:
    rows = admissions(4000)
    found = find_leaks(rows, TARGETS["cost"], FEATURES, Point.ADMISSION, has_calendar=True)
    assert found == ()
