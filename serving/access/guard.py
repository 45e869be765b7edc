"""The guard of the routes: who asks is found out before anything else of a request is read."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers

from features.errors import UserError
from serving.access.caller import Caller, insecure_demo_caller
from serving.access.credentials import credential
from serving.access.keys import PREFIX, KeyRing
from serving.access.roles import Permission
from serving.access.settings import AccessSettings
from serving.access.tokens import Tokens
from serving.problems import FORBIDDEN, Problem

# For the description of the API alone; the credential is read from the headers.
_BEARER = HTTPBearer(auto_error=False, description="An API key or an OpenID Connect access token")
_API_KEY = APIKeyHeader(name="X-API-Key", auto_error=False, description="An API key")

INSECURE_DEMO = (
    "WARNING: --insecure-demo: NOBODY IS ASKED WHO THEY ARE. Every program and every account on this machine "
    "can send records, read all predictions and the metrics. For made-up patients alone."
)

_log = logging.getLogger("wardcast.serving")


class InsecureDemoError(UserError):
    """A server without authentication would be reached from other machines."""


class Access:
    """Finds out who asks, by `identify`, and refuses what they may not do."""

    def __init__(self, identify: Callable[[Headers], Awaitable[Caller]]) -> None:
        self._identify = identify

    def needs(self, permission: Permission) -> Callable[..., Awaitable[Caller]]:
        """A dependency that gives the caller. It raises Problem: 401 for a credential, 403 for a role.

        Name it before the body among a handler's parameters: they are solved in order, and nothing is read
        from who may not send it.
        """

        async def caller(
            request: Request,
            _bearer: Annotated[object, Security(_BEARER)] = None,
            _api_key: Annotated[object, Security(_API_KEY)] = None,
        ) -> Caller:
            found = await self._identify(request.headers)
            if not found.may(permission):
                raise Problem(FORBIDDEN, f"None of the caller's roles allows {permission}.")
            return found

        return caller


def open_access(
    settings: AccessSettings,
    engine: Engine,
    *,
    insecure_demo: bool = False,
    is_loopback: bool = True,
) -> Access:
    """Access by the API keys of the store and the tokens of the issuers that the settings trust.

    With `insecure_demo` everybody may do everything, and the log says so. Raises InsecureDemoError for that
    on an address that other machines reach (not `is_loopback`), KeySetError for an issuer whose keys cannot
    be used.
    """
    if not insecure_demo:
        return access_by(KeyRing(engine, keys_seconds=settings.keys_seconds), Tokens(settings.issuers))
    if not is_loopback:
        raise InsecureDemoError(
            "--insecure-demo lets everybody who reaches the server do everything, and other machines would "
            "reach it. Leave out --host, or leave out --insecure-demo and make keys: wardcast keys create."
        )
    _log.warning(INSECURE_DEMO)
    return insecure_demo_access()


def access_by(keys: KeyRing, tokens: Tokens) -> Access:
    """Access by API keys and tokens."""

    async def identify(headers: Headers) -> Caller:
        given = credential(headers)
        if not given.startswith(PREFIX):
            # An issuer's keys may have to be fetched.
            return await run_in_threadpool(tokens.caller, given)
        if keys.is_fresh:
            return keys.caller(given)
        return await run_in_threadpool(keys.caller, given)

    return Access(identify)


def insecure_demo_access() -> Access:
    """Access of `--insecure-demo`: everybody may do everything. For this machine alone."""

    async def identify(_headers: Headers) -> Caller:
        return insecure_demo_caller()

    return Access(identify)
