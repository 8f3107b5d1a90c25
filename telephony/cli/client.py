"""The API of a running service, for the command line."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import ProxyHandler, Request, build_opener

import typer

from telephony.base.errors import ConfigError, TelephonyError, Unavailable
from telephony.settings import load

TIMEOUT_SECONDS = 30.0

Url = Annotated[
    str | None,
    typer.Option("--url", envvar="TELEPHONY_URL", help="Where the service's API is."),
]


class Client:
    """One service, one key."""

    def __init__(self, url: str | None, key: str | None = None) -> None:
        """Without ``url`` it is the API of this machine's settings; the key is that of
        TELEPHONY_API_KEY. Raises ConfigError where there is none."""
        found_url, found_key = _own()
        self.url = (url or found_url).rstrip("/")
        self._key = key or found_key
        if not self._key:
            raise ConfigError("set TELEPHONY_API_KEY to a key of the service")
        # Never through a proxy of the environment: the service is ours, often on loopback.
        self._open = build_opener(ProxyHandler({})).open

    def get(self, *path: str, **query: Any) -> Any:
        return self._ask("GET", path, query)

    def post(self, *path: str, body: dict[str, Any] | None = None) -> Any:
        return self._ask("POST", path, {}, body or {})

    def patch(self, *path: str, body: dict[str, Any]) -> Any:
        return self._ask("PATCH", path, {}, body)

    def delete(self, *path: str) -> Any:
        return self._ask("DELETE", path, {})

    def upload(self, address: str, data: bytes, headers: dict[str, str]) -> None:
        """Bytes to an address that the service gave out: it holds its own signature."""
        self._send(Request(address, data, headers, method="PUT"))

    def _ask(
        self,
        method: str,
        path: tuple[str, ...],
        query: dict[str, Any],
        body: dict[str, Any] | None = None,
    ) -> Any:
        url = "/".join([self.url, "v1", *(quote(part, safe="") for part in path)])
        given = {name: value for name, value in query.items() if value is not None}
        if given:
            url += "?" + urlencode(given)
        request = Request(url, method=method, headers={"Authorization": f"Bearer {self._key}"})
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        return self._send(request)

    def _send(self, request: Request) -> Any:
        try:
            with self._open(request, timeout=TIMEOUT_SECONDS) as response:
                return json.loads(response.read() or b"null")
        except HTTPError as error:
            raise _said(error) from None
        except (URLError, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            raise Unavailable(f"{self.url} does not answer: {reason}") from None
        except ValueError as error:
            raise Unavailable(f"{self.url} answered something else than JSON: {error}") from None


def _said(error: HTTPError) -> TelephonyError:
    try:
        body = json.loads(error.read())
        return TelephonyError(f"{body['error']} ({error.code} {body['code']})")
    except (ValueError, KeyError, TypeError):
        return TelephonyError(f"the service answered {error.code}")


def _own() -> tuple[str, str | None]:
    """Where this machine's settings put the API, and the key they name."""
    try:
        settings = load().settings
    except ConfigError:
        # Whoever asks a service elsewhere need not have its settings in order here.
        return "http://127.0.0.1:8080", os.environ.get("TELEPHONY_API_KEY")
    host = settings.api_host
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{settings.api_port}", settings.api_key


def pairs(values: list[str], what: str) -> dict[str, str]:
    """``name=value`` options as a mapping."""
    found = {}
    for text in values:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise typer.BadParameter(f"{what} must be name=value, not {text!r}")
        found[name] = value
    return found


def sent(**members: Any) -> dict[str, Any]:
    """A body of the members that were given."""
    return {name: value for name, value in members.items() if value not in (None, [], {})}
