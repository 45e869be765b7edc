"""Amounts in another currency are left out of whatever a client sends as a resource."""

from __future__ import annotations

import json

import pytest

from features.sources.fhir.stream import Found
from serving.fhir.currency import in_currency

AMOUNT = {"value": 12.5, "currency": "USD"}


def left(resource: object) -> tuple[object, int]:
    (found,), count = in_currency([Found(resource, "prefetch")], "CNY")  # type: ignore[arg-type]
    return found.resource, count


def test_an_amount_in_another_currency_is_left_out_and_the_rest_stays():
    claim = {"resourceType": "Claim", "id": "C1", "item": [{"net": AMOUNT}, {"net": {"value": 3}}]}
    assert left(claim) == (
        {"resourceType": "Claim", "id": "C1", "item": [{"net": {"currency": "USD"}}, {"net": {"value": 3}}]},
        1,
    )


@pytest.mark.parametrize("kind", [["Claim"], {"Claim": 1}, None, 7])
def test_what_has_no_type_stays_as_it_is(kind):
    resource = {"resourceType": kind, "total": AMOUNT}
    assert left(resource) == (resource, 0)


def test_a_resource_may_be_nested_as_deeply_as_json_is_read():
    deep = json.loads('{"a":' * 700 + "1" + "}" * 700)
    resource = {"resourceType": "Claim", "extension": deep}
    assert left(resource) == (resource, 0)
