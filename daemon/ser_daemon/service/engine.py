"""The two worker threads, built from a configuration and changed by a reload."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from ser_daemon.adaptation.session import AdaptationSession, make_session
from ser_daemon.config.device_spec import AudioFile
from ser_daemon.config.profiles import profile_folders
from ser_daemon.config.schema import Config
from ser_daemon.pipeline.capture import Capture
from ser_daemon.pipeline.gate_selector import GateSelector
from ser_daemon.pipeline.gate_stage import GateStage
from ser_daemon.pipeline.inference import Inference, Recognition
from ser_daemon.pipeline.source_reader import CaptureSettings
from ser_daemon.pipeline.speech_queue import SpeechQueue
from ser_daemon.service.supervisor import Worker
from ser_daemon.sources import AudioSource, make_source
from ser_daemon.sources.device_monitor import DeviceMonitor
from ser_daemon.wire.events import Event
from ser_model.adaptation.adaptation import model_version
from ser_model.network.estimator import Model
from ser_model.recognizer import Analyzer
from ser_model.types import to_samples

STORE_SECONDS = 5.0
"""Longest wait until what was learned is saved, before a reload continues with another adaptation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Another configuration with everything it needs, ready for use."""

    config: Config
    gates: GateSelector
    model: Model
    recognition: Recognition | None
    """`None` keeps the current analyzer and adaptation; likewise below."""
    source: AudioSource | None


class Engine:
    """Source, gate, queue, model, and the threads that run them. Its own attributes belong to the event loop."""

    def __init__(
        self,
        config: Config,
        *,
        emit: Callable[[Event], None],
        ended: Callable[[Worker], None],
        muted: bool = False,
        patient: bool = True,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Load and connect everything; nothing is opened and no thread runs yet.

        Args:
            config: the configuration.
            emit: called by the inference thread with every event.
            ended: called by a thread as its last act.
            muted: start without opening the device.
            patient: wait for a missing device instead of failing.
            environ: names the user's folders.

        Raises:
            SerError: the model or the settings cannot be used.
        """
        self.config = config
        self.model = Model.load(config.model.path)
        self.queue = SpeechQueue()
        self._environ = environ
        self._folders = profile_folders(environ)
        self._patient = patient
        self._stage, self.capture = self._make_capture(muted)
        session = make_session(config, self.model.metadata, environ)
        analyzer = Analyzer(self.model, config.decision, session.adaptation)
        self.inference = Inference(self.queue, Recognition(analyzer, session), self._stage.clock, emit)
        self.workers = (
            Worker("capture", self.capture.run, ended),
            Worker("inference", self.inference.run, ended),
        )

    @property
    def adaptation(self) -> AdaptationSession:
        """The adaptation in use; it belongs to the inference thread, but for its properties."""
        return self.inference.recognition.adaptation

    def start(self) -> None:
        """Start the threads."""
        for worker in self.workers:
            worker.start()

    def prepare(self, config: Config) -> Change:
        """Load what another configuration needs, without using it yet. Slow: call it in a thread of its own.

        Raises:
            SerError: the model cannot be used.
        """
        old = self.config
        source = make_source(config.audio) if config.audio != old.audio else None
        device = source.name if source else self.capture.snapshot.device
        # A path may hold another file by now; the model in the package does not change.
        reload_model = config.model != old.model or config.model.path is not None
        model = Model.load(config.model.path) if reload_model else self.model
        session = self._session(config, model)
        new_analyzer = reload_model or config.decision != old.decision or session is not self.adaptation
        analyzer = Analyzer(model, config.decision, session.adaptation) if new_analyzer else None
        return Change(
            config=config,
            gates=GateSelector(config, device, self._folders),
            model=model,
            recognition=None if analyzer is None else Recognition(analyzer, session),
            source=source,
        )

    def use(self, change: Change) -> Future[None]:
        """Continue with what was prepared; the open utterance ends with the audio it has."""
        self.config, self.model = change.config, change.model
        return self.capture.submit(lambda: self._switch(change))

    def _make_capture(self, muted: bool) -> tuple[GateStage, Capture]:
        source = make_source(self.config.audio)
        self._gates = GateSelector(self.config, source.name, self._folders)
        """Belongs to the capture thread."""
        stage = GateStage(self._gates.first_gate(), self.queue, to_samples(self.config.decision.update_ms))
        capture = Capture(
            source,
            stage,
            self.queue,
            self._settings(self.config),
            muted=muted,
            gate_for=lambda device: self._gates.device_opened(device),
            arrived=DeviceMonitor().poll,
        )
        return stage, capture

    def _switch(self, change: Change) -> None:
        """Apply a change on the capture thread, and in queue order on the inference thread."""
        gate = change.gates.take_over(self._gates, same_source=change.source is None)
        self._gates = change.gates
        self.capture.reconfigure(self._settings(change.config), gate, change.source)
        self._stage.update = to_samples(change.config.decision.update_ms)
        if change.recognition is not None:
            self.queue.submit(partial(self.inference.use, change.recognition))

    def _session(self, config: Config, model: Model) -> AdaptationSession:
        """Return the current adaptation where it fits the configuration, else a new one."""
        old = self.config
        changed = config.adaptation != old.adaptation or _is_file(config) != _is_file(old)
        # A speaker's profile may have been made again.
        changed = changed or config.adaptation.speaker is not None
        if not changed and model_version(model.metadata) == model_version(self.model.metadata):
            return self.adaptation
        # The new session must find what was learned so far.
        with contextlib.suppress(TimeoutError):
            self.queue.submit(self.adaptation.store).result(STORE_SECONDS)
        return make_session(config, model.metadata, self._environ, self.adaptation)

    def _settings(self, config: Config) -> CaptureSettings:
        return CaptureSettings(
            patient=self._patient,
            frame_deadline=config.service.frame_deadline_seconds,
            silent_after=config.service.silent_seconds,
        )


def _is_file(config: Config) -> bool:
    return isinstance(config.audio.device_spec, AudioFile)
