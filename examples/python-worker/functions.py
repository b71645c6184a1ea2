"""What the worker does: a plain async function for each name, an async generator for a stream.

They do what those of the demo worker in Rust do, so that both may stand in one queue group.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from wire import CallHeaders, Failure

MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Call:
    """What a function gets."""

    function: str
    args: dict[str, Any]
    instance: str
    headers: CallHeaders


async def echo(call: Call) -> Any:
    return call.args


async def add(call: Call) -> Any:
    return {"sum": call.args["a"] + call.args["b"]}


async def sleep(call: Call) -> Any:
    ms = call.args["ms"]
    logging.info("sleep begins: %s ms, call %s", ms, call.headers.call)
    try:
        await asyncio.sleep(ms / 1000)
    except asyncio.CancelledError:
        # Where a function cleans up: its caller is gone, or the worker stops.
        logging.info("sleep was stopped: call %s", call.headers.call)
        raise
    return {"slept": ms}


async def where(call: Call) -> Any:
    return {"instance": call.instance}


async def report(call: Call) -> Any:
    await asyncio.sleep(call.args["ms"] / 1000)
    return {"done": True}


async def count(call: Call) -> AsyncIterator[Any]:
    delay = (call.args.get("delay_ms") or 0) / 1000
    try:
        for n in range(1, call.args["to"] + 1):
            if delay:
                await asyncio.sleep(delay)
            yield {"n": n}
    except asyncio.CancelledError:
        logging.info("count was stopped: call %s", call.headers.call)
        raise


async def fail(call: Call) -> Any:
    code, text = call.args.get("code"), call.args.get("message")
    raise Failure(code or "demo_failed", 500, text or "failed as it was told", bool(call.args.get("can_retry")))


async def flaky(call: Call) -> Any:
    """Fails so often; the gateway tries again, as the function's retry says."""
    attempt = call.headers.attempt
    if attempt <= call.args["failures"]:
        raise Failure("demo_flaky", 500, f"attempt {attempt} failed as it was told", True)
    return {"attempt": attempt}


async def log(call: Call) -> Any:
    logging.info("log: %s", call.args["message"])


async def whoami(call: Call) -> Any:
    headers = call.headers
    identity = {"user_id": headers.user, "device_id": headers.device, "roles": list(headers.roles)}
    return {name: value for name, value in identity.items() if value}


async def big(call: Call) -> Any:
    size = call.args["bytes"]
    if not 0 <= size <= MOST_BYTES:
        raise Failure("invalid_arguments", 422, f"bytes must be at most {MOST_BYTES}, got {size}")
    return "x" * size


ALL: dict[str, Callable[[Call], Any]] = {
    "echo": echo, "add": add, "sleep": sleep, "report": report, "count": count, "fail": fail, "flaky": flaky,
    "log": log,
    "whoami": whoami, "big": big,
    "where_random": where, "where_round_robin": where, "where_hash": where, "where_sticky": where,
    "where_least_loaded": where,
}
