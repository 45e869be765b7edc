"""Roles, and what each may do: one table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Permission(StrEnum):
    """One thing that a route lets its caller do."""

    PREDICT = "predict"
    STORE = "store"
    READ_PREDICTIONS = "read_predictions"
    READ_MODELS = "read_models"
    USE_CDS_HOOKS = "use_cds_hooks"
    READ_METRICS = "read_metrics"
    READ_AUDIT = "read_audit"


class Role(StrEnum):
    """What a caller is to the hospital. A caller may have several."""

    PLANNER = "planner"
    INTEGRATOR = "integrator"
    DATA_SCIENTIST = "data_scientist"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


# An administrator keeps the server and reads no patient's prediction.
PERMISSIONS: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {
        Role.PLANNER: frozenset({Permission.READ_PREDICTIONS, Permission.READ_MODELS}),
        Role.INTEGRATOR: frozenset(
            {
                Permission.PREDICT,
                Permission.STORE,
                Permission.READ_PREDICTIONS,
                Permission.READ_MODELS,
                Permission.USE_CDS_HOOKS,
            }
        ),
        Role.DATA_SCIENTIST: frozenset({Permission.READ_MODELS, Permission.READ_METRICS}),
        Role.AUDITOR: frozenset({Permission.READ_MODELS, Permission.READ_AUDIT}),
        Role.ADMINISTRATOR: frozenset(
            {Permission.READ_MODELS, Permission.READ_METRICS, Permission.READ_AUDIT}
        ),
    }
)
