"""Record silence and speech from a microphone, and guide the person who speaks. Audio stays in memory."""

from __future__ import annotations

import os
import select
import sys
from dataclasses import dataclass

import numpy as np

from ser_calibration.microphone.level_meter import level_meter, level_warning
from ser_calibration.microphone.measurement import MIN_VOICED_SECONDS, noise_floor
from ser_calibration.microphone.recording_session import RecordingSession
from ser_calibration.microphone.terminal import Report
from ser_calibration.microphone.timing import Timing
from ser_daemon.config.audio import AudioConfig
from ser_daemon.diagnostics.host_probes import Machine, mute_advice
from ser_daemon.sources import make_source
from ser_model.audio.gate import Gate
from ser_model.errors import SerError
from ser_model.types import SAMPLE_RATE, Block, Samples, SpeechAudio, SpeechEnded

SILENCE_SECONDS = 10.0
"""Length of the silence recording."""

MAX_SPEECH_SECONDS = 30.0
"""Longest speech recording of a guided person."""

UNATTENDED_SPEECH_SECONDS = 15.0
"""Length of the speech recording without guidance."""

SENTENCES = (
    "The birch canoe slid on the smooth planks.",
    "Glue the sheet to the dark blue background.",
    "It's easy to tell the depth of a well.",
    "These days a chicken leg is a rare dish.",
)
"""To read aloud: the first of the phonetically balanced Harvard sentences (IEEE 297-1969, doi
10.1109/IEEESTD.1969.7405210)."""

_ENOUGH_VOICED_SECONDS = 4.0 * MIN_VOICED_SECONDS


@dataclass(frozen=True, slots=True)
class Recordings:
    """A recording of silence and one of speech, int16 at 16 kHz."""

    device: str
    """Name of the microphone."""
    silence: Samples
    speech: Samples
    timing: Timing | None
    """How the samples arrived; `None` if they were read from files."""


def record(config: AudioConfig, report: Report, *, unattended: bool = False) -> Recordings:
    """Record from the microphone.

    Args:
        config: which microphone, and how it is read.
        report: shows instructions and progress.
        unattended: record fixed lengths, without waiting for a key.

    Raises:
        SerError: the device can't be used, delivers nothing or only zeros, or the silence can't be used.
    """
    source = make_source(config)
    if not source.live:
        raise SerError(f"{source.name} is no microphone: measure recordings with --from instead.")
    with RecordingSession(source) as session:
        report(f"Microphone: {source.name}", False)
        if not unattended:
            _wait_for_key(session, report)
        silence = _record_silence(session, report)
        # Checked now, before somebody reads aloud in vain.
        noise_floor(silence)
        speech = _record_speech(session, report, None if unattended else _ENOUGH_VOICED_SECONDS)
        return Recordings(source.name, silence, speech, session.timing())


def _wait_for_key(session: RecordingSession, report: Report) -> None:
    """Show the level until Enter is pressed; without a keyboard, return at once."""
    if not sys.stdin.isatty():
        return
    report("Ten seconds of silence, then a few sentences: about a minute in all. Nothing is kept.", False)
    descriptor = sys.stdin.fileno()
    while not select.select([descriptor], [], [], 0)[0]:
        report(f"{level_meter(session.read().samples)}  Press Enter when the room is quiet.", True)
    os.read(descriptor, 4096)


def _record_silence(session: RecordingSession, report: Report) -> Samples:
    report(f"Be quiet for {SILENCE_SECONDS:.0f} seconds, please.", False)
    blocks: list[Samples] = []
    received = 0
    while received < SILENCE_SECONDS * SAMPLE_RATE:
        samples = session.read().samples
        blocks.append(samples)
        received += len(samples)
        left = max(0.0, SILENCE_SECONDS - received / SAMPLE_RATE)
        report(f"{level_meter(samples)}  {left:2.0f} s left{level_warning(samples)}", True)
    silence = np.concatenate(blocks)
    if not silence.any():
        raise SerError(f"{session.source.name} gives nothing but zeros; {mute_advice(Machine(os.environ))}.")
    return silence


def _record_speech(session: RecordingSession, report: Report, enough_seconds: float | None) -> Samples:
    """Record until `enough_seconds` of ended utterances are voiced; `None` records for a fixed time."""
    report("Now read this aloud, as and from where you would speak to the assistant:", False)
    for sentence in SENTENCES:
        report(f"    {sentence}", False)
    longest = UNATTENDED_SPEECH_SECONDS if enough_seconds is None else MAX_SPEECH_SECONDS
    gate = Gate()
    blocks: list[Samples] = []
    received, voiced, voiced_before = 0, 0, 0
    while received < longest * SAMPLE_RATE:
        samples = session.read().samples
        blocks.append(samples)
        events = gate.push(Block(samples, received))
        received += len(samples)
        for event in events:
            if isinstance(event, SpeechAudio):
                voiced = event.voiced
            elif isinstance(event, SpeechEnded):
                voiced_before, voiced = voiced_before + event.voiced, 0
        seconds = (voiced_before + voiced) / SAMPLE_RATE
        report(f"{level_meter(samples)}  {seconds:4.1f} s of speech{level_warning(samples)}", True)
        if enough_seconds is not None and voiced_before >= enough_seconds * SAMPLE_RATE:
            break
    report("Thank you; measuring ...", True)
    return np.concatenate(blocks)
