"""The parameters of an address: those that a route knows, each once."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request

from serving.problems import FieldError, invalid


def only_known(*known: str) -> Callable[[Request], None]:
    """A dependency that refuses parameters of other names, or given twice.

    A filter that is not applied would show a list that was not asked for, and a misspelt `store` would keep
    nothing. It raises Problem (422).
    """

    def check(request: Request) -> None:
        given = [name for name, _ in request.query_params.multi_items()]
        errors = [FieldError(f"query.{name}", "is given twice") for name in known if given.count(name) > 1]
        if n_unknown := sum(name not in known for name in given):
            names = f"; known are {', '.join(known)}" if known else "; none is known"
            parameters = "parameter" if n_unknown == 1 else "parameters"
            errors.insert(0, FieldError("query", f"has {n_unknown} unknown {parameters}{names}"))
        if errors:
            raise invalid(errors)

    return check
