"""Rows become the model's matrix: by name, by the model's own levels, and never in silence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.columns import Columns
from models.encoding import EncodingError, FeatureSpec, booster_names, encode, encode_rows

AGE = FeatureSpec("age_years", "Age", "integer", "years", "admission", False)
SEX = FeatureSpec("sex", "Sex", "category", "", "admission", False, ("female", "male"))
SCORE = FeatureSpec("ward_score", "Ward score", "number", "points", "admission", True)


def test_a_category_becomes_the_place_of_its_level_and_missing_stays_missing() -> None:
    frame = pd.DataFrame({"sex": ["male", None, "female"], "age_years": [70, 81, 33]})
    matrix, warnings = encode(frame, [AGE, SEX])
    np.testing.assert_array_equal(matrix, [[70, 1], [81, np.nan], [33, 0]])
    assert warnings == []


def test_an_unseen_level_is_missing_with_a_warning_that_counts_but_does_not_quote() -> None:
    frame = pd.DataFrame({"sex": ["male", "planet", "planet"], "age_years": [70, 81, 33]})
    matrix, warnings = encode(frame, [AGE, SEX])
    assert np.isnan(matrix[1:, 1]).all()
    assert warnings == ["sex: a level that the model does not know; treated as missing in 2 of 3 rows"]


def test_a_warning_knows_its_rows() -> None:
    frame = pd.DataFrame({"sex": ["male", "planet"], "age_years": [70, 81]})
    _, oddities = encode_rows(frame, [AGE, SEX])
    assert [(oddity.feature, oddity.is_odd.tolist()) for oddity in oddities] == [("sex", [False, True])]


def test_the_order_of_columns_comes_from_the_model() -> None:
    frame = pd.DataFrame({"age_years": [70], "noise": [9], "sex": ["male"]})
    same, _ = encode(frame[["sex", "noise", "age_years"]], [AGE, SEX])
    np.testing.assert_array_equal(same, encode(frame, [AGE, SEX])[0])


def test_categories_of_another_order_in_the_request_do_not_move_the_code() -> None:
    # A pandas category numbers its own levels: "male" is 0 here, and 1 for the model.
    frame = pd.DataFrame({"sex": pd.Categorical(["male"]), "age_years": [70]})
    assert encode(frame, [SEX])[0].tolist() == [[1.0]]


def test_a_missing_column_of_the_catalogue_stops_and_a_missing_fact_is_missing() -> None:
    frame = pd.DataFrame({"age_years": [70, 71]})
    with pytest.raises(EncodingError, match=r"1 of the model's 2 columns are absent \(sex\)"):
        encode(frame, [AGE, SEX])
    matrix, warnings = encode(frame, [AGE, SCORE])
    assert np.isnan(matrix[:, 1]).all()
    assert warnings == ["ward_score: not supplied; treated as missing in 2 of 2 rows"]


def test_text_in_a_number_is_missing_and_not_quoted() -> None:
    frame = pd.DataFrame({"age_years": ["70", "secret", None]})
    matrix, warnings = encode(frame, [AGE])
    np.testing.assert_array_equal(matrix[:, 0], [70, np.nan, np.nan])
    assert warnings == ["age_years: not a number; treated as missing in 1 of 3 rows"]


@pytest.mark.parametrize("dtype", ["Int64", "float64", "boolean", "object", "float32"])
def test_a_number_may_come_in_any_type(dtype: str) -> None:
    frame = pd.DataFrame({"age_years": pd.Series([1, None, 0], dtype="Int64").astype("object")})
    if dtype == "boolean":
        frame["age_years"] = pd.Series([True, None, False], dtype="boolean")
    elif dtype != "object":
        frame["age_years"] = pd.Series([1, None, 0], dtype="Int64").astype(dtype)
    np.testing.assert_array_equal(encode(frame, [AGE])[0][:, 0], [1, np.nan, 0])


def test_no_rows_give_an_empty_matrix_without_warnings() -> None:
    matrix, warnings = encode(pd.DataFrame({"age_years": []}), [AGE, SCORE])
    assert matrix.shape == (0, 2)
    assert warnings == []


def test_rows_beyond_one_part_are_encoded_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"age_years": np.arange(7.0), "sex": ["male", "female"] * 3 + [None]})
    whole, _ = encode(frame, [AGE, SEX])
    monkeypatch.setattr("models.columns.PART_ROWS", 3)
    np.testing.assert_array_equal(encode(frame, [AGE, SEX])[0], whole)


def test_names_that_the_boosters_text_cannot_carry_are_replaced_by_their_place() -> None:
    odd = FeatureSpec('a "b" c', "Odd", "number", "", "admission", True)
    assert booster_names([AGE, odd]) == ["age_years", "feature_1"]


def test_columns_of_a_request_are_as_those_of_its_table() -> None:
    """Two admissions; of the second neither age nor ward are known, of both not the payer."""
    arrays = {
        "age_years": np.array([71.0, np.nan]),
        "department": ["surgery", None],
        "payer": [None, None],
    }
    columns, of_table = Columns.of_arrays(arrays, 2), Columns.of(pd.DataFrame(arrays))
    assert columns.n_missing() == of_table.n_missing() == {"age_years": 1, "department": 1, "payer": 2}
    # A column without any value may be one of numbers.
    assert dict(columns.place) == dict(of_table.place) == {"age_years": 0, "payer": 1}
    np.testing.assert_array_equal(columns.numbers, [[71.0, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(columns.numbers, of_table.numbers)
    assert columns.words.keys() == of_table.words.keys() == {"department", "payer"}
    assert columns.words["department"].isna().tolist() == [False, True]
