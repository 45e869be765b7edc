"""The credential that a request carries."""

from __future__ import annotations

from starlette.datastructures import Headers

from serving.problems import CREDENTIAL_REFUSED, NOT_AUTHENTICATED, Problem


def credential(headers: Headers) -> str:
    """The API key or token of `Authorization: Bearer …` or `X-API-Key`.

    Raises Problem (401) if there is none or more than one, or the scheme is another.
    """
    authorizations, keys = headers.getlist("authorization"), headers.getlist("x-api-key")
    if not authorizations and not keys:
        raise Problem(NOT_AUTHENTICATED, "Send the header Authorization: Bearer, with an API key or a token.")
    if len(authorizations) + len(keys) > 1:
        raise Problem(CREDENTIAL_REFUSED, "The request carries more than one key or token. Send one.")
    if keys:
        return keys[0].strip()
    scheme, _, value = authorizations[0].partition(" ")
    if scheme.lower() != "bearer":
        raise Problem(CREDENTIAL_REFUSED, "The header Authorization is taken in the form Bearer alone.")
    return value.strip()
