"""The HTTP API: its routes put together.

Handlers that compute or read files are plain functions, which run in threads.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import metadata

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware.trustedhost import TrustedHostMiddleware

from serving.http.description import describe
from serving.http.responses import answer_problems
from serving.operation.middleware import QuietRequests
from serving.parts import Parts, open_parts
from serving.routes import audit, cds_hooks, explanation, fhir, metrics, predictions, state, stored
from serving.settings import ServingSettings

REQUEST_MODELS = (*predictions.REQUEST_MODELS, *cds_hooks.REQUEST_MODELS)


def create_app(
    settings: ServingSettings, *, is_loopback: bool = True, hosts: Sequence[str] | None = None
) -> FastAPI:
    """The application over the champions of `settings.champions`, which are loaded now.

    Without a usable champion it still starts: `/health/ready` says why it cannot answer yet. Raises UserError
    if its store or audit log cannot be used; both are closed when the application ends. `is_loopback` says
    whether this machine alone will reach it; with `hosts`, only requests for these names are answered.
    """
    parts = open_parts(settings, is_loopback=is_loopback)
    app = FastAPI(
        title="wardcast",
        version=metadata.version("wardcast"),
        summary="Readmission, complication and cost predictions for hospital admissions, with reasons",
        # The description is a route of ours. The pages that show one load scripts from elsewhere; the product
        # asks no other host.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # An address that is almost right is none: the answer would repeat it, identifiers and all.
        redirect_slashes=False,
        lifespan=_life_of(parts),
    )
    if hosts is not None:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*hosts], www_redirect=False)
    app.add_middleware(QuietRequests, metrics=parts.metrics)
    answer_problems(app)
    _include(app, parts)
    describe(app, REQUEST_MODELS)
    return app


def _life_of(parts: Parts) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(parts.prepare, parts.answers.present())
        parts.champions.watch()
        try:
            yield
        finally:
            await run_in_threadpool(parts.close)

    return life


def _include(app: FastAPI, parts: Parts) -> None:
    access, log, answers = parts.access, parts.audit, parts.answers
    app.include_router(state.router(access, answers, parts.readiness))
    app.include_router(
        predictions.router(access, log, answers, parts.predictions, parts.gate, parts.settings)
    )
    app.include_router(stored.router(access, log, parts.predictions, answers.present))
    app.include_router(explanation.router(access, log, parts.predictions, answers.present))
    cds = parts.cds_hooks
    app.include_router(fhir.router(access, log, parts.predictions, cds.mitigations(), cds.language))
    app.include_router(
        cds_hooks.router(
            access,
            log,
            answers,
            parts.cards,
            parts.feedback,
            parts.cds_hooks,
            parts.gate,
            parts.settings,
            records=parts.fhir,
        )
    )
    app.include_router(audit.router(access, log))
    app.include_router(metrics.router(access, parts.metrics))
