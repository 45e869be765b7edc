"""What stays and visits cost, who pays, and the charges, as queries over the views of `joined`."""

from __future__ import annotations

from features.sources.fhir.joined import BELONGS, NO_VISIT, local_day, marked, stay_of

PAYERS = """
    SELECT c.id, any_value(coalesce(c.payer, o.name, c.payor)) AS payer FROM coverage c
    LEFT JOIN (SELECT id, any_value(name) AS name FROM organization GROUP BY id) o ON c.payor = o.id
    GROUP BY c.id
    """
"""Coverage → who pays."""

# An explanation of benefit without encounters has those of its claim.
CLAIM_OWNERS = """
    SELECT n, any_value(owner_id) AS owner_id, any_value(is_stay) AS is_stay FROM (
        SELECT e.n, coalesce(b.owner_id, e.encounter) AS owner_id, b.id IS NULL OR b.is_stay AS is_stay
        FROM (
            SELECT n, encounter FROM claim_encounter
            UNION ALL
            SELECT eob.n, e.encounter FROM claim eob JOIN claim c ON eob.claim = c.id AND c.kind = 'claim'
            JOIN claim_encounter e ON e.n = c.n
            WHERE eob.kind = 'eob' AND eob.n NOT IN (SELECT n FROM claim_encounter)
        ) e LEFT JOIN belongs b ON e.encounter = b.id
    ) GROUP BY n HAVING count(DISTINCT owner_id) = 1
    """
"""Claim → the one stay or visit that it is about."""


def _sum(column: str) -> str:
    """SQL: the sum of amounts, or the first that is none; null where a claim that counts is not valid."""
    number = f"TRY_CAST({column} AS DECIMAL(18, 2))"
    return (
        f"CASE WHEN bool_or(fault <> '') THEN NULL "
        f"WHEN bool_or({column} IS NOT NULL AND {number} IS NULL) "
        f"THEN min({column}) FILTER ({number} IS NULL) ELSE sum({number})::VARCHAR END"
    )


# Explanations of benefit count; claims where a stay has none of those, charges where it has no claims.
COSTS = f"""
    WITH own AS (
        SELECT o.owner_id, c.*, coalesce(p.payer, org.name, c.insurer) AS payer,
            rank() OVER (PARTITION BY o.owner_id ORDER BY c.kind = 'eob' DESC) AS choice
        FROM claim c JOIN claim_owners o ON c.n = o.n LEFT JOIN payers p ON c.coverage = p.id
        LEFT JOIN (SELECT id, any_value(name) AS name FROM organization GROUP BY id) org ON c.insurer = org.id
    )
    SELECT owner_id, {_sum("total")} AS total, {_sum("patient_paid")} AS patient_paid,
        arg_min(payment_group, id) AS payment_group, arg_min(payer, id) AS payer
    FROM own WHERE choice = 1 GROUP BY owner_id
    UNION ALL
    SELECT b.owner_id, {_sum("t.amount")}, NULL, NULL, NULL FROM charge_item t {BELONGS}
    WHERE b.owner_id IS NOT NULL AND b.owner_id NOT IN (SELECT owner_id FROM own) GROUP BY b.owner_id
    """
"""Stay or visit → total, part paid by the patient, payment group and payer."""


def charges(time_zone: str) -> str:
    """Charge items; where there are none the items of explanations of benefit, or else of claims."""
    day = local_day("t.incurred_on", time_zone)
    return f"""
    WITH chosen AS (
        SELECT encounter, incurred_on, category, amount, item_code, known_at, fault FROM charge_item
        UNION ALL
        SELECT coalesce(i.encounter, o.owner_id), i.incurred_on, i.category, i.amount, i.item_code,
            c.known_at, c.fault
        FROM claim_item i JOIN claim c ON i.n = c.n LEFT JOIN claim_owners o ON i.n = o.n
        WHERE NOT EXISTS (FROM charge_item)
            AND c.kind = (SELECT CASE WHEN bool_or(kind = 'eob') THEN 'eob' ELSE 'claim' END FROM claim)
    )
    SELECT {stay_of("t.encounter")} AS stay_id, {day} AS incurred_on, t.category,
        {marked("amount", "t.amount")}, t.item_code, t.known_at
    FROM chosen t {BELONGS} WHERE {NO_VISIT}
    """
