"""What a model learned from that a data set does not supply."""

from __future__ import annotations

from collections.abc import Callable

from features.catalogue import CATALOGUE
from features.tables import TABLES
from models.artefact import Artefact


def missing_tables(artefact: Artefact, is_there: Callable[[str], bool]) -> tuple[str, ...]:
    """The canonical tables that features of the model are made of and that are not there, in their order.

    `is_there` is asked by a table's name. Without such a table the features are missing, though they were
    known when the model learned: its predictions are about other patients than its evidence.
    """
    learned = {spec.name for spec in artefact.features if not spec.is_fact}
    needed = {table for name in learned & CATALOGUE.keys() for table in CATALOGUE[name].tables}
    return tuple(name for name in TABLES if name in needed and not is_there(name))
