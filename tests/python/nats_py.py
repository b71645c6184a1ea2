"""nats-py, a client that none of us wrote, calls and serves through the embedded broker."""

import asyncio
import json
import urllib.request

import nats
import nats.micro
from nats.errors import NoRespondersError

from _sluice import dev


async def until(what, condition, limit=60):
    """Waits until the condition holds."""
    for _ in range(limit * 20):
        if value := await condition():
            return value
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {limit} s: {what}")


async def our_workers_answer_plain_requests(client):
    async def served():
        try:
            return await client.request("sluice.call.demo.1_0_0.add", b'{"a": 1, "b": 2}', timeout=5)
        except NoRespondersError:
            return None

    answer = await until("demo.add is served", served)
    assert json.loads(answer.data) == {"sum": 3}, answer.data


async def service_tools_list_our_workers(client):
    inbox = client.new_inbox()
    answers = await client.subscribe(inbox)
    await client.publish("$SRV.INFO", b"", reply=inbox)
    info = json.loads((await answers.next_msg(timeout=10)).data)
    assert info["type"] == "io.nats.micro.v1.info_response", info
    assert info["name"] == "demo", info
    subjects = [endpoint["subject"] for endpoint in info["endpoints"]]
    assert "sluice.call.demo.1_0_0.echo" in subjects, subjects
    stats = json.loads((await client.request(f"$SRV.STATS.demo.{info['id']}", b"", timeout=10)).data)
    add = next(e for e in stats["endpoints"] if e["subject"] == "sluice.call.demo.1_0_0.add")
    assert add["num_requests"] >= 1, add


async def a_service_of_nats_py_works_through_the_broker(client, url):
    service = await nats.micro.add_service(client, name="py", version="1.0.0")
    group = service.add_group(name="py", queue_group="q")

    async def double(request):
        await request.respond(str(int(request.data) * 2).encode())

    await group.add_endpoint(name="double", handler=double)
    other = await nats.connect(url)
    assert (await other.request("py.double", b"21", timeout=10)).data == b"42"
    try:
        await other.request("py.nobody", b"", timeout=10)
        raise AssertionError("nobody answered")
    except NoRespondersError:
        pass
    await other.drain()
    await service.stop()


def http(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


async def main():
    with dev() as ports:
        client = await nats.connect(ports["nats"])
        await our_workers_answer_plain_requests(client)
        await service_tools_list_our_workers(client)
        await a_service_of_nats_py_works_through_the_broker(client, ports["nats"])
        envelope = await asyncio.to_thread(http, ports["http"] + "/api/demo/echo", {"message": "hé"})
        assert envelope["result"] == {"message": "hé"}, envelope
        await client.drain()
    print("nats-py calls, serves and lists through the embedded broker")


asyncio.run(main())
