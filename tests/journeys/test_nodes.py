"""Two processes on one PostgreSQL: the start or the death of one ends no call of the other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from telephony.testing.postgres import Cluster
from telephony.testing.softphone import PhoneCall, Softphone
from tests.interop.service import Service, check, free_port

TOML = """
[[trunks]]
name = "main"
gateways = ["127.0.0.1:{gateway}"]
caller_ids = ["+12025550100"]
"""
SECRET = "a secret that both share"


async def test_the_calls_of_two_nodes(tmp_path: Path, postgres: Cluster) -> None:
    database = postgres.fresh()
    gateway = free_port()
    nodes = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        nodes.append(Service(tmp_path / name, TOML.format(gateway=gateway), {}))
    one, two = nodes
    shared = {"TELEPHONY_DATABASE_URL": database, "TELEPHONY_SECRET_KEY": SECRET}

    async def start(service: Service) -> None:
        await asyncio.to_thread(lambda: service.start(**shared))

    async def events(service: Service, call: str) -> list[dict[str, Any]]:
        return await asyncio.to_thread(service.api.events, call)

    async with Softphone("gateway", port=gateway) as far:
        far.on_call = PhoneCall.ring
        for service in nodes:
            await start(service)
        calls = [
            await asyncio.to_thread(
                lambda s=service: s.api.dial(dialplan="callback-desk", ringingTimeout=120)
            )
            for service in nodes
        ]
        for service, call in zip(nodes, calls, strict=True):
            await asyncio.to_thread(service.api.wait, call, "call.ringing")

        # A call is ended through whichever node is asked.
        third = await asyncio.to_thread(one.api.dial, dialplan="callback-desk")
        await asyncio.to_thread(one.api.wait, third, "call.ringing")
        reply = await asyncio.to_thread(two.api.post, f"/v1/calls/{third}/end")
        assert reply == {"ok": True, "status": "ending"}
        over = await asyncio.to_thread(two.api.ended, third)
        assert (over[-1]["status"], over[-1]["payload"]["ended_by"]) == ("canceled", "api")
        reply = await asyncio.to_thread(two.api.post, f"/v1/calls/{third}/end")
        assert reply["status"] == "already_ended"

        # Two dies and comes back at once: its own call is closed, the other's rings on.
        two.kill()
        await start(two)
        gone = await asyncio.to_thread(two.api.ended, calls[1])
        assert gone[-1]["failure_cause"] == "interrupted"
        for service in nodes:
            assert (await events(service, calls[0]))[-1]["event_type"] == "call.ringing"

        # One dies for good: the other notices, and closes its call.
        one.kill()
        closed = await asyncio.to_thread(two.api.ended, calls[0], 60.0)
        check(closed)
        assert closed[-1]["failure_cause"] == "interrupted"
        assert await asyncio.to_thread(two.api.report, calls[0])
        assert await asyncio.to_thread(two.stop) == 0
    assert two.complaints() == []
