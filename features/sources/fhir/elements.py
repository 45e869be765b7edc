"""Reading the elements of a resource: values as text, codes by their system, references as addresses.

A resource may be invalid: what is not of the expected form reads as null, or as its text.
"""

from __future__ import annotations

import calendar
import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

Node = Mapping[str, Any]

_REST = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]+)(?:/_history/[A-Za-z0-9\-.]+)?")
_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?identifier=(.+)")
_PART_OF_DATE = re.compile(r"(\d{4})(?:-(\d{2}))?")


@cache
def codes() -> dict[str, Any]:
    """The content of codes.toml."""
    return tomllib.loads((files("features.sources.fhir") / "codes.toml").read_text("utf-8"))


def text(value: object) -> str | None:
    """A primitive as text; null where it is empty or no primitive."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # Half of a surrogate pair is no text that can be written.
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8") or None
    return str(value) if isinstance(value, int | float | Decimal) else None


def node(value: object, *path: str) -> Node:
    """The object at a path of names; empty where there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def nodes(value: object) -> Iterator[Node]:
    """The objects of a list."""
    for item in value if isinstance(value, list) else []:
        if isinstance(item, Mapping):
            yield item


def at(value: object, *path: str) -> str | None:
    """The primitive at a path of names, as text."""
    return text(node(value, *path[:-1]).get(path[-1]))


def codings(concept: object) -> Iterator[tuple[str | None, str]]:
    """(system, code) of each coding of a CodeableConcept that has a code."""
    for coding in nodes(node(concept).get("coding")):
        code = at(coding, "code")
        if code:
            yield at(coding, "system"), code


def has_code(concepts: object, *wanted: str) -> bool:
    """Whether a CodeableConcept, or one of a list of them, has one of the codes, in any system."""
    several = concepts if isinstance(concepts, list) else [concepts]
    return any(code in wanted for concept in several for _, code in codings(concept))


def said(concept: object) -> str | None:
    """What a CodeableConcept says, in the words of a person where there are any."""
    displays = [at(coding, "display") for coding in nodes(node(concept).get("coding"))]
    return next(filter(None, displays), None) or at(concept, "text") or _first_code(concept)


def _first_code(concept: object) -> str | None:
    return next((code for _, code in codings(concept)), None)


def translated(concept: object, *names: str) -> str | None:
    """The canonical value of the first coding that the named maps of codes.toml know.

    Where they know none, the first code, or the text, as it stands; null where there is nothing.
    """
    for system, code in codings(concept):
        for name in names:
            known = codes()[name]
            if code in known["values"] and (system is None or system in known["systems"]):
                return str(known["values"][code])
    return _first_code(concept) or at(concept, "text")


def in_systems(concept: object, name: str) -> tuple[str | None, str | None]:
    """(code, code system) of the first coding of a system that the map knows; else as they stand."""
    found = list(codings(concept))
    for system, code in found:
        if system in codes()[name]:
            return code, str(codes()[name][system])
    if found:
        return found[0][1], found[0][0] or "no system"
    return at(concept, "text"), "no system"


def coded(concept: object, *systems: str) -> str | None:
    """The code of the first coding of one of the systems; else the first code, or the text."""
    preferred = (code for system, code in codings(concept) if system in systems)
    return next(preferred, None) or _first_code(concept) or at(concept, "text")


def address(reference: object, kind: str) -> str | None:
    """What a reference points at: `Type/id`, a `urn:`, or `Type?system|value` of an identifier.

    Nothing is looked up behind it: resources of the extract carry the same addresses. `kind` is the type that
    a bare identifier belongs to. Null where there is no reference.
    """
    literal = at(reference, "reference")
    if literal:
        return plain_address(literal)
    identifier = node(reference, "identifier")
    return identified(at(reference, "type") or kind, identifier)


def plain_address(literal: str) -> str:
    """A literal reference in the one form that `address` has."""
    if rest := _REST.fullmatch(literal):
        return f"{rest[1]}/{rest[2]}"
    if conditional := _CONDITIONAL.fullmatch(literal):
        return f"{conditional[1]}?{conditional[2]}"
    return text(literal) or ""


def identified(kind: str, identifier: Node) -> str | None:
    """The address of an identifier of a resource; null where it has no value."""
    value = at(identifier, "value")
    return f"{kind}?{at(identifier, 'system') or ''}|{value}" if value else None


def moment(resource: Node, name: str) -> str | None:
    """A choice of times `name[x]`: dateTime, instant or text, or the end (else the start) of a period."""
    period = node(resource, f"{name}Period")
    return (
        at(resource, f"{name}DateTime")
        or at(resource, f"{name}Instant")
        or at(period, "end")
        or at(period, "start")
        or at(resource, f"{name}String")
    )


def known(value: str | None) -> str | None:
    """A time of recording; a year or a month alone is known at its last day, and not before."""
    part = _PART_OF_DATE.fullmatch(value or "")
    if not part:
        return value
    year, month = int(part[1]), int(part[2] or 12)
    if not 1 <= month <= 12 or year == 0:
        return value
    return f"{year:04}-{month:02}-{calendar.monthrange(year, month)[1]:02}"


def presence(resource: Node) -> str | None:
    """Present on admission: of a claim's diagnosis, or of an extension that is named so."""
    if "onAdmission" in resource:
        return translated(resource["onAdmission"], "present_on_admission")
    for extension in nodes(resource.get("extension")):
        name = re.sub("[^a-z]", "", (at(extension, "url") or "").rsplit("/", 1)[-1].lower())
        if name.endswith("onadmission"):
            if isinstance(extension.get("valueBoolean"), bool):
                return "Y" if extension["valueBoolean"] else "N"
            concept = extension.get("valueCodeableConcept") or {"coding": [extension.get("valueCoding")]}
            code = at(extension, "valueCode") or at(extension, "valueString")
            return translated({"coding": [{"code": code}]} if code else concept, "present_on_admission")
    return None


def charge_category(*concepts: object) -> str:
    """The charge category of a UB-04 revenue code among the concepts; `other` where there is none."""
    revenue = codes()["revenue"]
    for concept in concepts:
        for system, code in codings(concept):
            if system in revenue["systems"]:
                digits = code.zfill(4)
                for length in (4, 3, 2):
                    if digits[:length] in revenue["values"]:
                        return str(revenue["values"][digits[:length]])
    return "other"


def money(amount: object, currency: str) -> str | None:
    """An amount of Money as text; one in another currency keeps its name, so that nobody adds it up."""
    value, named = at(amount, "value"), at(amount, "currency")
    return value if value is None or named in (None, currency) else f"{value} {named}"
