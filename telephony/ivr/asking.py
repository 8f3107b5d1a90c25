"""Asking for keys: prompts, silence, wrong keys and further tries, for ``gather`` and ``menu``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.ivr.digits import Collecting, Result
from telephony.ivr.run import PROMPT_SECONDS, Activity, Go, Move, Playing, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """How to ask. Seconds: ``timeout`` for the first key after the prompts, then ``inter_digit``.

    With ``barge_in`` a key stops the prompts and counts, and keys pressed ahead are taken;
    without it keys mean nothing before the prompts have ended.
    """

    prompts: tuple[c.Prompt, ...]
    invalid: tuple[c.Prompt, ...]
    silence: tuple[c.Prompt, ...]
    tries: int
    timeout: float
    inter_digit: float
    barge_in: bool
    flush: bool
    secret: bool = False


class Asking(Activity):
    """A question that is being asked; ``finish`` turns its last result into the way on."""

    engaged = True

    def __init__(
        self,
        question: Question,
        collect: Callable[[], Collecting],
        finish: Callable[[Run, Result], Move],
    ) -> None:
        super().__init__(0.0)
        self._question = question
        self._collect = collect
        self._finish = finish
        self._keys = collect()
        self._tries = 0
        self.secret = question.secret
        self._playing: Playing | None = None

    def begin(self, run: Run) -> Move | Activity:
        """Ask for the first time."""
        if self._question.flush or not self._question.barge_in:
            run.typed.clear()
        return self._round(run, ()) or self

    def _round(self, run: Run, before: tuple[c.Prompt, ...]) -> Move | None:
        self._keys = self._collect()
        if run.typed:
            self._playing = None
            self.deadline = run.now + self._question.timeout
            return self._drain(run)
        self._playing = Playing(run, before + self._question.prompts)
        if self._playing.over:
            self._listen(run)
        else:
            self.deadline = run.now + PROMPT_SECONDS
        return None

    def _listen(self, run: Run) -> None:
        self._playing = None
        self.deadline = run.now + self._question.timeout

    def _drain(self, run: Run) -> Move | None:
        while run.typed:
            move = self._press(run, run.typed.popleft())
            if move is not None:
                return move
        return None

    def step(self, run: Run, event: e.Event) -> Move | None:
        if isinstance(event, e.DigitPressed):
            return self._pressed(run, event.digit)
        if self._playing is not None and self._playing.step(event):
            self._listen(run)
        return None

    def _pressed(self, run: Run, digit: str) -> Move | None:
        if self._playing is not None:
            if not self._question.barge_in:
                return None
            self._playing.stop(run, "barge_in")
            self._playing = None
        return self._press(run, digit)

    def _press(self, run: Run, digit: str) -> Move | None:
        result = self._keys.press(digit)
        if result is None:
            self.deadline = run.now + self._question.inter_digit
            return None
        return self._settle(run, result)

    def expire(self, run: Run) -> Move | None:
        if self._playing is not None:
            self._playing.stop(run)
            self._listen(run)
            return None
        return self._settle(run, self._keys.timeout())

    def _settle(self, run: Run, result: Result) -> Move | None:
        self._tries += 1
        if result.reason == "invalid":
            # What follows a wrong key was meant for a menu that the caller is not in.
            run.typed.clear()
        if not result.good and self._tries < self._question.tries:
            wrong = result.reason == "invalid"
            return self._round(run, self._question.invalid if wrong else self._question.silence)
        self._note(run, result)
        return self._finish(run, result)

    def _note(self, run: Run, result: Result) -> None:
        secret = self._question.secret
        run.order(
            c.Note(
                event=e.GatherCompleted(
                    at=run.wall,
                    leg=run.leg,
                    node=run.node,
                    digits="*" * len(result.digits) if secret else result.digits,
                    reason=result.reason,
                    tries=self._tries,
                    secret=secret,
                )
            )
        )


class Telling(Activity):
    """Prompts without a question; with ``barge_in`` a key ends them and is typed ahead."""

    engaged = True

    def __init__(
        self,
        run: Run,
        prompts: tuple[c.Prompt, ...],
        following: str | None,
        *,
        barge_in: bool,
        farewell: bool,
    ) -> None:
        super().__init__(run.now + PROMPT_SECONDS)
        self._following = following
        self.ahead = barge_in
        self.engaged = not farewell
        self._playing = Playing(run, prompts)

    @property
    def over(self) -> bool:
        return self._playing.over

    def step(self, run: Run, event: e.Event) -> Move | None:
        if isinstance(event, e.DigitPressed) and self.ahead:
            self._playing.stop(run, "barge_in")
            run.type_ahead(event.digit)
            return Go(self._following)
        return Go(self._following) if self._playing.step(event) else None

    def expire(self, run: Run) -> Move | None:
        self._playing.stop(run)
        return Go(self._following)


def tell(
    run: Run,
    prompts: tuple[c.Prompt, ...],
    following: str | None,
    *,
    barge_in: bool,
    farewell: bool,
) -> Move | Activity:
    """Begin to tell, or move on where there is nothing to say or the caller knows it already."""
    if barge_in and run.typed:
        return Go(following)
    telling = Telling(run, prompts, following, barge_in=barge_in, farewell=farewell)
    return Go(following) if telling.over else telling
