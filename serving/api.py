"""The HTTP API: its parts put together.

Handlers that compute or read files are plain functions, which run in threads.
"""

from __future__ import annotations

from importlib import metadata

from fastapi import FastAPI

from serving import state
from serving.answers import Answers
from serving.http.description import describe
from serving.http.responses import answer_problems
from serving.loaded import LiveChampions
from serving.middleware import QuietRequests
from serving.predictions import routes as predictions
from serving.settings import ServingSettings


def create_app(settings: ServingSettings) -> FastAPI:
    """The application over the champions of `settings.champions`, which are loaded now.

    Without a usable champion it still starts: `/health/ready` says why it cannot answer yet.
    """
    app = FastAPI(
        title="wardcast",
        version=metadata.version("wardcast"),
        summary="Readmission, complication and cost predictions for hospital admissions, with reasons",
        # The pages that show a description load scripts from elsewhere; the product asks no other host.
        docs_url=None,
        redoc_url=None,
    )
    champions = LiveChampions(
        settings.champions, reload_seconds=settings.reload_seconds, retry_seconds=settings.retry_seconds
    )
    answers = Answers(champions, settings)
    app.add_middleware(QuietRequests)
    answer_problems(app)
    app.include_router(state.router(answers))
    app.include_router(predictions.router(answers, settings))
    describe(app, predictions.REQUEST_MODELS)
    return app
