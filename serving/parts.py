"""What the server is made of: opened together, closed together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from serving.access.audit import AuditLog
from serving.access.audit_files import open_audit_log
from serving.access.guard import Access, open_access
from serving.cds_hooks.settings import CdsSettings, read_settings
from serving.champions.loaded import ChampionSet, LiveChampions
from serving.database.connection import file_address, open_database
from serving.database.errors import tell_failures
from serving.fhir.records import FhirRecords
from serving.operation.failures import StoreFailures
from serving.operation.metrics import Metrics
from serving.operation.readiness import Readiness, store_answers
from serving.predictions.answers import Answers
from serving.requests.history import HeldHistory
from serving.routes.gate import Gate
from serving.settings import ServingSettings
from serving.store.cards import CardStore
from serving.store.feedback import FeedbackStore
from serving.store.predictions import PredictionStore

STORE_FILE = "wardcast.db"


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts that routes are made with."""

    settings: ServingSettings
    engine: Engine
    access: Access
    audit: AuditLog
    metrics: Metrics
    gate: Gate
    champions: LiveChampions
    answers: Answers
    predictions: PredictionStore
    cards: CardStore
    feedback: FeedbackStore
    cds_hooks: CdsSettings
    fhir: FhirRecords
    readiness: Readiness

    def prepare(self, champions: ChampionSet) -> None:
        """Have the engines plan what requests ask of these champions: the first ones would wait for it."""
        self.answers.prepare(champions)
        contexts = {repr(each.model.artefact.context): each for each in champions.loaded}
        self.fhir.prepare(each.model.artefact.context for each in contexts.values())

    def close(self) -> None:
        """Wait for what is being computed, and let another process write the audit log and the store."""
        self.champions.close()
        self.answers.close()
        self.audit.close()
        self.engine.dispose()


def open_parts(settings: ServingSettings, *, is_loopback: bool) -> Parts:
    """Open the store, the audit log and the champions.

    Raises UserError, with nothing left open, if one of them cannot be used, or if nobody would be asked who
    they are on an address that other machines reach.
    """
    cds_hooks = read_settings(settings.cds_hooks)
    history = None if settings.history is None else HeldHistory(settings.history)
    engine = open_database(settings.database or file_address(settings.work / STORE_FILE))
    failures = StoreFailures()
    tell_failures(engine, failures.add)
    try:
        access = open_access(
            settings.access, engine, insecure_demo=settings.insecure_demo, is_loopback=is_loopback
        )
        audit = open_audit_log(settings.access, settings.work, engine)
    except BaseException:
        engine.dispose()
        raise
    champions = LiveChampions(
        settings.champions, reload_seconds=settings.reload_seconds, retry_seconds=settings.retry_seconds
    )
    metrics = Metrics()
    metrics.watch_champions(champions)
    answers = Answers(champions, settings, metrics, history)
    checks: dict[str, Callable[[], object]] = {
        "store": lambda: store_answers(engine, failures),
        "audit log": audit.check,
    }
    if history is not None:
        checks["history"] = history.check
    parts = Parts(
        settings=settings,
        engine=engine,
        access=access,
        audit=audit,
        metrics=metrics,
        gate=Gate(settings.max_waiting),
        champions=champions,
        answers=answers,
        predictions=PredictionStore(engine),
        cards=CardStore(engine),
        feedback=FeedbackStore(engine),
        cds_hooks=cds_hooks,
        fhir=FhirRecords(settings.hospital),
        readiness=Readiness(answers.champions, checks),
    )
    champions.before_change(parts.prepare)
    return parts
