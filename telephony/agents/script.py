"""What a scripted agent goes by: what may be said to it, what it answers, what it does then.

    greeting: Hello, this is the front desk.
    rules:
      - hear: [when are you open, what are your opening hours]
        say: We are open from nine to five.
      - hear: [goodbye]
        say: Goodbye.
        do: end
    otherwise: Sorry, I did not understand that.

Written in a YAML file, in the call's metadata under ``script``, or in the agent's prompt between
lines of ```script and ```. Pure: the same words give the same rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import yaml

from telephony.base.errors import BadInput
from telephony.base.number import is_e164

MAX_RULES = 200
MAX_PHRASES = 20
MAX_SAY = 2000
MAX_WORDS = 200
"""Of what was said or typed: each is compared with those of every phrase."""
ENOUGH = 0.7
"""Share of a phrase's words, in their order, that must have been said or typed."""

_BLOCK = re.compile(r"^```script[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class End:
    """The call is over once the words are out."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """The caller goes on with somebody else."""

    to: str
    warm: bool = False


@dataclass(frozen=True, slots=True)
class CallBack:
    """Somebody is called later: the other party, where no number is given."""

    after: int = 0
    """Seconds."""
    to: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LookUp:
    """What the agent's documents hold of it is said."""

    query: str = ""
    """What was said or typed, where none is given."""


Action = End | Transfer | CallBack | LookUp


@dataclass(frozen=True, slots=True)
class Rule:
    """``hear`` or ``key`` brings it about; ``when`` must be part of what the agent was told."""

    hear: tuple[str, ...] = ()
    key: str = ""
    say: str = ""
    do: Action | None = None
    failed: str = "I am sorry, that did not work."
    """What is said when ``do`` fails."""
    when: str = ""


@dataclass(frozen=True, slots=True)
class Silence:
    """When nobody says anything: words, ``times`` over, and then perhaps the end."""

    after: float = 12.0
    say: str = "Are you still there?"
    times: int = 2
    end: bool = True
    goodbye: str = "Goodbye."


@dataclass(frozen=True, slots=True)
class Script:
    """The whole of it."""

    greeting: str = ""
    rules: tuple[Rule, ...] = ()
    otherwise: str = "Sorry, I did not understand that."
    silence: Silence | None = None

    def phrases(self) -> list[str]:
        """Everything that may be said: the grammar of what is listened for."""
        return list(dict.fromkeys(phrase for rule in self.rules for phrase in rule.hear))

    def answer(self, said: str, context: Iterable[str] = ()) -> Rule | None:
        """The rule whose phrase ``said`` is nearest to, or None where none is near enough."""
        told = "\n".join(context).lower()
        words = words_of(said)[:MAX_WORDS]
        best, most = None, 0.0
        for rule in self.rules:
            if rule.when.lower() not in told:
                continue
            # Of two that fit alike the one that was asked for a context knows more.
            near = max((_nearness(words, phrase) for phrase in rule.hear), default=0.0)
            near += 0.001 if rule.when and near else 0.0
            if near >= ENOUGH and near > most:
                best, most = rule, near
        return best

    def pressed(self, key: str) -> Rule | None:
        """The rule of a key."""
        return next((rule for rule in self.rules if rule.key and rule.key == key), None)


def words_of(text: str) -> list[str]:
    """Lower-case words without punctuation, as a pronouncing dictionary lists them."""
    return re.findall(r"[a-z]+(?:'[a-z]+)?", text.lower())


def _nearness(said: Sequence[str], phrase: str) -> float:
    """1 where every word of the phrase was said in order and no other; 0 where none was."""
    wanted = words_of(phrase)
    if not wanted or not said:
        return 0.0
    blocks = SequenceMatcher(None, wanted, said, autojunk=False).get_matching_blocks()
    found = sum(block.size for block in blocks)
    # A phrase within a longer sentence counts; ten other words around it count against it.
    return found / len(wanted) - 0.02 * min(max(len(said) - found, 0), 10)


DEFAULT = Script(
    greeting="Hello, this is the automatic assistant. How can I help you?",
    rules=(
        Rule(
            hear=("when are you open", "what are your opening hours"),
            say="We are open from nine in the morning until five in the afternoon.",
        ),
        Rule(
            hear=("please call me back", "call me back later"),
            say="Of course. We will call you back.",
            do=CallBack(after=3600, reason="asked for by the caller"),
        ),
        Rule(
            hear=("goodbye", "thank you goodbye"), say="Thank you for calling. Goodbye.", do=End()
        ),
    ),
    silence=Silence(),
)
"""What an agent that was given no script says."""


# Where defaults are read from: a class with slots has none to show.
_SCRIPT, _RULE, _SILENCE = Script(), Rule(), Silence()


class _Loader(yaml.SafeLoader):
    """Without aliases: a browser may send a script, and a few lines of them are gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not taken")
        return super().compose_node(parent, index)


def in_prompt(prompt: str) -> str | None:
    """The YAML of the script in a prompt, or None."""
    found = _BLOCK.search(prompt)
    return found.group(1) if found else None


def load(text: str) -> Script:
    """The script in YAML text.

    Raises:
        BadInput: not YAML, or not a script; says where.
    """
    if len(text) > 256 * 1024:
        raise BadInput("a script of more than 256 KiB", field="script")
    try:
        data = yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise BadInput(f"script: no YAML: {error}", field="script") from error
    return parse(data)


def parse(data: object) -> Script:
    """The script in an object.

    Raises:
        BadInput: names the place, as ``rules[2].do.transfer.to``.
    """
    body = _mapping(data, "script", {"greeting", "rules", "otherwise", "silence"})
    rules = body.get("rules", [])
    if not isinstance(rules, list) or len(rules) > MAX_RULES:
        raise BadInput(f"rules: a list of at most {MAX_RULES}", field="rules")
    silence = body.get("silence")
    return Script(
        greeting=_say(body, "greeting", "greeting", ""),
        rules=tuple(_rule(rule, f"rules[{n}]") for n, rule in enumerate(rules)),
        otherwise=_say(body, "otherwise", "otherwise", _SCRIPT.otherwise),
        silence=_silence(silence) if silence is not None else None,
    )


def _rule(data: object, at: str) -> Rule:
    body = _mapping(data, at, {"hear", "key", "say", "do", "failed", "when"})
    hear = body.get("hear", [])
    phrases = [hear] if isinstance(hear, str) else hear
    if not isinstance(phrases, list) or len(phrases) > MAX_PHRASES:
        raise BadInput(f"{at}.hear: at most {MAX_PHRASES} phrases", field=f"{at}.hear")
    for phrase in phrases:
        if not isinstance(phrase, str) or not words_of(phrase) or len(phrase) > 200:
            raise BadInput(f"{at}.hear: no phrase: {str(phrase)[:60]}", field=f"{at}.hear")
    key = str(body.get("key", ""))
    if key and not re.fullmatch(r"[0-9*#A-D]", key):
        raise BadInput(f"{at}.key: one of 0-9 * # A-D, not {key[:60]!r}", field=f"{at}.key")
    if not phrases and not key:
        raise BadInput(f"{at}: neither hear nor key", field=at)
    return Rule(
        hear=tuple(phrases),
        key=key,
        say=_say(body, "say", f"{at}.say", ""),
        do=_action(body["do"], f"{at}.do") if body.get("do") is not None else None,
        failed=_say(body, "failed", f"{at}.failed", _RULE.failed),
        when=_say(body, "when", f"{at}.when", ""),
    )


def _action(data: object, at: str) -> Action:
    if data == "end":
        return End()
    if data == "look_up":
        return LookUp()
    body = _mapping(data, at, {"transfer", "callback", "look_up"})
    if len(body) != 1:
        raise BadInput(f"{at}: end, transfer, callback or look_up", field=at)
    if "look_up" in body:
        return LookUp(_say(body, "look_up", f"{at}.look_up", ""))
    if "transfer" in body:
        at = f"{at}.transfer"
        told = body["transfer"]
        told = {"to": told} if isinstance(told, str) else told
        told = _mapping(told, at, {"to", "warm"})
        to = told.get("to")
        if not isinstance(to, str) or not (is_e164(to) or to.startswith(("sip:", "sips:"))):
            raise BadInput(f"{at}.to: a number or a SIP address", field=f"{at}.to")
        return Transfer(to=to, warm=told.get("warm") is True)
    at = f"{at}.callback"
    told = _mapping(body["callback"] or {}, at, {"after", "to", "reason"})
    after = told.get("after", 0)
    if isinstance(after, bool) or not isinstance(after, int) or not 0 <= after <= 366 * 86_400:
        raise BadInput(f"{at}.after: seconds, at most a year", field=f"{at}.after")
    to = told.get("to", "")
    if to and (not isinstance(to, str) or not is_e164(to)):
        raise BadInput(f"{at}.to: a number", field=f"{at}.to")
    return CallBack(after=after, to=to, reason=_say(told, "reason", f"{at}.reason", "")[:500])


def _silence(data: object) -> Silence:
    body = _mapping(data, "silence", {"after", "say", "times", "end", "goodbye"})
    after = body.get("after", _SILENCE.after)
    times = body.get("times", _SILENCE.times)
    if isinstance(after, bool) or not isinstance(after, int | float) or not 1 <= after <= 3600:
        raise BadInput("silence.after: seconds from 1 to 3600", field="silence.after")
    if isinstance(times, bool) or not isinstance(times, int) or not 0 <= times <= 100:
        raise BadInput("silence.times: from 0 to 100", field="silence.times")
    return Silence(
        after=float(after),
        say=_say(body, "say", "silence.say", _SILENCE.say),
        times=times,
        end=body.get("end", True) is True,
        goodbye=_say(body, "goodbye", "silence.goodbye", _SILENCE.goodbye),
    )


def _mapping(data: object, at: str, known: set[str]) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise BadInput(f"{at}: an object is expected", field=at)
    for name in data:
        if name not in known:
            raise BadInput(f"{at}: {name!r} is none of {', '.join(sorted(known))}", field=at)
    return data


def _say(body: dict[str, Any], name: str, at: str, default: str) -> str:
    value = body.get(name, default)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_SAY:
        raise BadInput(f"{at}: text of at most {MAX_SAY} characters", field=at)
    return value.strip()
