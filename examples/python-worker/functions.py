"""What the worker does: a plain async function for each name, an async generator for a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Call:
    """What a function gets."""

    id: str
    function: str
    args: dict[str, Any]
    instance: str
    user: str | None = None
    roles: list[str] = field(default_factory=list)
    idempotent: bool = False


@dataclass
class Failure(Exception):
    """An error for the caller; `retry`: the same call may be sent again."""

    code: str
    status: int
    text: str
    retry: bool = False
    executed: str = "yes"


async def echo(call: Call) -> Any:
    return call.args


async def add(call: Call) -> Any:
    return {"sum": call.args["a"] + call.args["b"]}


async def sleep(call: Call) -> Any:
    await asyncio.sleep(call.args["ms"] / 1000)
    return {"slept": call.args["ms"]}


async def where(call: Call) -> Any:
    return {"instance": call.instance}


async def report(call: Call) -> Any:
    await asyncio.sleep(call.args["ms"] / 1000)
    return {"done": True}


async def count(call: Call) -> AsyncIterator[Any]:
    for n in range(1, call.args["to"] + 1):
        await asyncio.sleep((call.args.get("delay_ms") or 0) / 1000)
        yield {"n": n}


async def fail(call: Call) -> Any:
    args = call.args
    raise Failure(args["code"], 500, args.get("message") or "as told", bool(args.get("can_retry")))


async def log(call: Call) -> Any:
    print(call.args["message"], flush=True)


async def whoami(call: Call) -> Any:
    return {"user_id": call.user, "roles": call.roles}


ALL: dict[str, Callable[[Call], Any]] = {
    "echo": echo, "add": add, "sleep": sleep, "report": report, "count": count, "fail": fail, "log": log,
    "whoami": whoami, "where_random": where, "where_round_robin": where, "where_least_loaded": where,
}
