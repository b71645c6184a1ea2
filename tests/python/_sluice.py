"""Starts what a check needs, each on free ports: `sluice dev`, `sluice serve`, nats-server, workers."""

import contextlib
import json
import os
import pathlib
import queue
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

LIMIT = 60
ROOT = pathlib.Path(__file__).parents[2]
BIN = pathlib.Path(os.environ.get("SLUICE_BIN_DIR", "target/debug"))
PYTHON_WORKER = ROOT / "examples/python-worker"


class Process:
    """A child process whose output is read line by line; killed at the end if it still runs."""

    def __init__(self, command, env=None):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
        self.child = subprocess.Popen([str(word) for word in command], text=True, env=clean | (env or {}),
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.name, self.lines, self.seen = pathlib.Path(command[0]).name, queue.Queue(), []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            self.seen.append(line)
            self.lines.put(line)
        self.lines.put(None)

    def line(self, wanted, limit=LIMIT):
        """Waits for the next line that has all these words."""
        end = time.monotonic() + limit
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"{self.name}: no line with {wanted!r}:\n{''.join(self.seen[-40:])}")
            if wanted in line:
                return line

    def ends(self, limit=LIMIT):
        """Waits for the end; the exit code."""
        return self.child.wait(timeout=limit)

    def kill(self):
        self.child.kill()
        self.child.wait()

    def terminate(self):
        self.child.terminate()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.child.poll() is None:
            self.kill()
        if kind:
            print(f"--- {self.name} ---\n{''.join(self.seen[-40:])}", file=sys.stderr)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def dev(*options):
    """Yields {"http": url, "admin": url, "nats": url} of a `sluice dev` on free ports."""
    any_port = "127.0.0.1:0"
    with Process([BIN / "sluice", "dev", "--http", any_port, "--admin", any_port, "--nats", any_port, *options]) as it:
        found = {}
        while len(found) < 3:
            words = it.line("listening on").split()
            found[words[0]] = words[3]
        yield found
        it.terminate()
        assert it.ends() == 0, f"sluice dev ended with {it.child.returncode}"


def nats_servers():
    """The nats-servers that are installed, by name."""
    tools = pathlib.Path(os.environ.get("SLUICE_TOOLS_DIR", ROOT / ".tools"))
    old = shutil.which("nats-server", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    found = {"the distribution's": old, "current": shutil.which("nats-server", path=tools / "bin")}
    missing = [name for name, path in found.items() if not path]
    assert not (missing and os.environ.get("SLUICE_REQUIRE_ALL")), f"no nats-server: {missing}"
    return {name: path for name, path in found.items() if path}


@contextlib.contextmanager
def nats_server(program, config="", port=None):
    """Yields (url, process) of a nats-server with these lines of configuration."""
    port = port or free_port()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(config)
        file.flush()
        with Process([program, "-a", "127.0.0.1", "-p", port, "-c", file.name]) as it:
            it.line("Server is ready")
            yield f"nats://127.0.0.1:{port}", it


@contextlib.contextmanager
def serve_process(nats, config=""):
    """Yields (url, process) of a `sluice serve` for this broker, with these lines of configuration more."""
    head = f"""
[nats]
url = "{nats}"
[identity]
trust_client_identity = true
[admin]
listen = "127.0.0.1:0"
"""
    tail = config if "[registry]" in config else "\n[registry]\nopen = true\n" + config
    tail = tail if "[http]" in config else tail + '\n[http]\nlisten = "127.0.0.1:0"\n'
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(head + tail)
        file.flush()
        with Process([BIN / "sluice", "serve", "--config", file.name]) as it:
            yield it.line("http listening on ").split()[3].rstrip("/"), it


@contextlib.contextmanager
def serve(nats, config=""):
    """As `serve_process`; yields the URL alone."""
    with serve_process(nats, config) as (url, _):
        yield url


def python_worker(nats, *options, env=None):
    """A worker of examples/python-worker."""
    return Process([sys.executable, PYTHON_WORKER / "worker.py", "--nats", nats, *options], env)


def demo(nats, *options):
    """The demo worker in Rust."""
    return Process([BIN / "demo", "--nats", nats, *options])


def post(url, function, args, accept="application/json", sent="application/json", method="POST", service="demo"):
    """(status, body) of a call; `args` are bytes, or are printed as JSON."""
    body = args if isinstance(args, bytes) else json.dumps(args).encode()
    headers = {"Content-Type": sent, "Accept": accept}
    request = urllib.request.Request(f"{url}/api/{service}/{function}", body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=LIMIT) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read()


def call(url, function, args, service="demo"):
    """The envelope of a call."""
    return json.loads(post(url, function, args, service=service)[1])


def until(what, condition, limit=LIMIT):
    """Waits until the condition holds."""
    end, last = time.monotonic() + limit, None
    while time.monotonic() < end:
        last = condition()
        if last:
            return last
        time.sleep(0.05)
    raise AssertionError(f"not within {limit} s: {what}; last: {last!r}")
