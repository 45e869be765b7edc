"""CDS Hooks: prefetched records, what is left out of them, and what is missing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serving.cds_hooks.examples import EXAMPLE_REQUEST
from tests.cds_service import (
    BEFORE,
    OPEN_STAY,
    SECRET,
    Service,
    issue,
)
from tests.fhir_records import PATIENT, Resource, benefit, condition, encounter, prefetch, searchset


def test_a_resource_that_two_queries_found_counts_once(service: Service) -> None:
    service.cards("encounter-start", prefetch(OPEN_STAY, OPEN_STAY))
    assert len(service.answers.asked[0]["records"]["stays"]) == 1


def test_another_patients_records_are_left_out_and_counted(service: Service) -> None:
    child = {**PATIENT, "id": "P8"}
    others = encounter("S8", "2026-01-07T10:00:00+08:00", patient="P8")
    found = searchset([child, condition("C1", "S8", "Z38.0")])
    sent = prefetch(OPEN_STAY, others, conditions=found, explanationsOfBenefit=None)
    [card] = service.cards("encounter-start", sent)
    records = service.answers.asked[0]["records"]
    assert [row["patient_id"] for row in records["patients"]] == ["P7"]
    assert [row["stay_id"] for row in records["stays"]] == ["S9"]
    assert records["diagnoses"] == []
    # Their stay and its diagnosis.
    assert "Records with errors, not used: 2." in card["detail"]


@pytest.mark.parametrize("currency", ["CNY", None])
def test_amounts_are_read_in_the_currency_of_the_models(service: Service, currency: str | None) -> None:
    sent = prefetch(BEFORE, OPEN_STAY, explanationsOfBenefit=searchset([benefit(currency)]))
    [card] = service.cards("encounter-start", sent)
    [asked] = service.answers.asked
    assert asked["currency"] == "CNY"
    costs = {row["stay_id"]: row.get("total_cost") for row in asked["records"]["stays"]}
    assert costs == {"S3": 18200.0, "S9": None}
    assert len(asked["records"]["charges"]) == 1
    assert "currency" not in card["detail"]


def test_a_stay_that_was_paid_for_in_another_currency_is_a_stay_of_unknown_cost(service: Service) -> None:
    sent = prefetch(BEFORE, OPEN_STAY, explanationsOfBenefit=searchset([benefit("USD")]))
    [card] = service.cards("encounter-start", sent)
    [asked] = service.answers.asked
    costs = {row["stay_id"]: row.get("total_cost") for row in asked["records"]["stays"]}
    assert costs == {"S3": None, "S9": None}
    # Charges in part would be read as few.
    assert "charges" not in asked["records"]
    # The total and the one item.
    assert "- Amounts in another currency than CNY, not used: 2." in card["detail"]


NO_HOSPITAL = (
    "no serviceProvider. Send Encounter.serviceProvider, or name the hospital in the server's setting "
    "`hospital`"
)


def but(resource: Resource, *without: str, **other: Any) -> Resource:
    """The resource without some elements, or with others in their place."""
    return {name: value for name, value in resource.items() if name not in without} | other


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({}, ["prefetch.patient: holds no Patient.", "prefetch.encounters: holds no Encounter."]),
        ({"patient": PATIENT}, ["prefetch.encounters: holds no Encounter."]),
        (prefetch(), ["prefetch.encounters: holds no Encounter."]),
        ({"patient": None, "encounters": searchset([OPEN_STAY])}, ["prefetch.patient: holds no Patient."]),
        (
            {"patient": but(PATIENT, id="P8"), "encounters": searchset([OPEN_STAY])},
            ["prefetch.patient: holds 1 Patient, none with the id of context.patientId."],
        ),
        (
            prefetch(encounter("S3", "2026-01-07T10:00:00+08:00")),
            ["context.encounterId: names none of the 1 Encounter of prefetch.encounters by its id."],
        ),
        (
            prefetch(but(OPEN_STAY, period={"start": "07.01.2026"})),
            ["prefetch.encounters: 1 of 1 Encounter left out: not valid FHIR R4 at period.start."],
        ),
        (
            prefetch(but(OPEN_STAY, "class")),
            ["prefetch.encounters: 1 of 1 Encounter left out: not valid FHIR R4 at class"],
        ),
        (
            prefetch(but(OPEN_STAY, "serviceProvider"), encounter("S1", "2025-01-07T10:00:00+08:00", "2025")),
            [
                "prefetch.encounters: 1 of 2 Encounters left out: unreadable at period.end.",
                f"prefetch.encounters: 1 of 2 Encounters left out: {NO_HOSPITAL}",
            ],
        ),
        (
            prefetch(but(OPEN_STAY, subject={"reference": "Patient/P8"})),
            ["prefetch.encounters: 1 of 1 Encounter left out: the subject is not the patient of the context"],
        ),
    ],
    ids=[
        *("nothing", "no encounters", "none found", "no patient", "another patient", "not this encounter"),
        *("unreadable", "no class", "no hospital", "of another"),
    ],
)
def test_missing_records_are_412_with_each_cause_its_count_and_what_to_do(
    service: Service, sent: dict[str, Any], told: list[str]
) -> None:
    response = service.call("encounter-start", sent)
    found = issue(response, 412, "missing-data")
    assert [one[: len(start)] for one, start in zip(found, told, strict=True)] == told
    for value in ("S9", "S1", "S3", "P7", "P8", "07.01.2026"):
        assert value not in response.text


def test_an_open_stay_that_was_left_out_is_told_where_the_context_names_none(service: Service) -> None:
    sent = prefetch(but(OPEN_STAY, "serviceProvider"))
    [told] = issue(service.call("patient-view", sent, encounter_id=None), 412, "missing-data")
    assert told == f"prefetch.encounters: 1 of 1 Encounter left out: {NO_HOSPITAL}"


def test_an_earlier_stay_that_was_left_out_stops_no_call(service: Service) -> None:
    earlier = but(
        encounter("S1", "2025-01-07T10:00:00+08:00", "2025-01-09T10:00:00+08:00"), "serviceProvider"
    )
    assert service.cards("patient-view", prefetch(earlier), encounter_id=None) == []
    [card] = service.cards("encounter-start", prefetch(earlier, OPEN_STAY))
    assert "Records with errors, not used: 1." in card["detail"]


def test_what_is_no_resource_is_422_without_a_value_of_it(service: Service) -> None:
    for broken in (SECRET, [SECRET], {"name": SECRET}, {"resourceType": "Bundle", "entry": [SECRET]}):
        response = service.call("encounter-start", prefetch(OPEN_STAY, conditions=broken))
        issue(response, 422, "invalid-request")
        assert SECRET not in response.text


def test_two_versions_none_of_which_is_newer_are_422(service: Service) -> None:
    other = {**OPEN_STAY, "status": "finished"}
    [told] = issue(service.call("encounter-start", prefetch(OPEN_STAY, other)), 422, "invalid-request")
    assert "1 ids of type Encounter" in told


def test_half_of_a_character_in_a_resource_is_no_failure(service: Service) -> None:
    # JSON may hold one half of a surrogate pair; nothing can write it out again.
    body = {
        **EXAMPLE_REQUEST,
        "prefetch": prefetch(OPEN_STAY, conditions=searchset([{**PATIENT, "resourceType": "\ud800"}])),
    }
    wrong = {**condition("C1", "S9", "I50.0"), "subject": {"resourceType": "\ud800"}, "id": "\u0000"}
    for conditions in (body["prefetch"]["conditions"], searchset([wrong])):
        body["prefetch"]["conditions"] = conditions
        response = service.client.post(
            "/cds-services/wardcast-encounter-start",
            content=json.dumps(body),
            headers={"content-type": "application/json"},
        )
        assert response.status_code == 200, response.text


def test_more_resources_than_can_be_validated_in_time_are_422(service: Service) -> None:
    many = searchset([OPEN_STAY] * 10_000)
    told = issue(
        service.call("encounter-start", {"patient": PATIENT, "encounters": many}), 422, "invalid-request"
    )
    assert told == ["prefetch: has 10001 resources; at most 10000. Set _count in the templates"]


def test_nesting_as_deep_as_json_may_be_is_no_failure(service: Service) -> None:
    deep: Any = {"resourceType": "Condition", "id": "C1"}
    for _ in range(400):
        deep = {"resourceType": "Condition", "id": "C1", "contained": [deep]}
    response = service.call("encounter-start", prefetch(OPEN_STAY, conditions=searchset([deep])))
    assert response.status_code in (200, 422)
