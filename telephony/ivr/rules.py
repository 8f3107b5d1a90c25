"""What can be wrong with a dialplan as a whole: names, reach, loops, phases, secrets."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from telephony.ivr.model import Dialplan, Problem, Verb
from telephony.ivr.template import BUILTIN, names
from telephony.ivr.verbs import VERBS, Phase


def check(plan: Dialplan) -> list[Problem]:
    """Everything wrong with it, by line; empty when it can run."""
    problems = [
        *_starts(plan),
        *_targets(plan),
        *_unreachable(plan),
        *_loops(plan),
        *_phases(plan),
        *_variables(plan),
        *_secrets(plan),
        *_faults(plan),
    ]
    return sorted(set(problems))


def cross_check(plans: Mapping[str, Dialplan]) -> list[Problem]:
    """What is wrong between dialplans: a promised call that nothing would run."""
    problems = []
    for plan in plans.values():
        for name, verb in plan.nodes.items():
            wanted = getattr(verb, "dialplan", None)
            if wanted is not None and wanted not in plans:
                path = f"nodes.{name}.dialplan"
                problems.append(plan.problem(path, f"there is no dialplan '{wanted}'"))
    return problems


def takes_secret_next(plan: Dialplan, node: str) -> bool:
    """Whether a key pressed in ``node`` and kept for what follows may reach a secret question."""
    seen = {node}
    pending = [target for _, target in plan.nodes[node].targets()]
    while pending:
        name = pending.pop()
        verb = plan.nodes.get(name)
        if verb is None or name in seen:
            continue
        seen.add(name)
        if getattr(verb, "secret", False):
            return True
        if not verb.waits:
            pending.extend(target for _, target in verb.targets())
    return False


# --- the graph -----------------------------------------------------------------------------


def _edges(plan: Dialplan, name: str) -> list[str]:
    """The nodes that ``name`` leads to and that exist, without repeats."""
    verb = plan.nodes[name]
    found = [target for _, target in verb.targets()]
    found.extend(getattr(verb, "mentions", ()))
    return list(dict.fromkeys(target for target in found if target in plan.nodes))


def _closest(plan: Dialplan, wrong: str) -> str:
    close = difflib.get_close_matches(wrong, list(plan.nodes), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _starts(plan: Dialplan) -> Iterator[Problem]:
    if plan.start and plan.start not in plan.nodes:
        message = f"unknown target '{plan.start}'{_closest(plan, plan.start)}"
        yield plan.problem("start", message)


def _targets(plan: Dialplan) -> Iterator[Problem]:
    for name, verb in plan.nodes.items():
        for key, target in verb.targets():
            if target not in plan.nodes:
                message = f"unknown target '{target}'{_closest(plan, target)}"
                yield plan.problem(f"nodes.{name}.{key}", message)


def _unreachable(plan: Dialplan) -> Iterator[Problem]:
    if plan.start not in plan.nodes:
        return
    seen = {plan.start}
    pending = [plan.start]
    while pending:
        for target in _edges(plan, pending.pop()):
            if target not in seen:
                seen.add(target)
                pending.append(target)
    for name in plan.nodes:
        if name not in seen:
            yield plan.problem(
                f"nodes.{name}", f"unreachable: nothing leads here from '{plan.start}'"
            )


def _loops(plan: Dialplan) -> Iterator[Problem]:
    """Circles of nodes none of which waits for the caller, each once, at its first node."""
    hasty = {name for name, verb in plan.nodes.items() if not verb.waits}
    told: set[str] = set()
    for name in plan.nodes:
        if name in hasty and name not in told:
            circle = _circle(plan, name, hasty)
            if circle is not None and not told & set(circle):
                told.update(circle)
                way = " → ".join([*circle, name])
                yield plan.problem(f"nodes.{name}", f"a loop that takes no input: {way}")


def _circle(plan: Dialplan, start: str, among: set[str]) -> list[str] | None:
    """The shortest way from ``start`` back to itself through ``among``, or None."""
    came: dict[str, str] = {}
    pending = [start]
    for name in pending:
        for target in _edges(plan, name):
            if target == start:
                way = [name]
                while way[-1] != start:
                    way.append(came[way[-1]])
                return way[::-1]
            if target in among and target not in came:
                came[target] = name
                pending.append(target)
    return None


def _phases(plan: Dialplan) -> Iterator[Problem]:
    """Verbs that are legal only before the answer and can be reached after it."""
    answered: dict[str, str] = {}
    pending: list[tuple[str, str]] = []
    for name, verb in plan.nodes.items():
        if _answers(verb):
            pending.extend((target, name) for target in _edges(plan, name))
    while pending:
        name, by = pending.pop(0)
        if name in answered:
            continue
        answered[name] = by
        pending.extend((target, by) for target in _edges(plan, name))
    for name, by in answered.items():
        row = VERBS.get(plan.nodes[name].VERB)
        if row is not None and Phase.ANSWERED not in row.phases:
            word = plan.nodes[name].VERB
            message = f"{word} is for calls that are not answered; '{by}' has answered by then"
            yield plan.problem(f"nodes.{name}", message)


def _answers(verb: Verb) -> bool:
    row = VERBS.get(verb.VERB)
    return verb.VERB == "answer" or (row is not None and Phase.OFFERED not in row.phases)


# --- variables and secrets -----------------------------------------------------------------


def _variables(plan: Dialplan) -> Iterator[Problem]:
    known = {*BUILTIN, *plan.variables}
    for verb in plan.nodes.values():
        known.update(name for _, name, _ in verb.writes())
    for node, path, name in _uses(plan):
        if name not in known:
            yield plan.problem(
                f"nodes.{node}.{path}",
                f"unknown variable '{name}': declare it under variables, or set it in a node",
            )


def _uses(plan: Dialplan) -> Iterator[tuple[str, str, str]]:
    """Node, key path and variable of every use."""
    for node, verb in plan.nodes.items():
        for path, text in verb.texts():
            for name in names(text):
                yield node, path, name
        for path, name in verb.reads():
            yield node, path, name


def _secrets(plan: Dialplan) -> Iterator[Problem]:
    secret = {name for name, declared in plan.variables.items() if declared.secret}
    for name in sorted(secret):
        if plan.variables[name].report:
            yield plan.problem(f"variables.{name}", "a secret cannot go into the report")
    for node, verb in plan.nodes.items():
        for path, name, hidden in verb.writes():
            yield from _secret_write(plan, f"nodes.{node}.{path}", verb, name, hidden)
            if hidden:
                secret.add(name)
    for node, verb in plan.nodes.items():
        for path, text in verb.texts():
            for name in names(text):
                if name in secret:
                    yield plan.problem(
                        f"nodes.{node}.{path}",
                        f"'{name}' is secret: it can be compared (if), not said or passed on",
                    )


def _secret_write(
    plan: Dialplan, path: str, verb: Verb, name: str, hidden: bool
) -> Iterator[Problem]:
    declared = plan.variables.get(name)
    if declared is None:
        return
    if hidden and declared.report and not declared.secret:
        yield plan.problem(path, f"the digits are secret, but '{name}' goes into the report")
    elif declared.secret and not hidden and verb.VERB == "gather":
        yield plan.problem(path, f"'{name}' is secret, so the gather needs secret: true")


def _faults(plan: Dialplan) -> Iterator[Problem]:
    for node, verb in plan.nodes.items():
        for path, message in verb.faults():
            yield plan.problem(f"nodes.{node}.{path}", message)
