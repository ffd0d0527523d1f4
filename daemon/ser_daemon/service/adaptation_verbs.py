"""The control verbs that change what answers are adapted to: forget, correct a label, list what was taught."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ser_daemon.adaptation.corrections import Correction
from ser_daemon.adaptation.session import AdaptationSession
from ser_daemon.adaptation.teaching import CORRECTIONS_OFF, Lesson, Teaching
from ser_daemon.adaptation.utterances import RecentUtterance
from ser_daemon.pipeline.threads import await_with_timeout
from ser_daemon.service.engine import Engine
from ser_model.adaptation.taught_head import TaughtExample
from ser_model.errors import SerError

FIT_SECONDS = 2.0
"""Time for fitting a head: a hundred times what it takes."""

STORE_SECONDS = 2.0
"""Time for writing or removing the corrections: a disk may hang."""


class AdaptationVerbs:
    """Carries out one verb after another; a reload must hold `changing` too."""

    def __init__(self, engine: Engine, completed: Callable[[Future[None]], Awaitable[None]]) -> None:
        """Prepare.

        Args:
            engine: owns the adaptation.
            completed: waits until a command of the inference thread has taken effect.
        """
        self._engine = engine
        self._completed = completed
        self.changing = asyncio.Lock()
        """Held while corrections change, so that none is lost."""

    async def reset(self) -> str:
        """Forget what was learned about microphone and voice, and all corrections, also on disk.

        Returns:
            a sentence about what is in force now

        Raises:
            SerError: a file could not be removed, or the thread does not answer.
        """
        async with self.changing:
            session = self._engine.adaptation
            too = ""
            try:
                await self._completed(self._engine.queue.submit(session.forget))
            finally:
                if session.teaching is not None and await self._forget_corrections(session, session.teaching):
                    too = ", the corrections too"
        if session.has_profile:
            return f"What was learnt is forgotten{too}; the speaker's profile stays in force."
        now = "learning begins anew" if session.learns else "nothing is being learnt"
        return f"What was learnt is forgotten{too}; {now}."

    async def label(self, utterance_id: str, label: str) -> dict[str, Any]:
        """Correct the label of an utterance; it takes effect with the next utterance.

        Args:
            utterance_id: as in the events, or `last`.
            label: one of the model's labels.

        Returns:
            the utterance, its label, the number of examples that answers are taught by now, and a sentence

        Raises:
            SerError: corrections are off, or the utterance cannot be corrected; or the correction is in force but
                could not be written.
        """
        async with self.changing:
            session = self._engine.adaptation
            teaching = _taking_corrections(session)
            found: list[RecentUtterance] = []
            # In queue order: a final that was published before is found.
            await self._completed(
                self._engine.queue.submit(lambda: found.append(teaching.utterances.find(utterance_id)))
            )
            correction = _correct(found[0], label)
            # Off the inference thread, which may be in the middle of an utterance.
            lesson = await await_with_timeout(
                lambda: teaching.with_correction(correction), FIT_SECONDS, _late("fitted", FIT_SECONDS)
            )
            await self._completed(self._engine.queue.submit(lambda: session.teach(lesson)))
            await await_with_timeout(teaching.store, STORE_SECONDS, _late_store())
        return _answer(found[0].utterance_id, label, lesson)

    def taught(self, start: int | None) -> dict[str, Any]:
        """Return what was taught: counts and the newest corrections, or with `start` a page of the examples.

        Raises:
            SerError: there is no adaptation at all.
        """
        teaching = self._engine.adaptation.teaching
        if teaching is None:
            raise SerError(CORRECTIONS_OFF)
        return teaching.summary() if start is None else teaching.page(start)

    async def _forget_corrections(self, session: AdaptationSession, teaching: Teaching) -> bool:
        """Forget the corrections; return whether there were any."""
        had_some = bool(teaching.lesson.corrections)
        lesson = await await_with_timeout(teaching.without_corrections, FIT_SECONDS, _late("fitted", FIT_SECONDS))
        await self._completed(self._engine.queue.submit(lambda: session.teach(lesson)))
        had_file = await await_with_timeout(teaching.forget, STORE_SECONDS, _late("removed", STORE_SECONDS))
        return had_some or had_file


def _taking_corrections(session: AdaptationSession) -> Teaching:
    if session.teaching is None:
        raise SerError(CORRECTIONS_OFF)
    session.teaching.check()
    return session.teaching


def _correct(utterance: RecentUtterance, label: str) -> Correction:
    assert utterance.estimate is not None
    time = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    logits, embedding = (np.asarray(numbers, dtype=np.float64) for numbers in utterance.estimate)
    wrong = "" if utterance.answer == label else utterance.answer
    return Correction(TaughtExample(label, logits, embedding, wrong), time, utterance.utterance_id)


def _answer(utterance_id: str, label: str, lesson: Lesson) -> dict[str, Any]:
    if lesson.head is None:
        taught, effect = 0, "it takes effect when another label has an example too"
    else:
        taught = lesson.head.examples
        effect = f"answers are taught by {taught} examples from the next utterance on"
    return {
        "utterance_id": utterance_id,
        "label": label,
        "taught": taught,
        "text": f"{utterance_id} counts as {label}; {effect}.",
    }


def _late(done: str, seconds: float) -> SerError:
    return SerError(f"The corrections were not {done} within {seconds:g} s; is the machine overloaded, or a disk hung?")


def _late_store() -> SerError:
    return SerError(
        f"In force, but the corrections were not written within {STORE_SECONDS:g} s; a restart may not know of it."
    )
