"""The worker in Python beside the demo worker in Rust, in one group, through gateways and real nats-servers."""

import asyncio
import hashlib
import json
import threading
import time

import msgpack
import nats

from _sluice import PYTHON_WORKER, call, demo, nats_server, nats_servers, post, python_worker, serve, until


async def text_of_the_config(url):
    """The very text that a worker runs: everything after `"config":` in a pull's answer."""
    client = await nats.connect(url)
    try:
        while True:
            inbox = client.new_inbox()
            found = await client.subscribe(inbox)
            await client.publish("sluice.registry.discover", b'{"type":"discover","protocol":1,"gateway":"t"}', inbox)
            try:
                beat = json.loads((await found.next_msg(timeout=2)).data)
                break
            except nats.errors.TimeoutError:
                continue
        pulled = await client.request(f"sluice.registry.pull.demo.{beat['config_hash']}", b"{}", timeout=10)
        body = pulled.data.decode()
        start = body.index('"config":') + len('"config":')
        _, end = json.JSONDecoder().raw_decode(body, start + len(body[start:]) - len(body[start:].lstrip()))
        text = body[start:end].strip()
        assert hashlib.sha256(text.encode()).hexdigest()[:32] == beat["config_hash"]
        return text
    finally:
        await client.close()


def place(url, function="where_random", **args):
    answer = call(url, function, args)
    assert answer["success"], answer
    return answer["result"]["instance"]


def kinds(url):
    """Calls of the group: whoever serves one, all are right."""
    for n in range(40):
        assert call(url, "add", {"a": n, "b": 1})["result"] == {"sum": n + 1}
    for _ in range(6):  # more would open the circuit
        failed = call(url, "fail", {"code": "x", "message": "hé, y", "can_retry": False})
        assert (failed["error_code"], failed["error"]) == ("x", "hé, y"), failed
    for _ in range(6):
        lines = post(url, "count", {"to": 500}, "application/x-ndjson")[1].splitlines()
        items = [e["result"]["n"] for e in map(json.loads, lines) if e["result"]]
        assert items == list(range(1, 501)), items


def keys(url):
    """Keyed modes: a key stays where it is, and of many keys some are Python's."""
    for function in ("where_hash", "where_sticky"):
        homes = {f"k{n}": place(url, function, key=f"k{n}") for n in range(40)}
        assert len(set(homes.values())) == 2, homes
        for key, home in homes.items():
            assert place(url, function, key=key) == home


def the_group(program):
    """One config, one group: the calls spread over both; the Python worker is killed, then one drains."""
    with nats_server(program) as (nats_url, _), serve(nats_url) as url, demo(nats_url, "--instance", "rust"):
        until("the Rust worker serves", lambda: call(url, "echo", {"message": "x"})["success"])
        ours = json.loads((PYTHON_WORKER / "functions.json").read_text())
        text = asyncio.run(text_of_the_config(nats_url))
        printed = json.dumps(ours, ensure_ascii=False, separators=(",", ":"))
        assert printed == text, f"functions.json is not the demo worker's config: {text}"
        with python_worker(nats_url, "--instance", "python-1") as worker:
            until("Python gets calls", lambda: place(url) == "python-1")
            until("Rust gets calls still", lambda: place(url) == "rust")
            until("strict turns reach both", lambda: place(url, "where_round_robin") == "python-1")
            kinds(url)
            keys(url)
            worker.kill()
            for _ in range(30):  # calls fail over, and none is lost
                assert place(url) == "rust"
        with python_worker(nats_url, "--instance", "python-2") as worker:
            until("the next one gets calls", lambda: place(url) == "python-2")
            worker.terminate()
            assert worker.ends() == 0
            for _ in range(30):
                assert place(url) == "rust"


def alone(program):
    """What needs to know that Python serves it: loss, cancel, MessagePack, a signed registry."""
    secret = "0123456789abcdef0123456789abcdef"
    registry = f'[registry.secrets]\ndemo = "{secret}"\n[registry]\nopen = false\n'
    with nats_server(program) as (nats_url, _), serve(nats_url, registry) as url:
        with python_worker(nats_url) as unsigned:
            unsigned.line("refuses the config")
        with python_worker(nats_url, env={"SLUICE_SECRET": secret}) as worker:
            until("Python serves", lambda: call(url, "echo", {"message": "x"})["success"])
            messagepack(url)
            cancelled(url, worker)
            lost(url, worker)


def messagepack(url):
    pack, both = msgpack.packb, {"accept": "application/msgpack", "sent": "application/msgpack"}
    status, body = post(url, "echo", pack({"message": "grüß"}), **both)
    assert (status, msgpack.unpackb(body)["result"]) == (200, {"message": "grüß"}), body
    status, body = post(url, "add", pack({"a": 2**40, "b": 0.5}), **both)
    assert msgpack.unpackb(body)["result"] == {"sum": 2**40 + 0.5}, body
    status, body = post(url, "fail", pack({"code": "tea", "message": "é"}), **both)
    error = msgpack.unpackb(body)
    assert (status, error["error_code"], error["error"]) == (500, "tea", "é"), error
    # In by one encoding, out by the other.
    status, body = post(url, "echo", pack({"message": "x"}), sent="application/msgpack")
    assert json.loads(body)["result"] == {"message": "x"}, body


def cancelled(url, worker):
    """An async call is cancelled by its client: the function stops."""
    import urllib.request

    request = urllib.request.Request(f"{url}/api/demo/report", b'{"ms": 50000}', {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as accepted:
        assert accepted.status == 202
        location = accepted.headers["Location"]
    request = urllib.request.Request(f"{url}{location}", method="DELETE")
    with urllib.request.urlopen(request, timeout=60) as gone:
        assert gone.status in (200, 202, 204), gone.status
    # A stream whose client goes away.
    request = urllib.request.Request(f"{url}/api/demo/count", b'{"to": 1000000, "delay_ms": 5}',
                                     {"Content-Type": "application/json", "Accept": "application/x-ndjson"})
    stream = urllib.request.urlopen(request, timeout=60)
    for _ in range(5):
        assert stream.readline()
    stream.close()
    worker.line("count was stopped")


def lost(url, worker):
    """kill -9 in the middle of a call: the caller is told so long before the call's 60 s are over."""
    answers = []
    begun = time.monotonic()
    waiting = threading.Thread(target=lambda: answers.append(call(url, "sleep", {"ms": 55_000})))
    waiting.start()
    worker.line("sleep begins")
    worker.kill()
    killed = time.monotonic()
    waiting.join(timeout=60)
    told = time.monotonic()
    assert answers and answers[0]["error_code"] == "worker_lost", answers
    assert answers[0]["details"]["executed"] == "unknown" and not answers[0]["can_retry"], answers
    assert told - begun < 50, "that was the call's own timeout"
    print(f"    worker_lost came {told - killed:.1f} s after kill -9")


def both(program):
    """kill -9 in the middle of a call that may be repeated: Rust answers it."""
    spec = {"functions": [{"request_type": "sleep", "idempotent": True, "retry": {"all_nodes": 2}, "timeout": 60000}]}
    import tempfile

    with nats_server(program) as (nats_url, _), serve(nats_url) as url, tempfile.NamedTemporaryFile("w") as file:
        json.dump(spec, file)
        file.flush()
        options = ["--service", "twice", "--config", file.name]
        with python_worker(nats_url, *options, "--instance", "a") as a, \
                python_worker(nats_url, *options, "--instance", "b") as b:
            workers = {"a": a, "b": b}
            until("it is served", lambda: call(url, "sleep", {"ms": 0}, service="twice")["success"])
            for worker in workers.values():
                worker.line("serves twice")
            until("both serve", lambda: call(url, "sleep", {"ms": 0}, service="twice")["success"]
                  and all(any("sleep begins" in line for line in w.seen) for w in workers.values()))
            answers = []
            call_it = lambda: answers.append(call(url, "sleep", {"ms": 3_000}, service="twice"))  # noqa: E731
            waiting = threading.Thread(target=call_it)
            waiting.start()
            has = lambda w: any("sleep begins: 3000" in line for line in w.seen)  # noqa: E731
            victim = until("one has it", lambda: next((n for n, w in workers.items() if has(w)), None))
            workers[victim].kill()
            waiting.join(timeout=60)
            assert answers and answers[0]["success"], answers


for name, program in nats_servers().items():
    print(f"  with the {name} nats-server")
    the_group(program)
    alone(program)
    both(program)
print("a worker in Python serves beside workers in Rust")
