"""The events that subscribers read: one dataclass per type, and its conversion to the wire.

Needs only the standard library, so that a client program does not load NumPy. The order of the fields is their
order on the wire. Positions are integer milliseconds on the daemon's sample clock, which starts at 0 and never
goes back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import ClassVar

from ser_daemon.wire.protocol import PROTOCOL, CaptureState

_COUNTS = ("dropped", "taught")
"""Fields that are absent from the wire where they are 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The fields of all published events; the publisher sets `seq` and `dropped`."""

    type: ClassVar[str] = ""
    """Name on the wire."""
    nullable: ClassVar[tuple[str, ...]] = ()
    """Fields that are null on the wire where they are None; others are absent."""
    seq: int = 0
    """Number of the event: 1 for the first, one more for each that follows; 0: not published yet."""
    dropped: int = 0
    """Events directly before this one that this subscriber lost, because it read too slowly."""

    def numbered(self, seq: int) -> Event:
        """Return the same event with its number."""
        return replace(self, seq=seq)

    def data(self) -> dict[str, object]:
        """Return the fields as they go on the wire: no counts of 0, and only `nullable` ones that are None."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in _COUNTS:
            if not values.get(name):
                values.pop(name, None)
        return {
            name: asdict(value) if isinstance(value, Activation) else value
            for name, value in values.items()
            if value is not None or name in self.nullable
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceStarted(Event):
    """Somebody started to speak (Wyoming's `voice-started`, with more fields)."""

    type: ClassVar[str] = "voice-started"
    utterance_id: str
    """Name of the utterance, such as `u-17`; the same in all events about it."""
    timestamp: int
    """Onset in ms."""
    time: str
    """The onset as wall time, ISO 8601 in UTC with milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """Whether a voice is high or low in arousal; may be known where the label is not."""

    level: str
    """`high`, `low` or `unknown`."""
    probability: float
    """Calibrated probability of high arousal, 0 to 1, whatever the level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emotion(Event):
    """How something was said: so far (`final` false), or in the whole utterance (`final` true)."""

    type: ClassVar[str] = "emotion"
    nullable: ClassVar[tuple[str, ...]] = ("activation",)
    utterance_id: str
    final: bool
    label: str
    """One of the eight labels, or `unknown`."""
    reason: str | None = None
    """Why the label is `unknown`: `low-confidence`, `too-short` or `unlike-speech`; absent otherwise."""
    top: str | None = None
    """The label with the highest score where the label is `unknown`; absent otherwise."""
    confidence: float
    """Score of the highest label, 0 to 1."""
    scores: Mapping[str, float]
    """Posterior by label, in the order of the labels."""
    calibrated: bool = False
    """Whether a temperature, fitted on speakers unknown to the model, was applied to `confidence` and `scores`."""
    arousal: float | None = None
    """-1 drowsy to 1 excited: a fixed projection of `scores` (`ser_model.affect`), not measured separately."""
    valence: float | None = None
    """-1 unpleasant to 1 pleasant: the same projection."""
    activation: Activation | None = None
    """Arousal of the voice; None where the model cannot say, and from daemons that don't know the field."""
    start: int
    """Start of the audio that was scored, in ms."""
    end: int
    """End of the audio that was scored, in ms."""
    timestamp: int
    """Position of the last sample received when the daemon decided, in ms."""
    time: str
    """`timestamp` as wall time, ISO 8601 in UTC with milliseconds."""
    latency_ms: float
    """From the arrival of the last sample used to the publication of this event."""
    voiced_ms: int
    """Duration of the voiced audio of the utterance so far."""
    snr_db: float | None = None
    """Level of the voiced audio so far above the gate's noise floor; absent where nothing was voiced."""
    clipping: bool = False
    """Whether a sample of the utterance so far was at full scale: the microphone's gain is too high."""
    adaptation: str = "none"
    """What the model is adapted by: `none`, `running` (earlier speech), `profile` (a speaker's, and later speech) or
    `taught` (the speaker's own examples, and what there is of the others)."""
    taught: int = 0
    """Examples of the speaker that the answer was taught by; absent from the wire where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceStopped(Event):
    """Somebody stopped speaking; follows the final `Emotion` of the utterance."""

    type: ClassVar[str] = "voice-stopped"
    utterance_id: str
    timestamp: int
    """End of speech in ms."""
    time: str
    """The end of speech as wall time, ISO 8601 in UTC with milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioState(Event):
    """The state of the audio capture changed."""

    type: ClassVar[str] = "audio-state"
    state: CaptureState
    device: str | None = None
    """Name of the device, file or `stdin`."""
    reason: str | None = None
    """A sentence that explains the state to a person; absent where the state says enough."""
    retry_in_ms: int | None = None
    """Time until the daemon tries again, in state `no-device`."""
    timestamp: int | None = None
    """Position of the change in ms; absent before the first sample."""
    time: str | None = None
    """The change as wall time, ISO 8601 in UTC with milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello(Event):
    """First line of every connection: the daemon, its model, and its state now."""

    type: ClassVar[str] = "hello"
    protocol: int = PROTOCOL
    server: str
    """`ser-daemon` and its version, with the commit where it is known: `ser-daemon 0.2.0+g1a2b3c4`."""
    model: str
    labels: Sequence[str]
    state: CaptureState
    speaking: bool
    muted: bool
    device: str | None = None


EVENT_CLASSES: dict[str, type[Event]] = {
    cls.type: cls for cls in (Hello, VoiceStarted, Emotion, VoiceStopped, AudioState)
}
"""Event classes by their name on the wire."""

PUBLISHED = ("voice-started", "emotion", "voice-stopped", "audio-state")
"""Types that carry a sequence number and that `subscribe` can choose from."""


def wall_time(seconds: float) -> str:
    """Format Unix time as ISO 8601 in UTC, with milliseconds and `Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_ms(samples: int) -> int:
    """Convert a position in samples at 16 kHz to the nearest millisecond."""
    return (samples + 8) // 16
