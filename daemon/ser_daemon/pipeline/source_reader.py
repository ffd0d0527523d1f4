"""Opens, reads and closes the audio source, and decides when a failed device is tried again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ser_daemon.backoff import Backoff
from ser_daemon.sources.base import AudioSource, Chunk, DeviceError, DeviceLost

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
"""Seconds between attempts to open a device that failed; see `Backoff`."""

IDLE_SECONDS = 0.5
"""Longest wait while the device is closed, so that the watchdog sees the loop advance."""

READ_ALLOWANCE = 5.0
"""Seconds that a read may take: some sound servers pause and go on. After that the read counts as hung."""

OPEN_ALLOWANCE = 8.0
"""Seconds that opening a device may take: PortAudio queries every sound card."""


class Phase(StrEnum):
    """Where a source is in its life."""

    CLOSED = "closed"
    OPENING = "opening"
    STARTING = "starting"
    """Open, without any samples yet."""
    READING = "reading"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSettings:
    """How the capture thread treats its source."""

    patient: bool = True
    """Wait for a device that is missing at the start (as a service does), instead of failing."""
    frame_deadline: float = 1.5
    """Seconds without audio after which an open device counts as lost."""
    silent_after: float = 60.0
    """Seconds of digital zeros after which the state is `silent`."""


class SourceReader:
    """A source with its phase; the capture thread owns it. The supervisor reads `phase` and what follows from it."""

    def __init__(
        self,
        source: AudioSource,
        settings: CaptureSettings,
        *,
        now: Callable[[], float],
        arrived: Callable[[str], bool],
    ) -> None:
        """Prepare to read; the source stays closed.

        Args:
            source: opened by `open`.
            settings: see there.
            now: monotonic clock in seconds.
            arrived: given the name of the missing device, tells whether it may have come since the last call.
        """
        self.source = source
        self.settings = settings
        self.phase = Phase.CLOSED
        self.reopened = 0
        """Times that a device came back after a failure."""
        self._now = now
        self._arrived = arrived
        self._backoff = Backoff(FIRST_DELAY, LONGEST_DELAY)
        self._has_worked = False
        self._last_audio = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the source can be read."""
        return self.phase in (Phase.STARTING, Phase.READING)

    @property
    def allowance(self) -> float:
        """Seconds that the present call may take; infinite for a pipe, whose writer may pause at will."""
        if not self.source.live:
            return math.inf
        # Some sound servers take seconds over the first samples of a stream.
        if self.phase in (Phase.OPENING, Phase.STARTING):
            return OPEN_ALLOWANCE
        return max(READ_ALLOWANCE, self.settings.frame_deadline + IDLE_SECONDS)

    @property
    def frame_deadline(self) -> float:
        """Seconds that the present read may take before subscribers are told; infinite where none is due."""
        due = self.source.live and self.phase == Phase.READING
        return self.settings.frame_deadline if due else math.inf

    def retry_wait(self) -> float:
        """Seconds until the next attempt to open; not above 0 when it is due."""
        return self._backoff.wait(self._now())

    def check_arrival(self) -> None:
        """Make the next attempt due now where the missing device may have come back."""
        if self._arrived(self.source.name):
            self._backoff.hurry()

    def open(self) -> DeviceError | None:
        """Open the source.

        Returns:
            the error of a device that is to be tried again; the phase stays `OPENING` until `fail`

        Raises:
            DeviceError: the device cannot be used, and nobody waits for it.
            SerError: the file or stdin cannot be read.
        """
        self.phase = Phase.OPENING
        try:
            self.source.open()
        except DeviceError as error:
            if not self.settings.patient and not self._has_worked:
                raise
            return error
        self.phase = Phase.STARTING
        self._last_audio = self._now()
        return None

    def read(self) -> Chunk | None:
        """Wait for the next chunk; None at the end of the source.

        Raises:
            DeviceError: the device is gone, or gives no audio.
            SerError: the file or stdin is broken.
        """
        chunk = self.source.read()
        now = self._now()
        if chunk is None or len(chunk.samples):
            self._last_audio = now
        elif self.source.live and now - self._last_audio > self.settings.frame_deadline:
            raise DeviceLost(
                f"The device '{self.source.name}' has given no audio for {self.settings.frame_deadline:g} s."
            )
        return chunk

    def audio_received(self) -> None:
        """Note that samples came. Only they prove that a device works: some open, and fail at every read."""
        if self._backoff.failures:
            self.reopened += 1
        self._backoff.reset()
        self.phase = Phase.READING
        self._has_worked = True

    def fail(self) -> float:
        """Close a device that failed; return the seconds until the next attempt."""
        self.close()
        delay = self._backoff.failed(self._now())
        # Look once now: only what arrives from here on makes an earlier attempt worthwhile.
        self._arrived(self.source.name)
        return delay

    def retry_now(self) -> None:
        """Forget earlier failures."""
        self._backoff.reset()

    def replace_source(self, source: AudioSource) -> None:
        """Close the source and continue with another one."""
        self.close()
        self.source = source
        self._backoff.reset()

    def close(self) -> None:
        """Close the source; may be called again."""
        self.phase = Phase.CLOSED
        self.source.close()
