"""One answer a key: what was done once is not done again (design.md section 9)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from aiohttp import web

from telephony.accounts.ports import Answer
from telephony.api.routes import Ask
from telephony.api.wire.base import canonical
from telephony.base.errors import BadInput, Busy, Conflict, TelephonyError

log = structlog.get_logger("telephony.api")

WAIT_SECONDS = 10.0
POLL_SECONDS = 0.05
KEY_CEILING = 255
CODE = "IDEMPOTENCY_CONFLICT"


class StillHandled(Busy):
    """The first request with the key is not over: 409 with Retry-After."""

    code = CODE


Prepare = Callable[[str, web.Response], Awaitable[None]]
"""Before something is made: its id, and what the answer is once it exists."""

Work = Callable[[Prepare], Awaitable[web.Response]]


async def once(ask: Ask, body: Mapping[str, Any], work: Work) -> web.Response:
    """Do ``work`` once for the request's Idempotency-Key, else replay its answer.

    ``work`` tells the answer that it is about to give before it acts, so that a process that
    dies in between leaves a key that answers and does not act again.

    An error of ours means that nothing was sent, so its key is free again; anything else that
    is raised leaves the key taken, since nobody knows what was done.

    Raises:
        BadInput: a key that is empty or too long.
        Conflict, StillHandled: see design.md section 9, Idempotency.
    """
    key = ask.request.headers.get("Idempotency-Key")
    if key is None:
        return await work(_unprepared)
    key = key.strip()
    if not key or len(key) > KEY_CEILING or not key.isprintable():
        raise BadInput(
            f"Idempotency-Key: must have 1 to {KEY_CEILING} characters", field="Idempotency-Key"
        )
    assert ask.caller is not None
    # A test key's answers are stubs: they must not be replayed to a live key.
    key = key if ask.caller.live else f"test:{key}"
    path = "/".join(part for part in ask.request.path.split("/") if part)
    digest = hashlib.blake2b(canonical({"path": path, "body": body}), digest_size=32)
    answer = await _begin(ask, key, digest.hexdigest())
    if answer is not None:
        return web.Response(
            body=answer.body,
            status=answer.status,
            content_type="application/json",
            charset="utf-8",
            headers={"Idempotent-Replayed": "true"},
        )
    # Shielded: a client that goes away must not leave a key that nobody finishes.
    return await asyncio.shield(asyncio.ensure_future(_work(ask, key, work)))


async def _begin(ask: Ask, key: str, digest: str) -> Answer | None:
    store, clock = ask.deps.idempotency, ask.deps.clock
    deadline = clock.monotonic() + WAIT_SECONDS
    while True:
        try:
            return await store.begin(ask.organization, key, digest, clock.now())
        except Busy as busy:
            if clock.monotonic() >= deadline:
                raise StillHandled(
                    "the first request with this Idempotency-Key is still being handled",
                    retry_after=busy.retry_after,
                ) from None
        except Conflict as conflict:
            raise Conflict(conflict.message, code=CODE) from None
        await asyncio.sleep(POLL_SECONDS)


async def _unprepared(made: str, response: web.Response) -> None:
    return None


async def _work(ask: Ask, key: str, work: Work) -> web.Response:
    store = ask.deps.idempotency

    async def prepare(made: str, response: web.Response) -> None:
        await store.prepare(ask.organization, key, made, _answer(response))

    try:
        response = await work(prepare)
    except TelephonyError:
        await _quietly(store.forget(ask.organization, key))
        raise
    await _quietly(store.finish(ask.organization, key, _answer(response)))
    return response


def _answer(response: web.Response) -> Answer:
    body = response.body
    return Answer(response.status, body if isinstance(body, bytes) else b"{}")


async def _quietly(write: Awaitable[None]) -> None:
    """The call is made, or refused: that the key's row could not be written changes nothing."""
    try:
        await write
    except TelephonyError as error:
        log.warning("an idempotency key could not be written", error=error.message)
