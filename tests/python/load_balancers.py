"""nginx and HAProxy with the configurations of deploy/, in front of two gateways: calls, sockets, streams, drain, addresses."""

import asyncio
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import tempfile
import threading
import urllib.error
import urllib.request

import websockets

from _sluice import LIMIT, ROOT, Process, call, demo, free_port, nats_server, nats_servers, post, serve_process, until

SBIN = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
GATEWAY = """
[http]
listen = "127.0.0.1:{port}"
trusted_proxies = ["127.0.0.1"]
[gateway]
drain_delay_ms = 3000
[[limit]]
name = "by-address"
service = "demo"
function = "whoami"
key = "ip_address"
max_requests = 3
window_ms = 3600000
"""


@contextlib.contextmanager
def nginx(ports):
    """nginx, in the foreground, with our file inside the least that it needs around it."""
    listen, folder = free_port(), tempfile.mkdtemp()
    ours = (ROOT / "deploy/nginx/sluice.conf").read_text()
    ours = ours.replace("listen 80;", f"listen 127.0.0.1:{listen};")
    for n, port in enumerate(ports, 1):
        ours = ours.replace(f"10.0.0.{n}:4000", f"127.0.0.1:{port}")
    assert "10.0.0" not in ours
    paths = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    text = f"daemon off; pid {folder}/pid; error_log stderr info; events {{}} http {{ access_log off; {paths}\n{ours}\n}}"
    path = pathlib.Path(folder) / "nginx.conf"
    path.write_text(text)
    try:
        with Process([shutil.which("nginx", path=SBIN), "-c", path, "-p", folder, "-e", "stderr"]) as it:
            it.line("start worker process ")
            yield f"http://127.0.0.1:{listen}", it
            it.terminate()
            it.ends()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def haproxy(ports):
    listen = free_port()
    text = (ROOT / "deploy/haproxy/haproxy.cfg").read_text().replace("bind :80", f"bind 127.0.0.1:{listen}")
    text = text.replace("maxconn 50000", "maxconn 1000")  # it wants twice as many descriptors
    for n, port in enumerate(ports, 1):
        text = text.replace(f"10.0.0.{n}:4000", f"127.0.0.1:{port}")
    assert "10.0.0" not in text
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
        file.write(text)
        file.flush()
        with Process([shutil.which("haproxy", path=SBIN), "-db", "-f", file.name]) as it:
            until("HAProxy listens", lambda: it.child.poll() is None and listens(listen))
            yield f"http://127.0.0.1:{listen}", it


# --- what must work through either ----------------------------------------------------------------


def calls(url):
    until("a call", lambda: call(url, "add", {"a": 1, "b": 2})["result"] == {"sum": 3})
    status, body = post(url, "nothing", {})
    assert (status, json.loads(body)["error_code"]) == (404, "unknown_function"), body
    status, body = post(url, "add", {"a": 1})
    assert (status, json.loads(body)["error_code"]) == (422, "invalid_arguments"), body
    large = {"message": "x" * 900_000}
    assert call(url, "echo", large)["result"] == large


def streams_are_not_buffered(url, accept):
    """Two items of 60 bytes in 4 s: a buffer of 4 kB would be full after minutes."""
    host = re.sub("^http://", "", url)
    connection = http.client.HTTPConnection(host, timeout=LIMIT)
    body = json.dumps({"to": 1000, "delay_ms": 2000})
    connection.request("POST", "/api/demo/count", body, {"Content-Type": "application/json", "Accept": accept})
    answer = connection.getresponse()
    assert answer.status == 200, answer.status
    seen = b""
    while b'"n":2' not in seen:
        line = answer.readline()
        assert line, f"the stream ended: {seen}"
        seen += line
    connection.close()


def addresses_are_the_clients(url):
    """A limit of 3 by address: what a client claims about its own does not count, who it is does."""
    host = re.sub("^http://", "", url)

    def status(source, claimed):
        connection = http.client.HTTPConnection(host, timeout=LIMIT, source_address=(source, 0))
        connection.request("POST", "/api/demo/whoami", "{}", {"Content-Type": "application/json",
                                                               "X-Forwarded-For": claimed})
        answer = connection.getresponse().status
        connection.close()
        return answer

    # Each of two gateways counts for itself, as there is no Redis.
    many = [status("127.0.0.2", f"203.0.113.{n}") for n in range(20)]
    assert many.count(200) <= 6 and many[-1] == 429, many
    assert status("127.0.0.3", "203.0.113.1") == 200


class Socket:
    """As much of a Phoenix client as is needed here."""

    def __init__(self, wire):
        self.wire = wire

    @classmethod
    async def open(cls, url):
        address = url.replace("http://", "ws://") + "/socket/websocket?vsn=2.0.0"
        self = cls(await websockets.connect(address, proxy=None, subprotocols=["phoenix"], open_timeout=LIMIT))
        await self.push("phx_join", {}, "1")
        assert (await self.frame())[4]["status"] == "ok"
        return self

    async def push(self, event, payload, ref):
        await self.wire.send(json.dumps(["1", ref, "api:lb", event, payload]))

    async def frame(self):
        return json.loads(await asyncio.wait_for(self.wire.recv(), LIMIT))

    async def call(self, number):
        request = {"request_id": f"r{number}", "service": "demo", "request_type": "add", "args": {"a": number, "b": 1}}
        await self.push("phoenix_gen_api", request, str(number))
        while True:
            frame = await self.frame()
            if frame[3] == "phoenix_gen_api" and frame[4]["request_id"] == f"r{number}":
                return frame[4]


class Load:
    """Calls in a closed loop until it is stopped; remembers what did not succeed."""

    def __init__(self, url, clients=4):
        self.url, self.stop, self.done, self.bad = url, threading.Event(), 0, []
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        while not self.stop.is_set():
            try:
                status, body = post(self.url, "add", {"a": 1, "b": 2})
                if status != 200:
                    self.bad.append((status, body[:200]))
            except OSError as error:
                self.bad.append(error)
            self.done += 1

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(LIMIT)
            assert not thread.is_alive(), "a call hangs"
        return self.done, self.bad


async def a_drain_loses_nothing(url, gateways, balancer, name):
    """SIGTERM to one of two under load: no call fails, sockets are told 1012 and find the other."""
    sockets = [await Socket.open(url) for _ in range(8)]
    for number, socket in enumerate(sockets, 10):
        assert (await socket.call(number))["result"] == {"sum": number + 1}
    load = await asyncio.to_thread(Load, url)
    await asyncio.to_thread(until, "load", lambda: load.done > 50)
    first = gateways[0]
    first.terminate()
    if name == "HAProxy":
        # Not ready is seen while the gateway still serves: from here on it gets nothing new.
        await asyncio.to_thread(balancer.line, "gateway1 is DOWN")
        assert first.child.poll() is None
    assert await asyncio.to_thread(first.ends) == 0
    seen = load.done
    await asyncio.to_thread(until, "load after it", lambda: load.done > seen + 50)
    done, bad = await asyncio.to_thread(load.end)
    assert not bad, f"{len(bad)} of {done}: {bad[:3]}"
    closed = 0
    for number, socket in enumerate(sockets, 100):
        try:
            assert (await socket.call(number))["result"] == {"sum": number + 1}
        except websockets.ConnectionClosed as end:
            assert end.rcvd and end.rcvd.code == 1012, end
            closed += 1
            again = await Socket.open(url)
            assert (await again.call(number))["result"] == {"sum": number + 1}
            await again.wire.close()
    assert 0 < closed < 8, f"{closed} of 8 sockets were at the gateway that left"
    print(f"    {name}: a drain under load: {done} calls, none failed; {closed} of 8 sockets closed with 1012")


def is_ready(gateway):
    try:
        with urllib.request.urlopen(f"{gateway}/health/ready", timeout=LIMIT) as answer:
            return answer.status == 200
    except urllib.error.HTTPError:
        return False


def check(name, balancer, nats_url):
    ports = [free_port(), free_port()]
    with contextlib.ExitStack() as stack:
        gateways = [stack.enter_context(serve_process(nats_url, GATEWAY.format(port=p))) for p in ports]
        for gateway, _ in gateways:
            until("the gateway is ready", lambda: is_ready(gateway))
        url, it = stack.enter_context(balancer(ports))
        calls(url)
        for accept in ("text/event-stream", "application/x-ndjson"):
            streams_are_not_buffered(url, accept)
        addresses_are_the_clients(url)
        asyncio.run(a_drain_loses_nothing(url, [process for _, process in gateways], it, name))


installed = {"nginx": nginx, "HAProxy": haproxy}
program = list(nats_servers().values())[-1]
with nats_server(program) as (nats_url, _), demo(nats_url):
    for name, balancer in installed.items():
        if shutil.which(name.lower(), path=SBIN):
            check(name, balancer, nats_url)
        else:
            assert not os.environ.get("SLUICE_REQUIRE_ALL"), f"{name} is not installed"
            print(f"    skipped: {name} is not installed (apt-get install {name.lower()})")
print("load balancers in front of gateways")
