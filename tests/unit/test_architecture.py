"""The rules of the house that no other tool checks: what is pure stays pure."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import telephony

ROOT = Path(telephony.__file__).parent
PURE = ["base", "calls", "accounts", "sip", "sdp", "rtp", "audio", "ivr", "reports", "prompts"]
FORBIDDEN_MODULES = {
    "asyncio", "socket", "threading", "time", "os", "subprocess", "selectors", "select",
    "concurrent", "multiprocessing", "signal", "secrets", "aiohttp", "uvloop",
}  # fmt: skip
FORBIDDEN_CALLS = {"open", "input", "print", "exec", "eval"}
FORBIDDEN_ATTRIBUTES = {
    "now", "utcnow", "today", "monotonic", "uuid4", "uuid1", "read_text", "write_text",
    "read_bytes", "write_bytes", "default_rng", "urandom",
}  # fmt: skip
RFCS = {
    1918, 1982, 2069, 2543, 2617, 2782, 2833, 2976, 3261, 3262, 3263, 3264, 3311, 3323, 3325,
    3326, 3389, 3398, 3403, 3420, 3493, 3515, 3550, 3551, 3581, 3605, 3611, 3849, 3891, 3892,
    3966, 3986, 4028, 4193, 4291, 4320, 4475, 4488, 4566, 4733, 4961, 5506, 5589, 5626, 5737,
    5761, 6026, 6076, 6086, 6337, 6464, 6585, 6598, 6665, 7022, 6890, 7233, 7315, 7616, 8760, 8866,
    9110, 9562,
}  # fmt: skip


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", PURE)
def test_a_pure_package_touches_neither_clock_nor_socket_nor_chance(package: str) -> None:
    faults: list[str] = []
    for path in sources(package):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                names = {alias.name.partition(".")[0] for alias in node.names}
                faults += [f"{where} imports {n}" for n in names & FORBIDDEN_MODULES]
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                top = node.module.partition(".")[0]
                if top in FORBIDDEN_MODULES:
                    faults.append(f"{where} imports from {top}")
            elif isinstance(node, ast.Call):
                faults += _bad_call(node, where)
    assert faults == []


def _bad_call(node: ast.Call, where: str) -> list[str]:
    target = node.func
    if isinstance(target, ast.Name) and target.id in FORBIDDEN_CALLS:
        return [f"{where} calls {target.id}()"]
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
        owner, name = target.value.id, target.attr
        # Only the modules and classes that read the world: a clock that was handed in is fine.
        if owner in {"datetime", "date", "uuid", "Path", "np", "os"} and (
            name in FORBIDDEN_ATTRIBUTES
        ):
            return [f"{where} calls {owner}.{name}()"]
        if owner == "random" and name != "Random":
            return [f"{where} calls random.{name}()"]
    return []


def test_every_rfc_that_is_cited_is_one_that_we_know() -> None:
    strange = []
    for path in sorted(ROOT.rglob("*.py")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for rfc in re.findall(r"\bRFC[ -]?(\d{3,5})\b", line):
                if int(rfc) not in RFCS:
                    strange.append(f"{path.relative_to(ROOT)}:{number} cites RFC {rfc}")
    assert strange == []


def test_the_tree_of_errors_is_the_one_that_its_file_prints() -> None:
    from telephony.base import errors

    def tree(cls: type[BaseException], prefix: str = "") -> list[str]:
        lines = []
        children = cls.__subclasses__()
        ours = [c for c in children if c.__module__ == errors.__name__]
        for index, child in enumerate(ours):
            last = index == len(ours) - 1
            lines.append(f"{prefix}{'└── ' if last else '├── '}{child.__name__}")
            lines += tree(child, prefix + ("    " if last else "│   "))
        return lines

    assert errors.__doc__ is not None
    printed = [
        re.match(r"^([│├└─ ]*\w+)", line).group(1)  # type: ignore[union-attr]
        for line in errors.__doc__.splitlines()
        if "──" in line
    ]
    assert printed == tree(errors.TelephonyError)


def test_nothing_is_left_for_later_in_the_code() -> None:
    left = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sorted(ROOT.rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"\b(TODO|FIXME|XXX)\b|NotImplementedError", line)
    ]
    assert left == []
