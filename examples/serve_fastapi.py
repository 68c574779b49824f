"""A service that classifies texts, of FastAPI and a model that `sk_ulmfit.export` wrote.

    pip install sk-ulmfit[serve] fastapi uvicorn
    MODEL=intents-int8 uvicorn serve_fastapi:app --app-dir examples --workers 2

    curl localhost:8000/classify -H 'Content-Type: application/json' \
        -d '{"texts": ["Where is my card?"]}'

Every worker is a process with a model of its own, and computes with one thread. Requests that
arrive while it computes are answered together in the next batch: nobody waits for one to fill up.
When it is told to stop (SIGTERM), it says so: `/ready` refuses, and every connection is told with
its next answer to go elsewhere. What has been asked by then is answered, and it ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import numpy as np
from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel, Field

from sk_ulmfit import serving

# What a request may ask for, and how many texts may wait before others are sent away.
MOST_TEXTS, MOST_CHARACTERS, MOST_WAITING = 100, 10_000, 2_000

# Seconds from when it is told to stop until it takes no more requests: as long as who sends them
# needs to notice (of Kubernetes the period of its readiness probe).
SECONDS_TO_LEAVE = float(os.environ.get("SECONDS_TO_LEAVE", "1"))

# Texts that are computed together: more take no less time for each.
BATCH = 64


class Batches:
    """Lets a model answer in one batch what has arrived since the last."""

    def __init__(self, model: serving.ServedClassifier):
        self.model = model
        self.n_waiting = 0  # texts
        self._questions: asyncio.Queue[tuple[list[str], asyncio.Future]] = asyncio.Queue()

    async def ask(self, texts: list[str]) -> np.ndarray:
        """Probabilities of the classes, of one request."""
        answer = asyncio.get_running_loop().create_future()
        self.n_waiting += len(texts)
        self._questions.put_nowait((texts, answer))
        try:
            return await answer
        finally:
            self.n_waiting -= len(texts)

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            asked = [await self._questions.get()]
            while not self._questions.empty() and sum(len(texts) for texts, _ in asked) < BATCH:
                asked.append(self._questions.get_nowait())
            together = [text for texts, _ in asked for text in texts]
            try:
                p = await asyncio.to_thread(self.model.predict_proba, together)
            except Exception as error:
                for _, answer in asked:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            ends = np.cumsum([len(texts) for texts, _ in asked])
            for (_, answer), part in zip(asked, np.split(p, ends[:-1]), strict=True):
                if not answer.done():  # a client that has gone waits no longer
                    answer.set_result(part)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load the model before the first request; after the last one, end."""
    app.state.batches = Batches(serving.load(os.environ["MODEL"]))
    app.state.stopping = False
    loop, stop = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)  # the server's own

    def leave() -> None:
        app.state.stopping = True
        if callable(stop):
            loop.call_later(SECONDS_TO_LEAVE, stop, signal.SIGTERM, None)

    signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(leave))
    running = asyncio.create_task(app.state.batches.run())
    yield
    running.cancel()


app = FastAPI(title="sk_ulmfit", lifespan=lifespan)


class Question(BaseModel):
    """Texts to classify."""

    texts: list[Annotated[str, Field(max_length=MOST_CHARACTERS)]] = Field(
        min_length=1, max_length=MOST_TEXTS
    )


class Answer(BaseModel):
    """The likeliest class of every text, and how likely it is."""

    classes: list[str]
    probabilities: list[float]


@app.post("/classify")
async def classify(question: Question, response: Response) -> Answer:
    """Classify texts; refuses them (503) if too many are waiting."""
    batches: Batches = app.state.batches
    if batches.n_waiting + len(question.texts) > MOST_WAITING:
        raise HTTPException(503, "Too many texts are waiting.", headers={"Retry-After": "1"})
    p = await batches.ask(question.texts)
    if app.state.stopping:
        response.headers["Connection"] = "close"  # it is the last answer to who keeps one
    likeliest = p.argmax(axis=1)
    classes = batches.model.classes_[likeliest].astype(str)
    return Answer(classes=classes.tolist(), probabilities=p.max(axis=1).tolist())


@app.get("/health")
async def health() -> dict[str, str]:
    """Whether the process lives."""
    return {"status": "ok"}


@app.get("/ready")
async def ready() -> dict[str, int]:
    """Whether it takes requests: not (503) while too many texts wait, or when it is to stop."""
    n_waiting = app.state.batches.n_waiting
    if app.state.stopping or n_waiting >= MOST_WAITING:
        raise HTTPException(503, "It stops." if app.state.stopping else "Too many texts wait.")
    return {"waiting": n_waiting}
