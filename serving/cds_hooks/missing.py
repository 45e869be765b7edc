"""What a prediction needs and did not get (412): which resources were left out, why, and what to do.

Counts, elements and rules alone: no value and no identifier of a record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from features.quality.rules import WHAT_TO_DO
from features.sources.fhir.few import BrokenRow
from serving.problems import MISSING_DATA, FieldError, Problem

# Column → the element that it comes from, of the patients and the stays of a request.
_ELEMENTS = {
    "patient_id": "subject",
    "hospital_id": "serviceProvider",
    "status": "status",
    "booked_at": "statusHistory",
    "planned_admission_at": "period.start",
    "admitted_at": "period.start",
    "discharged_at": "period.end",
    "admission_type": "priority",
    "admission_source": "hospitalization.admitSource",
    "discharge_disposition": "hospitalization.dischargeDisposition",
    "birth_date": "birthDate",
    "sex": "gender",
    "death_date": "deceasedDateTime",
}
ANOTHERS = "unknown_patient"
"""The reason why another patient's stay was left out."""
_SAID = {
    "missing_value: hospital_id": (
        "no serviceProvider. Send Encounter.serviceProvider, or name the hospital in the server's setting "
        "`hospital`"
    ),
    "missing_value: patient_id": "no subject. Send Encounter.subject",
    "missing_value: status": "no status. Send Encounter.status",
    ANOTHERS: "the subject is not the patient of the context, or that patient was left out",
    "age_unknown": "the patient's age is not known. Send Patient.birthDate",
    "status_contradicts": (
        "status_contradicts at status and period. Send period.start of a stay that has begun, and period.end "
        "of one that is finished"
    ),
}


def not_sent(key: str, kind: str) -> FieldError:
    """A required key without a resource of its type."""
    return FieldError(
        f"prefetch.{key}",
        f"holds no {kind}. Send it as prefetch, by the templates of GET /cds-services; no other server is "
        "asked for it",
    )


def not_this_patient(broken: Sequence[BrokenRow], n_sent: int) -> list[FieldError]:
    """Why there is no patient: another's record, or one that broke a rule."""
    if broken:
        return list(_left_out("prefetch.patient", "Patient", broken, n_sent))
    message = f"holds {_n(n_sent, 'Patient')}, none with the id of context.patientId. Send that one"
    return [FieldError("prefetch.patient", message)]


def not_this_encounter(n_sent: int) -> FieldError:
    """The context names an encounter that did not come."""
    message = (
        f"names none of the {_n(n_sent, 'Encounter')} of prefetch.encounters by its id. Send that one too, "
        "with what it is part of"
    )
    return FieldError("context.encounterId", message)


def several_stays(count: int) -> FieldError:
    """The context names no encounter, and more than one stay goes on."""
    return FieldError(
        "context.encounterId",
        f"is not sent, and {count} stays go on. Send context.encounterId of the one asked about",
    )


def left_out_stays(broken: Sequence[BrokenRow], n_sent: int) -> list[FieldError]:
    """Why stays are not among the records, each cause by itself."""
    return list(_left_out("prefetch.encounters", "Encounter", broken, n_sent))


def missing_data(errors: Iterable[FieldError]) -> Problem:
    """The problem (412) of required records that did not come, or cannot be used."""
    return Problem(
        MISSING_DATA, "Send what `errors` lists as prefetch; no other server is asked for it.", errors
    )


def _left_out(place: str, kind: str, broken: Sequence[BrokenRow], n_sent: int) -> Iterator[FieldError]:
    for why, count in Counter(_why(row) for row in broken).most_common():
        yield FieldError(place, f"{count} of {_n(n_sent, kind)} left out: {why}")


def _why(row: BrokenRow) -> str:
    if row.fault:
        return f"not valid FHIR R4 at {row.fault}. Correct that element"
    if row.reason in _SAID:
        return _SAID[row.reason]
    rule, _, column = row.reason.partition(": ")
    place = f" at {_ELEMENTS.get(column, column)}" if column else ""
    return f"{rule}{place}. {WHAT_TO_DO[rule].removesuffix('.')}"


def _n(count: int, kind: str) -> str:
    return f"{count} {kind}" if count == 1 else f"{count} {kind}s"
