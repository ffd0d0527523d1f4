"""The microphone of a Wyoming service, such as `wyoming-mic-external`, over TCP or a Unix socket."""

from __future__ import annotations

import errno
import queue
import select
import socket
import threading
from typing import Any

import numpy as np

from ser_daemon.config.audio import AudioConfig
from ser_daemon.sources.base import Chunk, DeviceError, DeviceLost, NoSuchDevice, boot_time
from ser_daemon.sources.wyoming_audio import WyomingDecoder, read_format
from ser_daemon.sources.wyoming_uri import TcpAddress, parse_uri
from ser_daemon.wire.payload_stream import EventHead, PayloadStream
from ser_model.errors import SerError
from ser_model.types import SAMPLE_RATE, Samples

CONNECT_SECONDS = 5.0
"""Longest wait for a connection. It is less than the supervisor allows for opening a device."""

SURPLUS_SECONDS = 5.0
"""Audio that may come beyond what time allows: what a service had buffered. More is no microphone."""

_RECEIVE_BYTES = 65_536


class WyomingMicrophone:
    """Reads `audio-start`, `audio-chunk` and `audio-stop` of a service; other events are skipped.

    It is a device that may vanish: if the service ends, sends what is no audio, or stays quiet, it is opened again.

    Args:
        uri: address of the service.
        config: `read_ms` and `channel`.

    Raises:
        SerError: the address is none.
    """

    live = True

    def __init__(self, uri: str, config: AudioConfig) -> None:
        self.name = f"wyoming:{uri}"
        self._address = parse_uri(uri)
        self._config = config
        self._socket: socket.socket | None = None
        self._events = PayloadStream()
        self._decoder: WyomingDecoder | None = None
        self._in_audio = False
        self._opened = 0.0
        self._received = 0

    def open(self) -> None:
        """Connect to the service.

        Raises:
            NoSuchDevice: nobody listens at the address.
            DeviceError: the connection is not permitted, or there is no network.
        """
        self.close()
        self._socket = self._connect()
        self._events, self._decoder, self._in_audio = PayloadStream(), None, False
        self._opened, self._received = boot_time(), 0

    def read(self) -> Chunk | None:
        """Wait for `read_ms` of audio, but not much longer than it takes. Never returns `None`.

        Raises:
            DeviceLost: the service has ended, or sends what is no audio.
            SerError: the source is not open.
        """
        if self._socket is None:
            raise SerError(f"{self.name} is not open.")
        deadline = boot_time() + self._config.read_ms / 1000
        wanted = self._config.read_ms * SAMPLE_RATE // 1000
        pieces = [np.zeros(0, np.int16)]
        arrival = boot_time()
        while wanted > 0 and select.select([self._socket], [], [], max(0.0, deadline - boot_time()))[0]:
            pieces += self._receive(self._socket)
            arrival = boot_time()
            wanted -= len(pieces[-1])
        samples = np.concatenate(pieces)
        self._check_pace(len(samples))
        return Chunk(samples, arrival)

    def close(self) -> None:
        """End the connection; may be called more than once."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _receive(self, connection: socket.socket) -> list[Samples]:
        """Read once; return the samples that came, as one piece."""
        try:
            data = connection.recv(_RECEIVE_BYTES)
        except OSError as error:
            raise DeviceLost(f"The microphone {self.name} is gone: {error.strerror}.") from error
        if not data:
            raise DeviceLost(f"The microphone {self.name} is gone: its service has ended the connection.")
        self._events.feed(data)
        pieces = [np.zeros(0, np.int16)]
        try:
            while (item := self._events.take()) is not None:
                if isinstance(item, EventHead):
                    self._in_audio = self._begin(item)
                elif self._in_audio and self._decoder is not None:
                    pieces.append(self._decoder.push(item))
        except SerError as error:
            raise DeviceLost(f"The microphone {self.name} sends what is no audio: {error}") from error
        return [np.concatenate(pieces)]

    def _begin(self, event: EventHead) -> bool:
        """Take the head of an event; return whether its payload is audio."""
        if event.type not in ("audio-start", "audio-chunk"):
            return False
        format_ = read_format(event.type, event.data, event.payload_length)
        if self._decoder is None or (event.type == "audio-start" and format_ != self._decoder.format):
            self._decoder = WyomingDecoder(format_, self._config.channel)
        if format_ != self._decoder.format:
            raise SerError("the format of an audio-chunk differs from its audio-start.")
        return event.type == "audio-chunk"

    def _check_pace(self, samples: int) -> None:
        self._received += samples
        surplus = self._received / SAMPLE_RATE - (boot_time() - self._opened)
        if surplus > SURPLUS_SECONDS:
            raise DeviceLost(f"{self.name} is no microphone: it sends audio faster than it can be spoken.")

    def _connect(self) -> socket.socket:
        try:
            if isinstance(self._address, TcpAddress):
                return self._connect_tcp(self._address)
            return _connected(socket.AF_UNIX, self._address.path, CONNECT_SECONDS)
        except (ConnectionRefusedError, FileNotFoundError, socket.gaierror, TimeoutError) as error:
            raise NoSuchDevice(
                f"No Wyoming service answers at {self.name}: {error.strerror or 'no answer in time'}; is it started?"
            ) from error
        except OSError as error:
            hint = ""
            if error.errno in (errno.EAFNOSUPPORT, errno.ENETUNREACH, errno.EPERM):
                hint = " The installed service has no network: use wyoming:unix://PATH there."
            raise DeviceError(f"{self.name} cannot be connected to: {error.strerror or error}.{hint}") from error

    def _connect_tcp(self, address: TcpAddress) -> socket.socket:
        """Try each address of the host until one answers; `CONNECT_SECONDS` in all."""
        deadline = boot_time() + CONNECT_SECONDS
        refusal: OSError = TimeoutError()
        for family, target in _resolve(address):
            left = deadline - boot_time()
            if left <= 0:
                break
            try:
                return _connected(family, target, left)
            except OSError as error:
                refusal = error
        raise refusal


def _connected(family: int, target: Any, seconds: float) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        connection.connect(target)
        if family != socket.AF_UNIX:
            # Notices a host that was switched off.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    except BaseException:
        connection.close()
        raise
    return connection


def _resolve(address: TcpAddress) -> list[tuple[int, Any]]:
    """Look a host name up, on a thread of its own: the resolver may take minutes, the watchdog waits seconds."""
    answers: queue.SimpleQueue[list[tuple[int, Any]] | OSError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            answers.put([(family, target) for family, _, _, _, target in found])
        except OSError as error:
            answers.put(error)
        except UnicodeError as error:
            answers.put(socket.gaierror(socket.EAI_NONAME, f"{error}"))

    threading.Thread(target=look_up, name="resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=CONNECT_SECONDS)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, OSError):
        raise answer
    return answer
