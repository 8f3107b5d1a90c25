"""The table of routes, and how a path finds its row.

Paths are split while they are still percent-encoded and each segment is decoded once, so that
``%2F`` inside an id makes no segment; empty segments (a doubled or a trailing slash) do not
count. Nothing is ever redirected (contract section 18).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from aiohttp import web
from pydantic import BaseModel

from telephony.accounts.model import Scope
from telephony.api.deps import Deps
from telephony.api.errors import FAULT


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the key's organization. ``live`` False: a test key, whose dial is a stub."""

    organization: str
    key: str
    live: bool
    scopes: frozenset[Scope]
    requests_per_second: float | None = None


def _as_it_is(response: web.StreamResponse) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, what it may use, and who asks. ``params`` are the path's, decoded."""

    request: web.Request
    deps: Deps
    params: Mapping[str, str]
    caller: Caller | None = None
    prepare: Callable[[web.StreamResponse], None] = _as_it_is
    """Gives a response the headers that all have; for those that are sent by the handler."""

    @property
    def organization(self) -> str:
        assert self.caller is not None, "a route without a key has no organization"
        return self.caller.organization


_CALLING = (
    "/v1/sessions",
    "/v1/calls",
    "/v1/callbacks",
    "/v1/transcribe",
    "/v1/synthesize",
    "/v1/complete",
    "/v1/sms",
)
"""Where changes are calls and words, and not what is set up once."""

Handler = Callable[[Ask], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """``path`` as in the contract, ids in braces. ``public``: no key is asked for.

    The rest is what the OpenAPI document says of it: the shapes of the ``query``, the ``body`` and
    the ``reply`` (``many``: a bare array of them), the ``status`` of success, and ``problems``:
    failures beside those that every route can have. ``streams``: the reply is server-sent events.
    ``fault``: the code of a failure that is ours (500).
    """

    method: str
    path: str
    handler: Handler
    public: bool = False
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    reply: type[BaseModel] | None = None
    many: bool = False
    status: int = 200
    problems: tuple[int, ...] = ()
    streams: bool = False
    fault: str = FAULT

    @property
    def scope(self) -> Scope:
        """What a key must be allowed to come here."""
        if self.method == "GET":
            return Scope.READ
        return Scope.DIAL if self.path.startswith(_CALLING) else Scope.ADMIN


@dataclass(slots=True)
class _Node:
    fixed: dict[str, _Node] = field(default_factory=dict)
    any: _Node | None = None
    routes: dict[str, tuple[Route, tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """A row and its ids. ``route`` None: ``allowed`` are the methods of the path, if any."""

    route: Route | None
    params: Mapping[str, str]
    allowed: tuple[str, ...] = ()


class Table:
    """All routes, found by path in one walk."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        self.routes = tuple(routes)
        for route in self.routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        node, names = self._root, []
        for part in route.path.strip("/").split("/"):
            if part.startswith("{"):
                names.append(part[1:-1])
                node.any = node.any or _Node()
                node = node.any
            else:
                node = node.fixed.setdefault(part, _Node())
        if route.method in node.routes:
            raise ValueError(f"{route.method} {route.path} stands in the table twice")
        node.routes[route.method] = (route, tuple(names))

    def find(self, method: str, raw_path: str) -> Found:
        """The row of a percent-encoded path. HEAD finds GET."""
        parts = [unquote(part, errors="replace") for part in raw_path.split("/") if part]
        found = self._walk(self._root, parts, ())
        # No id holds a NUL, and PostgreSQL would not even compare one.
        if found is None or "\x00" in raw_path or "%00" in raw_path:
            return Found(None, {})
        node, values = found
        row = node.routes.get(method)
        if row is None and method == "HEAD":
            row = node.routes.get("GET")
        if row is None:
            allowed = set(node.routes) | ({"HEAD"} if "GET" in node.routes else set())
            return Found(None, {}, tuple(sorted(allowed | {"OPTIONS"})))
        route, names = row
        return Found(route, dict(zip(names, values, strict=True)))

    def _walk(
        self, node: _Node, parts: list[str], values: tuple[str, ...]
    ) -> tuple[_Node, tuple[str, ...]] | None:
        if not parts:
            return (node, values) if node.routes else None
        head, rest = parts[0], parts[1:]
        if (fixed := node.fixed.get(head)) is not None:
            found = self._walk(fixed, rest, values)
            if found is not None:
                return found
        if node.any is not None:
            return self._walk(node.any, rest, (*values, head))
        return None
