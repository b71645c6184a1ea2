"""The life of a worker: announce, join, heartbeats, discovery, reconnects, drain."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import nats
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

import wire
from calls import Call, Calls, Served
from wire import token

log = logging.getLogger("worker")

HEARTBEAT, REFUSED, DRAIN, LAST_WORDS = 5.0, 30.0, 25.0, 1.0
FIRST_WAIT, MOST_WAIT = 0.5, 5.0
MOST_REASONS = 100


@dataclass(frozen=True)
class Options:
    """What a worker is: `config` is the registry's, `connect` goes to nats-py as it is."""

    service: str
    config: dict[str, Any]
    functions: dict[str, Callable[[Call], Any]]
    connect: dict[str, Any]
    instance: str = ""
    prefix: str = "sluice"
    capacity: int = 64
    secret: str | None = None


def varied(seconds: float) -> float:
    return seconds * random.uniform(0.8, 1.2)


class Worker:
    """One service of one process. `stop.set()` ends it in peace."""

    def __init__(self, options: Options) -> None:
        self.options, service = options, token(options.service)
        self.instance = options.instance or f"{options.service}-py-{secrets.token_hex(4)}"
        # The hash is that of the very text that goes into messages, so it is printed once.
        self.config = json.dumps(options.config, ensure_ascii=False, separators=(",", ":"))
        self.hash = hashlib.sha256(self.config.encode()).hexdigest()[:32]
        self.signer = wire.Signer(options.secret)
        self.announce = f"{options.prefix}.registry.announce.{service}.{token(self.instance)}"
        self.own = f"{options.prefix}.inst.{service}.{token(self.instance)}"
        self.pull = f"{options.prefix}.registry.pull.{service}.{self.hash}"
        self.group = f"{options.prefix}.call.{service}"
        self.functions = dict(map(self.served, options.config["functions"]))
        self.state = "starting"
        self.accepted = self.refused = False
        self.news, self.stop = asyncio.Event(), asyncio.Event()

    def served(self, spec: dict[str, Any]) -> tuple[tuple[str, str], Served]:
        name = spec["request_type"]
        if name not in self.options.functions:
            raise SystemExit(f"the config has a function {name} that this worker does not")
        kind, idempotent = spec.get("response_type", "sync"), spec.get("idempotent", False)
        served = Served(name, kind, idempotent, self.options.functions[name])
        return (token(spec.get("version")), token(name)), served

    # --- the way from start to end ----------------------------------------------------------------

    async def run(self) -> None:
        """Serves until `stop` is set, then drains."""
        stopping = asyncio.create_task(self.stop.wait())
        connecting = asyncio.create_task(self.connect())
        await asyncio.wait({stopping, connecting}, return_when=asyncio.FIRST_COMPLETED)
        if not connecting.done():
            connecting.cancel()
            return
        instance = connecting.result()
        joining = asyncio.create_task(self.join())
        await asyncio.wait({stopping, joining}, return_when=asyncio.FIRST_COMPLETED)
        group: list[Subscription] = []
        if joining.done():
            group = joining.result()
            beating = asyncio.create_task(self.heartbeats())
            await stopping
            beating.cancel()
        else:
            joining.cancel()
        await self.drain(group, instance)

    async def connect(self) -> Subscription:
        """Connects, as often as it takes, and hears what is for this instance."""

        async def trouble(error: Exception) -> None:
            log.warning("nats: %s", error or type(error).__name__)

        async def lost() -> None:
            log.warning("the connection to the broker broke; connecting again")
            if self.calls:
                self.calls.streams_are_lost()

        self.calls: Calls | None = None
        self.nc = await nats.connect(name=self.instance, max_reconnect_attempts=-1, reconnect_time_wait=0.5,
                                     error_cb=trouble, disconnected_cb=lost, reconnected_cb=self.reconnected,
                                     **self.options.connect)
        self.calls = Calls(self.nc, self.instance, self.functions, self.options.capacity)
        instance = await self.nc.subscribe(f"{self.own}.>", cb=self.on_instance)
        await self.nc.subscribe(f"{self.options.prefix}.registry.discover", cb=self.on_discover)
        await self.nc.subscribe(self.pull, queue="q", cb=self.on_pull)
        return instance

    async def join(self) -> list[Subscription]:
        """Announces until a gateway accepts, then joins the queue groups."""
        inbox = self.nc.new_inbox()
        verdicts = await self.nc.subscribe(inbox, cb=self.on_verdict)
        wait = FIRST_WAIT
        while not self.accepted:
            self.refused = False
            self.news.clear()
            await self.tell("announce", inbox)
            await self.hear(varied(wait))
            if self.refused and not self.accepted:
                # Another gateway, or the same one after an upgrade, may take it.
                self.news.clear()
                await self.hear(varied(REFUSED))
            wait = min(wait * 2, MOST_WAIT)
        await verdicts.unsubscribe()
        subjects = [f"{self.group}.{version}.{name}" for version, name in self.functions]
        group = [await self.nc.subscribe(s, queue="q", cb=self.calls.take) for s in subjects]
        # Calls may come in the moment that `ready` is heard; nats-py's flush waits for the server's PONG.
        await self.nc.flush()
        self.state = "ready"
        log.info("%s serves %s, config %s", self.instance, self.options.service, self.hash)
        return group

    async def hear(self, seconds: float) -> None:
        """Waits for a verdict, a discover, a new connection."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.news.wait(), seconds)

    async def heartbeats(self) -> None:
        while True:
            await self.tell("heartbeat")
            await asyncio.sleep(varied(HEARTBEAT))

    async def drain(self, group: list[Subscription], instance: Subscription) -> None:
        """Leaves, finishes what is held, closes. A broker that is away must not keep it."""
        self.state = "draining"
        await self.tell("heartbeat")
        await self.tell("leave")
        end = asyncio.get_running_loop().time() + DRAIN
        left = lambda: max(0.0, end - asyncio.get_running_loop().time())  # noqa: E731
        # Of both, what the broker had delivered is read to the end: drain waits for the server's PONG.
        for subscriptions in (group, [instance]):
            reading = [asyncio.create_task(s.drain()) for s in subscriptions]
            if reading:
                await asyncio.wait(reading, timeout=left())
            await self.calls.finish(left())
        for held in list(self.calls.held.values()):
            self.calls.end(held, "cancelled", 499, "the worker stopped before the call was done", retry=True)
        await self.calls.finish(LAST_WORDS)
        with contextlib.suppress(NatsError, TimeoutError):
            await self.nc.flush()
        await self.nc.close()

    # --- registry ---------------------------------------------------------------------------------

    def message(self, kind: str) -> bytes:
        body: dict[str, Any] = {"type": kind, "protocol": 1, "service": self.options.service}
        if kind != "config":
            body["instance"] = self.instance
        if kind != "leave":
            body["config_hash"] = self.hash
        if kind in ("announce", "heartbeat"):
            body |= {"state": self.state, "features": wire.FEATURES, "encodings": wire.ENCODINGS,
                     "in_flight": len(self.calls.held), "capacity": self.options.capacity}
        text = json.dumps(body)
        if kind in ("announce", "config"):
            text = f'{text[:-1]}, "config": {self.config}}}'
        return text.encode()

    async def tell(self, kind: str, reply: str = "", to: str = "") -> None:
        """Publishes a registry message, signed for this worker's announce subject."""
        body = self.message(kind)
        try:
            headers = self.signer.headers(self.announce, body)
            await self.nc.publish(to or self.announce, body, reply=reply, headers=headers)
        except NatsError as error:
            log.warning("%s was not sent: %s", kind, error)

    async def on_verdict(self, msg: Msg) -> None:
        if not msg.data:
            return  # "no responders": there is no gateway yet
        verdict = json.loads(msg.data)
        self.accepted |= verdict["type"] == "accepted"
        if verdict["type"] == "refused":
            self.refused = True
            for reason in verdict.get("reasons", [])[:MOST_REASONS]:
                log.error("the gateway %s refuses the config: %s", verdict.get("gateway"), reason)
        self.news.set()

    async def on_discover(self, msg: Msg) -> None:
        self.news.set()
        if self.state == "ready" and msg.reply:
            self.calls.spawn(self.present(msg.reply))

    async def present(self, reply: str) -> None:
        # All workers hear a discover at once.
        await asyncio.sleep(random.uniform(0, 0.5))
        if self.state == "ready":
            await self.tell("heartbeat", to=reply)

    async def on_pull(self, msg: Msg) -> None:
        if msg.reply:
            body = self.message("config")
            await self.nc.publish(msg.reply, body, headers=self.signer.headers(self.pull, body))

    async def reconnected(self) -> None:
        log.info("connected to the broker again")
        self.news.set()
        if self.state == "ready":
            await self.tell("heartbeat")

    # --- this instance alone ----------------------------------------------------------------------

    async def on_instance(self, msg: Msg) -> None:
        match msg.subject.removeprefix(f"{self.own}."):
            case "control":
                self.calls.control(msg.data)
            case "ping":
                if msg.reply:
                    await msg.respond(self.calls.ping(msg.data))
            case _:
                await self.calls.take(msg)
