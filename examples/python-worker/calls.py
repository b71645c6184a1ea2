"""The calls that a worker holds: each from its arrival to its final reply."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

import wire
from functions import Call
from wire import CallHeaders, Failure

log = logging.getLogger("worker")

FIRST_BEAT, BEAT = 0.1, 1.0
NO_GRANT = 10.0
GRACE = 1.0
"""A function may overrun its deadline so much: the gateway, which knows better, ends most calls itself."""
EARLY_CANCEL, MOST_EARLY = 5.0, 10_000
MOST_REASON = 200

Replied = tuple[bytes, dict[str, str]]


@dataclass(frozen=True)
class Served:
    """A function of the config."""

    name: str
    kind: str
    idempotent: bool
    body: Callable[[Call], Any]


@dataclass
class Held:
    """A call that is taken and has no final reply yet."""

    function: Served
    headers: CallHeaders
    reply: str
    work: asyncio.Task[Replied | None] | None = None
    begun: bool = False
    end: Failure | None = None
    final: bool = False
    seq: int = 0
    sent_bytes: int = 0
    credit: tuple[int, int] | None = None
    granted: asyncio.Event = field(default_factory=asyncio.Event)
    received: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)
    last_frame: float = field(default_factory=time.monotonic)
    timer: asyncio.TimerHandle | None = None

    def is_late(self, grace: float = 0.0) -> bool:
        limit = self.headers.deadline
        return limit is not None and time.monotonic() >= self.received + limit + grace


class Calls:
    """Takes calls, serves them, and answers; `capacity` at once, as many again wait."""

    def __init__(self, nc: Client, instance: str, functions: dict[tuple[str, str], Served], capacity: int) -> None:
        self.nc, self.instance, self.functions = nc, instance, functions
        self.capacity, self.slots = capacity, asyncio.Semaphore(capacity)
        self.held: dict[str, Held] = {}
        self.early: dict[str, float] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    # --- taking -----------------------------------------------------------------------------------

    async def take(self, msg: Msg) -> None:
        """Takes a call or refuses it at once; never waits for it."""
        try:
            held = self.accept(msg)
        except Failure as refusal:
            return await self.error(msg.reply, refusal)
        if held:
            self.spawn(self.serve(held, msg.data))

    def accept(self, msg: Msg) -> Held | None:
        headers = CallHeaders.read(msg.headers or {})
        version, name = msg.subject.rsplit(".", 2)[1:]
        function = self.functions.get((version, name))
        if not function:
            raise Failure("unknown_function", 404, "this worker has no such function", executed="no")
        known = self.held.get(headers.call)
        if known and known.reply == msg.reply:
            return None  # the same call twice
        if known:
            raise wire.invalid("this call id is at work already, with another reply subject")
        if time.monotonic() - self.early.pop(headers.call, -EARLY_CANCEL) < EARLY_CANCEL:
            raise Failure("cancelled", 499, "the call was cancelled before it arrived", executed="no")
        if len(self.held) >= 2 * self.capacity:
            raise Failure("overloaded", 503, f"{self.instance} has no room for another call", True, "no")
        held = self.held[headers.call] = Held(function, headers, msg.reply, credit=headers.credit)
        return held

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self.tasks.discard)

    # --- serving ----------------------------------------------------------------------------------

    async def serve(self, held: Held, body: bytes) -> None:
        """From the place in the queue to the final reply."""
        try:
            if held.function.kind != "sync":
                await self.frame(held, "accepted")
            if held.function.kind != "none":
                self.beat_in(held, BEAT if held.function.kind == "stream" else FIRST_BEAT)
            # A task of its own, so that to end it does not end this one, which answers.
            held.work = asyncio.create_task(self.work(held, body))
            if held.end:
                held.work.cancel()
            await asyncio.wait({held.work})
            held.final = True
            if held.timer:
                held.timer.cancel()
            await self.conclude(held, held.work)
        finally:
            del self.held[held.headers.call]

    async def work(self, held: Held, body: bytes) -> Replied | None:
        """The final reply; none if nobody waits for one."""
        async with self.slots:
            if held.is_late():
                return None  # the gateway has told the caller
            args = wire.decode_args(body, held.headers.encoding)
            held.begun = True
            result = held.function.body(Call(held.function.name, args, self.instance, held.headers))
            if held.function.kind == "stream":
                async with contextlib.aclosing(result) as items:
                    await self.stream(held, items)
                return b"", {"Sluice-Kind": "end", "Sluice-Seq": str(held.seq)}
            value = await result
            return None if held.function.kind == "none" else self.encoded(held, value, {})

    async def conclude(self, held: Held, work: asyncio.Task[Replied | None]) -> None:
        name = held.function.name
        try:
            if work.cancelled():
                raise held.end or Failure("cancelled", 499, "the call was cancelled", executed="unknown")
            if reply := work.result():
                await self.send(held, *reply)
        except Failure as failure:
            if held.function.kind == "none":
                log.error("%s failed: %s", name, failure.text)  # nobody waits for it
            else:
                await self.error(held.reply, failure)
        except Exception:
            log.exception("%s failed", name)
            if held.function.kind != "none":
                await self.error(held.reply, Failure("internal", 500, f"{name} failed, see the worker's log"))

    def encoded(self, held: Held, value: Any, headers: dict[str, str]) -> Replied:
        encoding = held.headers.encoding
        return wire.encode(value, encoding), headers if encoding == wire.JSON else headers | {"Content-Type": encoding}

    async def stream(self, held: Held, items: AsyncIterator[Any]) -> None:
        async for item in items:
            body, headers = self.encoded(held, item, {"Sluice-Kind": "item", "Sluice-Seq": str(held.seq + 1)})
            while held.credit and (held.seq + 1 > held.credit[0] or held.sent_bytes > held.credit[1]):
                held.granted.clear()
                await held.granted.wait()
            await self.send(held, body, headers)
            # Not before it is handed over: a beat must not count what it may overtake.
            held.seq += 1
            held.sent_bytes += len(body)

    def end(self, held: Held, code: str, status: int, text: str, retry: bool = False) -> None:
        """Stops the function, unless the final reply is on its way."""
        if held.final or held.end:
            return
        repeatable = retry and (held.function.idempotent or not held.begun)
        held.end = Failure(code, status, text, repeatable, "unknown" if held.begun else "no")
        if held.work:
            held.work.cancel()

    # --- what is told while it lasts --------------------------------------------------------------

    def beat_in(self, held: Held, seconds: float) -> None:
        held.timer = asyncio.get_running_loop().call_later(seconds, self.beat, held)

    def beat(self, held: Held) -> None:
        if held.final:
            return
        stream, now = held.function.kind == "stream", time.monotonic()
        if stream and held.credit and now >= held.heard + NO_GRANT:
            self.end(held, "stream_lost", 502, "no credit was heard for 10 s", retry=True)
        if not stream and held.is_late(GRACE):
            self.end(held, "timeout", 504, f"{held.function.name} overran its deadline", retry=True)
        quiet = now - held.last_frame
        if not stream or quiet >= BEAT:
            quiet = 0.0
            self.spawn(self.frame(held, "beat", {"Sluice-Seq": str(held.seq)}))
        self.beat_in(held, max(BEAT - quiet, 0.01))

    async def frame(self, held: Held, kind: str, more: Mapping[str, str] = {}) -> None:
        if not held.final:
            with contextlib.suppress(NatsError):
                await self.send(held, b"", {"Sluice-Kind": kind, "Sluice-Instance": wire.percent(self.instance), **more})

    async def send(self, held: Held, body: bytes, headers: dict[str, str]) -> None:
        held.last_frame = time.monotonic()
        size, most = len(body) + wire.header_bytes(headers), self.nc.max_payload
        if size > most:
            # The broker would close the connection.
            raise Failure("payload_too_large", 413, f"a reply of {size} bytes; the broker takes {most}")
        if held.reply:
            await self.nc.publish(held.reply, body, headers=headers or None)

    async def error(self, reply: str, failure: Failure) -> None:
        if reply:
            body = json.dumps(failure.details).encode() if failure.details else b""
            with contextlib.suppress(NatsError):
                await self.nc.publish(reply, body, headers=wire.error_headers(failure, self.instance))

    # --- control and ping -------------------------------------------------------------------------

    def control(self, body: bytes) -> None:
        """Cancel and credit; whatever else is ignored."""
        with contextlib.suppress(ValueError, KeyError, TypeError):
            control = json.loads(body)
            held = self.held.get(call := str(control["call"]))
            if control["type"] == "cancel":
                reason = str(control.get("reason") or "")[:MOST_REASON]
                text = f"the call was cancelled: {reason}" if reason else "the call was cancelled"
                self.end(held, "cancelled", 499, text) if held else self.remember(call)
            elif control["type"] == "credit" and held and held.credit:
                items, size = int(control["items"]), int(control["bytes"])
                held.credit = (max(items, held.credit[0]), max(size, held.credit[1]))
                held.heard = time.monotonic()
                held.granted.set()

    def remember(self, call: str) -> None:
        """A cancel may overtake its call."""
        now = time.monotonic()
        if len(self.early) >= MOST_EARLY:
            self.early = {c: t for c, t in self.early.items() if t > now - EARLY_CANCEL}
        if len(self.early) < MOST_EARLY:
            self.early[call] = now

    def ping(self, body: bytes) -> bytes:
        """The answer to "is it still held?"."""
        call = None
        with contextlib.suppress(ValueError, AttributeError, TypeError):
            call = json.loads(body).get("call")
        return json.dumps({"holds": isinstance(call, str) and call in self.held, "in_flight": len(self.held)}).encode()

    def streams_are_lost(self) -> None:
        """The connection broke: items may be missing."""
        for held in list(self.held.values()):
            if held.function.kind == "stream":
                self.end(held, "stream_lost", 502, "the worker's connection to the broker broke", retry=True)

    async def finish(self, seconds: float) -> None:
        """Waits until nothing is held; at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.tasks:
                    await asyncio.wait(set(self.tasks))
