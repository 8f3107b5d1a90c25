"""Builds every object once, joins the two columns, starts and stops them in a stated order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import structlog
from aiohttp import web

from telephony.accounts.keys import digest_key, hint, is_live, make_pepper, make_secret
from telephony.accounts.model import DEFAULT_ORGANIZATION, Key, TrunkKind
from telephony.accounts.pool import Pool
from telephony.api.deps import Deps
from telephony.api.feeds import Feeds
from telephony.api.routes import Route
from telephony.api.server import Runner, build
from telephony.base.errors import ConfigError, MediaFailed, SpeechUnavailable, StoreUnavailable
from telephony.base.ids import Ids, room_name
from telephony.base.trace import Trace
from telephony.callbacks.scheduler import Scheduler
from telephony.calls.call import Call
from telephony.calls.ports import Carrier
from telephony.carriers.hook import Hook
from telephony.carriers.livekit import LiveKitCarrier, LiveKitConfig
from telephony.carriers.several import Carriers, TrunksOf
from telephony.carriers.trunk.carrier import TrunkCarrier
from telephony.carriers.trunk.config import TrunkConfig
from telephony.ivr.load import load_all
from telephony.ivr.model import Dialplan
from telephony.knowledge.library import Library
from telephony.ledger.credits import Prepaid
from telephony.ledger.numbers import Shop
from telephony.media.config import MediaConfig, descriptors_needed
from telephony.media.contract import MediaEngine
from telephony.media.engine import Engine
from telephony.media.salvage import salvage
from telephony.media.workers.engine import WorkerEngine
from telephony.metrics import Collector, renderer
from telephony.rooms.attendance import Attendance
from telephony.rooms.livekit import Host, LiveKitRooms
from telephony.rooms.local import LocalRooms
from telephony.rooms.passes import Passes
from telephony.rooms.server import RoomServer
from telephony.rooms.tokens import LiveKitTokens
from telephony.rooms.workers.host import WorkerHost
from telephony.settings import Settings, ensure_node, ensure_secret
from telephony.speech.espeak import EspeakSynth
from telephony.speech.prompts import Prompts
from telephony.store import FileRows, Store
from telephony.switchboard.agents import AgentsConfig
from telephony.switchboard.closing import close_room
from telephony.switchboard.finalize import Finalizer
from telephony.switchboard.journal import Journal
from telephony.switchboard.kit import Kit, SwitchboardConfig, anybody
from telephony.switchboard.nodes import Nodes
from telephony.switchboard.recover import close, recover
from telephony.switchboard.switchboard import Switchboard
from telephony.system import BufferedRandom, SystemClock, calm_collector, configure_logging

log = structlog.get_logger("telephony")


SHIPPED_DIALPLANS = Path(__file__).parent / "dialplans"


def load_dialplans(folder: Path) -> dict[str, Dialplan]:
    """Every ``*.yaml`` of a folder.

    Raises:
        DialplanError: naming file, line and key path of every fault; the service does not start.
        ConfigError: no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"dialplans: there is no folder {folder}", field="dialplans")
    return load_all({path.name: path.read_text() for path in sorted(folder.glob("*.yaml"))})


class App:
    """The whole service, from its settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = SystemClock()
        self.rng = BufferedRandom()
        self.ids = Ids(self.rng, self.clock)
        self.trace = Trace()
        self._runner: web.AppRunner | None = None
        self._stack = contextlib.AsyncExitStack()
        self._made_key: str | None = None
        self.attendance: Attendance | None = None

    # --- start -----------------------------------------------------------------------------

    async def start(self) -> None:
        """Start everything, each after what it needs; what fails takes the rest down again."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def _start(self) -> None:
        settings = self.settings
        raise_descriptors(settings.max_calls)
        folder = settings.dialplans or SHIPPED_DIALPLANS
        dialplans = load_dialplans(folder)
        if settings.default_dialplan and settings.default_dialplan not in dialplans:
            raise ConfigError(
                f"default_dialplan: there is no dialplan {settings.default_dialplan!r}",
                field="default_dialplan",
            )
        # Numbers, recordings and the secret lie in it: nobody else's to read.
        with _named("data_dir", str(settings.data_dir)):
            settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        secret = settings.secret_key or ensure_secret(settings.data_dir)
        node = settings.node or ensure_node(settings.data_dir)

        # The store first: nothing is admitted whose record has no place to go.
        now = self.clock.now()
        files = FileRows(
            trunks=settings.file_trunks(now),
            phones=settings.file_phones(now),
            numbers=settings.file_numbers(now),
        )
        self.store = await Store.open(settings.database, secret, files, node)
        self._stack.push_async_callback(self.store.close)
        await self.store.start(now)
        self._stack.push_async_callback(self._leave)
        await self._first_key(secret)
        # What the last process left open is closed before this one takes its first call.
        interrupted = await recover(
            self.store.calls, self.clock, self.ids, salvage, settings.rate_card
        )

        self.journal = Journal(
            self.store.calls,
            self.clock,
            recovered=self._recovered,
        )
        self.journal.start()
        self._stack.push_async_callback(self._stop_journal)

        self.synth = EspeakSynth()
        self._stack.push_async_callback(self.synth.close)
        self.speech = Prompts(
            self.synth, settings.data_dir / "prompts", hold_music=settings.hold_music
        )

        self.engine = self._media_engine()
        await self.engine.start()
        self._stack.push_async_callback(self.engine.stop)
        self.carrier = TrunkCarrier(
            trunk_config(settings, secret),
            TrunksOf(self.store.directory, TrunkKind.SIP),
            self.engine,
            self.clock,
            self.rng,
            self.trace,
        )
        local_rooms = LocalRooms(self.engine.config, self.engine)
        self.agent_rooms = _agent_rooms(settings, local_rooms, self.engine, self.clock)
        if self.agent_rooms is not None:
            await self.agent_rooms.start()
            self._stack.push_async_callback(self.agent_rooms.stop)
            self.attendance = Attendance(self.agent_rooms.server, self.clock)
            self.attendance.start()
            self._stack.push_async_callback(self.attendance.stop)
        self.livekit = self._livekit_carrier()
        carriers: dict[TrunkKind, Carrier] = {TrunkKind.SIP: self.carrier}
        if self.livekit is not None:
            carriers[TrunkKind.LIVEKIT] = self.livekit
        self.carriers = Carriers(self.store.directory, self.clock, carriers)
        self.kit = Kit(
            config=SwitchboardConfig(
                recordings=settings.recordings,
                dialplans=folder,
                max_calls=settings.max_calls,
                calls_per_second=settings.calls_per_second,
            ),
            carrier=self.carriers,
            rooms=local_rooms,
            agents=self.agent_rooms,
            attendance=self.attendance,
            speech=self.speech,
            callbacks=self.store.callbacks,
            journal=self.journal,
            directory=self.store.directory,
            clock=self.clock,
            ids=self.ids,
            nudge=self._nudge,
            rates=settings.rate_card,
            talking=AgentsConfig(worker=settings.livekit_agent, api=api_url(settings)),
            afford=(Prepaid(self.store.ledger, self.clock).check if settings.prepaid else anybody),
            elsewhere=self.store.orders,
        )
        self._stack.push_async_callback(self.kit.tasks.cancel)
        self.switchboard = Switchboard(
            self.kit, self.store.calls, dialplans, settings.default_dialplan
        )
        self.scheduler = Scheduler(
            self.store.callbacks, self.switchboard.dial_callback, self.clock, self.ids
        )
        self.library = Library(
            self.store.knowledge,
            self.store.agents,
            settings.data_dir / "knowledge",
            self.clock,
            self.ids,
        )
        await self.library.start()
        self._stack.push_async_callback(self.library.close)
        self.shop = Shop(
            provider=Pool(settings.offers(), self.store.directory),
            numbers=self.store.numbers,
            directory=self.store.directory,
            kyb=self.store.kyb,
            ledger=self.store.ledger,
            policy=settings.kyb.policy(),
            prepaid=settings.prepaid,
        )
        # The doors last: first SIP, then promised calls, then the API, whose readiness says all.
        with _named("sip_port", f"{settings.sip_host}:{settings.sip_port}"):
            await self.carriers.start(self.switchboard.take)
        self._stack.push_async_callback(self.carriers.stop)
        self.scheduler.start()
        self._stack.push_async_callback(self.scheduler.stop)
        await self._open_api(secret, dialplans)
        self.kit.tasks.spawn(self._warm(dialplans), "warm prompts")
        self.kit.tasks.spawn(self._keep_house(), "housekeeping")
        self.kit.tasks.spawn(self._nodes().run(), "nodes")
        self.store.orders.listen(self.switchboard.end_here)
        self.kit.tasks.spawn(self._close_rooms(interrupted), "rooms of interrupted calls")

    def _media_engine(self) -> MediaEngine:
        """In this process, or in so many workers."""
        settings = self.settings
        config, count = media_config(settings), workers(settings.media_workers)
        if not count:
            return Engine(config, self.clock, rng=self.rng, trace=self.trace)
        return WorkerEngine(
            config,
            self.clock,
            rng=self.rng,
            count=count,
            trace=self.trace,
            log_level=settings.log_level,
            log_form=settings.log_format,
        )

    def _livekit_carrier(self) -> LiveKitCarrier | None:
        """LiveKit's SIP service, where a LiveKit server is configured."""
        rooms, server = self.agent_rooms, _livekit(self.settings)
        if rooms is None or server is None:
            return None
        url, key, secret = server
        prefix = self.settings.livekit_sip_prefix
        return LiveKitCarrier(
            LiveKitConfig(url=url, key=key, secret=secret, prefix=prefix),
            TrunksOf(self.store.directory, TrunkKind.LIVEKIT),
            self.engine,
            rooms,
            self.clock,
            heard=() if self.attendance is None else (self.attendance.heard,),
        )

    async def _open_api(self, secret: str, dialplans: dict[str, Dialplan]) -> None:
        settings = self.settings
        collector = Collector(
            self.switchboard,
            self.journal,
            self.carrier,
            self.engine,
            self.trace,
            self.agent_rooms,
            self.livekit,
        )
        host, port = self.carrier.address
        shown = settings.external_address or host
        deps = Deps(
            dialler=self.switchboard,
            calls=self.store.calls,
            turns=self.store.calls,
            finalize=Finalizer(self.store.calls, self.store.calls, self.clock).finalize,
            ledger=self.store.ledger,
            feeds=Feeds(self.store.calls, self.store.calls.changes),
            callbacks=self.store.callbacks,
            callback_queue=self.store.callbacks,
            numbers=self.store.numbers,
            trunks=self.store.trunks,
            phones=self.store.phones,
            shop=self.shop,
            kyb=self.store.kyb,
            agents=self.store.agents,
            tools=self.store.tools,
            library=self.library,
            webhooks=self.store.webhooks,
            deliveries=self.store.deliveries,
            directory=self.store.directory,
            keys=self.store.keys,
            organizations=self.store.organizations,
            requests_per_second=settings.requests_per_second,
            idempotency=self.store.idempotency,
            clock=self.clock,
            ids=self.ids,
            secret_key=secret,
            recordings=settings.recordings,
            dialplans=frozenset(dialplans),
            default_dialplan=settings.default_dialplan,
            public_url=settings.public_url,
            tokens=browser_tokens(settings),
            sip_address=f"{shown}:{port}" if port != 5060 else shown,
            cors_origins=settings.cors_origins,
            trusted_proxies=settings.trusted_proxies,
            ready=self.switchboard.problems,
            metrics=renderer(collector),
            nudge=self.scheduler.nudge,
            unfit=self.switchboard.unfit,
            voices=self._voices,
        )
        hooks = [] if self.livekit is None else self.livekit.routes()
        self._runner = Runner(build(deps, map(_mounted, hooks)), shutdown_timeout=5.0)
        await self._runner.setup()
        self._stack.push_async_callback(self._runner.cleanup)
        site = web.TCPSite(self._runner, settings.api_host, settings.api_port)
        with _named("api_port", f"{settings.api_host}:{settings.api_port}"):
            await site.start()

    @property
    def api_address(self) -> tuple[str, int]:
        """Where the API listens."""
        assert self._runner is not None
        host, port = self._runner.addresses[0][:2]
        return str(host), int(port)

    async def _first_key(self, secret: str) -> None:
        """The bootstrap key of the settings, or one that is made and shown once."""
        wanted = self.settings.api_key
        if wanted is None and await self.store.keys.find():
            return
        text = wanted or make_secret(self.rng)
        digest = digest_key(text, make_pepper(secret))
        if await self.store.keys.by_digest(digest) is not None:
            return
        await self.store.keys.add(
            Key(
                id=self.ids.make("key"),
                organization=DEFAULT_ORGANIZATION,
                name="bootstrap",
                digest=digest,
                hint=hint(text),
                live=is_live(text),
                created_at=self.clock.now(),
            )
        )
        if wanted is None:
            self._made_key = text

    def _nodes(self) -> Nodes:
        async def end(call: Call) -> None:
            rates = self.settings.rate_card
            await close(self.store.calls, call, self.clock, self.ids, salvage, rates)
            await self._close_rooms([call])

        return Nodes(
            self.store.nodes, self.store.calls, end, self.store.idempotency.recover, self.clock
        )

    async def _close_rooms(self, calls: Iterable[Call]) -> None:
        """Whoever is left in a room of a call that is over talks to nobody who writes it down."""
        for call in calls:
            if self.agent_rooms is not None and call.kind == "cascade":
                await close_room(self.agent_rooms, room_name(call.id))

    async def _leave(self) -> None:
        try:
            await self.store.nodes.end()
        except StoreUnavailable as error:
            log.warning("the other nodes find out by themselves", error=error.message)

    async def _warm(self, dialplans: dict[str, Dialplan]) -> None:
        """Speak what the dialplans say before the first caller waits for it."""
        for plan in dialplans.values():
            for prompt in plan.prompts():
                if not prompt.text or "{{" in prompt.text or "{%" in prompt.text:
                    continue
                try:
                    await self.speech.render(
                        prompt.text, prompt.voice or plan.voice, prompt.language or plan.language
                    )
                except (SpeechUnavailable, MediaFailed) as error:
                    log.warning("prompts cannot be spoken", error=error.message)
                    return

    async def _voices(self) -> list[str]:
        return [voice["name"] for voice in await self.synth.voices()]

    async def _keep_house(self) -> None:
        """Once an hour: answers of idempotent requests after a day, what numbers cost by the
        month, recordings after their days."""
        while True:
            now = self.clock.now()
            try:
                await self.store.idempotency.purge(now - timedelta(hours=24))
                await self.shop.charge_all(now)
                if self.settings.recording_days is not None:
                    before = now - timedelta(days=self.settings.recording_days)
                    await self._expire_recordings(before)
            except (StoreUnavailable, OSError) as error:
                log.warning("housekeeping waits for the next hour", error=str(error))
            await asyncio.sleep(3600)

    async def _expire_recordings(self, before: datetime) -> None:
        """Delete what is older, file first: a row without its file can be cleaned up later."""
        while found := await self.store.calls.recordings_before(before):
            for recording in found:
                await asyncio.to_thread(recording.path.unlink, missing_ok=True)
                await self.store.calls.forget_recording(recording.session)

    # --- stop ------------------------------------------------------------------------------

    async def stop(self, drain: float) -> None:
        """Take no new call, let those that live end, then close in the reverse order."""
        # What is due while calls drain is for the process that comes after this one.
        await self.scheduler.stop()
        await self.switchboard.drain(drain)
        await self._stack.aclose()

    # The journal and the kit are made before what they tell of their news.

    def _recovered(self, seconds: float, calls: set[str]) -> None:
        self.switchboard.recovered(seconds, calls)

    def _nudge(self) -> None:
        self.scheduler.nudge()

    async def _stop_journal(self) -> None:
        lost = await self.journal.stop()
        if lost:
            log.error("events could not be written before the stop", events=lost)

    def announce(self) -> None:
        """What a person who started this by hand wants to know."""
        host, port = self.api_address
        sip_host, sip_port = self.carrier.address
        log.info("telephony is ready", api=f"http://{host}:{port}", sip=f"{sip_host}:{sip_port}")
        if self._made_key is not None:
            # Shown once, on the terminal and never in the log: it is kept only as a digest.
            sys.stderr.write(f"\nAPI key (shown once, keep it): {self._made_key}\n\n")
            sys.stderr.flush()


@contextlib.contextmanager
def _named(setting: str, value: str) -> Iterator[None]:
    """What the system refuses, as a line about the setting that asked for it."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"{setting}: {value}: {reason}", field=setting) from error


def media_config(settings: Settings) -> MediaConfig:
    return MediaConfig(
        host=settings.sip_host,
        ports=settings.rtp_ports,
        io=settings.media_io,
        first_packet_seconds=settings.media_timeout.first,
        silence_seconds=settings.media_timeout.later,
        # A leg at LiveKit has two lanes.
        max_lanes=(4 if settings.livekit_url else 2) * settings.max_calls,
        hold_music=settings.hold_music,
        # A call that meets an agent has a room of its own, and so has a leg at LiveKit.
        max_rooms=1000 + (3 * settings.max_calls if settings.livekit_url else 0),
    )


def workers(wanted: int | Literal["auto"]) -> int:
    """How many processes there are beside this one; ``auto`` leaves it one core."""
    if wanted != "auto":
        return wanted
    return max(1, len(os.sched_getaffinity(0)) - 1)


def trunk_config(settings: Settings, secret: str) -> TrunkConfig:
    return TrunkConfig(
        host=settings.sip_host,
        port=settings.sip_port,
        external_address=settings.external_address or "",
        accept_strangers=settings.accept_strangers,
        codecs=settings.codecs,
        secret=make_pepper(secret),
    )


def raise_descriptors(max_calls: int) -> None:
    """Raise RLIMIT_NOFILE to its hard limit; refuse a MAX_CALLS that does not fit under it.

    Raises:
        ConfigError: with both figures.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    needed = descriptors_needed(max_calls)
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise ConfigError(
            f"max_calls: {max_calls} calls need {needed} open files and the limit is {hard};"
            " lower TELEPHONY_MAX_CALLS or raise the limit (ulimit -n, LimitNOFILE)",
            field="max_calls",
        )


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. The first lets calls drain, a second ends them at once."""
    configure_logging(settings.log_level, settings.log_format)
    app = App(settings)
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    pressed = asyncio.Event()

    def on_signal() -> None:
        (pressed if asked.is_set() else asked).set()

    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, on_signal)
    await app.start()
    calm_collector()
    app.announce()
    await asked.wait()
    log.info("stopping", calls=app.switchboard.live, drain_seconds=settings.drain_seconds)
    stopping = asyncio.create_task(app.stop(settings.drain_seconds))
    hurry = asyncio.create_task(pressed.wait())
    await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        app.switchboard.end_all()
    await stopping
    hurry.cancel()
    log.info("stopped")


def _agent_rooms(
    settings: Settings, rooms: LocalRooms, engine: MediaEngine, clock: SystemClock
) -> LiveKitRooms | None:
    """Where calls meet agents, where a LiveKit server is configured."""
    found = _livekit(settings)
    if found is None:
        return None
    url, key, secret = found
    host: Host
    if count := workers(settings.room_workers):
        host = WorkerHost(
            clock, count=count, log_level=settings.log_level, log_form=settings.log_format
        )
    else:
        # The SDK costs 80 MB and a dozen threads: only who has its rooms here pays for it.
        from telephony.rooms.here import Here

        host = Here(clock)
    server = RoomServer(url, key, secret)
    return LiveKitRooms(server, Passes(key, secret), host, rooms, engine, clock)


def api_url(settings: Settings) -> str | None:
    """Where agents' workers reach the API: as the world does, or as this machine does."""
    if settings.public_url:
        return settings.public_url
    if not settings.api_port:
        return None
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.api_host, settings.api_host)
    return (
        f"http://[{host}]:{settings.api_port}"
        if ":" in host
        else f"http://{host}:{settings.api_port}"
    )


def browser_tokens(settings: Settings) -> LiveKitTokens | None:
    """What browsers join with, where a LiveKit server is configured."""
    found = _livekit(settings)
    if found is None:
        return None
    url, key, secret = found
    return LiveKitTokens(settings.livekit_public_url or url, key, secret)


def _livekit(settings: Settings) -> tuple[str, str, str] | None:
    """URL, key and secret of the LiveKit server; there are all three of them or none."""
    url, key = settings.livekit_url, settings.livekit_api_key
    secret = settings.livekit_api_secret
    return (url, key, secret) if url and key and secret else None


def _mounted(hook: Hook) -> Route:
    """A carrier's handler as a row of the API's table: it proves itself who asks."""
    return Route(hook.method, hook.path, lambda ask: hook.handle(ask.request), public=True)
