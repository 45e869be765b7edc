"""What the real server is asked by generated requests; `make test` asks few, `make prove` many."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from features.dataset import open_dataset
from serving.cds_hooks.examples import EXAMPLE_FEEDBACK
from serving.cds_hooks.examples import EXAMPLE_REQUEST as EXAMPLE_CALL
from serving.predictions.documents import EXAMPLE_REQUEST
from tests.fhir_records import condition, encounter, prefetch, searchset
from tests.fuzzing import EVERYTHING, NOBODY, Served
from tests.mutations import SECRET, SECRET_NUMBER, TEXTS, at, mutated, places
from tests.served import sent

SEED = 20261122
HOOKS = ("patient-view", "encounter-start", "encounter-discharge", "order-select", "order-sign")
PREDICT, BATCH = "/v1/predictions", "/v1/predictions/batch"
SERVICE, FEEDBACK = "/cds-services/{service_id}", "/cds-services/{service_id}/feedback"
STORED = tuple(
    f"/v1/admissions/{{stay_id}}/{name}" for name in ("prediction", "RiskAssessment", "explanation.svg")
)
# A key of one role, or none, now and then; else one that may do everything, so that requests get further.
WHO = st.sampled_from([EVERYTHING] * 24 + ["planner", "integrator", "data_scientist", "auditor", NOBODY])


def asked(case: st.SearchStrategy[Any], n: int, send: Callable[[Any, str], object]) -> None:
    """Draw `n` cases, the same ones in every run, and send them."""

    @seed(SEED)
    @settings(
        max_examples=n,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(case, WHO)
    def every(one: Any, who: str) -> None:
        send(one, who)

    every()


def ask_everything(served: Served, n: int) -> None:
    """Some `n` requests: every route as described, some also by valid requests with changes."""
    operations = [served.schema[path][method] for path in served.schema for method in served.schema[path]]
    for operation in operations:
        ask_as_described(served, operation, n * 4 // 10 // len(operations))
    ask_almost_right(served, n * 2 // 10)
    ask_batches_almost_right(served, n // 10)
    ask_hooks_almost_right(served, n * 2 // 10)
    ask_for_stored(served, n * 2 // 10)


def ask_as_described(served: Served, operation: Any, n: int) -> None:
    """Half of what the description allows, half of what it does not, texts in it replaced by secrets."""
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        told = operation.definition.raw
        if mode is GenerationMode.NEGATIVE and not (told.get("parameters") or told.get("requestBody")):
            continue
        asked(operation.as_strategy(generation_mode=mode).flatmap(planted), max(1, n // 2), served.send)


def planted(case: Any) -> st.SearchStrategy[Any]:
    """The case; in every second body one text or number is replaced by a secret."""
    body = {"": case.body}
    found = [place for place in places(body) if len(place) > 1] if isinstance(case.body, dict) else []

    def with_secret(chosen: int | None) -> Any:
        if found and chosen is not None:
            place = found[chosen % len(found)]
            parent, last = at(body, place[:-1]), place[-1]
            if isinstance(parent[last], str | float):
                parent[last] = SECRET if isinstance(parent[last], str) else SECRET_NUMBER
        return case

    return (st.none() | st.integers(0, 1000)).map(with_secret)


def documents(served: Served) -> list[dict[str, Any]]:
    """Valid requests: the example, a patient with rows in every table, by a secret id too, held stays."""
    history = open_dataset(served.work.parent / "history")
    rich = [sent(history, "now", point) for point in ("admission", "discharge")]
    secret = json.loads(json.dumps(rich[0]).replace('"now"', json.dumps(SECRET)))
    held = [{"stay_id": stay, "prediction_point": "discharge"} for stay in ("now", "other")]
    return [EXAMPLE_REQUEST, *rich, secret, *held]


def calls() -> list[dict[str, Any]]:
    """Valid calls of every hook."""
    own = encounter("S9", "2026-01-07T10:00:00+08:00")
    before = encounter("S3", "2025-11-02T09:00:00+08:00", "2025-11-09T11:00:00+08:00")
    records = prefetch(
        own, before, encounter("V1", "2025-12-02T09:00:00+08:00", "2025-12-02T10:00:00+08:00", kind="AMB"),
        conditions=searchset([condition("C1", "S9", "I50.0"), condition("C2", "S3", "J44.9")]),
    )  # fmt: skip
    made = []
    for hook in HOOKS:
        context = {**EXAMPLE_CALL["context"], "draftOrders": {}, "selections": ["ServiceRequest/1"]}
        made.append(copy.deepcopy({**EXAMPLE_CALL, "hook": hook, "context": context, "prefetch": records}))
    return made


def ask_almost_right(served: Served, n: int) -> None:
    """Valid predictions with changes; what was stored is read on every route."""
    queries = st.fixed_dictionaries(
        {},
        optional={
            "store": st.sampled_from(["true", "false", "1", SECRET]),
            "language": st.sampled_from(["en", "zh", SECRET]),
            "explain": st.sampled_from(["full", "none"]),
            "group": st.sampled_from(["family", ""]),
        },
    )

    def send(case: tuple[Any, dict[str, str]], who: str) -> None:
        body, query = case
        answer = served.ask("POST", PREDICT, who, body=body, query=query)
        if answer.status_code == 200 and query.get("store") in ("true", "1"):
            target = answer.json()["predictions"][0]["target"]
            for template in STORED:
                told = {"target": target} if template.endswith("svg") else {}
                found = served.ask("GET", template, query=told, stay_id=body["stay_id"])
                assert found.status_code == 200, template

    asked(st.tuples(mutated(documents(served)), queries), n, send)


def ask_batches_almost_right(served: Served, n: int) -> None:
    """Batches of valid and changed items, and changed batches."""
    item = mutated(documents(served), most=2)
    batch = st.lists(item, max_size=4).map(lambda items: {"items": items}) | mutated(
        [{"items": [EXAMPLE_REQUEST]}]
    )
    asked(batch, n, lambda body, who: served.ask("POST", BATCH, who, body=body, query={"store": "true"}))


def ask_hooks_almost_right(served: Served, n: int) -> None:
    """Calls of the services, changed, and feedback to them."""
    service = st.sampled_from([f"wardcast-{hook}" for hook in HOOKS])

    def call(body: Any, who: str) -> None:
        hook = body.get("hook") if isinstance(body, dict) else None
        name = f"wardcast-{hook}" if hook in HOOKS else "wardcast-patient-view"
        served.ask("POST", SERVICE, who, body=body, service_id=name)

    asked(mutated(calls()), n * 2 // 3, call)
    asked(
        st.tuples(service, mutated([EXAMPLE_FEEDBACK])), n - n * 2 // 3,
        lambda case, who: served.ask("POST", FEEDBACK, who, body=case[1], service_id=case[0]),
    )  # fmt: skip


def ask_for_stored(served: Served, n: int) -> None:
    """What is stored, by ids that are and are not, with parameters that are and are not."""
    known = ("readmission", "cost", "zh", "discharge", "full", "low", "200", "1", "9" * 40, "2024-01-01")
    names = (
        "target", "language", "point", "prediction_point", "bars", "width", "explain", "top", "sort", "since",
        "band", "department", "stay_id", "caller", "limit", SECRET,
    )  # fmt: skip
    stays = (st.sampled_from(["now", "other", "S9", SECRET]) | st.sampled_from(TEXTS[1:])).map(encodable)
    queries = st.dictionaries(
        st.sampled_from(names), st.sampled_from([*TEXTS, *known]).map(encodable), max_size=3
    )

    def send(case: tuple[str, str, dict[str, str]], who: str) -> None:
        template, stay_id, query = case
        parts = {"stay_id": stay_id} if "{" in template else {}
        served.ask("GET", template, who, query=query, **parts)

    asked(st.tuples(st.sampled_from([*STORED, "/v1/worklist", "/v1/audit"]), stays, queries), n, send)


def encodable(text: str) -> str:
    """The text as an address can hold it."""
    return text.encode("utf-8", "replace").decode()
