"""Who answered: the confusion table over greetings of people and machines, and when it was said.

Beside it what the rules and default times of Asterisk's ``AMD()``, as its documentation has them,
say of the same sound. Nothing was tuned on the greetings of the final count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

import numpy as np

from bench.harness import Rows, arguments
from telephony.testing.greetings import SEED, Greeting, corpus
from telephony.testing.screening import Screened, screen

VERDICTS = ("human", "machine", "unknown")
SETS = ("tuning", "final count")


def since_voice(one: Screened) -> float:
    """Milliseconds from the first word, or what sounds before it, to the verdict."""
    return one.heard.time_ms - 1000 * one.greeting.sound_at


def rules(greeting: Greeting) -> str:
    """``AMD()`` on one line: a frame is silence where its mean magnitude is below 256."""
    loud = np.abs(greeting.samples.reshape(-1, 160).astype(np.int32)).mean(axis=1) >= 256
    silence = word = voice = words = 0
    greeted, between = False, False
    for frame in loud[:249].tolist():
        if frame:
            word, voice, silence = word + 20, voice + 20, 0
            if word >= 100:
                greeted = True
                words, between = words + between, False
            if words >= 3 or (greeted and voice >= 1500):
                return "machine"
            continue
        silence += 20
        if silence >= 50:
            word, between = 0, True
        if not greeted and silence >= 2500:
            return "machine"
        if greeted and silence >= 800:
            return "human"
    return "unknown"


def count(rows: Rows, case: str, subject: str, said: Sequence[tuple[bool, str]]) -> None:
    """The confusion table of one subject as figures."""
    table = Counter(said)
    for human, name in ((True, "person"), (False, "machine")):
        for verdict in VERDICTS:
            rows.add(case, subject, table[human, verdict], f"{name} said to be {verdict}")
    right = table[True, "human"] + table[False, "machine"]
    rows.add(case, subject, round(100 * right / len(said), 1), "% right")


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--seeds", type=int, default=1, help="noises, levels and pauses anew")
    a = parser.parse_args()
    rows = Rows("amd")
    made = [one for seed in range(a.seeds) for one in corpus(SEED + seed)]
    for name, greetings in (
        (name, [one for one in made if one.final == (name == SETS[1])]) for name in SETS
    ):
        people = sum(one.human for one in greetings)
        case = f"{name}: {people} people, {len(greetings) - people} machines"
        screened = screen(greetings)
        count(rows, case, "telephony", [(x.greeting.human, x.heard.verdict) for x in screened])
        times = sorted(since_voice(x) for x in screened)
        rows.add(case, "telephony", round(median(times)), "ms after the first sound, median")
        rows.add(case, "telephony", round(times[-1]), "ms after the first sound, latest")
        beeps = [x for x in screened if x.greeting.beep_at is not None and x.end is not None]
        found = sum(x.end is not None and x.end.how == "beep" for x in beeps)
        machines = sum(x.greeting.beep_at is not None for x in screened)
        rows.add(case, "telephony", machines, "machines that beep")
        rows.add(case, "telephony", found, "beeps that a message waited for")
        count(rows, case, "asterisk's rules", [(one.human, rules(one)) for one in greetings])
        for x in screened:
            if not x.right:
                print(f"{name}: {x.greeting.name}: {x.heard.verdict}, {x.heard.reason}")
    rows.show(a.json)


if __name__ == "__main__":
    main()
