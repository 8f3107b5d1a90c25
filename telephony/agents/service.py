"""The service's API as a worker uses it: turns, the end of a call, transfers, callbacks."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from telephony.base.errors import TelephonyError, Unavailable

log = logging.getLogger("telephony.agents")

PROVIDER = "telephony-agent"
"""Put on every turn: by it a worker that is called in again knows the turns of the one before."""
MAX_REPLY = 4 * 1024 * 1024
MAX_QUERY = 300
"""Characters that are searched for: a request line has 8 KB, and a character may take twelve."""


class Declined(TelephonyError):
    """The service answered, and the answer is no."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}", code=code)
        self.status = status


@dataclass(frozen=True, slots=True)
class Said:
    """One turn as it is posted; the same ``index`` replaces."""

    index: int
    source: str
    text: str
    started_at: str
    ended_at: str | None = None

    def body(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "source": self.source,
            "text": self.text[:16_384],
            "startedAt": self.started_at,
            "endedAt": self.ended_at,
            "provider": PROVIDER,
        }


class ServiceClient:
    """One session's calls of the API. ``close`` it, or use it as a context manager.

    Requests that may be repeated (all but a transfer) are tried ``attempts`` times where the
    service does not answer, is busy (429) or fails (5xx).
    """

    def __init__(
        self,
        url: str,
        key: str,
        session: str,
        *,
        attempts: int = 5,
        pause: float = 0.2,
        timeout: float = 10.0,
    ) -> None:
        self._url = url.rstrip("/")
        self._id = session
        self._session = quote(session, safe="")
        self._attempts = attempts
        self._pause = pause
        self._http = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {key}"},
            timeout=aiohttp.ClientTimeout(total=timeout),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.close()

    async def spoken_before(self) -> list[Said]:
        """The turns that a worker posted of this session so far.

        Raises:
            Unavailable, Declined.
        """
        reply = await self._ask("GET", f"/v1/sessions/{self._session}/transcript")
        entries = reply.get("entries")
        return [
            Said(
                entry["index"],
                str(entry.get("source")),
                str(entry.get("text")),
                str(entry.get("startedAt")),
            )
            for entry in (entries if isinstance(entries, list) else [])
            if isinstance(entry, dict)
            and entry.get("provider") == PROVIDER
            and isinstance(entry.get("index"), int)
        ]

    async def post_turns(self, turns: Sequence[Said]) -> None:
        """Raises Unavailable, Declined."""
        body = {"turns": [turn.body() for turn in turns]}
        await self._ask("POST", f"/v1/sessions/{self._session}/turns", body)

    async def end_call(self) -> None:
        """Hang up on every side. A call that is over already is no failure."""
        await self._ask("POST", f"/v1/calls/{self._session}/end", {})

    async def transfer(self, to: str, *, warm: bool, summary: str = "") -> str:
        """Hand the caller over; the transfer's id. Never tried twice: it dials."""
        kind = "warm" if warm else "blind"
        body: dict[str, Any] = {"to": to}
        if warm and summary:
            body["summary"] = summary
        path = f"/v1/calls/{self._session}/transfers/{kind}"
        reply = await self._ask("POST", path, body, attempts=1)
        return str(reply.get("id", ""))

    async def call_back(
        self, to: str, *, after: int, reason: str, agent: str, summary: str, once: str
    ) -> str:
        """Promise a call in ``after`` seconds; the callback's id. ``once`` names the promise."""
        body: dict[str, Any] = {
            "to": to,
            "delaySeconds": after,
            "sourceSessionId": self._id,
            "reason": reason[:500] or None,
            "summary": summary[:4000] or None,
            "agentId": agent or None,
        }
        body = {name: value for name, value in body.items() if value is not None}
        reply = await self._ask(
            "POST", "/v1/callbacks", body, headers={"Idempotency-Key": f"{self._session}-{once}"}
        )
        return str(reply.get("id", ""))

    async def look_up(self, agent: str, query: str) -> str:
        """The best piece of the agent's documents; empty where none has a word of ``query``.

        Tried once: somebody waits on the telephone.
        """
        words = "".join(c if c.isprintable() else " " for c in query).strip()[:MAX_QUERY]
        if not words:
            return ""
        path = f"/v1/agents/{quote(agent, safe='')}/knowledge?limit=1&query={quote(words, safe='')}"
        reply = await self._ask("GET", path, attempts=1)
        match reply.get("passages"):
            case [{"text": str(text)}, *_]:
                return text
        return ""

    async def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        attempts: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        most = attempts or self._attempts
        for attempt in range(1, most + 1):
            try:
                return await self._once(method, path, body, headers)
            except (Unavailable, Declined) as error:
                again = isinstance(error, Unavailable) or error.status in (429, 500, 502, 503, 504)
                if not again or attempt == most:
                    raise
                log.info("api.again %s %s: %s", method, path, error)
            # Doubled, and spread: a service that comes back is not met by all workers at once.
            await asyncio.sleep(self._pause * 2 ** (attempt - 1) * random.uniform(0.7, 1.3))
        raise AssertionError("unreachable")

    async def _once(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str] | None
    ) -> dict[str, Any]:
        try:
            # The key goes to the address it was meant for, wherever that points to.
            async with self._http.request(
                method, self._url + path, json=body, headers=headers, allow_redirects=False
            ) as response:
                raw = await _bounded(response)
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unavailable(f"the service does not answer: {error or type(error)}") from error
        reply = _object(raw)
        if 200 <= status < 300:
            return reply
        code, message = reply.get("code"), reply.get("error")
        raise Declined(
            status,
            code if isinstance(code, str) else "UNKNOWN",
            message if isinstance(message, str) else "",
        )


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    parts = bytearray()
    async for part in response.content.iter_chunked(65_536):
        parts += part
        if len(parts) > MAX_REPLY:
            raise ValueError(f"a reply of more than {MAX_REPLY} octets")
    return bytes(parts)


def _object(raw: bytes) -> dict[str, Any]:

    try:
        reply = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return reply if isinstance(reply, dict) else {}
