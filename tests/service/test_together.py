"""Requests of many clients at once are answered as each is answered alone."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from features.points import Point
from serving.champions.loaded import LiveChampions
from serving.predictions.answers import Answers
from serving.predictions.asked import MAX_FAILURES, parts
from serving.predictions.documents import EXAMPLE_REQUEST
from serving.predictions.gathering import MOST_SIZE, WORKERS
from serving.problems import INTERNAL, Problem
from serving.settings import ServingSettings
from tests.service.test_api import promote


@pytest.fixture(scope="module")
def champions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together") / "champions"
    promote(folder, "readmission")
    promote(folder, "cost")
    return folder


@pytest.fixture
def answers(champions: Path) -> Answers:
    return Answers(LiveChampions(champions), ServingSettings(champions))


class Watched:
    """`Answers._computed` that notes how many it computes together, and waits before the first of them."""

    def __init__(self, answers: Answers) -> None:
        self._computed = answers._computed
        self.busy, self.go_on = threading.Semaphore(0), threading.Event()
        self.groups: list[list[str]] = []

    def __call__(self, group: Sequence[Any]) -> list[dict[str, Any]]:
        self.groups.append([asked.records.stay_id for asked in group])
        self.busy.release()
        assert self.go_on.wait(60)
        if any(asked.records.stay_id == "BROKEN" for asked in group):
            raise RuntimeError
        return self._computed(group)


def request_of(stay_id: str, n_earlier: int) -> dict[str, Any]:
    """Of the same patient under the same identifiers, with another history."""
    content = copy.deepcopy(EXAMPLE_REQUEST)
    stay, earlier = content["records"]["stays"]
    content["stay_id"] = stay["stay_id"] = stay_id
    content["records"]["diagnoses"] = []
    content["records"]["stays"] = [stay] + [
        earlier | {"stay_id": f"E{n}", "admitted_at": f"2025-0{n}-02T09:00:00",
                   "discharged_at": f"2025-0{n}-09T09:00:00"}
        for n in range(1, n_earlier + 1)
    ]  # fmt: skip
    return content


def together(
    answers: Answers, monkeypatch: pytest.MonkeyPatch, contents: Sequence[dict[str, Any]]
) -> tuple[list[dict[str, Any] | Problem], list[list[str]]]:
    """What is answered to requests that come while every worker is busy, and what was computed together."""
    watched = Watched(answers)
    monkeypatch.setattr(answers, "_computed", watched)

    def asked(content: dict[str, Any]) -> dict[str, Any] | Problem:
        try:
            return answers.one(content, n_reasons=5)
        except Problem as problem:
            return problem

    with ThreadPoolExecutor(WORKERS + len(contents)) as pool:
        for n_reasons in range(1, WORKERS + 1):
            pool.submit(answers.one, request_of("FIRST", 0), n_reasons=n_reasons)
            assert watched.busy.acquire(timeout=60)
        found = []
        for place, content in enumerate(contents, start=1):
            found.append(pool.submit(asked, content))
            while len(answers._gathering._waiting) < place:
                threading.Event().wait(0.001)
        watched.go_on.set()
        return [each.result() for each in found], watched.groups[WORKERS:]


def test_each_is_answered_from_its_own_records_alone(answers, monkeypatch):
    contents = [request_of("S9", n_earlier) for n_earlier in (0, 3, 1, 3, 0)]
    alone = [answers.one(content, n_reasons=5) for content in contents]
    # The histories differ, and so do the answers.
    assert alone[0]["predictions"] != alone[1]["predictions"] != alone[2]["predictions"]
    found, groups = together(answers, monkeypatch, contents)
    assert groups == [["S9"] * 5]
    for each, expected in zip(found, alone, strict=True):
        assert isinstance(each, dict)
        assert each | {"scored_at": ""} == expected | {"scored_at": ""}


def test_one_that_fails_unforeseen_fails_alone(answers, monkeypatch):
    names = ["A", "BROKEN", "C", "D"]
    found, groups = together(answers, monkeypatch, [request_of(name, 1) for name in names])
    assert groups == [names, names[:2], ["A"], ["BROKEN"], names[2:]]
    assert [each["stay_id"] for each in found if isinstance(each, dict)] == ["A", "C", "D"]
    (failed,) = [each for each in found if isinstance(each, Problem)]
    assert failed.kind == INTERNAL


def test_nobody_is_answered_as_failed_for_another_clients_sake(answers, monkeypatch):
    # Halving 24 until each of three is found takes 13 failures, more than a batch may have.
    names = ["BROKEN" if place % 8 == 0 else f"S{place}" for place in range(24)]
    found, groups = together(answers, monkeypatch, [request_of(name, 0) for name in names])
    assert sum("BROKEN" in group for group in groups) > MAX_FAILURES
    answered = [each["stay_id"] for each in found if isinstance(each, dict)]
    assert answered == [name for name in names if name != "BROKEN"]


def test_every_answer_is_of_the_champions_that_were_in_force_when_it_was_asked(tmp_path, monkeypatch):
    folder = tmp_path / "champions"
    promote(folder, "readmission", version=1)
    answers = Answers(LiveChampions(folder, reload_seconds=0.0), ServingSettings(folder))
    answers.one(request_of("S9", 1), n_reasons=5)
    watched = Watched(answers)
    monkeypatch.setattr(answers, "_computed", watched)
    with ThreadPoolExecutor(WORKERS + 2) as pool:
        first = []
        for n_reasons in range(1, WORKERS + 1):
            first.append(pool.submit(answers.one, request_of("BUSY", 1), n_reasons=n_reasons))
            assert watched.busy.acquire(timeout=60)
        waiting = []
        for version in (1, 2):
            if version == 2:
                promote(folder, "readmission", version=2, seed=2)
            waiting.append(pool.submit(answers.one, request_of(f"V{version}", 1), n_reasons=5))
            while len(answers._gathering._waiting) < version:
                threading.Event().wait(0.001)
        watched.go_on.set()
        models = [[each["model"] for each in found.result()["predictions"]] for found in (*first, *waiting)]
    assert models == [["readmission-admission/1"]] * (WORKERS + 1) + [["readmission-admission/2"]]
    assert sorted(watched.groups[WORKERS:]) == [["V1"], ["V2"]]


def test_questions_can_be_asked_of_one_set_of_champions_though_it_changes_meanwhile(tmp_path):
    folder = tmp_path / "champions"
    promote(folder, "readmission", version=1)
    answers = Answers(LiveChampions(folder, reload_seconds=0.0), ServingSettings(folder))
    first = answers.champions()
    promote(folder, "readmission", version=2, seed=2)
    content = request_of("S9", 1)
    (of_many,) = answers.ask_many([content], n_reasons=5, champions=first)
    assert not isinstance(of_many, Problem)
    asked = [answers.ask(content, n_reasons=5, champions=first), of_many, answers.ask(content, n_reasons=5)]
    answered = [answers.one(content, n_reasons=5, champions=first), *map(answers.answer, asked)]
    found = [[each["model"] for each in one["predictions"]] for one in answered]
    assert found == [["readmission-admission/1"]] * 3 + [["readmission-admission/2"]]


def test_a_request_is_answered_while_a_part_of_a_batch_is_computed(champions, monkeypatch):
    monkeypatch.setattr("serving.predictions.gathering.WORKERS", 1)
    monkeypatch.setattr("serving.predictions.asked.MOST_OF_A_BATCH", 2)
    answers = Answers(LiveChampions(champions), ServingSettings(champions))
    contents = [request_of(f"B{place}", place % 4) for place in range(5)]
    alone = [answers.one(content, n_reasons=5) for content in contents]
    watched = Watched(answers)
    with ThreadPoolExecutor(2) as pool:
        with monkeypatch.context() as during:
            during.setattr(answers, "_computed", watched)
            many = pool.submit(answers.batch, contents, n_reasons=5)
            assert watched.busy.acquire(timeout=60)
            other = pool.submit(answers.batch, [request_of("C0", 0)], n_reasons=5)
            while not answers._batches._waiting:
                threading.Event().wait(0.001)
        # Nor is it computed with a batch, whose items it would have to wait for.
        single = answers.one(request_of("S9", 1), n_reasons=5)
        assert (single["stay_id"], watched.groups) == ("S9", [["B0", "B1"]])
        monkeypatch.setattr(answers, "_computed", watched)
        watched.go_on.set()
        found = many.result(60)
        assert other.result(60)[0]["stay_id"] == "C0"
    # Another batch has its turn between the parts.
    assert watched.groups == [["B0", "B1"], ["C0"], ["B2", "B3"], ["B4"]]
    assert [each | {"scored_at": ""} for each in found] == [each | {"scored_at": ""} for each in alone]


def test_the_parts_of_a_batch_have_one_point_each_and_a_bounded_number_of_rows(answers, monkeypatch):
    monkeypatch.setattr("serving.predictions.asked.MOST_OF_A_BATCH", 3)
    (one,) = answers.ask_many([request_of("S9", 1)], n_reasons=5)
    at_discharge = replace(one, records=replace(one.records, point=Point.DISCHARGE))
    rows = one.records.tables["stays"][:1] * (MOST_SIZE // 2 + 1)
    large = replace(one, records=replace(one.records, tables={"stays": rows}))
    bad = Problem(INTERNAL, "")
    # Four alike: three and one. Two large ones: together more rows than may be; a small one has its place.
    items = [one, bad, at_discharge, one, one, one, large, large, one]
    assert sorted([*part] for part in parts(items)) == [[0, 3, 4], [2], [5, 6], [7, 8]]
