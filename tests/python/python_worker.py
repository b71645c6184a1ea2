"""The worker in Python beside demo workers in Rust, in one group, through `sluice dev`."""

import asyncio
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import nats

from _sluice import dev

WORKER = pathlib.Path(__file__).parents[2] / "examples/python-worker/worker.py"


def post(url, function, args, accept="application/json"):
    headers = {"Content-Type": "application/json", "Accept": accept}
    request = urllib.request.Request(f"{url}/api/demo/{function}", json.dumps(args).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.read().decode()


def call(url, function, args):
    return json.loads(post(url, function, args))


def until(what, condition, limit=60):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {limit} s: {what}")


async def text_of_the_config(url):
    """The very text that the Rust worker runs: everything after `"config":` in a pull's answer."""
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


def start(url, config, instance):
    command = [sys.executable, WORKER, "--nats", url, "--config", config, "--instance", instance]
    return subprocess.Popen(command)


def place(url, function="where_random"):
    answer = call(url, function, {})
    assert answer["success"], answer
    return answer["result"]["instance"]


with dev() as ports, tempfile.NamedTemporaryFile("w", suffix=".json") as file:
    url = ports["http"]
    until("the Rust worker serves", lambda: call(url, "echo", {"message": "x"})["success"])
    file.write(asyncio.run(text_of_the_config(ports["nats"])))
    file.flush()
    worker = start(ports["nats"], file.name, "python-1")
    try:
        until("Python gets calls", lambda: place(url) == "python-1")
        until("Rust gets calls still", lambda: place(url) != "python-1")
        until("strict turns reach both", lambda: place(url, "where_round_robin") == "python-1")

        # Calls of the group: whoever serves one, all are right.
        for n in range(40):
            assert call(url, "add", {"a": n, "b": 1})["result"] == {"sum": n + 1}
            failed = call(url, "fail", {"code": "x", "message": "hé, y", "can_retry": False})
            assert (failed["error_code"], failed["error"]) == ("x", "hé, y"), failed
        for _ in range(6):
            lines = post(url, "count", {"to": 500}, "application/x-ndjson").splitlines()
            items = [e["result"]["n"] for e in map(json.loads, lines) if e["result"]]
            assert items == list(range(1, 501)), items

        # kill -9: calls fail over, and none is lost.
        worker.kill()
        worker.wait()
        for _ in range(30):
            assert place(url) != "python-1"

        # Drain: an end in peace.
        worker = start(ports["nats"], file.name, "python-2")
        until("the next one gets calls", lambda: place(url) == "python-2")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=60) == 0
        for _ in range(30):
            assert place(url) != "python-2"
    finally:
        if worker.poll() is None:
            os.kill(worker.pid, signal.SIGKILL)
print("a worker in Python serves beside workers in Rust")
