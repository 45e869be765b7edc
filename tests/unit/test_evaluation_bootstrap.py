"""Intervals over resampled patients."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from evaluation.arrays import FloatArray, Measure, Measures, Vector
from evaluation.bootstrap import Metric, Resampling, resamples, sample
from evaluation.discrimination import ranking_measures
from evaluation.patients import Patients, Times


def mean_of(values: FloatArray, patients: Vector) -> tuple[Measure, int]:
    whose = Patients.of(patients, len(values))

    def measure(times: Times) -> Measures:
        weights = times[:, whose.of_row].astype(float)
        return {"mean": weights @ values / weights.sum(axis=1)}

    return measure, whose.count


def ranking_of(label: FloatArray, score: FloatArray, patients: Vector) -> tuple[Measure, int]:
    whose = Patients.of(patients, len(label))
    return ranking_measures(label, score, whose), whose.count


def intervals(
    measured: tuple[Measure, int], resampling: Resampling, undefined: dict[str, str] | None = None
) -> dict[str, Metric]:
    return sample(*measured, resampling, undefined=undefined or {}).metrics()


def drawn(n_patients: int, replicates: int, seed: int = 1) -> Times:
    return np.concatenate(list(resamples(n_patients, Resampling(seed, replicates))))


def test_a_patient_is_drawn_with_all_rows_or_not_at_all() -> None:
    whose = Patients.of(["b", "c", "b", "a", "c"], 5)
    assert (whose.of_row.tolist(), whose.count) == ([1, 2, 1, 0, 2], 3)
    # Patient a not drawn, b once, c three times: values 1 and 4 of b once, 2 and 16 of c three times.
    times = np.array([[0, 1, 3]], np.uint8)
    assert whose.totals({"sum": np.array([1.0, 2, 4, 8, 16])})(times)["sum"].tolist() == [5 + 3 * 18]
    assert whose.running(np.arange(5))(times).tolist() == [[0, 1, 4, 5, 5, 8]]


def test_a_resample_draws_as_many_patients_as_there_are() -> None:
    weights = drawn(4, 200)
    assert (weights.sum(axis=1) == 4).all()
    # Each patient is drawn once on average; 200 draws have a standard error of √(0.75/200) = 0.06.
    assert weights.mean(axis=0) == pytest.approx([1, 1, 1, 1], abs=0.25)


def test_the_seed_alone_decides_the_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    first = drawn(7, 40)
    assert (first == drawn(7, 40)).all()
    assert (first != drawn(7, 40, seed=2)).any()
    monkeypatch.setattr("evaluation.bootstrap.CELLS_PER_CHUNK", 21)
    assert (first == drawn(7, 40)).all()


def test_the_interval_of_a_mean_is_that_of_its_standard_error() -> None:
    values = np.random.default_rng(1).normal(size=1000)
    found = intervals(mean_of(values, range(1000)), Resampling(1, 2000))["mean"]
    # 1.96 standard errors of 1/√1000 to each side: a width of 0.124.
    assert found["low"] is not None
    assert found["high"] is not None
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * values.std() / np.sqrt(1000), rel=0.06)


def test_ten_equal_rows_of_a_patient_say_no_more_than_one() -> None:
    values = np.random.default_rng(1).normal(size=100)
    patients = np.arange(100)
    once = intervals(mean_of(values, patients), Resampling(1, 300))
    ten_times = intervals(mean_of(np.repeat(values, 10), np.repeat(patients, 10)), Resampling(1, 300))
    assert ten_times["mean"]["low"] == pytest.approx(once["mean"]["low"])
    assert ten_times["mean"]["high"] == pytest.approx(once["mean"]["high"])


def test_a_value_that_does_not_exist_is_none_with_the_reason() -> None:
    measured = ranking_of(np.zeros(3), np.arange(3.0), [1, 2, 3])
    found = intervals(measured, Resampling(1, 5), undefined={"auroc": "no events"})
    assert found["auroc"] == {"value": None, "low": None, "high": None, "reason": "undefined: no events"}
    assert found["prevalence"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_a_value_that_most_resamples_cannot_repeat_has_no_interval() -> None:
    # One event of one patient: without that patient, 37 % of the resamples, there is no AUROC.
    measured = ranking_of(np.array([1.0, 0, 0, 0]), np.arange(4.0), [1, 2, 3, 4])
    found = intervals(measured, Resampling(1, 100))["auroc"]
    assert found["value"] == 0.0
    assert found["low"] is None
    assert found["reason"].startswith("no interval: undefined in")


def test_one_patient_has_no_interval() -> None:
    found = intervals(mean_of(np.arange(3.0), ["a"] * 3), Resampling(1, 5))["mean"]
    assert found == {"value": 1.0, "low": None, "high": None, "reason": "no interval: fewer than 2 patients"}


def test_a_difference_is_surer_than_its_parts() -> None:
    values = np.random.default_rng(1).normal(size=200)
    shifted = values + 0.1
    higher, lower = (
        sample(*mean_of(each, range(200)), Resampling(1, 100), undefined={}) for each in (shifted, values)
    )
    found = higher.minus(lower).metric("mean")
    assert lower.metric("mean")["high"] - lower.metric("mean")["low"] > 0.1  # type: ignore[operator]
    # The same rows, each 0.1 higher: the difference is 0.1 in every resample.
    assert found["low"] == pytest.approx(0.1)
    assert found["high"] == pytest.approx(0.1)


def test_missing_patients_and_no_replicates_are_refused() -> None:
    with pytest.raises(ValueError, match="patient_id: 1 of 3 values are missing"):
        Patients.of(["a", None, "b"], 3)
    with pytest.raises(ValueError, match="patient_id: 2 values for 3 rows"):
        Patients.of(["a", "b"], 3)
    with pytest.raises(ValueError, match="replicates"):
        Resampling(1, 0)


def covered_share(repeats: int, replicates: int) -> float:
    """How often the interval holds the true AUROC: 150 patients of two rows, alike within a patient."""
    separation = 1.0
    truth = NormalDist().cdf(separation / np.sqrt(2))
    n_covered = 0
    for repeat in range(repeats):
        random = np.random.default_rng(repeat)
        label = (np.arange(300) % 5 == 0).astype(float)
        patient = random.permutation(300) // 2
        shared = random.normal(size=150)[patient]
        score = separation * label + np.sqrt(0.5) * shared + np.sqrt(0.5) * random.normal(size=300)
        found = intervals(ranking_of(label, score, patient), Resampling(repeat, replicates))["auroc"]
        assert found["low"] is not None
        assert found["high"] is not None
        n_covered += found["low"] <= truth <= found["high"]
    return n_covered / repeats


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    # 95 % of 200 has a standard error of 1.5 %; percentile intervals of small samples fall a little short.
    assert 0.89 <= covered_share(repeats=200, replicates=200) <= 0.99


@pytest.mark.prove
def test_the_interval_holds_the_truth_about_as_often_as_it_says_over_many_samples() -> None:
    assert 0.93 <= covered_share(repeats=2000, replicates=500) <= 0.97
