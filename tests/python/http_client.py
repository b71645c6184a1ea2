"""The example of an HTTP client does what it says: against `sluice dev`, and over https against `sluice serve`."""

import contextlib
import pathlib
import ssl
import subprocess
import sys
import tempfile
import urllib.error

from _sluice import ROOT, demo, dev, nats_server, nats_servers, serve, until

EXAMPLE = ROOT / "examples/python-http-client"
sys.path.insert(0, str(EXAMPLE))
import client as example  # noqa: E402


def served(client):
    try:
        return client.call("demo", "add", {"a": 1, "b": 2}) == {"sum": 3}
    except example.CallError as error:
        assert error.code in ("no_workers", "unknown_function"), error
        return False


def fails(code, call):
    try:
        answer = call()
        raise AssertionError(f"it did not fail: {answer}")
    except example.CallError as error:
        assert error.code == code, error
        return error


def all_of_it(client):
    until("demo.add is served", lambda: served(client))
    assert client.call("demo", "echo", {"message": "hé"}, encoding=example.MSGPACK) == {"message": "hé"}
    assert client.later("demo", "report", {"ms": 300}) == {"done": True}
    counted = [{"n": 1}, {"n": 2}, {"n": 3}]
    for accept in (example.SSE, example.NDJSON):
        assert list(client.stream("demo", "count", {"to": 3, "delay_ms": 5}, accept=accept)) == counted
        assert list(client.stream("demo", "count", {"to": 0}, accept=accept)) == []
        fails("invalid_arguments", lambda: list(client.stream("demo", "count", {"to": "many"}, accept=accept)))
        # Items come as they are made: the first is here long before the last could be.
        endless = client.stream("demo", "count", {"to": 1_000_000, "delay_ms": 20}, accept=accept)
        assert next(endless) == {"n": 1}
        endless.close()
    for encoding in (example.JSON, example.MSGPACK):
        told = {"code": "x", "message": "y", "can_retry": True}
        error = fails("x", lambda: client.call("demo", "fail", told, encoding=encoding))
        assert (error.text, error.can_retry) == ("y", True), error
        fails("unknown_function", lambda: client.call("demo", "nothing", {}, encoding=encoding))


def printed(*options):
    """The lines that the README's command prints."""
    run = subprocess.run([sys.executable, EXAMPLE / "client.py", *options], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert lines[0] == "call: {'sum': 3}" and lines[-1] == "error: sold_out: none left (may be repeated)", lines
    return lines


@contextlib.contextmanager
def certificate():
    """A self-signed certificate for this machine and its key, in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder:
        cert, key = pathlib.Path(folder) / "cert.pem", pathlib.Path(folder) / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=check", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
                        "-keyout", key, "-out", cert], check=True, capture_output=True)
        yield cert, key


with dev() as ports:
    all_of_it(example.Client(ports["http"].rstrip("/")))
    printed(ports["http"])
program = next(iter(nats_servers().values()))
with certificate() as (cert, key), nats_server(program) as (nats_url, _), demo(nats_url):
    config = f'[http]\nlisten = "127.0.0.1:0"\ntls_cert_file = "{cert}"\ntls_key_file = "{key}"\n'
    with serve(nats_url, config) as url:
        assert url.startswith("https://"), url
        client = example.Client(url, tls=ssl.create_default_context(cafile=cert))
        all_of_it(client)
        printed(url, "--ca", str(cert))
        try:  # whom the system's authorities do not know is not believed
            example.Client(url).call("demo", "echo", {"message": "x"})
            raise AssertionError("a stranger was believed")
        except urllib.error.URLError as error:
            assert isinstance(error.reason, ssl.SSLCertVerificationError), error
print("the HTTP client calls, streams and speaks MessagePack, over https too")
