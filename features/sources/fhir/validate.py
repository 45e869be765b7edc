"""Whether a resource is valid FHIR R4, by the resource models of the package fhir.resources.

Its models are those of R4B (4.3.0), which leaves the resources that are read here as R4 (4.0.1) has them.
They hold structure, types, cardinality and the forms of dates, times and numbers; no value sets, which the
common check knows, and nothing that lies behind an address.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from fhir.resources.R4B import get_fhir_model_class
from fhir.resources.R4B.resource import Resource as ResourceModel
from pydantic import ValidationError

from features.sources.fhir.stream import Resource

if TYPE_CHECKING:
    from pydantic import BaseModel

UNKNOWN_ELEMENT = "(an element that R4 does not have)"


def fault_of(resource: Resource, kind: str) -> str:
    """The path of the first element that is not valid, such as `period.start`; empty where all are.

    The path names elements and places in lists alone, never a value of the resource.
    """
    try:
        _model(kind).model_validate(resource)
    except ValidationError as error:
        try:
            return _path(error)
        except UnicodeError:
            return "(text with half of a character)"  # the message that goes with the path quotes it
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError):
        return "contained or nested resources"  # the models do not say where
    return ""


@cache
def is_type(name: str) -> bool:
    """Whether a resource type of this name exists."""
    if len(name) > 64 or not name.isalpha():
        return False
    try:
        return issubclass(_model(name), ResourceModel)
    except (LookupError, ValueError, AttributeError, ImportError):
        return False


@cache
def _model(kind: str) -> type[BaseModel]:
    return get_fhir_model_class(kind)


def _path(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    steps = [str(step) for step in first["loc"] if step != "root"]
    if first["type"] == "extra_forbidden":
        steps[-1] = UNKNOWN_ELEMENT  # the name comes from the file and may be anything
    return ".".join(steps) or "(elements that exclude each other, or one of which must be there)"
