"""What /metrics says: read from the objects themselves when it is asked, nothing kept twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from telephony.base.trace import Trace
from telephony.carriers.livekit.carrier import LiveKitCarrier
from telephony.carriers.trunk.carrier import TrunkCarrier
from telephony.carriers.trunk.registrations import RegistrationState
from telephony.media.contract import MediaEngine
from telephony.media.stats import BOUNDS_MS, Histogram
from telephony.media.tally import COUNTED
from telephony.rooms.livekit import LiveKitRooms
from telephony.switchboard.journal import Journal
from telephony.switchboard.switchboard import Switchboard


class Collector:
    """Reads every number at the moment it is asked for."""

    def __init__(
        self,
        switchboard: Switchboard,
        journal: Journal,
        carrier: TrunkCarrier,
        engine: MediaEngine,
        trace: Trace,
        rooms: LiveKitRooms | None = None,
        livekit: LiveKitCarrier | None = None,
    ) -> None:
        self._livekit = livekit
        self._rooms = rooms
        self._switchboard = switchboard
        self._journal = journal
        self._carrier = carrier
        self._engine = engine
        self._trace = trace

    def collect(self) -> Iterator[Metric]:
        yield from self._calls()
        yield from self._media()
        yield from self._legs()
        if self._rooms is not None:
            yield from self._agent_rooms(self._rooms)
        yield _gauge("telephony_journal_waiting", "Events not on disk yet", self._journal.depth)
        yield _gauge("telephony_store_down", "1 while the store is away", self._journal.down)
        yield _counter("telephony_journal_events", "Events on disk", self._journal.appended)
        yield _counter("telephony_journal_groups", "Commits", self._journal.groups)
        trace = CounterMetricFamily(
            "telephony_trace", "Messages and packets by what was done", labels=["action", "reason"]
        )
        for (action, reason), count in self._trace.counts.items():
            trace.add_metric([action.value, reason], count)
        yield trace

    def _calls(self) -> Iterator[Metric]:
        board = self._switchboard
        yield _gauge("telephony_calls_live", "Calls that live", board.live)
        legs = self._carrier.legs + (0 if self._livekit is None else self._livekit.legs)
        yield _gauge("telephony_legs_live", "Legs that live", legs)
        yield _counter("telephony_calls_ended", "Calls by status", board.ended.items(), "status")
        yield _counter(
            "telephony_calls_refused", "Refused before admission", board.refused.items(), "cause"
        )
        yield _counter(
            "telephony_sip_refused",
            "Turned away at the door",
            [(str(status), count) for status, count in self._carrier.refused.items()],
            "status",
        )
        registrations = GaugeMetricFamily(
            "telephony_trunk_registered", "1 while registered with a trunk", labels=["trunk"]
        )
        for state in self._carrier.status():
            registrations.add_metric(
                [state.trunk], float(state.state is RegistrationState.REGISTERED)
            )
        yield registrations

    def _media(self) -> Iterator[Metric]:
        stats = self._engine.stats
        yield _gauge("telephony_media_lanes", "Lanes of the engine", self._engine.lanes)
        yield _counter("telephony_media_ticks", "Ticks of 20 ms", stats.ticks)
        yield _counter("telephony_media_late_ticks", "Started over 5 ms late", stats.late)
        yield from self._media_parts()
        yield _counter("telephony_media_failed_ticks", "Cut short by a fault", stats.failed)
        yield _counter("telephony_media_passed_over_ticks", "Never ran", stats.passed_over)
        for name, words, histogram in (
            ("telephony_media_tick_seconds", "Work of a tick", stats.duration),
            ("telephony_media_lateness_seconds", "How late ticks start", stats.lateness),
        ):
            family = HistogramMetricFamily(name, words)
            family.add_metric([], _buckets(histogram), sum_value=histogram.sum_ms / 1000)
            yield family

    def _agent_rooms(self, rooms: LiveKitRooms) -> Iterator[Metric]:
        """Calls in rooms with agents; frames are of 20 ms."""
        figures = rooms.figures()
        yield _gauge("telephony_rooms_open", "Calls in rooms with agents", rooms.open_links)
        yield _counter("telephony_rooms_entered", "Calls that entered one", rooms.entered)
        yield _gauge("telephony_rooms_queue_frames", "Deepest queue of a room", figures.depth)
        yield _counter(
            "telephony_rooms_frames",
            "Frames that were not on time, by what became of them",
            [
                ("caller_lost", figures.heard_lost),
                ("caller_pause_left_out", figures.heard_skipped),
                ("caller_refused", figures.heard_failed),
                ("room_dropped", figures.said_dropped),
                ("room_late", figures.said_late),
            ],
            "what",
        )
        labels = ["worker"]
        alive = GaugeMetricFamily("telephony_room_worker_up", "1 while it runs", labels=labels)
        load = GaugeMetricFamily("telephony_room_worker_rooms", "Its rooms", labels=labels)
        restarts = CounterMetricFamily(
            "telephony_room_worker_restarts",
            "Processes that died and were followed by another",
            labels=labels,
        )
        for name, up, count, again in rooms.workers():
            for family, value in ((alive, up), (load, count), (restarts, again)):
                family.add_metric([name], float(value))
        yield from (alive, load, restarts)

    def _legs(self) -> Iterator[Metric]:
        """Of the sound of legs that are over."""
        tally = self._carrier.tally
        yield _counter(
            "telephony_leg_sound",
            "Packets and frames of legs that are over",
            [(name, tally.counts[name]) for name in COUNTED],
            "what",
        )
        for name, words, spread in (
            ("telephony_leg_mos", "What we hear (G.107)", tally.mos),
            ("telephony_leg_remote_mos", "What far ends hear, by their RTCP XR", tally.remote_mos),
            ("telephony_leg_loss_ratio", "Share of packets that never came", tally.loss),
            ("telephony_leg_jitter_seconds", "Jitter at the end (RFC 3550)", tally.jitter),
            ("telephony_leg_round_trip_seconds", "Round trip by RTCP", tally.round_trip),
            ("telephony_leg_buffer_seconds", "Depth of play-out at the end", tally.buffer),
        ):
            family = HistogramMetricFamily(name, words)
            family.add_metric([], spread.cumulative(), sum_value=spread.sum)
            yield family

    def _media_parts(self) -> Iterator[Metric]:
        """Its processes one by one; 0 is this one."""
        labels = ["worker"]
        alive = GaugeMetricFamily("telephony_media_worker_up", "1 while it runs", labels=labels)
        lanes = GaugeMetricFamily("telephony_media_worker_lanes", "Its lanes", labels=labels)
        restarts = CounterMetricFamily(
            "telephony_media_worker_restarts",
            "Processes that died and were followed by another",
            labels=labels,
        )
        late = CounterMetricFamily(
            "telephony_media_worker_late_ticks", "Its ticks over 5 ms late", labels=labels
        )
        for part in self._engine.parts():
            for family, value in (
                (alive, part.alive),
                (lanes, part.lanes),
                (restarts, part.restarts),
                (late, part.stats.late),
            ):
                family.add_metric([part.name], float(value))
        yield from (alive, lanes, restarts, late)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=float(value))


def _counter(
    name: str, words: str, value: float | Iterable[tuple[str, int]], label: str = ""
) -> Metric:
    if isinstance(value, (int, float)):
        return CounterMetricFamily(name, words, value=float(value))
    family = CounterMetricFamily(name, words, labels=[label])
    for key, count in value:
        family.add_metric([key], count)
    return family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Cumulative counts by upper bound in seconds, as Prometheus has them."""
    counts = list(accumulate(histogram.counts))
    bounds = [str(ms / 1000) for ms in BOUNDS_MS] + ["+Inf"]
    return list(zip(bounds, counts, strict=True))


def renderer(collector: Collector) -> Callable[[], bytes]:
    """The Prometheus page, made anew at each call."""
    registry = CollectorRegistry()
    registry.register(collector)
    return lambda: generate_latest(registry)
