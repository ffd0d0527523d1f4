"""The connection to the broker: how it is made, and in words why it failed."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ser_bridges.command import require
from ser_bridges.mqtt.settings import Settings, read_password
from ser_model.errors import SerError

if TYPE_CHECKING:
    import aiomqtt

log = logging.getLogger(__name__)

KEEPALIVE = 30
"""Seconds: the broker takes a silent client for gone after one and a half of these (MQTT 5, section 3.1.2.10)."""

TIMEOUT = 10.0
"""Seconds to wait for the broker's answer to a message."""

LARGEST_MESSAGE = 4096
"""Bytes; the broker does not send longer ones (MQTT 5, section 3.1.2.11.4). A command has a few."""

MOST_COMMANDS = 32
"""Commands that wait; more are dropped."""

SHORT = 10.0
"""Seconds: a connection that is closed so soon was perhaps taken over."""

_REFUSED = {134, 135, 138, 140}
"""Reason codes for a wrong user or password (MQTT 5, section 3.2.2.2)."""

_UNSPECIFIED = 128
"""Reason code, also for a connection that is closed without one."""

_TAKEN_OVER = 142
"""Reason code: another client has connected with the same id."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a connection failed."""

    text: str
    permanent: bool = False
    """Whether it will fail again until somebody changes a setting."""


class Broker:
    """Makes connections to one broker."""

    def __init__(self, settings: Settings) -> None:
        """Read password and certificates.

        Raises:
            SerError: a file cannot be used, or the library is missing.
        """
        require("aiomqtt", "mqtt")
        self._settings = settings
        self._host, self._port = settings.address
        self._password = read_password(settings)
        self._tls = _tls_context(settings) if settings.secure else None
        if self._password is not None and self._tls is None and self._host not in ("localhost", "127.0.0.1", "::1"):
            log.warning("The password goes to %s without encryption; set tls or ca_file.", self._host)

    @property
    def name(self) -> str:
        """Host and port, for messages."""
        return f"{self._host}:{self._port}"

    def client(self) -> aiomqtt.Client:
        """Return a client that connects when it is entered; its will says `offline`."""
        import aiomqtt
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = LARGEST_MESSAGE
        return aiomqtt.Client(
            self._host,
            self._port,
            username=self._settings.user,
            password=self._password,
            identifier=self._settings.device,
            protocol=aiomqtt.ProtocolVersion.V5,
            will=aiomqtt.Will(self._settings.topics.status, "offline", qos=1, retain=True),
            timeout=TIMEOUT,
            keepalive=KEEPALIVE,
            properties=properties,
            tls_context=self._tls,
            max_queued_incoming_messages=MOST_COMMANDS,
            # A result that follows another at once would otherwise wait up to 40 ms for the acknowledgement of TCP.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            logger=logging.getLogger("ser_bridges.paho"),
        )

    def explain(self, error: BaseException, lasted: float | None = None) -> Failure:
        """Put an error of the client into a sentence.

        Args:
            error: of aiomqtt, or of the system.
            lasted: seconds since the broker accepted the connection; None: it did not.
        """
        code = _reason_code(error)
        if code in _REFUSED:
            who = f"the user {self._settings.user!r}" if self._settings.user else "a client without a user"
            return Failure(f"The broker {self.name} refuses {who} ({error}); check user and password_file.", True)
        if code == _TAKEN_OVER:
            return Failure(
                f"Another client has connected to the broker with the id {self._settings.device!r}; "
                "give each bridge an id of its own with --id."
            )
        cause = _tls_error(error)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Failure(
                f"The certificate of the broker {self.name} is not accepted: {cause.verify_message}; check host "
                "and ca_file.",
                True,
            )
        if cause is not None:
            return Failure(
                f"The broker {self.name} does not agree on TLS: {cause.reason or cause}; check port and certificate."
            )
        if lasted is not None and code in (None, _UNSPECIFIED):
            # Mosquitto 2.0 gives no reason when another client takes over.
            perhaps = f"; perhaps another client has the id {self._settings.device!r}: choose another with --id"
            return Failure(f"The broker {self.name} closed the connection{perhaps if lasted < SHORT else ''}.")
        return Failure(f"The broker {self.name} cannot be reached: {_short(error)}.")


def _tls_context(settings: Settings) -> ssl.SSLContext:
    authorities = None if settings.ca_file is None else settings.file(settings.ca_file)
    try:
        context = ssl.create_default_context(cafile=None if authorities is None else str(authorities))
    except ssl.SSLError:
        raise SerError(
            f"{authorities} holds no certificate in PEM form; ca_file is that of the broker's authority."
        ) from None
    if settings.certificate is not None:
        certificate = settings.file(settings.certificate)
        key = certificate if settings.key is None else settings.file(settings.key)
        for path in (certificate, key):
            # The error of ssl does not name the file.
            path.open("rb").close()
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
        except ssl.SSLError as error:
            raise SerError(
                f"{certificate} and {key} are no certificate with its key: {error.reason or error}."
            ) from None
    return context


def _no_password() -> str:
    raise SerError("The client's key is encrypted; ser-mqtt cannot ask for its password, name one without.")


def _reason_code(error: BaseException) -> int | None:
    """Return MQTT's reason code of an error, or of its cause."""
    for each in (error, error.__cause__):
        code = getattr(each, "rc", None)
        if code is not None:
            value: int = getattr(code, "value", code)
            return value
    return None


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    """Return the error of TLS behind an error."""
    return next((each for each in _causes(error) if isinstance(each, ssl.SSLError)), None)


def _short(error: BaseException) -> str:
    """Return the system's own words where it has some."""
    words = (each.strerror for each in _causes(error) if isinstance(each, OSError))
    return (next(filter(None, words), None) or str(error) or type(error).__name__).rstrip(".")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those behind it; the library hides them (`raise ... from None`)."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
