"""phoenix-channels-python-client, a client that none of us wrote, calls and follows a stream over a socket.

It connects, joins, leaves and beats by itself and takes what the gateway pushes. It has no method to push a
request: that is its own message, encoded and sent by its own protocol handler.
"""

import asyncio
import itertools

from phoenix_channels_python_client import PHXChannelsClient, PhoenixChannelsProtocolVersion
from phoenix_channels_python_client.exceptions import PHXTopicError
from phoenix_channels_python_client.utils import make_message

from _sluice import dev

EVENT = "phoenix_gen_api"
LIMIT = 60


class Calls:
    """The calls of one topic: each request id has its own line of responses, each ref its reply."""

    def __init__(self, client, topic):
        self.client, self.topic = client, topic
        self.lines, self.replies = {}, {}
        self.numbers = itertools.count(1)

    async def join(self):
        await asyncio.wait_for(self.client.subscribe_to_topic(self.topic, self.take), LIMIT)
        return self

    async def take(self, message):
        if str(message.event) == EVENT:
            self.line(message.payload["request_id"]).put_nowait(message.payload)
        elif message.ref in self.replies:
            self.replies.pop(message.ref).set_result(message.payload)

    def line(self, request_id):
        return self.lines.setdefault(request_id, asyncio.Queue())

    async def push(self, event, payload):
        """Pushes and waits for the reply."""
        ref = f"push-{next(self.numbers)}"
        reply = self.replies[ref] = asyncio.get_running_loop().create_future()
        join_ref = self.client.get_current_subscriptions()[self.topic].join_ref
        message = make_message(event, self.topic, ref, payload, join_ref)
        await self.client.get_protocol_handler().send_message(self.client.connection, message)
        return await asyncio.wait_for(reply, LIMIT)

    async def call(self, request_type, **args):
        """Pushes a call of the demo worker; its id, for `next`."""
        request_id = f"{self.topic}-{next(self.numbers)}"
        request = {"request_id": request_id, "service": "demo", "request_type": request_type, "args": args}
        assert await self.push(EVENT, request) == {"status": "ok", "response": request_type}
        return request_id

    async def next(self, request_id):
        return await asyncio.wait_for(self.line(request_id).get(), LIMIT)

    async def answer(self, request_type, **args):
        return await self.next(await self.call(request_type, **args))


async def until_served(calls):
    """The gateway listens before the worker has joined."""
    async with asyncio.timeout(LIMIT):
        while not (await calls.answer("add", a=1, b=1))["success"]:
            await asyncio.sleep(0.05)


async def an_unknown_topic_is_refused(client):
    try:
        await client.subscribe_to_topic("room:1")
        raise AssertionError("joined")
    except PHXTopicError as error:
        assert "unmatched topic" in str(error), error


async def all_kinds(calls):
    assert (await calls.answer("echo", message="grüß 😀"))["result"] == {"message": "grüß 😀"}
    answer = await calls.answer("fail", code="out_of_tea", message="no tea")
    assert (answer["success"], answer["error_code"]) == (False, "out_of_tea"), answer
    report = await calls.call("report", ms=20)
    assert (await calls.next(report))["async"] is True
    assert (await calls.next(report))["result"] == {"done": True}
    await calls.call("log", message="from Python")


async def many_at_once(calls):
    answers = await asyncio.gather(*(calls.answer("add", a=n, b=1) for n in range(100)))
    assert [answer["result"]["sum"] for answer in answers] == list(range(1, 101))


async def a_stream_is_followed(calls):
    stream = await calls.call("count", to=500)
    assert (await calls.next(stream))["has_more"] is True
    for n in range(1, 501):
        item = await calls.next(stream)
        assert (item["has_more"], item["result"]) == (True, {"n": n}), item
    end = await calls.next(stream)
    assert (end["success"], end["has_more"]) == (True, False), end


async def a_stream_is_stopped(calls):
    stream = await calls.call("count", to=1_000_000, delay_ms=5)
    for _ in range(5):
        await calls.next(stream)
    assert await calls.push("stop_stream", {"request_id": stream}) == {"status": "ok", "response": {}}
    while (await calls.next(stream))["has_more"]:
        pass


async def check(url, version):
    beat = asyncio.Event()
    client = PHXChannelsClient(
        url, "unused", protocol_version=version, heartbeat_interval_s=0.5, on_heartbeat_ack=beat.set
    )
    async with client:
        # The refusal has no join_ref, as with Phoenix itself, and in version 2 this client drops such a reply.
        if version == PhoenixChannelsProtocolVersion.V1:
            await an_unknown_topic_is_refused(client)
        calls = await Calls(client, "api:python").join()
        await until_served(calls)
        await all_kinds(calls)
        await many_at_once(calls)
        await a_stream_is_followed(calls)
        await a_stream_is_stopped(calls)
        await client.unsubscribe_from_topic("api:python")
        again = await Calls(client, "api:python").join()
        assert (await again.answer("add", a=1, b=2))["result"] == {"sum": 3}
        await asyncio.wait_for(beat.wait(), LIMIT)


async def main():
    with dev() as ports:
        url = ports["http"].replace("http://", "ws://").rstrip("/") + "/socket/websocket"
        for version in PhoenixChannelsProtocolVersion:
            await check(url, version)
    print("phoenix-channels-python-client joins, calls and streams in both versions")


asyncio.run(main())
