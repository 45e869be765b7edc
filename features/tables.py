"""The canonical tables: the one declaration of every table and column that wardcast knows.

The declaration drives the check of a data set, the typed reading of its files, the request model of
the API and the data dictionary. Every source is turned into these tables first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from features.codes import COMPLICATION_CATEGORIES, DIAGNOSIS_SYSTEMS, PROCEDURE_SYSTEMS
from features.errors import UserError

ColumnType = Literal["text", "integer", "number", "money", "date", "instant", "flag"]

# Money is decimal so that sums do not depend on the order in which threads add them up.
SQL_TYPES: dict[ColumnType, str] = {
    "text": "VARCHAR",
    "integer": "INTEGER",
    "number": "DOUBLE",
    "money": "DECIMAL(18,2)",
    "date": "DATE",
    "instant": "TIMESTAMP",
    "flag": "BOOLEAN",
}


class TableError(UserError):
    """A data set cannot be used; the message says what, how many, where and what to do."""


@dataclass(frozen=True)
class Column:
    """One column of a canonical table.

    `required` columns must exist in the file and hold a value in every row; `allowed` lists the only
    values a text column may take; `minimum` and `maximum` are the smallest and largest value of a number.
    """

    name: str
    type: ColumnType
    meaning: str
    required: bool = False
    allowed: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Table:
    """One canonical table: its columns, its key and the column that links it to a patient.

    `owner` is `patient_id` or `stay_id` (None for reference data); every row of an owned table belongs
    to exactly one patient. `required` tables must exist in every data set; diagnoses only in one that
    declares their code system.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    owner: Literal["patient_id", "stay_id"] | None = None
    required: bool = False
    by_name: dict[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {column.name: column for column in self.columns})


CHARGE_CATEGORIES = (
    "general",
    "diagnostics",
    "laboratory",
    "imaging",
    "treatment",
    "surgery",
    "anaesthesia",
    "nursing",
    "rehabilitation",
    "drugs",
    "antimicrobials",
    "chinese_medicine",
    "blood",
    "consumables",
    "other",
)
_KNOWN_AT = Column(
    "known_at", "instant", "when the record system knew this row; absent: see the lag settings"
)
_STAY_ID = Column("stay_id", "text", "the stay it belongs to", required=True)
_PATIENT_ID = Column("patient_id", "text", "pseudonym of the patient", required=True)

PATIENTS = Table(
    "patients",
    "one row per patient",
    (
        _PATIENT_ID,
        Column("birth_date", "date", "date of birth"),
        Column(
            "sex", "text", "sex as recorded", required=True, allowed=("male", "female", "other", "unknown")
        ),
        Column("death_date", "date", "date of death, in or out of hospital"),
    ),
    key=("patient_id",),
    owner="patient_id",
    required=True,
)

STAYS = Table(
    "stays",
    "one inpatient admission as one hospital records it",
    (
        Column("stay_id", "text", "identifies the stay", required=True),
        _PATIENT_ID,
        Column("hospital_id", "text", "the hospital", required=True),
        Column(
            "status",
            "text",
            "where the stay is in its life",
            required=True,
            allowed=("booked", "in", "discharged", "cancelled"),
        ),
        Column("booked_at", "instant", "when the admission was booked"),
        Column("planned_admission_at", "instant", "for when it was booked"),
        Column("admitted_at", "instant", "admission"),
        Column("discharged_at", "instant", "discharge or death"),
        Column(
            "admission_type",
            "text",
            "urgency",
            required=True,
            allowed=("emergency", "urgent", "elective", "newborn", "unknown"),
        ),
        Column(
            "admission_source",
            "text",
            "where the patient came from",
            allowed=("home", "outpatient", "other_hospital", "nursing", "other"),
        ),
        Column("admission_department", "text", "department of admission"),
        Column("discharge_department", "text", "department of discharge"),
        Column("payer", "text", "who pays"),
        Column(
            "discharge_disposition",
            "text",
            "where the patient went",
            allowed=(
                "home",
                "community",
                "acute_transfer",
                "nursing",
                "rehabilitation",
                "hospice",
                "against_advice",
                "died",
                "other",
            ),
        ),
        Column("planned_return_31d", "flag", "the discharge record plans a return within 31 days"),
        Column("payment_group", "text", "final payment group (DRG or DIP)"),
        Column("total_cost", "money", "total of the stay in the data set's currency", minimum=0),
        Column("patient_paid", "money", "part paid by the patient", minimum=0),
        Column(
            "age_years",
            "integer",
            "age at admission where no birth date is released (years)",
            minimum=0,
            maximum=130,
        ),
    ),
    key=("stay_id",),
    owner="patient_id",
    required=True,
)

DIAGNOSES = Table(
    "diagnoses",
    "coded diagnoses of a stay",
    (
        _STAY_ID,
        Column("kind", "text", "when it was made", required=True, allowed=("admitting", "discharge")),
        Column("position", "integer", "1 = principal", required=True, minimum=1),
        Column("code", "text", "diagnosis code without dots, upper case", required=True),
        Column(
            "code_system",
            "text",
            "code system, where rows differ from the data set's",
            allowed=DIAGNOSIS_SYSTEMS,
        ),
        Column(
            "present_on_admission",
            "text",
            "present on admission: yes, no, unknown, clinically undetermined",
            allowed=("Y", "N", "U", "W"),
        ),
        _KNOWN_AT,
    ),
    key=("stay_id", "kind", "position"),
    owner="stay_id",
    required=True,
)

PROCEDURES = Table(
    "procedures",
    "coded procedures of a stay",
    (
        _STAY_ID,
        Column("position", "integer", "1 = main", required=True, minimum=1),
        Column("code", "text", "procedure code without dots, upper case", required=True),
        Column(
            "code_system",
            "text",
            "code system, where rows differ from the data set's",
            allowed=PROCEDURE_SYSTEMS,
        ),
        Column("performed_at", "instant", "when it was performed"),
        Column("is_planned", "flag", "booked before it was performed"),
        _KNOWN_AT,
    ),
    key=("stay_id", "position"),
    owner="stay_id",
)

CHARGES = Table(
    "charges",
    "charges by day and category",
    (
        _STAY_ID,
        Column("incurred_on", "date", "day of the charge", required=True),
        Column("category", "text", "charge category", required=True, allowed=CHARGE_CATEGORIES),
        Column("amount", "money", "amount in the data set's currency", required=True, minimum=0),
        Column("item_code", "text", "item, where known"),
        _KNOWN_AT,
    ),
    owner="stay_id",
)

OBSERVATIONS = Table(
    "observations",
    "laboratory values, vital signs, function scores",
    (
        _PATIENT_ID,
        Column("stay_id", "text", "the stay during which it was taken"),
        Column("taken_at", "instant", "when the sample or measure was taken", required=True),
        Column("code", "text", "LOINC or a local name", required=True),
        Column("value", "number", "the value", required=True),
        Column("unit", "text", "its unit", required=True),
        _KNOWN_AT,
    ),
    owner="patient_id",
)

MEDICATIONS = Table(
    "medications",
    "medications given or prescribed",
    (
        _PATIENT_ID,
        Column("stay_id", "text", "the stay during which it was given"),
        Column("started_at", "instant", "start", required=True),
        Column("ended_at", "instant", "end"),
        Column("code", "text", "ATC or a local code", required=True),
        Column("route", "text", "route"),
        _KNOWN_AT,
    ),
    owner="patient_id",
)

VISITS = Table(
    "visits",
    "visits that are not stays",
    (
        Column("visit_id", "text", "identifies the visit", required=True),
        _PATIENT_ID,
        Column("visited_at", "instant", "when", required=True),
        Column(
            "kind",
            "text",
            "kind of visit",
            required=True,
            allowed=("emergency", "outpatient", "telehealth", "home"),
        ),
        Column("department", "text", "department"),
        Column("cost", "money", "cost in the data set's currency", minimum=0),
    ),
    key=("visit_id",),
    owner="patient_id",
)

PAYMENT_GROUPS = Table(
    "payment_groups",
    "payment groups with their standards",
    (
        Column("payment_group", "text", "the group", required=True),
        Column("scheme_version", "text", "version of the scheme", required=True),
        Column("insurer", "text", "the insurer", required=True),
        Column("hospital_id", "text", "the hospital", required=True),
        Column("valid_from", "date", "first day of validity", required=True),
        Column("scheme", "text", "kind of scheme", allowed=("drg", "dip")),
        Column("title", "text", "title"),
        Column("weight", "number", "relative weight (DRG)", minimum=0),
        Column("score", "number", "score (DIP)", minimum=0),
        Column("reference_mean_charges", "money", "benchmark mean charges", minimum=0),
        Column("reference_mean_stay_days", "number", "benchmark mean stay (days)", minimum=0),
        Column("coefficients", "text", "named coefficients as JSON"),
    ),
    key=("payment_group", "scheme_version", "insurer", "hospital_id", "valid_from"),
)

FACTS = Table(
    "facts",
    "features that an extract supplies ready-made",
    (
        _STAY_ID,
        Column("name", "text", "name of the fact", required=True),
        Column("value", "text", "number or text", required=True),
        Column("unit", "text", "unit"),
        Column(
            "available_from",
            "text",
            "earliest prediction point at which it is known",
            required=True,
            allowed=("preadmission", "admission", "discharge"),
        ),
    ),
    key=("stay_id", "name"),
    owner="stay_id",
)

OUTCOMES = Table(
    "outcomes",
    "labels that an extract supplies ready-made",
    (
        Column("stay_id", "text", "the stay", required=True),
        Column("readmission", "flag", "unplanned readmission within the window"),
        Column("readmission_or_death", "flag", "readmission or death within the window"),
        Column("complication", "flag", "any complication"),
        *(
            Column(f"complication_{category}", "flag", f"complication: {category.replace('_', ' ')}")
            for category in COMPLICATION_CATEGORIES
        ),
        Column("episode_cost", "money", "episode cost", minimum=0),
        Column("died_in_hospital", "flag", "died in hospital"),
    ),
    key=("stay_id",),
    owner="stay_id",
)

IDENTITIES = Table(
    "identities",
    "display only: never a feature, never logged",
    (
        Column("stay_id", "text", "the stay", required=True),
        Column("name", "text", "name"),
        Column("bed", "text", "bed"),
        Column("ward", "text", "ward"),
        Column("phone", "text", "telephone"),
        Column("clinician", "text", "clinician"),
    ),
    key=("stay_id",),
    owner="stay_id",
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        PATIENTS,
        STAYS,
        DIAGNOSES,
        PROCEDURES,
        CHARGES,
        OBSERVATIONS,
        MEDICATIONS,
        VISITS,
        PAYMENT_GROUPS,
        FACTS,
        OUTCOMES,
        IDENTITIES,
    )
}


def not_sent(table: str) -> str:
    """What the lack of a table means, as answers and scored rows tell it."""
    return f"{table} not sent: unknown, its features are missing"
