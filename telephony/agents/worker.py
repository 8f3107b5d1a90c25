"""The worker: registers under its name, takes calls that are dispatched to it, one process each."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from livekit.agents import AgentServer, AutoSubscribe, JobContext, JobProcess

from telephony.agents import dispatched, environment, script
from telephony.agents.conversation import Conversation
from telephony.agents.dispatched import DispatchedCall
from telephony.agents.environment import WorkerConfig
from telephony.agents.events import Gone
from telephony.agents.hearing import Patience, Recogniser
from telephony.agents.room import RoomStage
from telephony.agents.script import Script
from telephony.agents.service import Said, ServiceClient
from telephony.agents.turns import TurnLog
from telephony.agents.voice import Voice
from telephony.base.errors import BadInput, SpeechUnavailable, TelephonyError

log = logging.getLogger("telephony.agents")

LISTENER_SECONDS = 30.0
"""How long the greeting waits for somebody who can hear it."""
BROWSER_GRACE = 0.25
"""Seconds in which a browser's overrides still change the greeting."""
STOP_SECONDS = 3.0
"""How long calls may take to end when the worker must stop. Then they die, and the service calls
another worker in: a hurried stop is not for finishing sentences."""
FULL = 0.7
"""Load from which LiveKit's server gives a worker no more calls, unless it is configured."""


class SystemClock:
    """The wall's and the machine's time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return monotonic()


def warm_up(process: JobProcess) -> None:
    """Before a call is there: the voice runs, the ears have their model."""
    logging.getLogger("telephony.agents").setLevel(logging.INFO)
    voice = Voice()
    try:
        voice.start()
    except SpeechUnavailable as error:
        # The call is still worth answering: it writes what it cannot say.
        log.error("agent.voiceless: %s", error)
    process.userdata["voice"] = voice
    process.userdata["recogniser"] = Recogniser()
    log.info("agent.warm pid=%d", os.getpid())


def choose_script(call: DispatchedCall, file: Path | None) -> Script:
    """The call's own, else the prompt's, else the worker's file, else the one that ships.

    One that cannot be read is passed over, and the log says why.
    """
    origins: dict[str, Callable[[], Script | None]] = {
        "metadata": lambda: script.parse(call.script) if call.script else None,
        "prompt": lambda: _loaded(script.in_prompt(call.prompt)),
        "file": lambda: _loaded(file.read_text(encoding="utf-8")) if file else None,
    }
    for origin, read in origins.items():
        try:
            found = read()
        except (BadInput, OSError, UnicodeDecodeError) as error:
            log.warning("script.refused origin=%s: %s", origin, error)
            continue
        if found is not None:
            return found
    return script.DEFAULT


def _loaded(text: str | None) -> Script | None:
    return None if text is None else script.load(text)


async def answer(ctx: JobContext) -> None:
    """One call: joins its room and leaves the conversation running."""
    try:
        call = dispatched.parse(ctx.job.metadata)
    except BadInput as error:
        log.error("agent.dispatch_refused room=%s: %s", ctx.job.room.name, error)
        ctx.shutdown("dispatch refused")
        return
    log.info("agent.call pid=%d session=%s room=%s", os.getpid(), call.session, ctx.job.room.name)
    config = environment.read(os.environ)
    url = config.api_url or call.api_url
    if not url:
        log.warning("agent.no_api: TELEPHONY_API_URL is not set and the dispatch names none")
    service = ServiceClient(url, config.api_key, call.session) if url else None
    patience = Patience() if call.end_ms is None else Patience(end_ms=call.end_ms)
    stage = RoomStage(ctx.room, call.identity, ctx.proc.userdata["recogniser"], patience)
    _, before = await asyncio.gather(
        ctx.connect(auto_subscribe=AutoSubscribe.AUDIO_ONLY), _before(service)
    )
    conversation = Conversation(
        call=call,
        script=choose_script(call, config.script),
        stage=stage,
        speaker=ctx.proc.userdata["voice"],
        service=service,
        turns=TurnLog(service, SystemClock(), before),
        resumed=bool(before),
    )
    talking = asyncio.create_task(_converse(ctx, conversation, stage, service), name="agent-call")

    async def stop() -> None:
        conversation.put(Gone("the worker stops"))
        await asyncio.wait([talking])

    # livekit-agents calls it only after this function has returned, so the call is a task: a worker
    # that must stop would else wait for its conversations' own end.
    ctx.add_shutdown_callback(stop)


async def _converse(
    ctx: JobContext, conversation: Conversation, stage: RoomStage, service: ServiceClient | None
) -> None:
    reason = "failed"
    try:
        reason = await _talk(conversation, stage)
    except Exception:
        log.exception("agent.call_failed session=%s", conversation.call.session)
    finally:
        await stage.close()
        await conversation.turns.close()
        if service is not None:
            await service.close()
        log.info("agent.left session=%s: %s", conversation.call.session, reason)
        ctx.shutdown(reason)


async def _talk(conversation: Conversation, stage: RoomStage) -> str:
    stage.follow(conversation)
    await stage.open()
    grace = BROWSER_GRACE if conversation.call.direction == "web" else 0.0
    greeting = asyncio.create_task(stage.await_listener(LISTENER_SECONDS, grace))
    try:
        return await conversation.run()
    finally:
        greeting.cancel()


async def _before(service: ServiceClient | None) -> list[Said]:
    if service is None:
        return []
    try:
        return await service.spoken_before()
    except TelephonyError as error:
        log.warning("agent.past_unknown: %s", error)
        return []


def make_server(config: WorkerConfig) -> AgentServer:
    """The worker's server; ``run`` it."""

    def load(server: AgentServer) -> float:
        # Not the processor's, as by default: a dispatch that finds every worker busy is never
        # tried again by LiveKit, and a moment's work of something else would cost a call.
        return FULL * min(len(server.active_jobs) / config.max_calls, 1.0)

    server = AgentServer(
        ws_url=config.livekit_url,
        api_key=config.livekit_key,
        api_secret=config.livekit_secret,
        host=config.health_host,
        port=config.health_port,
        num_idle_processes=config.idle_processes,
        load_fnc=load,
        load_threshold=FULL,
        shutdown_process_timeout=STOP_SECONDS,
        setup_fnc=warm_up,
    )
    server.rtc_session(answer, agent_name=config.name)
    server.on(
        "worker_registered",
        lambda worker, _: log.info("agent.registered name=%s id=%s", config.name, worker),
    )
    return server
