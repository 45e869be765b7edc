"""Complications

A **complication** is at least one discharge diagnosis of the complication code set that was not present on
admission, in the episode. Present-on-admission N counts; U (unknown) and W (clinically undetermined) do
not. In a merged episode an N in any stay counts unless the same 3-character code was present (Y) in an
earlier stay of the episode.

Where none counts, the label is missing, not false, if a stay of the episode has no discharge diagnoses, if
a complication code lacks its flag, or if no code of the episode carries a flag: in a hospital that records
none, the rate would be zero by construction.

Ten categories have a label each, by the same rule: `procedural`, `healthcare_associated_infection`,
`venous_thromboembolism`, `pressure_injury`, `acute_kidney_injury`, `cardiac`, `respiratory`,
`adverse_drug_event`, `fall_trauma`, `other`. A code belongs to one category. An event of one category does
not make another known; a code without its flag leaves its own category unknown alone. They are labels and
never features.

What the labels rest on is one thing for the whole data set, told in its results and never mixed: the
flags; in an extract without any flag only codes that cannot be present on admission by definition
(T80–T88, ICD-9 996–999, intraoperative codes), in secondary positions; in an extract that supplies
outcomes these alone. Supplied categories make the supplied "any" where that is missing, and no
complication at all means none of each category.

Onset is undated: events before the landmark still count. The code set is written from the AHRQ Patient
Safety Indicators, the CMS Hospital-Acquired Conditions and WHO's ICD-10 (`complications_*.csv`, source per
code).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from features.build import PatientLevelData
from features.catalogue import features_at
from features.codes import COMPLICATION_CATEGORIES
from features.outcomes.complications import COMPLICATION_LABELS
from features.points import Point
from tests.hospital import built, hospital, rows, told

ONE_STAY = """
    stay_id | patient_id | admitted_at | discharged_at
    1       | 7          | 2024-01-01  | 2024-01-05
    """
TRANSFER = """
    stay_id | patient_id | hospital_id | admitted_at         | discharged_at
    A       | 7          | H1          | 2024-01-01 08:00:00 | 2024-01-03 08:00:00
    B       | 7          | H2          | 2024-01-03 09:00:00 | 2024-01-20 08:00:00
    """


def coded(*codes: str) -> str:
    """Secondary diagnoses of stay 1, given as `code flag`, after a principal one that was present."""
    lines = [f"1 | {place} | {code.replace(' ', ' | ')}" for place, code in enumerate(codes, start=2)]
    return "\n".join(["stay_id | position | code | present_on_admission", "1 | 1 | J449 | Y", *lines])


def labels(folder: Path, diagnoses: str, stays: str = ONE_STAY) -> dict[str, int | None]:
    """The labels of the first row that are not 0, without their prefix."""
    found = rows(hospital(folder, stays=stays, diagnoses=diagnoses), Point.ADMISSION).iloc[0]
    values = {name.removeprefix("label_complication").strip("_"): found[name] for name in COMPLICATION_LABELS}
    return {
        name or "any": None if pd.isna(value) else int(value)
        for name, value in values.items()
        if pd.isna(value) or value != 0
    }


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("N", {"any": 1, "acute_kidney_injury": 1}),
        ("Y", {}),
        ("U", {}),
        ("W", {}),
        # Without a flag it is not known when it arose; of other categories it says nothing.
        ("", {"any": None, "acute_kidney_injury": None}),
    ],
)
def test_a_complication_code_counts_only_if_it_was_not_present_on_admission(
    tmp_path: Path, flag: str, expected: dict[str, int | None]
) -> None:
    # N179 is acute kidney failure.
    assert labels(tmp_path, coded(f"N179 {flag}")) == expected


@pytest.mark.parametrize(
    ("code", "category"),
    [
        ("T810", "procedural"),
        ("A419", "healthcare_associated_infection"),
        ("I269", "venous_thromboembolism"),
        ("L892", "pressure_injury"),
        ("N179", "acute_kidney_injury"),
        ("I469", "cardiac"),
        ("J960", "respiratory"),
        ("L270", "adverse_drug_event"),
        ("S720", "fall_trauma"),
        ("F05", "other"),
    ],
)
def test_every_category_has_a_label_of_its_own(tmp_path: Path, code: str, category: str) -> None:
    assert labels(tmp_path, coded(f"{code} N")) == {"any": 1, category: 1}


def test_an_event_of_one_category_does_not_make_another_known(tmp_path: Path) -> None:
    # Kidney failure arose in the stay; whether the embolism did, nobody says.
    assert labels(tmp_path, coded("N179 N", "I269 ")) == {
        "any": 1,
        "acute_kidney_injury": 1,
        "venous_thromboembolism": None,
    }


def test_an_ordinary_code_without_a_flag_is_no_complication(tmp_path: Path) -> None:
    assert labels(tmp_path, coded("E119 ", "I10 N")) == {}


def test_without_discharge_diagnoses_every_label_is_missing(tmp_path: Path) -> None:
    admitting = "stay_id | kind | position | code | present_on_admission\n1 | admitting | 1 | J449 | Y"
    assert labels(tmp_path, admitting) == dict.fromkeys(("any", *COMPLICATION_CATEGORIES))


@pytest.mark.parametrize(("first", "expected"), [("Y", {}), ("N", {"any": 1, "acute_kidney_injury": 1})])
def test_in_a_merged_episode_a_code_that_was_present_earlier_is_no_new_complication(
    tmp_path: Path, first: str, expected: dict[str, int | None]
) -> None:
    diagnoses = f"""
        stay_id | position | code | present_on_admission
        A       | 1        | J449 | Y
        A       | 2        | N179 | {first}
        B       | 1        | J449 | Y
        B       | 2        | N178 | N
        """
    # N179 and N178 share the 3-character code N17.
    assert labels(tmp_path, diagnoses, TRANSFER) == expected


def test_what_was_present_in_a_later_stay_may_have_arisen_in_an_earlier_one(tmp_path: Path) -> None:
    diagnoses = """
        stay_id | position | code | present_on_admission
        A       | 1        | J449 | Y
        A       | 2        | N179 | N
        B       | 1        | N179 | Y
        """
    assert labels(tmp_path, diagnoses, TRANSFER) == {"any": 1, "acute_kidney_injury": 1}


def test_an_episode_with_a_stay_that_is_not_coded_is_not_free_of_complications(tmp_path: Path) -> None:
    first = "stay_id | position | code | present_on_admission\nA | 1 | J449 | Y\n"
    unknown = dict.fromkeys(("any", *COMPLICATION_CATEGORIES))
    assert labels(tmp_path / "half", first, TRANSFER) == unknown
    assert labels(tmp_path / "whole", first + "B | 1 | J449 | Y", TRANSFER) == {}
    found = labels(tmp_path / "found", first + "A | 2 | N179 | N", TRANSFER)
    assert found == unknown | {"any": 1, "acute_kidney_injury": 1}


def test_a_stay_without_any_flag_does_not_say_no(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at | discharged_at
        1       | A          | H1          | 2024-01-01  | 2024-01-05
        2       | B          | H2          | 2024-01-01  | 2024-01-05
        """,
        diagnoses="stay_id | position | code | present_on_admission\n1 | 1 | J449 | Y\n2 | 1 | J449 |",
    )
    # H2 records no flags. Of its patients a complication could never count; none of them counts as free.
    found = rows(extract, Point.ADMISSION)
    for label in COMPLICATION_LABELS:
        assert told(found, label) == {"1": 0, "2": None}


@pytest.mark.parametrize(
    ("position", "code", "expected"),
    [
        (2, "T810", {"any": 1, "procedural": 1}),
        (2, "N179", {}),
        (1, "T810", {}),  # it occasioned the admission, so it was present
    ],
)
def test_an_extract_without_flags_counts_only_codes_that_cannot_be_present_on_admission(
    tmp_path: Path, position: int, code: str, expected: dict[str, int | None]
) -> None:
    other = 3 - position
    diagnoses = f"stay_id | position | code\n1 | {position} | {code}\n1 | {other} | J449"
    assert labels(tmp_path, diagnoses) == expected
    assert _built(tmp_path / "basis", diagnoses=diagnoses).complication_by == "impossible_codes"


def _built(folder: Path, **tables: str) -> PatientLevelData:
    return built(hospital(folder, stays=ONE_STAY, **tables), Point.ADMISSION)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("complication\n1 | true", {"any": 1} | dict.fromkeys(COMPLICATION_CATEGORIES)),
        ("complication\n1 | false", {}),
        (
            "complication_cardiac\n1 | true",
            {"any": 1, "cardiac": 1}
            | dict.fromkeys(name for name in COMPLICATION_CATEGORIES if name != "cardiac"),
        ),
        # Of the nine others nothing is known, so nothing is known of any.
        (
            "complication_cardiac\n1 | false",
            {"any": None} | dict.fromkeys(name for name in COMPLICATION_CATEGORIES if name != "cardiac"),
        ),
    ],
)
def test_an_extract_that_supplies_the_outcome_uses_that_alone(
    tmp_path: Path, given: str, expected: dict[str, int | None]
) -> None:
    # The codes would say kidney failure.
    tables = {"outcomes": f"stay_id | {given}", "diagnoses": coded("N179 N")}
    made = _built(tmp_path, **tables)
    assert made.complication_by == "given"
    found = made.read().iloc[0]
    for name in ("any", *COMPLICATION_CATEGORIES):
        value = found["label_complication" if name == "any" else f"label_complication_{name}"]
        assert (None if pd.isna(value) else value) == expected.get(name, 0), name


def test_complications_are_labels_and_never_features(tmp_path: Path) -> None:
    quiet = _built(tmp_path / "none", diagnoses=coded("N179 Y")).read()
    event = _built(tmp_path / "event", diagnoses=coded("N179 N")).read()
    names = [feature.name for feature in features_at(Point.ADMISSION)]
    assert not [name for name in names if name.startswith("label_")]
    pd.testing.assert_frame_equal(quiet[names], event[names])
