"""Guide a person through the prompts, and take what was said. Audio stays in memory, and is not kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ser_calibration.microphone.level_meter import level_meter, level_warning
from ser_calibration.microphone.terminal import Report
from ser_calibration.teaching.keyboard import ENTER, Keyboard
from ser_calibration.teaching.prompts import Prompt
from ser_calibration.teaching.utterances import Utterance, UtteranceFinder
from ser_model.errors import SerError
from ser_model.types import SAMPLE_RATE, Samples, VoiceStarted

SILENT_SECONDS: Final = 10.0
"""Time without speech after which a prompt is repeated."""
MOST_REPEATS: Final = 3
"""Prompts without usable speech in a row after which it says what to check."""

_ZEROS_SECONDS: Final = 2.0
_INDENT: Final = " " * 10
_NOTHING_HEARD: Final = (
    f"Heard no speech {MOST_REPEATS} times: is this the right microphone, is it on, and is it near enough? "
    "`ser-calibrate mic` measures it."
)


class Spoken(NamedTuple):
    """An utterance, and the tone in which it was meant."""

    label: str
    utterance: Utterance


class _QuitError(Exception):
    """The person ends early."""


class Guide:
    """Shows prompts, and listens.

    Args:
        finder: finds the utterances.
        samples: from the microphone as they arrive, int16 at 16 kHz.
        report: shows a line.
        keyboard: of the person; `None` takes every utterance as it comes.
    """

    def __init__(
        self, finder: UtteranceFinder, samples: Iterator[Samples], report: Report, keyboard: Keyboard | None
    ) -> None:
        self._finder = finder
        self._samples = samples
        self._report = report
        self._keyboard = keyboard
        self._zeros = 0

    def run(self, prompts: Sequence[Prompt]) -> list[Spoken]:
        """Ask for one utterance a prompt; return those that were said until the end, or until `q`.

        Raises:
            SerError: the microphone fails, nobody speaks, or the terminal was closed.
        """
        spoken: list[Spoken] = []
        try:
            # The microphone opens here, and says what it has to say.
            self._finder.push(self._next(""))
            self._wait("Enter: begin", ENTER)
            for number, prompt in enumerate(prompts, start=1):
                self._report(f"{number:2} of {len(prompts)}  {prompt.label.upper()}", False)
                self._report(f'{_INDENT}"{prompt.sentence}"', False)
                self._ask(prompt, spoken)
        except _QuitError:
            self._report("Ended early.", False)
        return spoken

    def _ask(self, prompt: Prompt, spoken: list[Spoken]) -> None:
        """Listen until there is an utterance that the person keeps; append it to `spoken`."""
        failed = 0
        while True:
            utterance = self._listen()
            complaint = _complaint(utterance)
            if utterance is None or complaint:
                failed += 1
                self._report(f"{_INDENT}{complaint} Please say it again.", False)
                if failed == MOST_REPEATS:
                    self._nothing_heard()
                    failed = 0
                continue
            self._report(_INDENT + _describe(utterance, prompt.label), False)
            if utterance.result.clipping:
                self._report(f"{_INDENT}Too loud, it is clipped: say it again from further away (r).", False)
            key = self._wait("Enter: next   r: say it again   q: end", f"{ENTER}rq")
            if key != "r":
                spoken.append(Spoken(prompt.label, utterance))
            if key == "q":
                raise _QuitError
            if key != "r":
                return

    def _listen(self) -> Utterance | None:
        """Return the next utterance that begins from now on; `None` if nobody speaks."""
        silent = 0
        is_open = False
        while True:
            samples = self._next("speak now   q: end")
            if self._keyboard is not None and self._keyboard.pressed() == "q":
                raise _QuitError
            for found in self._finder.push(samples):
                if isinstance(found, VoiceStarted):
                    is_open = True
                elif is_open:
                    return found
            silent = 0 if is_open else silent + len(samples)
            if silent >= SILENT_SECONDS * SAMPLE_RATE:
                return None

    def _wait(self, text: str, keys: str) -> str:
        """Show the level until one of the keys is pressed; return it. Without a keyboard, Enter is."""
        if self._keyboard is None:
            return ENTER
        self._keyboard.forget()
        while True:
            # The gate follows the room meanwhile, as in the daemon. What is said now is no answer.
            self._finder.push(self._next(text))
            key = self._keyboard.pressed()
            if key and key in keys:
                return key

    def _next(self, text: str) -> Samples:
        samples = next(self._samples)
        self._zeros = 0 if samples.any() else self._zeros + len(samples)
        # Noise suppression makes short runs of zeros in pauses.
        warning = "" if 0 < self._zeros < _ZEROS_SECONDS * SAMPLE_RATE else level_warning(samples)
        self._report(f"{level_meter(samples)}  {text}{warning}", True)
        return samples

    def _nothing_heard(self) -> None:
        if self._keyboard is None:
            raise SerError(f"{_NOTHING_HEARD} Nothing was written.")
        self._report(_NOTHING_HEARD, False)
        if self._wait("Enter: try again   q: end", f"{ENTER}q") == "q":
            raise _QuitError


def _complaint(utterance: Utterance | None) -> str:
    """Return why an utterance is no example; empty if it is one."""
    if utterance is None:
        return "Heard nothing."
    if utterance.is_speech:
        return ""
    return "That was too short." if utterance.result.reason == "too-short" else "That did not sound like speech."


def _describe(utterance: Utterance, wanted: str) -> str:
    result = utterance.result
    unsure = "" if result.label == result.top else "unsure, perhaps "
    return f"heard: {unsure}{result.top} ({result.confidence:.2f}){'' if result.top == wanted else f', not {wanted}'}"


def introduction(labels: Sequence[str], prompts: int, *, guided: bool) -> list[str]:
    """Return what a person should know before the first prompt."""
    rounds = prompts // len(labels)
    return [
        f"{prompts} sentences: {', '.join(labels)}, {rounds} times each; about {_minutes(prompts)}.",
        "Say each in the tone above it, as you do it yourself. Your own words, in your",
        "own language, are as good. Recordings are not kept, only numbers that hold for",
        "this model: another model has to be taught again.",
        *([] if guided else ["Nobody is asked: every utterance is taken as it comes."]),
    ]


def _minutes(prompts: int) -> str:
    # A sentence, a look at the answer, and a key take eight seconds.
    minutes = max(1, round(prompts * 8 / 60))
    return f"{minutes} minute{'s' if minutes > 1 else ''}"
