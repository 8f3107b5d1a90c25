"""The application: one table of routes, one way through for every request.

A request is found in the table, its key is checked, its handler is called, and whatever goes
wrong on the way becomes ``{"error", "code"}``. Nothing is answered with HTML and nothing is
redirected but the one documented 302.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import structlog
from aiohttp import hdrs, web
from aiohttp.web_protocol import RequestHandler

from telephony.accounts.knowledge import MAX_UPLOAD
from telephony.api import (
    agents,
    browser,
    callbacks,
    calls,
    credits,
    files,
    health,
    knowledge,
    kyb,
    later,
    live,
    numbers,
    openapi,
    organization,
    phones,
    sessions,
    streams,
    trunks,
    voices,
    webhooks,
)
from telephony.api.auth import Authenticator
from telephony.api.body import BODY_SECONDS, MAX_BODY
from telephony.api.deps import Deps
from telephony.api.errors import FAULT, error_reply, reply_of, reply_of_status
from telephony.api.limits import Rates
from telephony.api.routes import Ask, Caller, Found, Route, Table
from telephony.base.errors import Busy, Refused, TelephonyError

log = structlog.get_logger("telephony.api")

# A request's line and headers must be there within this time of the connection's start or of
# the answer before; it is as well how long an idle connection is kept.
KEEPALIVE_SECONDS = 65.0
MAX_CONNECTIONS = 2000
MAX_LINE = 8190
MAX_HEADERS = 100

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_ALLOWED_HEADERS = (
    "authorization, content-type, user-agent, accept, idempotency-key, x-session-id, "
    "last-event-id, x-request-id, x-speko-intent, x-speko-constraints, x-speko-stt-options"
)
# A page reads only what is named here: a browser knows no pattern such as x-speko-*.
_EXPOSED_HEADERS = (
    "retry-after, x-request-id, x-trace-id, location, idempotent-replayed, x-session-id, "
    "x-speko-audio-format, x-speko-provider, x-speko-model, x-speko-failover-count, "
    "x-speko-scores-run-id"
)
_METHODS = "GET, HEAD, POST, PATCH, PUT, DELETE, OPTIONS"

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]

REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
FAULT_CODE: web.RequestKey[str] = web.RequestKey("fault_code", str)
TABLE: web.AppKey[Table] = web.AppKey("table", Table)


def routes() -> list[Route]:
    """Every row: what is served, and what is known and comes later."""
    nouns = (
        sessions,
        browser,
        streams,
        calls,
        live,
        callbacks,
        credits,
        numbers,
        kyb,
        agents,
        knowledge,
        trunks,
        phones,
        webhooks,
        voices,
        organization,
        health,
        files,
    )
    rows = [*(row for noun in nouns for row in noun.routes()), *later.routes()]
    return [*rows, *openapi.routes(lambda: rows)]


def build(deps: Deps, more: Iterable[Route] = ()) -> web.Application:
    """The application over ports. ``more``: routes of others, such as a carrier's webhooks."""
    # Whether aiohttp takes a body of just this size depends on its version; read_object decides.
    app = web.Application(client_max_size=MAX_BODY + 1)
    table = Table([*routes(), *more])
    door = _Door(deps, table)
    app[TABLE] = table
    app.middlewares.append(door.guard)
    app.on_shutdown.append(door.send_away)
    app.router.add_route("*", "/{path:.*}", door.dispatch, expect_handler=_expect)
    return app


class _Door:
    """What every request passes."""

    def __init__(self, deps: Deps, table: Table) -> None:
        self._deps = deps
        self._table = table
        self._authenticator = Authenticator(deps.keys, deps.clock, deps.secret_key)
        self._rates = Rates()
        # Clients of a base URL with a path send it along; a proxy may or may not take it off.
        self._prefix = urlsplit(deps.public_url or "").path.rstrip("/")

    @web.middleware
    async def guard(self, request: web.Request, handler: Next) -> web.StreamResponse:
        """Errors as JSON, an id on every answer, CORS."""
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else self._deps.ids.make("req")
        request[REQUEST_ID] = request_id
        try:
            response = await handler(request)
        except TelephonyError as error:
            response = reply_of(error, request.get(FAULT_CODE, FAULT))
            if response.status == 500:
                log.error("a request failed", request=request_id, error=error.message)
        except web.HTTPException as error:
            response = reply_of_status(error.status)
            if allow := error.headers.get(hdrs.ALLOW):
                response.headers[hdrs.ALLOW] = allow
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("a request failed", request=request_id, path=request.path)
            response = reply_of_status(500, request.get(FAULT_CODE, FAULT))
        if not response.prepared:
            self._dress(request, response)
        return response

    def _dress(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-Request-ID"] = request[REQUEST_ID]
        response.headers[hdrs.SERVER] = "telephony"
        self._cors(request, response)

    async def send_away(self, app: web.Application) -> None:
        """The server stops: streams end in words that bring their clients back."""
        self._deps.feeds.close()

    async def dispatch(self, request: web.Request) -> web.StreamResponse:
        """Find the row, check the key, call the handler."""
        found = self._table.find(request.method, self._path(request))
        if found.route is None:
            return self._no_route(request, found)
        request[FAULT_CODE] = found.route.fault
        ask = Ask(request, self._deps, found.params)
        caller = await self._caller(ask, found.route)
        dress = partial(self._dress, request)
        return await found.route.handler(Ask(request, self._deps, found.params, caller, dress))

    def _path(self, request: web.Request) -> str:
        """The path, percent-encoded, without that of PUBLIC_URL."""
        path = request.rel_url.raw_path
        inside = self._prefix and f"{path}/".startswith(f"{self._prefix}/")
        return path[len(self._prefix) :] if inside else path

    def _for_pages(self, request: web.Request) -> bool:
        """The API, and what its signed URLs open."""
        return re.match(r"/+(v1|files|uploads)(/|$)", self._path(request)) is not None

    async def _caller(self, ask: Ask, route: Route) -> Caller | None:
        if route.public or (route.handler is health.metrics and health.open_to(ask)):
            return None
        caller = await self._authenticator.caller(ask.request)
        rate = caller.requests_per_second or self._deps.requests_per_second
        wait = self._rates.take(caller.key, rate, self._deps.clock.monotonic())
        if wait:
            raise Busy("too many requests with this key", retry_after=wait, code="RATE_LIMITED")
        if route.scope not in caller.scopes:
            raise Refused(f"this key lacks the scope {route.scope}", code="INSUFFICIENT_SCOPE")
        return caller

    def _no_route(self, request: web.Request, found: Found) -> web.StreamResponse:
        if not found.allowed:
            preflight = hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
            if request.method == hdrs.METH_OPTIONS and preflight and self._for_pages(request):
                # A page that may not ask would never see that there is no such path.
                return web.Response(status=204)
            return reply_of_status(404)
        allow = {"Allow": ", ".join(found.allowed)}
        if request.method == hdrs.METH_OPTIONS:
            # Preflights come without a key, and so does the question what a path can do.
            return web.Response(status=204, headers=allow)
        return error_reply(405, "METHOD_NOT_ALLOWED", "method not allowed", headers=allow)

    def _cors(self, request: web.Request, response: web.StreamResponse) -> None:
        origin = request.headers.get(hdrs.ORIGIN)
        allowed = self._deps.cors_origins
        if origin is None or not ("*" in allowed or origin in allowed):
            return
        if not self._for_pages(request):
            return
        headers = response.headers
        # Keys are sent by hand and never by the browser itself, so any origin may be answered.
        headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*" if "*" in allowed else origin
        if "*" not in allowed:
            headers[hdrs.VARY] = "Origin"
        headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED_HEADERS
        if request.method == hdrs.METH_OPTIONS:
            asked = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
            speko = [h.strip().lower() for h in asked.split(",")]
            extra = [h for h in speko if re.fullmatch(r"x-(speko|session)-[a-z0-9-]{1,60}", h)]
            headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = ", ".join([_ALLOWED_HEADERS, *extra])
            headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = _METHODS
            headers[hdrs.ACCESS_CONTROL_MAX_AGE] = "600"


async def _expect(request: web.Request) -> web.StreamResponse | None:
    """``Expect: 100-continue``, unless the body is known to be too large."""
    if request.headers.get(hdrs.EXPECT, "").lower() != "100-continue":
        return reply_of_status(417)
    most = MAX_UPLOAD if "/uploads/" in request.path else MAX_BODY
    if (request.content_length or 0) > most:
        return reply_of_status(413)
    if request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return None


class _Connection(RequestHandler):
    """A connection whose protocol errors are JSON too."""

    __slots__ = ()

    def log_exception(self, *args: Any, **options: Any) -> None:
        """What aiohttp would say in its own words: a body that cannot be read was answered."""
        error = options.get("exc_info")
        if not isinstance(error, web.RequestPayloadError):
            log.error("a connection failed", exc_info=error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        manager = self._manager
        if manager is not None and len(manager.connections) >= MAX_CONNECTIONS:
            self.close()
            assert isinstance(transport, asyncio.WriteTransport)
            body = b'{"error":"too many connections","code":"CAPACITY"}'
            transport.write(
                b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
                b"Retry-After: 5\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                % (len(body), body)
            )
            transport.close()
            return
        super().connection_made(transport)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What aiohttp would answer with a page: a request that is no HTTP, or a fault."""
        if status >= 500:
            log.error("a connection failed", exc_info=exc)
        response = reply_of_status(status)
        response.headers[hdrs.SERVER] = "telephony"
        response.force_close()
        return response


class _Server(web.Server):
    def __init__(self, server: web.Server, **options: Any) -> None:
        super().__init__(server.request_handler, request_factory=server.request_factory, **options)
        self._options = options

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), **self._options)


class Runner(web.AppRunner):
    """Runs the application with its ceilings: headers in time, few enough connections."""

    def __init__(self, app: web.Application, *, shutdown_timeout: float = 5.0) -> None:
        """``shutdown_timeout``: seconds that open requests have to end when it is stopped."""
        super().__init__(
            app, access_log=None, handle_signals=False, shutdown_timeout=shutdown_timeout
        )

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(
            server,
            access_log=None,
            keepalive_timeout=KEEPALIVE_SECONDS,
            lingering_time=min(10.0, BODY_SECONDS),
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            max_headers=MAX_HEADERS,
        )
