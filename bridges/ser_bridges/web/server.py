"""The HTTP service: who may use it, its page, and what each answer carries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from aiohttp import web

from ser_bridges.daemon import Daemon
from ser_bridges.web.access import host_allowed, origin_allowed, same_token
from ser_bridges.web.listening import Connections
from ser_bridges.web.streams import Streams
from ser_model.errors import SerError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HEADERS = {
    # Everything comes from here, nothing is inline, and no other page may show this one in a frame and have it clicked.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "ser-web",
}

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

FILES = ("page.html", "page.css", "page.js", "chart.js", "icon.svg")
"""What the page is made of; all come from this package."""

_PUBLIC = frozenset({"/", *(f"/{name}" for name in FILES[1:])})


@dataclass(frozen=True, slots=True)
class Settings:
    """What the service was started with."""

    token: str
    names: frozenset[str] = frozenset()
    """Names of this service besides `localhost`, in lower case."""
    socket: Path | None = None
    control_socket: Path | None = None
    read_only: bool = False
    max_clients: int = 16


class WebService:
    """The application."""

    def __init__(self, settings: Settings) -> None:
        """Prepare; nothing is connected."""
        self._settings = settings
        self._daemon = Daemon(settings.socket, settings.control_socket)
        self._streams = Streams(self._daemon, settings.socket, read_only=settings.read_only, most=settings.max_clients)
        self.connections: Connections | None = None
        """Told which connections had the token."""

    def application(self) -> web.Application:
        """Return the application."""

        async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._check(request)
            return await handler(request)

        app = web.Application(middlewares=[web.middleware(checked)])
        app.on_response_prepare.append(_add_headers)
        app.on_shutdown.append(self._streams.close)
        for name in FILES:
            app.router.add_get("/" if name == "page.html" else f"/{name}", _file_handler(name))
        app.router.add_get("/status", self._status)
        app.router.add_get("/events", self._events)
        app.router.add_get("/socket", self._socket)
        return app

    async def _status(self, request: web.Request) -> web.StreamResponse:
        try:
            return web.json_response(await self._daemon.query("status"))
        except SerError as error:
            raise web.HTTPServiceUnavailable(text=f"{error}\n") from None

    async def _events(self, request: web.Request) -> web.StreamResponse:
        return await self._streams.events(request, _read_filter(request))

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        return await self._streams.socket(request)

    def _check(self, request: web.Request) -> None:
        """Refuse what comes by a foreign name, from a foreign page, or without the token."""
        hosts, origins = request.headers.getall("Host", []), request.headers.getall("Origin", [])
        if len(hosts) != 1 or not host_allowed(hosts[0], self._settings.names):
            raise web.HTTPForbidden(text="ser-web does not know this name of the machine; see its --name.\n")
        if len(origins) > 1 or not all(origin_allowed(origin, hosts[0]) for origin in origins):
            raise web.HTTPForbidden(text="A page of another site may not use ser-web.\n")
        # The page and what it is made of hold no secret, and a browser has no token before it has the page.
        if request.path not in _PUBLIC:
            self._check_token(request)

    def _check_token(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        given = [token.strip()] if scheme.lower() == "bearer" else []
        # A browser can set no header of a WebSocket but this one.
        offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        given += [each.strip().removeprefix("token.") for each in offered if each.strip().startswith("token.")]
        if not any(same_token(each, self._settings.token) for each in given):
            raise web.HTTPUnauthorized(
                text="The token is missing or wrong; open the link that ser-web printed at its start.\n",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if self.connections is not None:
            self.connections.trust(request)


def _read_filter(request: web.Request) -> dict[str, object]:
    """Return the data of `subscribe` from the query; the daemon checks the values that have the right type."""
    query = request.query
    unknown = sorted(set(query) - {"events", "partial", "min_confidence"})
    if unknown:
        raise web.HTTPBadRequest(text=f"Unknown: {unknown[0]!r:.40}; expected events, partial or min_confidence.\n")
    chosen: dict[str, object] = {}
    if "events" in query:
        chosen["events"] = [name for name in query["events"].split(",") if name]
    if "partial" in query:
        if query["partial"] not in ("true", "false"):
            raise web.HTTPBadRequest(text="partial is to be true or false.\n")
        chosen["partial"] = query["partial"] == "true"
    if "min_confidence" in query:
        try:
            chosen["min_confidence"] = float(query["min_confidence"])
        except ValueError:
            raise web.HTTPBadRequest(text="min_confidence is to be a number from 0 to 1.\n") from None
    return chosen


def _file_handler(name: str) -> Handler:
    path = files("ser_bridges.web").joinpath("static", name)
    body, kind = path.read_bytes(), _TYPES[Path(name).suffix]

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type=kind, charset="utf-8")

    return handler


async def _add_headers(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
