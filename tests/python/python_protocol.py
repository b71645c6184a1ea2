"""The worker in Python, rule by rule of docs/worker-protocol.md: this check is the gateway, over a real nats-server."""

import asyncio
import hashlib
import hmac
import json

import msgpack
import nats

from _sluice import LIMIT, free_port, nats_server, nats_servers, python_worker

SECRET = "0123456789abcdef0123456789abcdef"
HEADERS = {"Sluice-Protocol": "1", "Sluice-Request-Id": "r%201", "Sluice-Deadline": "60000", "Sluice-Attempt": "1"}
NOTHING = 0.5
"""How long is waited for what must not come. What must come has LIMIT."""


class Gateway:
    """As much of a gateway as the checks need."""

    def __init__(self, client, instance="py-1"):
        self.client, self.number = client, 0
        self.own = f"sluice.inst.demo.{instance}"

    async def call(self, function, body=b"{}", reply=None, **headers):
        """Sends a call to the instance; its id and the subscription of its replies."""
        self.number += 1
        headers = {key.replace("_", "-"): value for key, value in headers.items()}
        call = headers.get("Sluice-Call", f"call-{self.number}")
        inbox = reply or self.client.new_inbox()
        replies = await self.client.subscribe(inbox)
        subject = f"{self.own}.1_0_0.{function.replace('_', '=5F')}"
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        all_headers = {k: v for k, v in (HEADERS | {"Sluice-Call": call} | headers).items() if v is not None}
        await self.client.publish(subject, body, reply=inbox, headers=all_headers)
        return call, replies

    async def ask(self, function, body=b"{}", **headers):
        return await frame((await self.call(function, body, **headers))[1])

    async def control(self, **message):
        await self.client.publish(f"{self.own}.control", json.dumps(message).encode())

    async def holds(self, call):
        answer = await self.client.request(f"{self.own}.ping", json.dumps({"call": call}).encode(), timeout=LIMIT)
        return json.loads(answer.data)


async def frame(replies, limit=LIMIT):
    """The next reply as (kind, headers, body)."""
    msg = await replies.next_msg(timeout=limit)
    headers = msg.headers or {}
    return headers.get("Sluice-Kind", "result"), headers, msg.data


async def final(replies):
    """The final reply, past all beats and items."""
    while True:
        kind, headers, body = await frame(replies)
        if kind in ("result", "error", "end"):
            return kind, headers, body


async def silent(replies):
    try:
        found = await replies.next_msg(timeout=NOTHING)
        raise AssertionError(f"this must not come: {found.headers} {found.data}")
    except nats.errors.TimeoutError:
        pass


def is_error(reply, code, executed):
    kind, headers, _ = reply
    assert kind == "error" and headers["Sluice-Error"] == code, headers
    assert headers["Sluice-Executed"] == executed, headers
    assert 400 <= int(headers["Nats-Service-Error-Code"]) <= 599 and headers["Nats-Service-Error"], headers


# --- the rules ------------------------------------------------------------------------------------


async def messages_are_signed(_, announces):
    """Each message of the registry, over the subject that the document names; nonces only grow."""
    last = 0
    for msg in announces:
        counter = signature_holds(msg, msg.subject)
        assert counter > last, "a nonce that does not grow"
        last = counter
    assert [json.loads(m.data)["type"] for m in announces[:2]] == ["announce", "heartbeat"]
    first, second = (json.loads(m.data) for m in announces[:2])
    assert (first["state"], second["state"]) == ("starting", "ready")
    assert first["encodings"] == ["json", "msgpack"] and set(first["features"]) == {"beat", "credit", "cancel"}
    text = announces[0].data.decode()
    config = text[text.index('"config": ') + len('"config": '):-1]
    assert hashlib.sha256(config.encode()).hexdigest()[:32] == first["config_hash"]


def signature_holds(msg, subject):
    nonce = msg.headers["Sluice-Nonce"]
    text = subject.encode() + b"\n" + nonce.encode() + b"\n" + msg.data
    expected = hmac.new(SECRET.encode(), text, hashlib.sha256).hexdigest()
    assert msg.headers["Sluice-Signature"] == expected, "the signature does not hold"
    return int(nonce.split("-")[0])


async def it_is_discovered_and_pulled(gateway, announces):
    client = gateway.client
    inbox = client.new_inbox()
    found = await client.subscribe(inbox)
    await client.publish("sluice.registry.discover", b'{"type":"discover","protocol":1,"gateway":"t"}', reply=inbox)
    msg = await found.next_msg(timeout=LIMIT)
    signature_holds(msg, announces[0].subject)
    pull = f"sluice.registry.pull.demo.{json.loads(msg.data)['config_hash']}"
    msg = await client.request(pull, b"{}", timeout=LIMIT)
    signature_holds(msg, pull)
    assert json.loads(msg.data)["type"] == "config"


async def results_and_encodings(gateway, _):
    kind, headers, body = await gateway.ask("add", {"a": 1, "b": 2})
    assert (kind, dict(headers), json.loads(body)) == ("result", {}, {"sum": 3})
    packed = msgpack.packb({"a": 1, "b": 2})
    kind, headers, body = await gateway.ask("add", packed, Content_Type="application/msgpack")
    assert headers == {"Content-Type": "application/msgpack"} and msgpack.unpackb(body) == {"sum": 3}
    roles = {"Sluice_User": "u%C3%A9", "Sluice_Roles": "a%2Cb,c"}
    body = (await gateway.ask("whoami", **roles))[2]
    assert json.loads(body) == {"user_id": "ué", "roles": ["a,b", "c"]}, body
    # A plain NATS client: no headers, an empty body.
    answer = await gateway.client.request(f"{gateway.own}.1_0_0.whoami", b"", timeout=LIMIT)
    assert (answer.data, answer.headers) == (b"{}", None)


async def hostile_calls_get_an_error(gateway, _):
    for body in (b"[1]", b'"x"', b"1", b"null"):
        is_error(await gateway.ask("echo", body), "invalid_arguments", "no")
    for body in (b"{", b"\xff", b'{"a": NaN}', b"[" * 100_000):
        is_error(await gateway.ask("echo", body), "invalid_request", "no")
    for body in (b"\xc1", b"\xdf\xff\xff\xff\xff", b"\x81\xa1a"):
        is_error(await gateway.ask("echo", body, Content_Type="application/msgpack"), "invalid_request", "no")
    for name, values in {
        "Sluice-Deadline": ["soon", "-1", "", "1e3", "٣", "9" * 40, None],
        "Sluice-Attempt": ["first", "-1", ""],
        "Sluice-Credit": ["many", "1", "1,2,3", "1,-2"],
        "Sluice-Protocol": ["2", "one", None],
        "Sluice-User": ["%zz", "%ff"],
        "Sluice-Request-Id": [None],
        "Sluice-Chunk": ["0/2"],
        "Content-Type": ["text/plain"],
    }.items():
        for value in values:
            reply = await gateway.ask("echo", **{name.replace("-", "_"): value})
            is_error(reply, "invalid_request", "no")
    is_error(await gateway.ask("nothing"), "unknown_function", "no")
    # After all of it, the worker is as before.
    assert (await gateway.ask("echo", {"message": "x"}))[0] == "result"


async def hostile_control_is_ignored(gateway, _):
    for body in (b"", b"[]", b"{", b'{"type":"cancel"}', b'{"type":"credit","call":"x","items":"y","bytes":[]}', b"\xff",
                 b'{"type":"new","call":"x"}', b'{"type":"cancel","call":{}}'):
        await gateway.client.publish(f"{gateway.own}.control", body)
        answer = await gateway.client.request(f"{gateway.own}.ping", body, timeout=LIMIT)
        assert json.loads(answer.data)["holds"] is False


async def slow_calls_beat_and_are_held(gateway, _):
    call, replies = await gateway.call("sleep", {"ms": 2500})
    for _ in range(2):
        kind, headers, _ = await frame(replies)
        assert (kind, headers["Sluice-Seq"]) == ("beat", "0")
        assert headers["Sluice-Instance"] == "py-1"
    assert (await gateway.holds(call))["holds"] is True
    assert (await gateway.holds("another"))["holds"] is False
    assert (await final(replies))[0] == "result"
    assert (await gateway.holds(call)) == {"holds": False, "in_flight": 0}
    await silent(replies)


async def an_async_call_is_accepted(gateway, _):
    _, replies = await gateway.call("report", {"ms": 10})
    kind, headers, _ = await frame(replies)
    assert (kind, headers["Sluice-Instance"]) == ("accepted", "py-1")
    assert json.loads((await final(replies))[2]) == {"done": True}
    # `none`: accepted, then nothing, also when it fails.
    for args in ({"message": "x"}, {}):
        _, replies = await gateway.call("log", args)
        assert (await frame(replies))[0] == "accepted"
        await silent(replies)


async def cancel_stops_the_function(gateway, _):
    call, replies = await gateway.call("sleep", {"ms": 60_000})
    assert (await frame(replies))[0] == "beat"
    await gateway.control(type="cancel", call=call, reason="the client left")
    reply = await final(replies)
    is_error(reply, "cancelled", "unknown")
    assert "the%20client%20left" in reply[1]["Nats-Service-Error"], reply
    assert (await gateway.holds(call))["holds"] is False
    await silent(replies)
    # It may overtake its call.
    await gateway.control(type="cancel", call="early")
    is_error(await gateway.ask("echo", {"message": "x"}, Sluice_Call="early"), "cancelled", "no")


async def one_call_twice_is_one(gateway, _):
    call, replies = await gateway.call("sleep", {"ms": 300})
    await gateway.call("sleep", {"ms": 300}, reply=replies.subject, Sluice_Call=call)
    # Both subscriptions hear each reply: the first one's tells.
    assert (await final(replies))[0] == "result"
    await silent(replies)


async def deadlines(gateway, _):
    _, replies = await gateway.call("echo", {"message": "x"}, Sluice_Deadline="0")
    await silent(replies)  # the gateway has answered
    _, replies = await gateway.call("sleep", {"ms": 60_000}, Sluice_Deadline="300")
    is_error(await final(replies), "timeout", "unknown")


async def a_stream_keeps_to_its_credit(gateway, _):
    call, replies = await gateway.call("count", {"to": 6}, Sluice_Credit="2,1000")
    assert (await frame(replies))[0] == "accepted"
    for n in (1, 2):
        kind, headers, body = await frame(replies)
        assert (kind, headers["Sluice-Seq"], json.loads(body)) == ("item", str(n), {"n": n})
    kind, headers, _ = await frame(replies)
    assert (kind, headers["Sluice-Seq"]) == ("beat", "2")  # and no item
    await gateway.control(type="credit", call=call, items=4, bytes=2000)
    await gateway.control(type="credit", call=call, items=1, bytes=1)  # an old one, late
    for n in (3, 4):
        assert (await frame(replies))[1]["Sluice-Seq"] == str(n)
    assert (await frame(replies))[0] == "beat"
    await gateway.control(type="credit", call=call, items=100, bytes=2000)
    for n in (5, 6):
        assert (await frame(replies))[1]["Sluice-Seq"] == str(n)
    kind, headers, _ = await frame(replies)
    assert (kind, headers["Sluice-Seq"]) == ("end", "6")
    # By bytes: an item has 7, so the second may begin where the first has ended, and the third may not.
    call, replies = await gateway.call("count", {"to": 3}, Sluice_Credit="100,7")
    assert [(await frame(replies))[0] for _ in range(4)] == ["accepted", "item", "item", "beat"]
    await gateway.control(type="cancel", call=call)
    is_error(await final(replies), "cancelled", "unknown")


async def a_stream_without_grants_is_lost(gateway, _):
    call, replies = await gateway.call("count", {"to": 6}, Sluice_Credit="2,1000")
    is_error(await final(replies), "stream_lost", "unknown")
    assert (await gateway.holds(call))["holds"] is False


async def a_stream_is_cancelled(gateway, _):
    call, replies = await gateway.call("count", {"to": 1_000_000, "delay_ms": 5})
    for _ in range(3):
        await frame(replies)
    await gateway.control(type="cancel", call=call)
    is_error(await final(replies), "cancelled", "unknown")
    await silent(replies)


async def what_is_too_large_is_refused(gateway, _):
    most = gateway.client.max_payload
    reply = await gateway.ask("big", {"bytes": most})
    is_error(reply, "payload_too_large", "yes")
    assert str(most) in reply[1]["Nats-Service-Error"], reply
    kind, _, body = await gateway.ask("big", {"bytes": most - 2})
    assert (kind, len(body)) == ("result", most)


async def a_full_worker_says_so(gateway, _):
    """Capacity 3: three at work, three wait, the seventh is refused; who waits beats and can be cancelled."""
    held = [await gateway.call("sleep", {"ms": 60_000}) for _ in range(6)]
    for _, replies in held:
        assert (await frame(replies))[0] == "beat"
    is_error(await gateway.ask("echo", {"message": "x"}), "overloaded", "no")
    for n, (call, replies) in reversed(list(enumerate(held))):
        await gateway.control(type="cancel", call=call)
        is_error(await final(replies), "cancelled", "unknown" if n < 3 else "no")
    assert (await gateway.ask("echo", {"message": "x"}))[0] == "result"


RULES = [messages_are_signed, it_is_discovered_and_pulled, results_and_encodings, hostile_calls_get_an_error,
         hostile_control_is_ignored, slow_calls_beat_and_are_held, an_async_call_is_accepted, cancel_stops_the_function,
         one_call_twice_is_one, deadlines, a_stream_keeps_to_its_credit, a_stream_is_cancelled,
         what_is_too_large_is_refused, a_full_worker_says_so]


async def joined(client, announces):
    """Accepts the announce that comes, on its inbox, and waits for `ready`."""
    found, ready = [], None
    while ready is None:
        msg = await announces.next_msg(timeout=LIMIT)
        message = json.loads(msg.data)
        if message["type"] == "announce":
            found = [msg]
            verdict = {"type": "accepted", "protocol": 1, "gateway": "t", "config_hash": message["config_hash"]}
            await client.publish(msg.reply, json.dumps(verdict).encode())
        elif message["type"] == "heartbeat" and message["state"] == "ready":
            ready = msg
    return [*found, ready]


async def the_rules(url):
    client = await nats.connect(url)
    announces = await client.subscribe("sluice.registry.announce.demo.*")
    options = ["--instance", "py-1", "--capacity", "3"]
    with python_worker(url, *options, env={"SLUICE_SECRET": SECRET}) as worker:
        heard = await joined(client, announces)
        gateway = Gateway(client)
        for rule in RULES:
            await asyncio.wait_for(rule(gateway, heard), LIMIT)
        await a_stream_without_grants_is_lost(gateway, heard)
        await it_drains(gateway, announces, worker)
    await client.close()


async def it_drains(gateway, announces, worker):
    """Heartbeat `draining`, leave; what is held is finished, and what is still on its way to the instance."""
    _, replies = await gateway.call("sleep", {"ms": 1500})
    assert (await frame(replies))[0] == "beat"
    while announces.pending_msgs:
        await announces.next_msg(timeout=LIMIT)
    worker.terminate()
    seen = []
    while len(seen) < 2:
        message = json.loads((await announces.next_msg(timeout=LIMIT)).data)
        if message["type"] == "leave" or message["state"] == "draining":
            seen.append(message["type"])
    assert seen == ["heartbeat", "leave"], seen
    assert json.loads((await gateway.ask("echo", {"message": "late"}))[2]) == {"message": "late"}
    assert (await final(replies))[0] == "result"
    assert await asyncio.to_thread(worker.ends) == 0
    await silent(announces)  # no heartbeat after it left


async def refusals_and_reconnects(program):
    """Refused: it says why, and announces again. A broker that restarts: streams are lost, calls are not."""
    port = free_port()
    with nats_server(program, port=port) as (url, server):
        client = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
        announces = await client.subscribe("sluice.registry.announce.demo.*")
        with python_worker(url, "--instance", "py-1") as worker:
            msg = await announces.next_msg(timeout=LIMIT)
            reasons = [{"function": "add", "field": "timeout", "message": "not today"}]
            refused = {"type": "refused", "protocol": 1, "gateway": "t", "config_hash": "x", "reasons": reasons}
            await client.publish(msg.reply, json.dumps(refused).encode())
            await asyncio.to_thread(worker.line, "not today")
            # A gateway that starts asks who is there: that is when it tries again, not only after 30 s.
            await client.publish("sluice.registry.discover", b'{"type":"discover","protocol":1,"gateway":"u"}')
            await joined(client, announces)
            gateway = Gateway(client)
            _, stream = await gateway.call("count", {"to": 1_000_000, "delay_ms": 20})
            _, slow = await gateway.call("report", {"ms": 3000})
            for replies in (stream, slow):
                assert (await frame(replies))[0] == "accepted"
            server.kill()
            with nats_server(program, port=port):
                assert json.loads((await announces.next_msg(timeout=LIMIT)).data)["type"] == "heartbeat"
                is_error(await final(stream), "stream_lost", "unknown")
                assert json.loads((await final(slow))[2]) == {"done": True}
                assert (await gateway.ask("echo", {"message": "x"}))[0] == "result"
                worker.terminate()
                assert await asyncio.to_thread(worker.ends) == 0
        await client.close()


async def stopping_without_broker():
    """SIGTERM ends it also where there is nothing to drain."""
    with python_worker(f"nats://127.0.0.1:{free_port()}") as worker:
        worker.line("nats: ")
        worker.terminate()
        assert await asyncio.to_thread(worker.ends) == 0


for name, program in nats_servers().items():
    print(f"  with the {name} nats-server")
    with nats_server(program) as (url, _):
        asyncio.run(the_rules(url))
    asyncio.run(refusals_and_reconnects(program))
asyncio.run(stopping_without_broker())
print("the worker in Python keeps each rule of the protocol")
