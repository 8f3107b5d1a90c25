"""What /metrics says of sound, and that the reference names all of it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

from prometheus_client.parser import text_string_to_metric_families

from telephony.base.trace import Action, Trace
from telephony.calls.events import MediaQuality
from telephony.media.contract import Part
from telephony.media.stats import TickStats
from telephony.media.tally import COUNTED, Tally
from telephony.metrics import Collector, renderer
from telephony.rooms.figures import Figures

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"

GOOD = MediaQuality(
    packets_received=990,
    packets_sent=1000,
    lost=10,
    late=2,
    concealed=12,
    underruns=3,
    buffer_ms=40.0,
    jitter_ms=4.0,
    round_trip_ms=120.0,
    mos=4.25,
    remote_lost=5,
    remote_mos=3.9,
)


def page(tally: Tally, stats: TickStats) -> dict[str, dict[tuple[str, ...], float]]:
    trace = Trace()
    trace.counts[next(iter(Action)), "a reason"] += 1
    collector = Collector(
        SimpleNamespace(live=1, ended=Counter(ended=1), refused=Counter(capacity=1)),  # type: ignore[arg-type]
        SimpleNamespace(depth=0, down=False, appended=1, groups=1),  # type: ignore[arg-type]
        SimpleNamespace(legs=1, refused=Counter({403: 2}), status=list, tally=tally),  # type: ignore[arg-type]
        SimpleNamespace(lanes=1, stats=stats, parts=lambda: [Part("0", True, 1, stats)]),  # type: ignore[arg-type]
        trace,
        rooms=SimpleNamespace(  # type: ignore[arg-type]
            open_links=1, entered=3, figures=Figures, workers=lambda: [("0", True, 1, 2)]
        ),
        livekit=SimpleNamespace(legs=2),  # type: ignore[arg-type]
    )
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(renderer(collector)().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_legs_that_are_over_are_counted() -> None:
    tally = Tally()
    tally.add(GOOD)
    tally.add(MediaQuality(packets_sent=7))
    found = page(tally, TickStats())
    assert found["telephony_legs_live"][()] == 3, "those at LiveKit are legs too"
    assert found["telephony_leg_sound_total"]["packets_sent",] == 1007
    assert found["telephony_leg_sound_total"]["underruns",] == 3
    assert found["telephony_leg_sound_total"]["remote_lost",] == 5
    assert found["telephony_leg_loss_ratio_count"][()] == 1, "who was never heard lost nothing"
    assert found["telephony_leg_loss_ratio_bucket"]["0.01",] == 1
    assert found["telephony_leg_loss_ratio_bucket"]["0.005",] == 0
    assert found["telephony_leg_mos_sum"][()] == 4.25
    assert found["telephony_leg_remote_mos_bucket"]["4.0",] == 1
    assert found["telephony_leg_round_trip_seconds_bucket"]["0.15",] == 1
    assert found["telephony_leg_buffer_seconds_sum"][()] == 0.04


def test_ticks_are_counted_and_timed() -> None:
    stats = TickStats(failed=1, passed_over=9)
    stats.add(0.0001, 0.003, 10)
    stats.add(0.006, 0.021, 10)
    found = page(Tally(), stats)
    assert found["telephony_media_ticks_total"][()] == 2
    assert found["telephony_media_late_ticks_total"][()] == 1
    assert found["telephony_media_failed_ticks_total"][()] == 1
    assert found["telephony_media_passed_over_ticks_total"][()] == 9
    assert found["telephony_media_tick_seconds_bucket"]["0.02",] == 1
    assert found["telephony_media_lateness_seconds_bucket"]["0.005",] == 1


def test_the_reference_names_every_metric_and_no_other() -> None:
    bare = {
        re.sub(r"_(bucket|sum|count|created)$", "", name) for name in page(Tally(), TickStats())
    }
    written = set(re.findall(r"telephony_[a-z_]+[a-z]", DOCS.read_text()))
    # No trunk is registered here, so that family has no sample.
    assert written == bare | {"telephony_trunk_registered"}
    assert all(name in DOCS.read_text() for name in COUNTED)
