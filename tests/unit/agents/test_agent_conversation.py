"""A call from greeting to goodbye, on a stage that holds every sentence until it is let go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from telephony.agents import conversation as c
from telephony.agents import script
from telephony.agents.conversation import Conversation
from telephony.agents.dispatched import DispatchedCall
from telephony.agents.events import Event, Gone, Greet, Heard, KeyPressed, SpeechBegan
from telephony.agents.packets import ContextualUpdate, Mute, Overrides, UserMessage
from telephony.agents.script import CallBack, End, LookUp, Rule, Script, Silence, Transfer
from telephony.agents.service import Declined, Said
from telephony.agents.turns import TurnLog
from telephony.base.clock import ManualClock
from telephony.base.errors import SpeechUnavailable, Unavailable

SCRIPT = Script(
    greeting="Hello there. How can I help you?",
    rules=(
        Rule(hear=("when are you open",), say="From nine to five. Every day."),
        Rule(hear=("when are you open",), when="gold", say="Always."),
        Rule(hear=("goodbye",), say="Goodbye.", do=End()),
        Rule(hear=("put me through",), say="One moment.", do=Transfer("+12025550123", warm=True)),
        Rule(hear=("call me back",), say="We will.", do=CallBack(after=60), failed="We cannot."),
        Rule(hear=("may I give it back",), say="Let me see.", do=LookUp("refunds")),
        Rule(hear=("what does it cost",), do=LookUp(), failed="I do not know."),
        Rule(key="5", say="Five."),
    ),
    otherwise="Pardon?",
)
CALL = DispatchedCall(session="s", agent="agent_1", caller="+12025550199")


class Stage:
    """Plays until ``finish`` or hushed at the share of ``cut``."""

    def __init__(self) -> None:
        self.playing: list[bytes] = []
        self.packets: list[dict[str, Any]] = []
        self.states: list[str] = []
        self.expected: list[str] = []
        self.cut = 0.5
        self.slow: asyncio.Event | None = None
        self.free = False
        self._done: asyncio.Future[float] | None = None

    async def play(self, sound: bytes) -> float:
        self.playing.append(sound)
        if self.free:
            return 1.0
        self._done = asyncio.get_running_loop().create_future()
        return await self._done

    def finish(self) -> None:
        assert self._done is not None and not self._done.done()
        self._done.set_result(1.0)

    def hush(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(self.cut)

    async def send(self, packet: bytes) -> None:
        if self.slow is not None:
            await self.slow.wait()
        self.packets.append(json.loads(packet))

    def show(self, state: str) -> None:
        self.states.append(state)

    def expect(self, phrases: list[str]) -> None:
        self.expected = phrases

    def told(self, kind: str, final: bool = True) -> list[tuple[str, str]]:
        return [
            (p.get("source", ""), p["text"])
            for p in self.packets
            if p["type"] == kind and p.get("isFinal", True) is final
        ]


class Speaker:
    """The sound of a text is its own letters, loud; with silence at the end."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str, float]] = []
        self.gate: asyncio.Event | None = None
        self.broken = False

    async def say(
        self, text: str, voice: str = "", language: str = "", speed: float = 1.0
    ) -> bytes:
        self.asked.append((text, voice, language, speed))
        if self.gate is not None:
            await self.gate.wait()
        if self.broken:
            raise SpeechUnavailable("broken")
        return b"\x00\x10" * 100 + bytes(2 * 8000)


class Service:
    """Writes down what it is asked; fails with ``problem``."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.problem: Exception | None = None
        self.found = ""
        self.gate: asyncio.Event | None = None

    async def _note(self, *what: Any) -> None:
        self.asked.append(what)
        if self.problem is not None:
            raise self.problem

    async def end_call(self) -> None:
        await self._note("end")

    async def transfer(self, to: str, *, warm: bool, summary: str = "") -> str:
        await self._note("transfer", to, warm, summary)
        return "tr_1"

    async def call_back(
        self, to: str, *, after: int, reason: str, agent: str, summary: str, once: str
    ) -> str:
        await self._note("call_back", to, after, reason, agent, once)
        return "cb_1"

    async def look_up(self, agent: str, query: str) -> str:
        await self._note("look_up", agent, query)
        if self.gate is not None:
            await self.gate.wait()
        return self.found

    async def post_turns(self, turns: Sequence[Said]) -> None:
        pass


class Bench:
    """A conversation that runs, and what it did."""

    def __init__(self, call: DispatchedCall, made: Script, before: Sequence[Said]) -> None:
        self.stage, self.speaker, self.service = Stage(), Speaker(), Service()
        self.turns = TurnLog(self.service, ManualClock(), before)
        self.talk = Conversation(
            call=call,
            script=made,
            stage=self.stage,
            speaker=self.speaker,
            service=self.service,
            turns=self.turns,
            resumed=bool(before),
        )
        self.task = asyncio.create_task(self.talk.run())

    async def put(self, *events: Event) -> None:
        for event in events:
            self.talk.put(event)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(40):
            await asyncio.sleep(0)

    async def finish(self) -> None:
        self.stage.finish()
        await self.settle()

    def said(self) -> list[tuple[str, str]]:
        return [(turn.source, turn.text) for turn in self.turns.turns]


Begin = Callable[..., Awaitable[Bench]]


@pytest.fixture
async def begin() -> AsyncIterator[Begin]:
    made: list[Bench] = []

    async def start(
        call: DispatchedCall = CALL, made_of: Script = SCRIPT, before: Sequence[Said] = ()
    ) -> Bench:
        made.append(Bench(call, made_of, before))
        await made[-1].settle()
        return made[-1]

    yield start
    for bench in made:
        bench.talk.put(Gone("the test is over"))
        await bench.task
        await bench.turns.close()


async def test_greets_sentence_by_sentence_and_writes_it_down(begin: Begin) -> None:
    bench = await begin()
    assert bench.stage.expected[:2] == ["when are you open", "goodbye"]
    assert bench.stage.playing == []
    await bench.put(Greet())
    # The turn is on record before its first word is out: a killed worker has greeted.
    assert bench.said() == [("agent", "Hello there. How can I help you?")]
    assert bench.stage.told("transcript", final=False) == [("agent", "Hello there.")]
    await bench.finish()
    assert bench.stage.told("transcript", final=False)[1:] == [("agent", SCRIPT.greeting)]
    assert bench.stage.told("transcript") == []
    await bench.finish()
    assert bench.stage.told("transcript") == [("agent", SCRIPT.greeting)]
    assert bench.turns.turns[0].ended_at is not None
    assert bench.stage.states[-1] == "listening"


async def test_the_synthesisers_pause_is_not_waited_for(begin: Begin) -> None:
    bench = await begin()
    await bench.put(Greet())
    assert len(bench.stage.playing[0]) == 2 * (100 + 8000 * c.TAIL_MS // 1000)


@pytest.mark.parametrize(
    ("first", "spoken"),
    [(None, "Hello there."), ("", None), ("Hello Ann.", "Hello Ann.")],
)
async def test_whose_first_words(begin: Begin, first: str | None, spoken: str | None) -> None:
    bench = await begin(DispatchedCall(session="s", first_message=first))
    await bench.put(Greet())
    assert [asked[0] for asked in bench.speaker.asked] == ([spoken] if spoken else [])


async def test_who_has_been_spoken_to_does_not_greet(begin: Begin) -> None:
    bench = await begin()
    await bench.put(SpeechBegan(), Greet())
    assert bench.speaker.asked == []


async def test_hears_and_answers(begin: Begin) -> None:
    bench = await begin()
    await bench.put(SpeechBegan(), Heard("when are you open", seconds=2.0))
    assert bench.stage.told("transcript") == [("user", "when are you open")]
    await bench.finish()
    await bench.finish()
    assert bench.said() == [
        ("user", "when are you open"),
        ("agent", "From nine to five. Every day."),
    ]
    user = bench.turns.turns[0]
    assert user.started_at.endswith("08:59:58.000Z") and user.ended_at is not None


async def test_what_was_not_understood_is_no_turn_and_is_said(begin: Begin) -> None:
    bench = await begin()
    await bench.put(SpeechBegan(), Heard(""))
    await bench.finish()
    assert bench.said() == [("agent", "Pardon?")]


async def test_interrupted_it_is_silent_and_writes_what_was_heard(begin: Begin) -> None:
    bench = await begin()
    bench.stage.cut = 0.6
    await bench.put(Greet())
    await bench.finish()
    await bench.put(SpeechBegan())
    assert len(bench.stage.playing) == 2
    assert bench.said() == [("agent", "Hello there. How can I")]
    assert bench.stage.told("transcript") == [("agent", "Hello there. How can I")]
    await bench.put(Heard("when are you open"))
    assert bench.said()[1:] == [
        ("user", "when are you open"),
        ("agent", "From nine to five. Every day."),
    ]


async def test_interrupted_before_the_first_word(begin: Begin) -> None:
    bench = await begin()
    bench.stage.cut = 0.0
    await bench.put(Greet())
    await bench.put(SpeechBegan())
    assert bench.said() == [("agent", c.UNHEARD)]
    assert bench.stage.told("transcript") == [("agent", c.UNHEARD)]


async def test_interrupted_while_the_sound_is_being_made(begin: Begin) -> None:
    bench = await begin()
    bench.speaker.gate = asyncio.Event()
    await bench.put(Greet(), SpeechBegan())
    bench.speaker.gate.set()
    await bench.settle()
    assert bench.stage.playing == []
    await bench.put(Heard("when are you open"))
    assert len(bench.stage.playing) == 1


async def test_interrupted_while_it_is_being_told(begin: Begin) -> None:
    bench = await begin()
    bench.stage.slow = asyncio.Event()
    await bench.put(Greet())
    await bench.put(SpeechBegan())
    bench.stage.slow.set()
    await bench.settle()
    assert bench.stage.playing == []
    assert bench.said() == [("agent", c.UNHEARD)]


async def test_the_end(begin: Begin) -> None:
    bench = await begin()
    await bench.put(Heard("goodbye"))
    assert bench.service.asked == []
    await bench.finish()
    assert bench.service.asked == [("end",)]
    assert await bench.task == "end"


async def test_a_goodbye_that_is_interrupted_does_not_end(begin: Begin) -> None:
    bench = await begin()
    await bench.put(Heard("goodbye"))
    await bench.put(SpeechBegan())
    assert bench.service.asked == []
    assert not bench.task.done()


@pytest.mark.parametrize("problem", [Unavailable("away"), Declined(404, "X", "gone")])
async def test_an_end_that_fails_still_leaves(begin: Begin, problem: Exception) -> None:
    bench = await begin()
    bench.service.problem = problem
    await bench.put(Heard("goodbye"))
    await bench.finish()
    assert await bench.task == "end"


async def test_transfers_with_what_was_said(begin: Begin) -> None:
    bench = await begin()
    await bench.put(Heard("put me through"))
    await bench.finish()
    summary = "user: put me through\nagent: One moment."
    assert bench.service.asked == [("transfer", "+12025550123", True, summary)]
    assert not bench.task.done()


async def test_says_what_the_documents_hold_of_it(begin: Begin) -> None:
    bench = await begin()
    bench.service.found = "Within thirty days.  In\nthe box. " + "Really. " * 60
    await bench.put(Heard("may I give it back"))
    await bench.finish()
    assert bench.service.asked == [("look_up", "agent_1", "refunds")]
    bench.stage.free = True
    await bench.finish()
    *_, (source, said) = bench.said()
    assert source == "agent" and said.startswith("Within thirty days. In the box. Really.")
    assert said.endswith("Really.") and c.MAX_FOUND - 8 < len(said) <= c.MAX_FOUND
    await bench.put(Heard("what does it cost"))
    assert bench.service.asked[-1] == ("look_up", "agent_1", "what does it cost")


@pytest.mark.parametrize("problem", [None, Unavailable("away"), Declined(404, "NOT_FOUND", "no")])
async def test_what_no_document_holds_is_said_so(begin: Begin, problem: Exception | None) -> None:
    bench = await begin()
    bench.stage.free = True
    bench.service.problem = problem
    await bench.put(Heard("what does it cost"))
    assert bench.said()[-1] == ("agent", "I do not know.")


async def test_who_has_the_tool_looks_up_what_no_rule_knows(begin: Begin) -> None:
    searching = await begin(replace(CALL, looks_up=True))
    plain = await begin()
    for bench in (searching, plain):
        bench.stage.free = True
        bench.service.found = "Blue."
        await bench.put(UserMessage("Which colour is it?"))
    assert searching.said()[-1] == ("agent", "Blue.")
    assert searching.service.asked == [("look_up", "agent_1", "Which colour is it?")]
    assert plain.said()[-1] == ("agent", "Pardon?")
    assert plain.service.asked == []
    # What a rule knows is not looked up, nor what was not understood.
    await searching.put(Heard("when are you open"))
    await searching.put(Heard(""))
    searching.service.found = ""
    await searching.put(UserMessage("Is it heavy?"))
    assert [text for source, text in searching.said() if source == "agent"][1:] == [
        "From nine to five. Every day.", "Pardon?", "Pardon?",
    ]  # fmt: skip
    assert len(searching.service.asked) == 2


async def test_a_search_ends_with_whoever_speaks_meanwhile(begin: Begin) -> None:
    bench = await begin()
    bench.service.gate = asyncio.Event()
    await bench.put(Heard("what does it cost"))
    await bench.put(SpeechBegan(), Heard("when are you open"))
    assert bench.stage.told("transcript", final=False) == [("agent", "From nine to five.")]
    assert bench.said() == [
        ("user", "what does it cost"),
        ("user", "when are you open"),
        ("agent", "From nine to five. Every day."),
    ]


async def test_calls_back_whoever_called_and_says_when_it_cannot(begin: Begin) -> None:
    bench = await begin()
    await bench.put(Heard("call me back"))
    await bench.finish()
    assert bench.service.asked == [("call_back", "+12025550199", 60, "", "agent_1", "callback-2")]
    bench.service.problem = Declined(400, "VALIDATION_ERROR", "no")
    await bench.put(Heard("call me back"))
    await bench.finish()
    assert bench.speaker.asked[-1][0] == "We cannot."
    # A browser has no number.
    other = await begin(DispatchedCall(session="s"))
    await other.put(Heard("call me back"))
    await other.finish()
    assert other.service.asked == []
    assert other.speaker.asked[-1][0] == "We cannot."


async def test_typed_text_interrupts_is_echoed_and_answered_aloud(begin: Begin) -> None:
    bench = await begin()
    bench.stage.cut = 0.0
    await bench.put(Greet())
    await bench.put(UserMessage("When are you open?"))
    assert bench.stage.told("user_message_echo") == [("", "When are you open?")]
    assert ("user", "When are you open?") not in bench.stage.told("transcript")
    assert bench.said()[1:] == [
        ("user", "When are you open?"),
        ("agent", "From nine to five. Every day."),
    ]
    assert len(bench.stage.playing) == 2


async def test_context_is_silent_and_counts_from_then_on(begin: Begin) -> None:
    bench = await begin()
    await bench.put(ContextualUpdate("The caller is a gold customer."))
    assert (bench.said(), bench.stage.packets) == ([], [])
    await bench.put(Heard("when are you open"))
    assert bench.said()[-1] == ("agent", "Always.")
    await bench.put(*[ContextualUpdate(str(n)) for n in range(100)])
    assert len(bench.talk.context) == c.MAX_CONTEXT


async def test_overrides_before_the_greeting(begin: Begin) -> None:
    bench = await begin()
    await bench.put(
        Overrides(
            prompt="```script\ngreeting: Moin.\nrules: [{hear: goodbye, say: Adieu.}]\n```",
            language="de",
            voice="de",
            speed=1.5,
        ),
        Greet(),
    )
    assert bench.speaker.asked == [("Moin.", "de", "de", 1.5)]
    assert bench.stage.expected == ["goodbye"]
    await bench.put(Overrides(prompt="```script\nrules: 5\n```"))
    await bench.put(Heard("goodbye"))
    assert bench.said()[-1] == ("agent", "Adieu.")


async def test_an_empty_first_message_by_override_waits(begin: Begin) -> None:
    bench = await begin()
    await bench.put(Overrides(first_message=""), Greet())
    assert bench.speaker.asked == []


async def test_muted_it_is_silent_deaf_and_writes(begin: Begin) -> None:
    bench = await begin()
    await bench.put(Greet())
    await bench.put(Mute(True))
    assert bench.said() == [("agent", "Hello")]
    await bench.put(SpeechBegan(), Heard("when are you open"), KeyPressed("5"))
    assert len(bench.said()) == 1
    await bench.put(UserMessage("when are you open"))
    assert bench.stage.told("agent_message") == [("", "From nine to five. Every day.")]
    assert len(bench.stage.playing) == 1
    await bench.put(Mute(False), Heard("when are you open"))
    assert len(bench.stage.playing) == 2


async def test_without_a_voice_it_writes(begin: Begin) -> None:
    bench = await begin()
    bench.speaker.broken = True
    await bench.put(Heard("goodbye"))
    assert bench.stage.told("agent_message") == [("", "Goodbye.")]
    assert await bench.task == "end"


async def test_keys(begin: Begin) -> None:
    bench = await begin()
    await bench.put(KeyPressed("4"), KeyPressed("5"))
    assert bench.said() == [("user", "pressed 5"), ("agent", "Five.")]


async def test_a_worker_that_comes_second_does_not_greet_and_goes_on(begin: Begin) -> None:
    greeted = Said(0, "agent", "Hello.", "2026-01-05T08:00:00.000Z")
    bench = await begin(before=[greeted])
    await bench.put(Greet())
    assert bench.speaker.asked == []
    await bench.put(Heard("goodbye"))
    assert [turn.index for turn in bench.turns.turns] == [0, 1, 2]


async def test_a_question_that_the_first_worker_took_with_it_is_answered(begin: Begin) -> None:
    asked = Said(3, "user", "when are you open", "2026-01-05T08:00:00.000Z")
    bench = await begin(before=[asked])
    await bench.put(Greet())
    assert bench.said()[-1] == ("agent", "From nine to five. Every day.")
    assert bench.turns.turns[-1].index == 4


async def test_silence_is_asked_about_and_then_ends(begin: Begin) -> None:
    quiet = Script(greeting="Hi.", silence=Silence(after=0.001, say="Hello?", times=2))
    bench = await begin(made_of=quiet)
    bench.stage.free = True
    async with asyncio.timeout(10):
        assert await bench.task == "end"
    assert [asked[0] for asked in bench.speaker.asked] == ["Hello?", "Hello?", "Goodbye."]
    assert bench.service.asked == [("end",)]


async def test_who_speaks_for_long_is_not_silent(begin: Begin) -> None:
    bench = await begin(made_of=Script(silence=Silence(after=30.0)))
    assert bench.talk._patience() == 30.0
    await bench.put(SpeechBegan())
    assert bench.talk._patience() is None
    await bench.put(Heard("x"))
    await bench.finish()
    assert bench.talk._patience() == 30.0


async def test_a_flood_is_dropped_and_the_end_is_not(begin: Begin) -> None:
    bench = await begin()
    for _ in range(2 * c.MAX_EVENTS):
        bench.talk.put(ContextualUpdate("x"))
    bench.talk.put(Gone("left"))
    assert await bench.task == "left"


async def test_an_answer_that_breaks_does_not_end_the_call(begin: Begin) -> None:
    bench = await begin()
    bench.service.problem = ZeroDivisionError("a fault")
    await bench.put(Heard("put me through"))
    await bench.finish()
    bench.service.problem = None
    await bench.put(Heard("goodbye"))
    await bench.finish()
    assert await bench.task == "end"


def test_sentences_and_parts_of_them() -> None:
    assert c.sentences("One.  Two!\nThree?") == ["One.", "Two!", "Three?"]
    assert c.sentences("  ") == []
    assert c.part_of("one two three four", 0.5) == "one two"
    assert c.part_of("one two", 0.0) == ""
    assert c.beginning(" ") == ""
    assert c.beginning("One. " + "x" * c.MAX_FOUND) == "One."
    assert c.beginning("ab " * c.MAX_FOUND) == ("ab " * c.MAX_FOUND)[: c.MAX_FOUND - 2].strip()
    assert c.beginning("x" * 500) == "x" * c.MAX_FOUND
    assert c.shortened(bytes(2000)) == bytes(2000)
    assert script.words_of("Don't — STOP, 5!") == ["don't", "stop"]
