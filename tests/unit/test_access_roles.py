"""Roles: what each may do, as the hospital was promised it."""

from __future__ import annotations

import pytest

from serving.access.caller import Caller, insecure_demo_caller
from serving.access.roles import PERMISSIONS, Permission, Role

# Written down once more by hand: a change of the table must be meant.
PROMISED = {
    "planner": {"read_predictions", "read_models"},
    "integrator": {"predict", "store", "read_predictions", "read_models", "use_cds_hooks"},
    "data_scientist": {"read_models", "read_metrics"},
    "auditor": {"read_models", "read_audit"},
    "administrator": {"read_models", "read_metrics", "read_audit"},
}


def caller(*roles: Role, departments: frozenset[str] | None = None) -> Caller:
    return Caller("c", frozenset(roles), departments)


def test_every_role_has_its_permissions_and_no_other():
    assert {role.value: {each.value for each in given} for role, given in PERMISSIONS.items()} == PROMISED


@pytest.mark.parametrize("permission", Permission)
def test_who_has_no_role_may_do_nothing(permission: Permission):
    assert not caller().may(permission)


def test_several_roles_add_up():
    both = caller(Role.PLANNER, Role.DATA_SCIENTIST)
    allowed = {permission.value for permission in Permission if both.may(permission)}
    assert allowed == {"read_predictions", "read_models", "read_metrics"}


def test_who_keeps_the_server_reads_no_patients_prediction():
    for role in (Role.DATA_SCIENTIST, Role.AUDITOR, Role.ADMINISTRATOR):
        assert not caller(role).may(Permission.READ_PREDICTIONS)
        assert not caller(role).may(Permission.PREDICT)


@pytest.mark.parametrize(
    ("departments", "department", "seen"),
    [
        (None, "Cardiology", True),
        (None, None, True),
        (frozenset({"Cardiology"}), "Cardiology", True),
        (frozenset({"Cardiology"}), "cardiology", False),
        (frozenset({"Cardiology"}), "Surgery", False),
        (frozenset({"Cardiology"}), None, False),
        (frozenset(), "Cardiology", False),
        (frozenset(), None, False),
    ],
)
def test_departments_restrict_what_is_seen(
    departments: frozenset[str] | None, department: str | None, seen: bool
):
    assert caller(Role.PLANNER, departments=departments).sees(department) is seen


def test_in_the_insecure_demo_everybody_may_do_everything():
    everybody = insecure_demo_caller()
    assert everybody.name == "insecure-demo"
    assert all(everybody.may(permission) for permission in Permission)
    assert everybody.sees(None)
