"""The shortest worker that answers a call: says a sentence, writes it down, ends the call.

    LIVEKIT_URL=… LIVEKIT_API_KEY=… LIVEKIT_API_SECRET=… TELEPHONY_API_KEY=… \
        .venv-agents/bin/python examples/agent.py start

docs/how-to/write-an-agent.md goes through it.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

import aiohttp
from livekit import rtc
from livekit.agents import AgentServer, JobContext, cli

from telephony.agents.voice import RATE, Voice

WORDS = "Hello. This is a very short agent. Goodbye."


def load(server: AgentServer) -> float:
    """Its calls, not the processor's load: a dispatch that finds a worker busy is lost."""
    return 0.7 * min(len(server.active_jobs) / 10, 1.0)


server = AgentServer(host="127.0.0.1", port=0, load_fnc=load)


@server.rtc_session(agent_name=os.environ.get("TELEPHONY_LIVEKIT_AGENT", "telephony"))
async def answer(ctx: JobContext) -> None:
    call = json.loads(ctx.job.metadata)
    await ctx.connect()

    source = rtc.AudioSource(RATE, 1, queue_size_ms=200)
    track = rtc.LocalAudioTrack.create_audio_track("agent", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    publication = await ctx.room.local_participant.publish_track(track, options)
    await publication.wait_for_subscription()  # whatever is said before nobody hears

    started = datetime.now(UTC)
    sound = await Voice().say(WORDS)  # int16, 8 kHz: any synthesiser's sound will do
    for at in range(0, len(sound), RATE // 25):  # 20 ms
        frame = sound[at : at + RATE // 25]
        await source.capture_frame(rtc.AudioFrame(frame, RATE, 1, len(frame) // 2))
    packet = {"type": "transcript", "source": "agent", "text": WORDS, "isFinal": True}
    await ctx.room.local_participant.publish_data(json.dumps(packet), reliable=True)
    await source.wait_for_playout()

    url = os.environ.get("TELEPHONY_API_URL") or call["api"]["url"]
    key = {"Authorization": f"Bearer {os.environ['TELEPHONY_API_KEY']}"}
    turn = {"index": 0, "source": "agent", "text": WORDS, "startedAt": started.isoformat()}
    async with aiohttp.ClientSession(headers=key, raise_for_status=True) as http:
        await http.post(f"{url}/v1/sessions/{call['session_id']}/turns", json={"turns": [turn]})
        await http.post(f"{url}/v1/calls/{call['session_id']}/end", json={})
    ctx.shutdown("said all")


if __name__ == "__main__":
    cli.run_app(server)
