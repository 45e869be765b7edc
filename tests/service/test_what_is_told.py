"""What an answer tells of records that a model cannot use, and of what there was none."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from features.catalogue import CATALOGUE
from serving.predictions.documents import EXAMPLE_REQUEST
from tests.service.test_api import client_of, promote

OF_VISITS = {name for name, feature in CATALOGUE.items() if "visits" in feature.tables}
POTASSIUM = {"patient_id": "P7", "taken_at": "2026-01-07T12:00:00", "code": "2823-3", "unit": "mmol/L"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A server whose only model learned from all features but those of visits."""
    folder = tmp_path_factory.mktemp("served") / "champions"
    promote(folder, "readmission", without=OF_VISITS)
    with client_of(folder) as client:
        yield client


@pytest.fixture
def admission() -> dict[str, Any]:
    content = copy.deepcopy(EXAMPLE_REQUEST) | {"history_from": "2021-01-01"}
    content["records"] |= {name: [] for name in ("procedures", "charges", "observations", "medications")}
    # No earlier stay.
    content["records"]["stays"] = content["records"]["stays"][:1]
    return content


Told = tuple[list[str], dict[str, dict[str, Any]]]


def told(client: TestClient, content: dict[str, Any], language: str = "en") -> Told:
    """The warnings but for those of the small model's few levels, and the reasons by feature."""
    answer = client.post(f"/v1/predictions?explain=full&language={language}", json=content)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    warnings = [text for text in document["warnings"] if "a level that the model does not know" not in text]
    return warnings, {each["feature"]: each for each in document["predictions"][0]["reasons"]}


def test_only_tables_that_an_answering_model_learned_from_are_missed(client, admission):
    assert told(client, admission)[0] == []
    del admission["records"]["charges"]
    assert told(client, admission)[0] == ["charges not sent: unknown, its features are missing"]


def test_an_empty_list_reads_as_none_and_not_as_unknown(client, admission):
    expected = {
        "charges_so_far": ("Charges so far: none (", "截至目前费用：无（"),
        "days_since_last_discharge": (
            "Days since the last discharge: none in the last year (",
            "距上次出院天数：近一年无（",
        ),
        "planned_procedure_group": ("Planned procedure: none (", "计划的手术或操作：无（"),
        "potassium_first_day": ("Potassium, first day: no result (", "血钾，入院首日：无结果（"),
    }
    _, english = told(client, admission)
    _, chinese = told(client, admission, "zh")
    for name, (in_english, in_chinese) in expected.items():
        assert english[name]["missing"] == chinese[name]["missing"] == "none"
        assert english[name]["sentence"].startswith(in_english)
        assert chinese[name]["sentence"].startswith(in_chinese)


def test_a_history_of_half_a_year_does_not_tell_of_a_year_without_a_stay(client, admission):
    _, reasons = told(client, admission | {"history_from": "2025-07-01"})
    assert reasons["days_since_last_discharge"]["missing"] == "not_known"
    # What the stay itself brought does not rest on the history.
    assert reasons["charges_so_far"]["missing"] == "none"


@pytest.mark.parametrize(
    ("row", "warning"),
    [
        # 5.6 with a misplaced decimal; nobody lives with 56 mmol/L.
        ({"value": 56}, "observations: 1 row outside the plausible range of their test: not used"),
        ({"value": 5.6, "code": "HAUS-K"}, "observations: 1 row with a code that no feature reads: not used"),
        ({"value": 5.6, "unit": "drops"}, "1 values are in a unit that is not known and are not used"),
    ],
)
def test_a_value_that_is_not_used_is_warned_of_and_not_told_as_never_measured(
    client, admission, row, warning
):
    admission["records"]["observations"] = [POTASSIUM | row]
    warnings, reasons = told(client, admission)
    assert warnings == [warning]
    assert reasons["potassium_first_day"]["missing"] == "not_known"
    assert reasons["potassium_first_day"]["sentence"].startswith("Potassium, first day: not recorded (")
