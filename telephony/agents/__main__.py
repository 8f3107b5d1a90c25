"""``telephony-agent``: runs the worker, or says what keeps it from running."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Awaitable, Sequence
from importlib.util import find_spec

from telephony.agents import environment, script
from telephony.agents.environment import WorkerConfig
from telephony.base.errors import BadInput, ConfigError

DRAIN_SECONDS = 1800


def main(arguments: Sequence[str] | None = None) -> int:
    """0: as asked; 1: not healthy; 2: cannot be started, and why is on stderr."""
    parser = argparse.ArgumentParser(prog="telephony-agent", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "start", help="take calls until told to stop, then let them finish; told twice, stop"
    )
    commands.add_parser("dev", help="the same, but stop at once")
    commands.add_parser("health", help="whether the worker of this machine runs")
    checked = commands.add_parser("check", help="whether a script can be used")
    checked.add_argument("script", help="a YAML file, or a prompt with a script in it")
    told = parser.parse_args(arguments)
    if told.command == "check":
        return _check(told.script)
    try:
        config = environment.read(os.environ)
    except ConfigError as error:
        return _refuse(error.message)
    if told.command == "health":
        return _health(config)
    if find_spec("livekit.agents") is None:
        return _refuse(
            "livekit-agents is not installed here. It pins an older livekit than the service, so "
            "it lives in an environment of its own: make agents, or pip install 'telephony[agents]'"
        )
    return _run(config, development=told.command == "dev")


def _run(config: WorkerConfig, *, development: bool) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    # Imported here: it takes a second, and the other commands need nothing of it.
    from telephony.agents.worker import make_server

    async def work() -> None:
        server = make_server(config)
        asked, hurried = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def told() -> None:
            (hurried if asked.is_set() else asked).set()

        for one in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(one, told)
        running = asyncio.create_task(server.run(devmode=development))
        await _first(running, asked.wait())
        if not running.done():
            if not development:
                await _first(hurried.wait(), server.drain(timeout=DRAIN_SECONDS))
            await server.aclose()
        await running

    try:
        asyncio.run(work())
    except (RuntimeError, OSError) as error:
        return _refuse(str(error))
    return 0


async def _first(*works: Awaitable[object]) -> None:
    """Until one of them is done; the coroutines among them end with it, a task goes on."""
    tasks = [asyncio.ensure_future(work) for work in works]
    _, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task, work in zip(tasks, works, strict=True):
        if task in rest and task is not work:
            task.cancel()
    for task, work in zip(tasks, works, strict=True):
        if task is not work:
            # A drain that took too long is over like one that did not.
            with contextlib.suppress(asyncio.CancelledError, TimeoutError):
                await task


def _health(config: WorkerConfig) -> int:
    url = f"http://{config.health_host}:{config.health_port}"
    try:
        # The first answers 503 once LiveKit was given up; the second says what the worker does.
        for path in ("/", "/worker"):
            with urllib.request.urlopen(url + path, timeout=3) as reply:
                told = reply.read(4096).decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        print(f"no healthy worker at {url}: {error}", file=sys.stderr)
        return 1
    print(told)
    return 0


def _check(path: str) -> int:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        inside = script.in_prompt(text)
        found = script.load(text if inside is None else inside)
    except (OSError, UnicodeDecodeError) as error:
        return _refuse(f"{path}: {error}")
    except BadInput as error:
        return _refuse(f"{path}: {error.message}")
    print(f"{path}: {len(found.rules)} rules, {len(found.phrases())} phrases")
    return 0


def _refuse(reason: str) -> int:
    print(f"telephony-agent: {reason}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
