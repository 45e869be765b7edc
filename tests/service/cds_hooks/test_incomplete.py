"""CDS Hooks: what is none, and what is unknown since not all of it came."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from features.dataset import CodeSystems
from features.online import OnlineFeatures
from features.settings import DEFAULT_SETTINGS
from serving.cds_hooks.settings import CdsSettings
from serving.requests.reading import read_request, to_admission
from tests.cds_service import BEFORE, CONTEXT, OPEN_STAY, KnownAnswers, Service, risk
from tests.fhir_records import ICD, PATIENT, Resource, benefit, condition, encounter, prefetch, searchset

FAILED = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}


def paged(*resources: Resource) -> Resource:
    """The first of several pages."""
    return searchset(resources) | {"link": [{"relation": "next", "url": "https://ehr.example/page2"}]}


def test_what_was_looked_for_and_not_found_is_none_and_what_was_not_looked_for_is_unknown(
    service: Service,
) -> None:
    # null is what CDS Hooks has a client send where it has no data: there is no claim, and no diagnosis.
    sent = prefetch(OPEN_STAY, conditions=None, procedures=searchset([]), explanationsOfBenefit=None)
    service.cards("encounter-start", sent)
    records = service.answers.asked[0]["records"]
    assert records["diagnoses"] == []
    assert records["procedures"] == []
    assert "observations" not in records


def test_whose_encounters_all_came_had_no_other_visits(service: Service) -> None:
    service.cards("encounter-start", prefetch(OPEN_STAY))
    service.cards("encounter-start", {"patient": PATIENT, "encounters": paged(OPEN_STAY)})
    visit = encounter("V1", "2025-12-01T09:00:00+08:00", "2025-12-01T10:00:00+08:00", kind="EMER")
    service.cards("encounter-start", prefetch(OPEN_STAY, visit))
    every, some, one = (asked["records"] for asked in service.answers.asked)
    assert every["visits"] == []
    assert "visits" not in some
    assert [row["kind"] for row in one["visits"]] == ["emergency"]


@pytest.mark.parametrize("failed", [{"conditions": FAILED}, {}], ids=["failed", "left out"])
def test_a_claims_codes_are_not_all_diagnoses_where_the_others_did_not_come(
    service: Service, failed: dict[str, Any]
) -> None:
    """A hip fracture that an insurer was told of says nothing of the heart failure in the chart."""
    claim = benefit("CNY") | {
        "diagnosis": [
            {"sequence": 1, "diagnosisCodeableConcept": {"coding": [{"system": ICD, "code": "S72.0"}]}}
        ]
    }
    sent = prefetch(BEFORE, OPEN_STAY, explanationsOfBenefit=searchset([claim]))
    service.cards("encounter-start", sent | {"conditions": None})
    service.cards("encounter-start", sent | failed)
    whole, partial = (asked["records"] for asked in service.answers.asked)
    assert [row["code"] for row in whole["diagnoses"]] == ["S720"]
    assert "diagnoses" not in partial
    # What the claim alone tells of is as it was.
    assert len(partial["charges"]) == 1


@pytest.mark.parametrize("failed", [{"medicationAdministrations": FAILED}, {}], ids=["failed", "left out"])
def test_no_orders_are_not_no_medication_where_what_was_given_did_not_come(
    service: Service, failed: dict[str, Any]
) -> None:
    service.cards("encounter-start", prefetch(OPEN_STAY, medicationRequests=searchset([]), **failed))
    assert "medications" not in service.answers.asked[0]["records"]
    nothing = {"medicationRequests": searchset([]), "medicationAdministrations": searchset([])}
    service.cards("encounter-start", prefetch(OPEN_STAY, **nothing))
    assert service.answers.asked[1]["records"]["medications"] == []


def test_a_template_that_the_hospital_removed_leaves_the_others_as_they_are(
    engine: sa.Engine, cds: CdsSettings
) -> None:
    # A hospital without claims: its conditions are all the diagnoses that there are.
    without = {key: query for key, query in cds.prefetch.items() if key != "explanationsOfBenefit"}
    hospital = cds.model_copy(update={"prefetch": without})
    service = Service(KnownAnswers(risk("readmission", 0.231, "high")), engine, hospital)
    sent = prefetch(OPEN_STAY, conditions=searchset([condition("C1", "S9", "I50.0")]))
    service.cards("encounter-start", sent)
    assert [row["code"] for row in service.answers.asked[0]["records"]["diagnoses"]] == ["I500"]


def test_a_part_of_a_table_is_not_the_table(service: Service) -> None:
    """Heart failure stands on the first page; the kidney disease may stand on the next."""
    failure = condition("C1", "S9", "I50.0")
    whole = prefetch(OPEN_STAY, conditions=searchset([failure]), explanationsOfBenefit=None)
    service.cards("encounter-start", whole)
    [card] = service.cards("encounter-start", whole | {"conditions": paged(failure)})
    all_of_it, part = (asked["records"] for asked in service.answers.asked)
    assert [row["code"] for row in all_of_it["diagnoses"]] == ["I500"]
    assert "diagnoses" not in part
    # Encounters came whole: of visits there was none.
    assert part["visits"] == []
    assert "history_from" not in service.answers.asked[1]
    assert "Only a part of the records came: what is missing is not known." in card["detail"]


def test_what_a_stay_cost_is_unknown_where_further_claims_are_to_come(service: Service) -> None:
    service.cards("encounter-start", prefetch(BEFORE, OPEN_STAY, explanationsOfBenefit=paged(benefit("CNY"))))
    records = service.answers.asked[0]["records"]
    assert "charges" not in records
    assert [row.get("total_cost") for row in records["stays"]] == [None, None]


def test_stays_on_a_further_page_are_unknown_and_not_none(service: Service) -> None:
    """The page holds the present stay and an emergency visit; how many stays were before it nobody knows."""
    visit = encounter("V1", "2025-12-01T09:00:00+08:00", "2025-12-01T10:00:00+08:00", kind="EMER")
    service.cards("encounter-start", {"patient": PATIENT, "encounters": paged(OPEN_STAY, visit)})
    service.cards("encounter-start", prefetch(OPEN_STAY, visit))
    part, whole = service.answers.asked
    # The admission: 2026-01-07 10:00 in Shanghai.
    assert part["history_from"] == "2026-01-07"
    assert [row["stay_id"] for row in part["records"]["stays"]] == ["S9"]
    assert "visits" not in part["records"]
    assert "history_from" not in whole
    assert len(whole["records"]["visits"]) == 1


def test_a_diagnosis_of_a_stay_on_a_further_page_is_no_error(service: Service) -> None:
    diagnoses = searchset([condition("C1", "S3", "I50.0"), condition("C2", "S9", "N18.3")])
    known = {"patient": PATIENT, "conditions": diagnoses, "explanationsOfBenefit": None}
    [card] = service.cards("encounter-start", known | {"encounters": paged(OPEN_STAY)})
    assert [row["code"] for row in service.answers.asked[0]["records"]["diagnoses"]] == ["N183"]
    assert "Records with errors" not in card["detail"]
    [card] = service.cards("encounter-start", known | {"encounters": searchset([OPEN_STAY])})
    assert "Records with errors, not used: 1." in card["detail"]


def test_admissions_of_the_last_year_are_unknown_where_encounters_are_missing(service: Service) -> None:
    """One stay of November came; on the next page there may be ten more."""
    for encounters in (searchset([BEFORE, OPEN_STAY]), paged(BEFORE, OPEN_STAY)):
        service.cards("encounter-start", {"patient": PATIENT, "encounters": encounters})
    systems = CodeSystems.model_validate(CONTEXT.code_systems)
    admissions = [
        to_admission(read_request(asked, max_rows=100), CONTEXT.time_zone, systems)
        for asked in service.answers.asked
    ]
    features = OnlineFeatures(systems, DEFAULT_SETTINGS).rows(admissions).features
    whole, part = features["n_stays_prior_365d"]
    assert whole == 1
    assert pd.isna(part)


def test_before_a_booked_stay_the_history_counts_from_its_booking(service: Service) -> None:
    booked = encounter("S9", "2026-01-12T08:00:00+08:00", status="planned")
    booked["statusHistory"] = [
        {"status": "planned", "period": {"start": "2026-01-02T09:00:00+08:00", "end": "2026-01-12"}}
    ]
    service.cards("patient-view", {"patient": PATIENT, "encounters": paged(booked)})
    assert service.answers.asked[0]["history_from"] == "2026-01-02"


def test_pages_that_did_not_come_are_told(service: Service) -> None:
    [card] = service.cards("encounter-start", {"patient": PATIENT, "encounters": paged(OPEN_STAY)})
    assert "Only a part of the records came: what is missing is not known." in card["detail"]
