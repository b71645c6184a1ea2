"""A Sluice worker in plain Python over nats-py: docs/worker-protocol.md is all that it was written from.

It runs the functions of functions.json, or of a config that other workers of the service run (--config), so that
it stands in one queue group with them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import logging
import pathlib
import random
import secrets
import signal
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

import nats
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

import functions
from functions import Call, Failure

log = logging.getLogger("worker")

FEATURES = ["beat", "credit", "cancel"]
HEARTBEAT, FIRST_BEAT, BEAT, NO_GRANT, EARLY_CANCEL, DRAIN = 5.0, 0.1, 1.0, 10.0, 5.0, 25.0
HEADER_SAFE = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in ",%")


def token(name: str) -> str:
    """A name as one token of a subject."""
    plain = {ord("."): "_"} | {b: chr(b) for b in range(128) if chr(b).isalnum() or b == ord("-")}
    return "".join(plain.get(byte, f"={byte:02X}") for byte in name.encode())


def percent(text: str) -> str:
    """Text as a header's value."""
    return quote(text, safe=HEADER_SAFE)


@dataclass
class Held:
    """A call that is taken and has no final reply yet."""

    call: Call
    reply: str
    kind: str
    task: asyncio.Task[None] | None = None
    begun: bool = False
    cancelled: str = ""
    seq: int = 0
    sent_bytes: int = 0
    credit: tuple[int, int] | None = None
    granted: asyncio.Event = field(default_factory=asyncio.Event)
    last_frame: float = field(default_factory=time.monotonic)


class Worker:
    """One service of one process."""

    def __init__(self, url: str, service: str, config: str, instance: str, capacity: int, prefix: str) -> None:
        self.url, self.service, self.config, self.prefix = url, service, config, prefix
        self.instance = instance or f"{service}-py-{secrets.token_hex(4)}"
        self.hash = hashlib.sha256(config.encode()).hexdigest()[:32]
        self.kinds = {
            (token(f["version"]) if f.get("version") else "=", token(f["request_type"])): (
                f["request_type"], f.get("response_type", "sync"), f.get("idempotent", False))
            for f in json.loads(config)["functions"]
        }
        self.capacity, self.slots = capacity, asyncio.Semaphore(capacity)
        self.held: dict[str, Held] = {}
        self.early: dict[str, float] = {}
        self.state = "starting"
        self.accepted, self.discovered = asyncio.Event(), asyncio.Event()
        self.stop = asyncio.Event()
        self.answers: set[asyncio.Task[None]] = set()

    # --- life -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serves until `stop` is set, then drains."""
        self.nc = await nats.connect(self.url, name=self.instance, max_reconnect_attempts=-1,
                                     reconnect_time_wait=0.5, reconnected_cb=self.on_reconnect)
        self.announce = f"{self.prefix}.registry.announce.{token(self.service)}.{token(self.instance)}"
        own = f"{self.prefix}.inst.{token(self.service)}.{token(self.instance)}"
        instance = await self.nc.subscribe(f"{own}.>", cb=self.on_instance)
        await self.nc.subscribe(f"{self.prefix}.registry.discover", cb=self.on_discover)
        pull = f"{self.prefix}.registry.pull.{token(self.service)}.{self.hash}"
        await self.nc.subscribe(pull, queue="q", cb=self.on_pull)
        stopping = asyncio.create_task(self.stop.wait())
        joining = asyncio.create_task(self.join())
        await asyncio.wait({stopping, joining}, return_when=asyncio.FIRST_COMPLETED)
        if joining.done():
            calls = joining.result()
            beating = asyncio.create_task(self.heartbeats())
            await stopping
            beating.cancel()
        else:
            joining.cancel()
            calls = []
        await self.drain(calls, instance)

    async def join(self) -> list[Any]:
        """Announces until a gateway accepts, then joins the queue groups."""
        inbox = self.nc.new_inbox()
        await self.nc.subscribe(inbox, cb=self.on_verdict)
        wait = 0.5
        while not self.accepted.is_set():
            self.discovered.clear()
            body = self.message("announce", config=True)
            await self.nc.publish(self.announce, body, reply=inbox)
            waits = {asyncio.create_task(e.wait()) for e in (self.accepted, self.discovered)}
            await asyncio.wait(waits, timeout=wait * random.uniform(0.8, 1.2), return_when=asyncio.FIRST_COMPLETED)
            for pending in waits:
                pending.cancel()
            wait = min(wait * 2, 5.0)
        subjects = [f"{self.prefix}.call.{token(self.service)}.{v}.{f}" for v, f in self.kinds]
        calls = [await self.nc.subscribe(s, queue="q", cb=self.on_call) for s in subjects]
        await self.nc.flush()  # nats-py waits for the server's PONG
        self.state = "ready"
        log.info("%s serves %s, config %s", self.instance, self.service, self.hash)
        return calls

    async def heartbeats(self) -> None:
        while True:
            await self.nc.publish(self.announce, self.message("heartbeat"))
            await asyncio.sleep(HEARTBEAT * random.uniform(0.8, 1.2))

    async def drain(self, calls: list[Any], instance: Any) -> None:
        """Leaves, finishes what is held, closes."""
        self.state = "draining"
        await self.nc.publish(self.announce, self.message("heartbeat"))
        await self.nc.publish(self.announce, self.message("leave"))
        for subscription in calls:
            await subscription.drain()
        deadline = time.monotonic() + DRAIN
        await self.finish(deadline)
        await instance.drain()
        await self.finish(deadline)
        for held in list(self.held.values()):
            self.cancel(held, "the worker stops")
        await self.finish(time.monotonic() + 1)
        await self.nc.flush()
        await self.nc.close()

    async def finish(self, deadline: float) -> None:
        tasks = [held.task for held in self.held.values() if held.task]
        if tasks:
            await asyncio.wait(tasks, timeout=max(0.0, deadline - time.monotonic()))

    # --- registry ---------------------------------------------------------------------------------

    def message(self, kind: str, config: bool = False) -> bytes:
        """A registry message. The config goes in as the very text that was hashed."""
        body: dict[str, Any] = {"type": kind, "protocol": 1, "service": self.service}
        if kind != "config":
            body["instance"] = self.instance
        if kind != "leave":
            body["config_hash"] = self.hash
        if kind in ("announce", "heartbeat"):
            body |= {"state": self.state, "features": FEATURES, "encodings": ["json"],
                     "in_flight": len(self.held), "capacity": self.capacity}
        text = json.dumps(body)
        return (text[:-1] + f', "config": {self.config}}}' if config else text).encode()

    async def on_verdict(self, msg: Msg) -> None:
        if not msg.data:
            return  # no gateway yet
        verdict = json.loads(msg.data)
        if verdict.get("type") == "accepted":
            self.accepted.set()
        for reason in verdict.get("reasons", []):
            log.error("%s refuses: %s", verdict.get("gateway"), reason)

    async def on_discover(self, msg: Msg) -> None:
        self.discovered.set()
        if self.state == "ready":
            self.later(self.present(msg.reply))

    async def present(self, reply: str) -> None:
        await asyncio.sleep(random.uniform(0, 0.5))
        if self.state == "ready":
            await self.nc.publish(reply, self.message("heartbeat"))

    async def on_pull(self, msg: Msg) -> None:
        await msg.respond(self.message("config", config=True))

    async def on_reconnect(self) -> None:
        if self.state == "ready":
            await self.nc.publish(self.announce, self.message("heartbeat"))
        for held in list(self.held.values()):
            if held.kind == "stream":
                self.cancel(held, "stream_lost")

    def later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self.answers.add(task)
        task.add_done_callback(self.answers.discard)

    # --- calls ------------------------------------------------------------------------------------

    async def on_instance(self, msg: Msg) -> None:
        match msg.subject.rsplit(".", 1)[1]:
            case "control" if len(msg.subject.split(".")) == self.prefix.count(".") + 5:
                self.on_control(msg)
            case "ping" if len(msg.subject.split(".")) == self.prefix.count(".") + 5:
                call = json.loads(msg.data or b"{}").get("call")
                await msg.respond(json.dumps({"holds": call in self.held, "in_flight": len(self.held)}).encode())
            case _:
                await self.on_call(msg)

    def on_control(self, msg: Msg) -> None:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            control = json.loads(msg.data)
            held = self.held.get(control["call"])
            if control["type"] == "cancel" and held:
                self.cancel(held, str(control.get("reason", "")) or "cancelled")
            elif control["type"] == "cancel":
                now = time.monotonic()
                self.early = {c: t for c, t in self.early.items() if t > now - EARLY_CANCEL}
                self.early[control["call"]] = now
            elif control["type"] == "credit" and held and held.credit:
                items, size = held.credit
                held.credit = (max(items, int(control["items"])), max(size, int(control["bytes"])))
                held.granted.set()

    def cancel(self, held: Held, reason: str) -> None:
        if held.task and not held.cancelled:
            held.cancelled = reason
            held.task.cancel()

    async def on_call(self, msg: Msg) -> None:
        """Takes a call, or refuses it at once; never waits for it."""
        headers = msg.headers or {}
        refuse = lambda code, status, text, retry=False: self.error(  # noqa: E731
            msg.reply, Failure(code, status, text, retry, "no"))
        if "Sluice-Call" in headers and headers.get("Sluice-Protocol") != "1":
            return await refuse("invalid_request", 400, "this worker speaks protocol 1")
        found = self.kinds.get(tuple(msg.subject.rsplit(".", 2)[1:]))
        if not found or found[0] not in functions.ALL:
            return await refuse("unknown_function", 404, f"{self.service} has no function at {msg.subject}")
        call_id = headers.get("Sluice-Call") or secrets.token_hex(8)
        deadline = headers.get("Sluice-Deadline")
        if call_id in self.held or (deadline and int(deadline) <= 0):
            return None
        if time.monotonic() - self.early.pop(call_id, -EARLY_CANCEL) < EARLY_CANCEL:
            return await refuse("cancelled", 499, "cancelled before it began")
        if len(self.held) >= 2 * self.capacity:
            return await refuse("overloaded", 503, f"{self.instance} has no room", True)
        try:
            args = json.loads(msg.data or b"{}")
        except ValueError as error:
            return await refuse("invalid_request", 400, f"args are not JSON: {error}")
        name, kind, idempotent = found
        user = headers.get("Sluice-User")
        roles = [unquote(role) for role in headers.get("Sluice-Roles", "").split(",") if role]
        call = Call(call_id, name, args, self.instance, unquote(user) if user else None, roles, idempotent)
        credit = headers.get("Sluice-Credit")
        held = Held(call, msg.reply, kind)
        held.credit = tuple(int(n) for n in credit.split(",")) if credit else None  # type: ignore[assignment]
        self.held[call_id] = held
        held.task = asyncio.create_task(self.serve(held, int(deadline) / 1000 if deadline else None))
        return None

    async def serve(self, held: Held, seconds: float | None) -> None:
        """From the place in the queue to the final reply."""
        beating = asyncio.create_task(self.beats(held)) if held.kind != "none" else None
        try:
            if held.kind != "sync":
                await self.frame(held, "accepted")
            async with asyncio.timeout(None if held.kind == "stream" else seconds), self.slots:
                held.begun = True
                result = functions.ALL[held.call.function](held.call)
                if held.kind == "stream":
                    await self.stream(held, result)
                    await self.frame(held, "end", seq=held.seq)
                else:
                    body = json.dumps(await result).encode()
                    if held.kind != "none":
                        await self.answer(held, body, {})
        except asyncio.CancelledError:
            lost = held.cancelled == "stream_lost"
            code, status = ("stream_lost", 502) if lost else ("cancelled", 499)
            executed = "unknown" if held.begun else "no"
            await self.error(held.reply, Failure(code, status, held.cancelled, held.call.idempotent, executed))
        except TimeoutError:
            await self.error(held.reply, Failure("timeout", 504, "the deadline has passed", False, "unknown"))
        except Failure as failure:
            await self.error(held.reply, failure)
        except Exception:
            log.exception("%s failed", held.call.function)
            await self.error(held.reply, Failure("internal", 500, f"{held.call.function} failed"))
        finally:
            if beating:
                beating.cancel()
            del self.held[held.call.id]

    async def stream(self, held: Held, items: AsyncIterator[Any]) -> None:
        async for item in items:
            body = json.dumps(item).encode()
            while held.credit and (held.seq + 1 > held.credit[0] or held.sent_bytes > held.credit[1]):
                held.granted.clear()
                try:
                    await asyncio.wait_for(held.granted.wait(), NO_GRANT)
                except TimeoutError:
                    raise Failure("stream_lost", 502, "no credit came for 10 s", False, "unknown") from None
            held.seq += 1
            held.sent_bytes += len(body)
            await self.answer(held, body, {"Sluice-Kind": "item", "Sluice-Seq": str(held.seq)})

    async def beats(self, held: Held) -> None:
        await asyncio.sleep(BEAT if held.kind == "stream" else FIRST_BEAT)
        while True:
            quiet = time.monotonic() - held.last_frame
            if held.kind != "stream" or quiet >= BEAT:
                await self.frame(held, "beat", seq=held.seq)
                quiet = 0.0
            await asyncio.sleep(BEAT - quiet)

    async def frame(self, held: Held, kind: str, seq: int | None = None) -> None:
        headers = {"Sluice-Kind": kind, "Sluice-Instance": percent(self.instance)}
        await self.answer(held, b"", headers if seq is None else headers | {"Sluice-Seq": str(seq)})

    async def answer(self, held: Held, body: bytes, headers: dict[str, str]) -> None:
        held.last_frame = time.monotonic()
        size, most = len(body) + 256, self.nc.max_payload
        if size > most:
            raise Failure("payload_too_large", 413, f"an answer of {len(body)} bytes; the broker takes {most}")
        if held.reply:
            await self.nc.publish(held.reply, body, headers=headers or None)

    async def error(self, reply: str, failure: Failure) -> None:
        headers = {"Sluice-Kind": "error", "Nats-Service-Error": percent(failure.text or failure.code),
                   "Nats-Service-Error-Code": str(failure.status), "Sluice-Error": percent(failure.code),
                   "Sluice-Retry": str(failure.retry).lower(), "Sluice-Executed": failure.executed,
                   "Sluice-Instance": percent(self.instance)}
        if reply:
            with contextlib.suppress(NatsError):
                await self.nc.publish(reply, b"", headers=headers)


async def main() -> None:
    here = pathlib.Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nats", default="nats://127.0.0.1:4222")
    parser.add_argument("--service", default="demo")
    parser.add_argument("--instance", default="")
    parser.add_argument("--prefix", default="sluice")
    parser.add_argument("--capacity", type=int, default=64)
    parser.add_argument("--config", type=pathlib.Path, default=here / "functions.json")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    config = options.config.read_text().strip()
    worker = Worker(options.nats, options.service, config, options.instance, options.capacity, options.prefix)
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, worker.stop.set)
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
