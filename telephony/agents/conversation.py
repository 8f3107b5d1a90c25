"""One call: greets, listens, answers, is interrupted, acts. Knows no LiveKit: a stage carries it.

The loop takes one event at a time; at most one answer is under way beside it, and every event
that asks for another ends it first. So whatever the other side does, it is heard at once.
"""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass, field, replace

from telephony.agents import packets, script
from telephony.agents.dispatched import DispatchedCall
from telephony.agents.events import (
    Event,
    Gone,
    Greet,
    Heard,
    KeyPressed,
    Quiet,
    SpeechBegan,
)
from telephony.agents.ports import Service, Speaker, Stage
from telephony.agents.script import Action, CallBack, End, LookUp, Rule, Script, Transfer
from telephony.agents.turns import TurnLog
from telephony.agents.voice import RATE
from telephony.base.errors import BadInput, NotFound, SpeechUnavailable, TelephonyError

log = logging.getLogger("telephony.agents")

MAX_EVENTS = 256
MAX_CONTEXT = 50
"""Texts that the agent was told beside the conversation; the oldest leave."""
TAIL_MS = 150
"""Silence kept after a sentence: the synthesiser gives half a second, as between two prompts."""
MAX_FOUND = 400
"""Characters that are said of what was looked up: some twenty-five seconds."""
UNHEARD = "…"
"""What stands for a sentence that was interrupted before its first word."""


@dataclass(slots=True)
class Conversation:
    """``resumed``: another worker was in this call before; nothing is greeted again."""

    call: DispatchedCall
    script: Script
    stage: Stage
    speaker: Speaker
    service: Service | None
    turns: TurnLog
    resumed: bool = False
    context: list[str] = field(default_factory=list)
    muted: bool = False
    _events: asyncio.Queue[Event] = field(default_factory=lambda: asyncio.Queue(MAX_EVENTS))
    _answer: asyncio.Task[None] | None = None
    _search: asyncio.Task[str] | None = None
    _hushed: bool = False
    _over: str = ""
    _engaged: bool = False
    _hearing: bool = False
    _nudges: int = 0
    _asked_at: float = 0.0

    def put(self, event: Event) -> None:
        """From the room. Beyond the ceiling events are dropped: nobody speaks that fast."""
        if not self._events.full() or isinstance(event, Gone):
            if self._events.full():
                self._events.get_nowait()
            self._events.put_nowait(event)

    async def run(self) -> str:
        """Until the call is over; why it is."""
        self.stage.expect(self.script.phrases())
        self.stage.show("listening")
        try:
            while not self._over:
                try:
                    async with asyncio.timeout(self._patience()):
                        event = await self._events.get()
                except TimeoutError:
                    await self._fill_silence()
                else:
                    await self._take(event)
        finally:
            await self._stop_talking()
        return self._over

    async def _take(self, event: Event) -> None:
        match event:
            case Greet():
                await self._greet()
            case SpeechBegan():
                self._engaged = self._hearing = True
                # Only the sound stops here: what it was about is known when they have spoken.
                self._hush()
            case Heard():
                self._hearing = False
                if not self.muted:
                    await self._heard(event)
            case KeyPressed(key=key):
                if not self.muted:
                    await self._pressed(key)
            case packets.UserMessage(text=text):
                await self._typed(text)
            case packets.ContextualUpdate(text=text):
                self.context = [*self.context, text][-MAX_CONTEXT:]
            case packets.Overrides():
                self._override(event)
            case packets.Mute(muted=muted):
                self.muted = muted
                if muted:
                    await self._stop_talking()
            case Gone(reason=reason):
                self._over = reason
            case Quiet():
                pass

    async def _greet(self) -> None:
        last = self.turns.turns[-1] if self.turns.turns else None
        if self.resumed:
            log.info("agent.resumed turns=%d", len(self.turns.turns))
            if last is not None and last.source == "user":
                await self._reply(self._rule(last.text))
            return
        first = self.call.first_message
        words = self.script.greeting if first is None else first
        if words and not self._engaged:
            await self._reply(Rule(say=words))

    async def _heard(self, heard: Heard) -> None:
        self._engaged, self._nudges, self._asked_at = True, 0, heard.ended
        if heard.text:
            self.turns.add("user", heard.text, heard.seconds)
            await self.stage.send(packets.transcript("user", heard.text, final=True))
        await self._reply(self._rule(heard.text))

    async def _pressed(self, key: str) -> None:
        self._engaged, self._nudges = True, 0
        rule = self.script.pressed(key)
        if rule is not None:
            self.turns.add("user", f"pressed {key}")
            await self._reply(rule)

    async def _typed(self, text: str) -> None:
        self._engaged, self._nudges = True, 0
        await self.stage.send(packets.user_message_echo(text))
        self.turns.add("user", text)
        await self._reply(self._rule(text))

    def _rule(self, text: str) -> Rule:
        rule = self.script.answer(text, self.context)
        if rule is None and text and self.call.looks_up:
            return Rule(do=LookUp(text), failed=self.script.otherwise)
        if rule is not None and rule.do == LookUp():
            return replace(rule, do=LookUp(text))
        return rule or Rule(say=self.script.otherwise)

    def _override(self, told: packets.Overrides) -> None:
        call = self.call
        self.call = replace(
            call,
            prompt=told.prompt if told.prompt is not None else call.prompt,
            first_message=(
                told.first_message if told.first_message is not None else call.first_message
            ),
            language=told.language or call.language,
            voice=told.voice or call.voice,
            speed=told.speed or call.speed,
        )
        written = script.in_prompt(told.prompt) if told.prompt else None
        if written is not None:
            try:
                self.script = script.load(written)
            except BadInput as error:
                log.warning("agent.override_refused: %s", error)
                return
            self.stage.expect(self.script.phrases())

    def _patience(self) -> float | None:
        silence = self.script.silence
        if silence is None or self.muted or self._hearing or self._answer is not None:
            return None
        return silence.after if self._nudges < silence.times or silence.end else None

    async def _fill_silence(self) -> None:
        silence = self.script.silence
        if silence is None:
            return
        self._nudges += 1
        if self._nudges <= silence.times:
            await self._reply(Rule(say=silence.say))
        else:
            await self._reply(Rule(say=silence.goodbye, do=End()))

    async def _reply(self, rule: Rule) -> None:
        await self._stop_talking()
        self._hushed = False
        self._answer = asyncio.create_task(self._carry_out(rule), name="agent-answer")

    def _hush(self) -> None:
        # Also for an answer whose sound is only being made, or whose words are being looked up.
        self._hushed = True
        if self._search is not None:
            self._search.cancel()
        self.stage.hush()

    async def _stop_talking(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            self._hush()
            # What is said is cut short by the hush; what is done is done to its end.
            await asyncio.wait([answer])

    async def _carry_out(self, rule: Rule) -> None:
        try:
            whole = await self._say(rule.say) if rule.say else True
            if rule.do is not None and whole:
                await self._act(rule.do, rule.failed)
        except Exception:
            log.exception("agent.answer_failed")
        if self._answer is asyncio.current_task():
            self._answer = None
        self.stage.show("listening")
        self.put(Quiet())

    async def _say(self, text: str) -> bool:
        """Say it, tell it, write it down; whether it was heard to its end."""
        turn = self.turns.begin("agent", text)
        if self.muted:
            await self._write(turn, text)
            return True
        self.stage.show("thinking")
        heard: list[str] = []
        for sentence in sentences(text):
            try:
                sound = await self.speaker.say(
                    sentence, self.call.voice, self.call.language, self.call.speed
                )
            except SpeechUnavailable as error:
                log.warning("agent.voiceless: %s", error)
                await self._write(turn, text)
                return True
            if self._hushed:
                break
            told = " ".join([*heard, sentence])
            await self.stage.send(packets.transcript("agent", told, final=False))
            # Again: they may have begun to speak while it was being sent.
            if self._hushed:
                break
            self._told_delay()
            self.stage.show("speaking")
            share = await self.stage.play(shortened(sound))
            heard.append(sentence if share >= 1.0 else part_of(sentence, share))
            if share < 1.0:
                break
        said = " ".join(filter(None, heard)) or UNHEARD
        self.turns.end(turn, said)
        # Also where nothing was heard: a client keeps the last text that was not final.
        await self.stage.send(packets.transcript("agent", said, final=True))
        return said == " ".join(sentences(text))

    async def _write(self, turn: int, text: str) -> None:
        self.turns.end(turn, text)
        await self.stage.send(packets.agent_message(text))

    def _told_delay(self) -> None:
        if self._asked_at:
            now = asyncio.get_running_loop().time()
            log.info("agent.replied after_ms=%.0f", (now - self._asked_at) * 1000)
            self._asked_at = 0.0

    async def _act(self, action: Action, failed: str) -> None:
        try:
            await self._do(action)
        except TelephonyError as error:
            log.warning("agent.action_failed %s: %s", type(action).__name__, error)
            if isinstance(action, End):
                # Nobody is to sit in a call that has said goodbye: the worker leaves it.
                self._over = "end"
            elif failed:
                await self._say(failed)

    async def _do(self, action: Action) -> None:
        if self.service is None:
            raise BadInput("the call's dispatch names no API and TELEPHONY_API_URL is not set")
        match action:
            case End():
                # All that was said is on record before the record is closed.
                await self.turns.flush(2.0)
                await self.service.end_call()
                self._over = "end"
            case Transfer(to=to, warm=warm):
                await self.service.transfer(to, warm=warm, summary=self.turns.summary())
            case CallBack(after=after, to=to, reason=reason):
                number = to or self.call.other_party
                if not number.startswith("+"):
                    raise BadInput("there is no number to call back")
                await self.service.call_back(
                    number,
                    after=after,
                    reason=reason,
                    agent=self.call.agent,
                    summary=self.turns.summary(),
                    once=f"callback-{len(self.turns.turns)}",
                )
            case LookUp(query=query):
                await self._look_up(self.service, query)

    async def _look_up(self, service: Service, query: str) -> None:
        self.stage.show("thinking")
        self._search = asyncio.create_task(service.look_up(self.call.agent, query))
        await asyncio.wait([self._search])
        search, self._search = self._search, None
        if search.cancelled() or self._hushed:
            return
        found = beginning(search.result())
        if not found:
            raise NotFound("the agent's documents hold nothing of it")
        await self._say(found)


def sentences(text: str) -> list[str]:
    """The sentences of a text; each is spoken, and may be interrupted, on its own."""
    return [s for s in re.split(r"(?<=[.!?…])\s+", " ".join(text.split())) if s]


def beginning(text: str) -> str:
    """The sentences that fit into ``MAX_FOUND``, or what fits of the first."""
    said = ""
    for sentence in sentences(text):
        if said and len(said) + 1 + len(sentence) > MAX_FOUND:
            break
        said = f"{said} {sentence}".strip()
    return (
        said if len(said) <= MAX_FOUND else said[:MAX_FOUND].rpartition(" ")[0] or said[:MAX_FOUND]
    )


def part_of(sentence: str, share: float) -> str:
    """The words that were heard whole when ``share`` of the sound was."""
    words = sentence.split()
    return " ".join(words[: int(len(words) * share)])


def shortened(sound: bytes) -> bytes:
    """Without most of the silence at its end."""
    samples = memoryview(sound).cast("h")
    last = len(samples)
    while last and abs(samples[last - 1]) < 40:
        last -= 1
    return sound[: 2 * (last + TAIL_MS * RATE // 1000)]
