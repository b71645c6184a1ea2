"""Calls the demo worker over a socket: python client.py [ws://localhost:4000/socket/websocket]"""

import asyncio
import contextlib
import itertools
import json
import sys

from websockets.asyncio.client import connect

TOPIC, EVENT = "api:example", "phoenix_gen_api"
numbers = itertools.count(2)  # 1 is the join
pending = {}  # responses come in any order: the request_id says whose each is


async def push(socket, event, payload, topic=TOPIC):
    await socket.send(json.dumps(["1", str(next(numbers)), topic, event, payload]))


async def receive(socket):
    async for text in socket:
        _, _, _, event, payload = json.loads(text)
        if event == EVENT and payload["request_id"] in pending:
            pending[payload["request_id"]].put_nowait(payload)


async def beat(socket):
    while True:  # the gateway closes a socket of which it hears nothing for a minute
        await asyncio.sleep(30)
        await push(socket, "heartbeat", {}, topic="phoenix")


async def responses(socket, service, function, **args):
    """Yields the responses of one call; whoever closes it early stops the stream."""
    request_id, over = str(next(numbers)), False
    queue = pending[request_id] = asyncio.Queue()
    await push(socket, EVENT, {"request_id": request_id, "service": service, "request_type": function, "args": args})
    try:
        while not over:
            response = await queue.get()
            # An async call and a stream are acknowledged first; a stream then has more until it has not.
            over = not response["success"] or not (response.get("async") or response.get("has_more"))
            if not response["success"]:
                raise RuntimeError(f"{response['error_code']}: {response['error']}")
            yield response
    finally:
        del pending[request_id]
        if not over:
            await push(socket, "stop_stream", {"request_id": request_id})


async def call(*args, **kwargs):
    """The result of a sync or async call."""
    async with contextlib.aclosing(responses(*args, **kwargs)) as all_of_it:
        return [r async for r in all_of_it][-1]["result"]


async def main(url="ws://localhost:4000/socket/websocket"):
    async with connect(f"{url}?vsn=2.0.0") as socket:
        await socket.send(json.dumps(["1", "1", TOPIC, "phx_join", {}]))
        assert json.loads(await socket.recv())[4]["status"] == "ok"
        tasks = [asyncio.create_task(job(socket)) for job in (receive, beat)]
        print(await asyncio.gather(*(call(socket, "demo", "add", a=n, b=n) for n in (1, 2, 3))))
        print(await call(socket, "demo", "report", ms=100))
        async with contextlib.aclosing(responses(socket, "demo", "count", to=1000, delay_ms=10)) as items:
            async for item in items:
                print(item.get("result"))
                if item.get("result") == {"n": 5}:
                    break
        try:
            await call(socket, "demo", "fail", message="as it was told")
        except RuntimeError as error:
            print(error)
        for task in tasks:
            task.cancel()


asyncio.run(main(*sys.argv[1:]))
