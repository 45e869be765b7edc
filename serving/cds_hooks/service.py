"""One call of a service: from its prefetched records to cards."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from features.points import Point
from features.sources.fhir.few import BrokenRow, PatientRows
from models.artefact import Context
from serving.cds_hooks.cards import Card, cards
from serving.cds_hooks.caveats import Shown
from serving.cds_hooks.documents import CardsDocument, HookContext
from serving.cds_hooks.missing import (
    ANOTHERS,
    left_out_stays,
    missing_data,
    not_this_encounter,
    not_this_patient,
    several_stays,
)
from serving.cds_hooks.prefetch import prefetched
from serving.cds_hooks.settings import CdsSettings, Service
from serving.fhir.currency import in_currency
from serving.fhir.records import FhirRecords, prediction_request
from serving.predictions.answers import Answers
from serving.predictions.asking import promoted_at
from serving.reasons import N_REASONS


@dataclass(frozen=True)
class Question:
    """Which stay is asked about, at which point, and as of when (local; None: the point's own time)."""

    stay_id: str
    point: Point
    prediction_time: dt.datetime | None


@dataclass(frozen=True)
class Answered:
    """The cards, and what they rest on: question and models; None where nothing was predicted."""

    cards: tuple[Card, ...] = ()
    question: Question | None = None
    models: tuple[str, ...] = ()

    @property
    def document(self) -> CardsDocument:
        """The answer to the client."""
        return CardsDocument(cards=[card.document for card in self.cards])


NOTHING = Answered()


def answer(
    service: Service,
    context: HookContext,
    prefetch: Mapping[str, Any],
    *,
    answers: Answers,
    records: FhirRecords,
    settings: CdsSettings,
    now: dt.datetime,
) -> Answered:
    """The cards for one call at the instant `now`. Raises Problem.

    There is none for what is no stay, has ended or is no longer to come, or for which no model was promoted;
    a point whose models were all refused is a problem (503). One set of champions decides on all of it,
    though others may come into force meanwhile.
    """
    sent = prefetched(prefetch, settings.prefetch)
    champions = answers.champions()

    def asked(terms: Context) -> tuple[PatientRows, int, Question | None]:
        resources, n_foreign = in_currency(sent.resources, terms.currency)
        rows = records.rows(
            resources,
            terms,
            patient_id=context.patientId,
            answered=sent.answered,
            incomplete=sent.incomplete,
            has_every_encounter=sent.has_every_encounter,
        )
        if not rows.tables["patients"]:
            broken = rows.broken.get("patients", ())
            raise missing_data(not_this_patient(broken, sent.count("Patient")))
        if n_foreign:
            # What is left of the charges is less than there was: no charges are known.
            kept = {name: table for name, table in rows.tables.items() if name != "charges"}
            rows = replace(rows, tables=kept)
        return (
            rows,
            n_foreign,
            _question(
                service, context.encounterId, rows, _local(now, terms), n_encounters=sent.count("Encounter")
            ),
        )

    terms = champions.loaded[0].model.artefact.context
    rows, n_foreign, question = asked(terms)
    models = () if question is None else promoted_at(champions, question.point)
    if models and models[0].model.artefact.context != terms:
        # The models of a point agree on their terms; those of two points may not.
        terms = models[0].model.artefact.context
        rows, n_foreign, question = asked(terms)
    if question is None or not models:
        return NOTHING
    question = _not_after_landmark(question, rows, models[0].model.artefact.landmark_hours)
    request = prediction_request(
        rows,
        question.stay_id,
        question.point,
        question.prediction_time,
        has_every_stay="Encounter" not in sent.incomplete,
    )
    # Of the resources' amounts only those in it were left.
    request["currency"] = terms.currency
    found = answers.answer(answers.ask(request, n_reasons=N_REASONS, champions=champions))
    refused = champions.refused_at(question.point)
    shown = Shown(
        found,
        patient_id=context.patientId,
        encounter_id=context.encounterId or question.stay_id,
        shown_at=_local(now, terms),
        time_zone=terms.time_zone,
        n_left_out=rows.n_broken,
        n_foreign=n_foreign,
        currency=terms.currency,
        is_paged=sent.is_paged,
        refused=frozenset(name.partition("/")[0].removesuffix(f"-{question.point}") for name in refused),
    )
    models_asked = tuple(one["model"] for one in found["predictions"])
    return Answered(tuple(cards(shown, service, settings)), question, models_asked)


def _local(now: dt.datetime, context: Context) -> dt.datetime:
    return now.astimezone(ZoneInfo(context.time_zone)).replace(tzinfo=None, microsecond=0)


def _question(
    service: Service, encounter_id: str | None, rows: PatientRows, now: dt.datetime, *, n_encounters: int
) -> Question | None:
    """What to predict; None where there is nothing to predict.

    Without an encounter in the context it is the patient's present stay. Raises Problem (412) for an
    encounter that is not among the records, or was left out of them.
    """
    left_out = rows.broken.get("stays", ())
    stays = {str(stay["stay_id"]): stay for stay in rows.tables["stays"]}
    if encounter_id is None:
        chosen = _present_stay(stays.values(), left_out, n_encounters)
    elif encounter_id in rows.stay_of:
        chosen = rows.stay_of[encounter_id]
    else:
        raise missing_data([not_this_encounter(n_encounters)])
    if chosen is None:
        return None
    if chosen not in stays:
        # It is there, and broke a rule.
        raise missing_data(left_out_stays(left_out, n_encounters))
    return _asked(service, chosen, stays[chosen], now)


def _present_stay(
    stays: Iterable[Mapping[str, object]], left_out: Sequence[BrokenRow], n_encounters: int
) -> str | None:
    """The patient's one stay that goes on or, if none does, the one that is booked; None: there is neither.

    Raises Problem (412) where several go on, or one that does was left out: no card would say that there is
    nothing to predict, and a card about another stay would be taken for one about this.
    """
    by_status: dict[object, list[str]] = {"in": [], "booked": []}
    for stay in stays:
        by_status.setdefault(stay["status"], []).append(str(stay["stay_id"]))
    going_on, left_out_in = by_status["in"], [row for row in left_out if row.status == "in"]
    if left_out_in and not going_on:
        raise missing_data(left_out_stays(left_out, n_encounters))
    n_going_on = len(going_on) + sum(row.reason != ANOTHERS for row in left_out_in)
    if n_going_on > 1:
        raise missing_data([several_stays(n_going_on)])
    found = going_on or by_status["booked"]
    return found[0] if len(found) == 1 else None


def _asked(service: Service, stay_id: str, stay: Mapping[str, object], now: dt.datetime) -> Question | None:
    status, admitted_at, discharged_at = stay["status"], stay["admitted_at"], stay["discharged_at"]
    if service.hook == "encounter-discharge":
        if not isinstance(admitted_at, dt.datetime) or admitted_at > now:
            return None
        has_ended = isinstance(discharged_at, dt.datetime) and discharged_at <= now
        return Question(stay_id, Point.DISCHARGE, None if has_ended else now)
    if status == "booked" and isinstance(booked_at := stay["booked_at"], dt.datetime):
        return Question(stay_id, Point.PREADMISSION, None) if booked_at <= now else None
    if status == "in" and isinstance(admitted_at, dt.datetime) and admitted_at <= now:
        return Question(stay_id, Point.ADMISSION, now)
    return None


def _not_after_landmark(question: Question, rows: PatientRows, landmark_hours: float) -> Question:
    """Once the landmark has passed, the prediction of an admission is the point's own."""
    if question.point is not Point.ADMISSION or question.prediction_time is None:
        return question
    stay = next(stay for stay in rows.tables["stays"] if stay["stay_id"] == question.stay_id)
    admitted_at = stay["admitted_at"]
    assert isinstance(admitted_at, dt.datetime)
    has_passed = question.prediction_time >= admitted_at + dt.timedelta(hours=landmark_hours)
    return Question(question.stay_id, question.point, None) if has_passed else question
