"""SIGKILL at random moments: nothing acknowledged is lost, nobody is called twice."""

from __future__ import annotations

import asyncio
import json
import random
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from telephony.testing.softphone import PhoneCall, Softphone
from tests.interop.service import KEY, Service, check, free_port

TOML = """
[[trunks]]
name = "main"
gateways = ["127.0.0.1:{gateway}"]
caller_ids = ["+12025550100"]
"""
ROUNDS = 6
DIALS = 12


def dial(service: Service, number: str) -> str | None:
    """One request with its own key; the session when it was acknowledged."""
    body = json.dumps({"to": number, "dialplan": "callback-desk"}).encode()
    request = urllib.request.Request(
        f"{service.api.base}/v1/sessions/phone",
        body,
        {
            "Authorization": f"Bearer {KEY}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"key {number}",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return str(json.loads(reply.read())["sessionId"])
    except urllib.error.HTTPError as error:
        with error:
            assert error.code in (409, 503), error.read()
        return None
    except (OSError, ValueError):
        return None


async def test_killed_again_and_again(tmp_path: Path) -> None:
    rng = random.Random(11)
    gateway = free_port()
    service = Service(tmp_path, TOML.format(gateway=gateway), {})
    acknowledged: dict[str, str] = {}
    asked: list[str] = []
    invited: Counter[str] = Counter()

    def arrives(call: PhoneCall) -> None:
        invited[call.request.uri.partition("@")[0].removeprefix("sip:")] += 1
        call.ring()

    async with Softphone("gateway", port=gateway) as far:
        far.on_call = arrives
        for round_ in range(ROUNDS):
            await asyncio.to_thread(service.start)
            numbers = [f"+1202556{round_:02d}{i:02d}" for i in range(DIALS)]
            asked += numbers
            kill = asyncio.get_running_loop().call_later(rng.uniform(0.01, 0.25), service.kill)
            done = await asyncio.gather(*(asyncio.to_thread(dial, service, n) for n in numbers))
            kill.cancel()
            service.kill()
            acknowledged |= {n: s for n, s in zip(numbers, done, strict=True) if s is not None}
        await asyncio.to_thread(service.start)
        try:
            # The same requests again, as a client that lost its answer sends them.
            for number in asked:
                session = await asyncio.to_thread(dial, service, number)
                assert session is not None
                assert acknowledged.setdefault(number, session) == session
            await asyncio.sleep(1.0)
            for session in set(acknowledged.values()):
                await asyncio.to_thread(service.api.call, "POST", f"/v1/calls/{session}/end", {})
            for session in set(acknowledged.values()):
                events: list[dict[str, Any]] = await asyncio.to_thread(service.api.ended, session)
                check(events)
                assert (await asyncio.to_thread(service.api.report, session))["outcome"]
        finally:
            await asyncio.to_thread(service.stop)
    assert len(acknowledged) == len(asked)
    assert len(set(acknowledged.values())) == len(asked)
    assert max(invited.values()) == 1, invited
    assert service.complaints() == []
