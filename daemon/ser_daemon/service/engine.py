"""The two working threads, put together from a configuration, and changed when it is reloaded."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from ser_daemon.adaptation.session import AdaptationSession, make_session
from ser_daemon.config.loading import Config
from ser_daemon.config.profiles import ProfileMessage, gate_with_profile, profile_folders
from ser_daemon.pipeline.capture import Capture, CaptureSettings
from ser_daemon.pipeline.gate_stage import GateStage
from ser_daemon.pipeline.inference import Inference, Outcome, TimedResult
from ser_daemon.pipeline.speech_queue import AudioStatus, Errand, Mark, SpeechQueue
from ser_daemon.pipeline.wire_events import event_from_result
from ser_daemon.service.supervisor import Worker
from ser_daemon.sources import AudioSource, boot_time, make_source
from ser_daemon.sources.device_monitor import DeviceMonitor
from ser_daemon.wire.events import AudioState, Event, to_ms, wall_time
from ser_daemon.wire.protocol import CaptureState
from ser_model.adaptation.adaptation import model_version
from ser_model.audio.gate import Gate
from ser_model.config import GateConfig
from ser_model.errors import SerError
from ser_model.network.estimator import Model
from ser_model.recognizer import Analyzer

log = logging.getLogger(__name__)

STORE_SECONDS = 5.0
"""Longest wait for what was learnt to be on disk, before a reload goes on with something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Another configuration with what it needs, ready to be used."""

    config: Config
    gate_config: GateConfig
    notes: list[ProfileMessage]
    """About profiles."""
    gate: Gate | None
    """None: the present one goes on; so with the others."""
    model: Model
    session: AdaptationSession
    analyzer: Analyzer | None
    source: AudioSource | None


class Engine:
    """Source, gate, queue, model and the threads that run them; everything but sockets and signals."""

    def __init__(
        self,
        config: Config,
        *,
        emit: Callable[[Outcome], None],
        ended: Callable[[Worker], None],
        muted: bool = False,
        patient: bool = True,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Load and wire everything; nothing is opened and no thread runs yet.

        Args:
            config: the configuration.
            emit: called by the inference thread with every result and state.
            ended: called by a thread as its last act.
            muted: start without opening the device.
            patient: wait for a missing device instead of failing.
            environ: where the user's folders are named.

        Raises:
            SerError: the model or the settings cannot be used.
        """
        self.config = config
        self.model = Model.load(config.model.path)
        self.queue = SpeechQueue()
        self._environ = environ
        self._folders = profile_folders(environ)
        self.session = make_session(config, self.model.metadata, environ)
        """What was learnt about microphone and voice."""
        self._patient = patient
        source = make_source(config.audio)
        self._gate_config, _ = gate_with_profile(config, source.name, self._folders)
        self._noted: list[ProfileMessage] | None = None
        """What was said last about profiles; None: nothing since the start or reload, the device is not open yet."""
        self.capture = Capture(
            source,
            GateStage(Gate(self._gate_config), self.queue),
            self.queue,
            self._settings(config),
            muted=muted,
            on_open=self._fit_gate,
            arrived=DeviceMonitor().poll,
        )
        self.inference = Inference(
            self.queue,
            Analyzer(self.model, config.decision, self.session.adaptation),
            emit,
            arrival_of=self.capture.hearing.clock.arrival_of,
            utterance_ended=lambda: self.session.utterance_ended(),
            done=lambda: self.session.store(),
        )
        self.workers = (
            Worker("capture", self.capture.run, ended),
            Worker("inference", self.inference.run, ended),
        )

    def start(self) -> None:
        """Start the threads."""
        for worker in self.workers:
            worker.start()

    def mark(self) -> Mark:
        """Send a mark after everything that the capture thread has said so far."""
        mark = Mark()
        self.queue.put(mark, arrival=boot_time())
        return mark

    def errand(self, action: Callable[[], None]) -> Future[None]:
        """Let the inference thread do something after all that the capture thread has said so far."""
        future: Future[None] = Future()

        def run() -> None:
            try:
                action()
            except SerError as error:
                future.set_exception(error)
            else:
                future.set_result(None)

        self.queue.put(Errand(run), arrival=boot_time())
        return future

    def prepare(self, config: Config) -> Change:
        """Load what another configuration needs, without using it yet; slow, so for a thread of its own.

        Raises:
            SerError: the model cannot be used.
        """
        old = self.config
        source = make_source(config.audio) if config.audio != old.audio else None
        device = source.name if source else self.capture.source.name
        gate_config, notes = gate_with_profile(config, device, self._folders)
        # A path may hold another file by now; what is inside the package does not change.
        reload_model = config.model != old.model or config.model.path is not None
        model = Model.load(config.model.path) if reload_model else self.model
        session = self.session
        # A speaker's profile may have been made anew.
        adaptation_changed = config.adaptation != old.adaptation or config.adaptation.speaker is not None
        if adaptation_changed or model_version(model.metadata) != model_version(self.model.metadata):
            # What has been learnt so far must be found by whoever goes on with it.
            with contextlib.suppress(TimeoutError):
                self.errand(session.store).result(STORE_SECONDS)
            session = make_session(config, model.metadata, self._environ)
        new_analyzer = reload_model or config.decision != old.decision or session is not self.session
        return Change(
            config=config,
            gate_config=gate_config,
            notes=notes,
            gate=Gate(gate_config) if gate_config != self._gate_config else None,
            model=model,
            session=session,
            analyzer=Analyzer(model, config.decision, session.adaptation) if new_analyzer else None,
            source=source,
        )

    def use(self, change: Change) -> Future[None]:
        """Go over to what was prepared; an open utterance ends with what it had."""
        self.config, self.model, self._gate_config = change.config, change.model, change.gate_config
        self.session = change.session
        opened, self._noted = self._noted is not None, None
        if opened and change.source is None:
            self._note(change.notes)
        settings = self._settings(change.config)
        return self.capture.exchange(settings, gate=change.gate, analyzer=change.analyzer, source=change.source)

    def event(self, outcome: TimedResult | AudioStatus) -> Event:
        """What goes on the wire for a result or a state."""
        if isinstance(outcome, AudioStatus):
            return AudioState(
                state=CaptureState(outcome.state),
                device=outcome.device,
                reason=outcome.reason,
                retry_in_ms=outcome.retry_in_ms,
                timestamp=None if outcome.position is None else to_ms(outcome.position),
                time=wall_time(time.time()),
            )
        origin = time.time() - boot_time() + (self.capture.hearing.clock.origin or 0.0)
        return event_from_result(outcome.result, origin=origin, latency_ms=outcome.latency * 1000)

    def _fit_gate(self, capture: Capture) -> None:
        """Use the profile of the device that was opened: what `default` is, is known only then."""
        gate_config, notes = gate_with_profile(self.config, capture.source.name, self._folders)
        self._note(notes)
        if gate_config != self._gate_config:
            self._gate_config = gate_config
            capture.hearing.exchange(Gate(gate_config))

    def _note(self, notes: list[ProfileMessage]) -> None:
        """Say what was found about profiles, but not again when a device comes back."""
        if notes != self._noted:
            self._noted = notes
            for note in notes:
                log.log(logging.WARNING if note.warning else logging.INFO, "%s", note.text)

    def _settings(self, config: Config) -> CaptureSettings:
        return CaptureSettings(
            patient=self._patient,
            frame_deadline=config.service.frame_deadline_seconds,
            silent_after=config.service.silent_seconds,
        )
