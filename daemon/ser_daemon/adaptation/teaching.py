"""The examples of a speaker's own voice: those of the profile, and the corrections since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ser_daemon.adaptation.corrections import Correction, CorrectionFile, add_correction, count_labels
from ser_daemon.adaptation.utterances import RecentUtterances
from ser_model.adaptation.adaptation import model_version
from ser_model.adaptation.taught_head import MOST_EXAMPLES, TaughtExample, TaughtHead, fit_head
from ser_model.errors import SerError
from ser_model.network.metadata import ModelMetadata

CORRECTIONS_OFF: Final = "Corrections are off: set adaptation.corrections to true, and reload."

PAGE: Final = 20
"""Examples in one answer: together they are shorter than a line may be."""

_NEWEST = 10
"""Corrections that are listed one by one."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """Corrections, and the head that follows from them and the profile's examples."""

    corrections: tuple[Correction, ...]
    """The newest last."""
    head: TaughtHead | None


class Teaching:
    """The examples in force. `lesson` is replaced by the inference thread; any thread may read it."""

    def __init__(
        self,
        metadata: ModelMetadata,
        profile: Sequence[TaughtExample] = (),
        file: CorrectionFile | None = None,
        *,
        refusal: str = "",
        earlier: Teaching | None = None,
    ) -> None:
        """Read the corrections, and fit the head.

        Args:
            metadata: of the network.
            profile: the examples of the speaker's profile.
            file: of the corrections; `None` where the source is a recording.
            refusal: a sentence that says why no corrections are taken; empty: they are taken.
            earlier: what was in force before a reload. Its corrections and utterances stay, if they are this model's.
        """
        self.model = model_version(metadata)
        """The `model_version` of the network."""
        self.refusal = refusal
        self.utterances = RecentUtterances()
        """Belongs to the inference thread."""
        self._temperature, self._whitening = metadata.temperatures().long, metadata.whitening
        self._profile = tuple(profile)
        self._file = file
        corrections: tuple[Correction, ...] = ()
        if not refusal:
            # Read in any case: what the file holds of other models must survive the next correction.
            corrections = file.load() if file is not None else ()
            if earlier is not None and not earlier.refusal and earlier.model == self.model:
                # What could not be written or removed is as it was, and so are the names of the utterances.
                corrections, self.utterances = earlier.lesson.corrections, earlier.utterances
        self.lesson: Lesson = self._lesson(corrections)

    @property
    def profile_examples(self) -> int:
        """Examples of the profile."""
        return len(self._profile)

    def check(self) -> None:
        """Refuse where corrections are not taken.

        Raises:
            SerError: the sentence that says why.
        """
        if self.refusal:
            raise SerError(self.refusal)

    def with_correction(self, correction: Correction) -> Lesson:
        """Return a lesson with one more correction, without using it yet. Takes tens of milliseconds."""
        return self._lesson(add_correction(self.lesson.corrections, correction, self.lesson.head))

    def without_corrections(self) -> Lesson:
        """Return the lesson of the profile alone."""
        return self._lesson(())

    def store(self) -> None:
        """Write the corrections. May take as long as the disk does.

        Raises:
            SerError: they can't be written.
        """
        if self._file is not None:
            self._file.store(self.lesson.corrections)

    def forget(self) -> bool:
        """Remove the file of the corrections; return whether there was one. May take as long as the disk does.

        Raises:
            SerError: it can't be removed.
        """
        return self._file is not None and self._file.forget()

    def summary(self) -> dict[str, Any]:
        """Return plain data: the counts by label, and the newest corrections."""
        corrections = self.lesson.corrections
        return {
            "model": self.model,
            "profile": count_labels(self._profile),
            "corrections": count_labels([one.example for one in corrections]),
            "newest": [
                {
                    "time": one.time,
                    "label": one.example.label,
                    **({"utterance_id": one.utterance_id} if one.utterance_id else {}),
                }
                for one in reversed(corrections[-_NEWEST:])
            ],
            **({"refusal": self.refusal} if self.refusal else {}),
        }

    def page(self, start: int) -> dict[str, Any]:
        """Return plain data: `PAGE` examples from `start` on, and where the next page starts; `None` after the last.

        Examples:
            `{"model": …, "examples": [{"source": "profile", "label": …, …}], "next": None}`
        """
        data = [{"source": "profile", **one.to_data()} for one in self._profile[start : start + PAGE]]
        before = max(start - len(self._profile), 0)
        corrections = self.lesson.corrections
        data += [{"source": "correction", **one.to_data()} for one in corrections[before : before + PAGE - len(data)]]
        end = start + len(data)
        total = len(self._profile) + len(corrections)
        return {"model": self.model, "examples": data, "next": end if data and end < total else None}

    def _lesson(self, corrections: tuple[Correction, ...]) -> Lesson:
        examples = choose_examples(self._profile, [one.example for one in corrections])
        return Lesson(corrections, fit_head(examples, self._temperature, whitening=self._whitening))


def choose_examples(profile: Sequence[TaughtExample], corrections: Sequence[TaughtExample]) -> list[TaughtExample]:
    """Return the examples that a head is fitted to: at most `MOST_EXAMPLES`, the newest.

    Where there are more, the oldest corrections stay out; a profile leaves at least half of the room to corrections.
    """
    recent = corrections[-max(MOST_EXAMPLES // 2, MOST_EXAMPLES - len(profile)) :]
    return [*profile[max(0, len(profile) + len(recent) - MOST_EXAMPLES) :], *recent]
