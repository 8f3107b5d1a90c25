"""The rules of the house that no other tool checks: what is pure stays pure."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import telephony

ROOT = Path(telephony.__file__).parent
PURE = ["base", "calls", "accounts", "sip", "sdp", "rtp", "audio", "ivr", "reports"]
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
    1889, 2104, 2198, 2543, 2617, 2833, 2976, 3060, 3261, 3262, 3263, 3264, 3265, 3310, 3311, 3323,
    3325, 3326, 3327, 3389, 3420, 3515, 3550, 3551, 3556, 3581, 3605, 3611, 3629, 3665, 3725, 3840,
    3841, 3891, 3892, 3960, 3986, 4028, 4145, 4235, 4244, 4320, 4321, 4412, 4475, 4488, 4566, 4568,
    4733, 4961, 5009, 5057, 5118, 5322, 5407, 5411, 5506, 5589, 5626, 5627, 5658, 5761, 5806, 5839,
    5853, 5923, 5939, 5954, 6026, 6044, 6062, 6076, 6140, 6141, 6157, 6222, 6665, 7022, 7044, 7315,
    7329, 7433, 7462, 7463, 7544, 7616, 7647, 7852, 8197, 8498, 8599, 8606, 8688, 8760, 8816, 8866,
    8898, 9562, 1982, 6464, 7230, 7231, 9110, 9112, 2181, 2782, 3403, 2915, 6598, 1918, 4193, 4291, 5735, 6890,
    5737, 5952, 6761, 5389, 8489, 4648, 7519, 6585, 8446, 5246, 3339, 2327, 5234, 2234, 768, 5321,
    2047, 8259, 6266, 7233, 6901, 5764, 3711, 2119, 8174, 3959, 5079, 4474, 3966, 3968, 3969, 3842,
    3903, 3428, 3312, 4168, 6337, 1321, 2069, 4117, 5760, 6051, 6465, 7941, 3890, 4855, 3555, 8130,
    8825, 8858, 5576, 3952, 3951, 4916, 4538, 4240, 4579, 1034, 1035,
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
