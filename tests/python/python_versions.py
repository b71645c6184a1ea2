"""The worker in Python serves three versions by listing changes: examples/python-worker/versions.json."""

import json
import urllib.error
import urllib.request

from _sluice import LIMIT, PYTHON_WORKER, nats_server, nats_servers, python_worker, serve, until


def ask(url, function, version, args, accept="application/json"):
    """(status, body) of a call in a version."""
    headers = {"Content-Type": "application/json", "Accept": accept, "Sluice-Version": version}
    request = urllib.request.Request(f"{url}/api/chat/{function}", json.dumps(args).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=LIMIT) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read()


def echo(url, version, args):
    status, body = ask(url, "echo", version, args)
    return status, json.loads(body)


def items(url, version, args):
    body = ask(url, "count", version, args, "application/x-ndjson")[1]
    answers = [json.loads(line) for line in body.splitlines()]
    return [answer["result"] for answer in answers if answer["result"]]


for name, program in nats_servers().items():
    print(f"  with the {name} nats-server")
    options = ["--service", "chat", "--config", PYTHON_WORKER / "versions.json"]
    with nats_server(program) as (nats, _), serve(nats) as url, python_worker(nats, *options):
        until("version 1 is served", lambda: echo(url, "1", {"text": "x"})[0] == 200)
        for version, args in (("1", {"text": "hé"}), ("2", {"message": "hé"}), ("3", {"message": "hé"})):
            status, answer = echo(url, version, args)
            assert (status, answer["result"]) == (200, args), answer
        status, answer = echo(url, "1", {"text": 5})
        assert status == 422 and "/text" in answer["error"] and "echo@1" in answer["error"], answer
        assert answer["details"]["faults"][0]["path"] == "/text", answer
        status, answer = echo(url, "9", {"text": "x"})
        assert (status, answer["details"]["versions"]) == (404, ["1", "2", "3"]), answer
        assert items(url, "1", {"up_to": 3}) == [{"number": n} for n in (1, 2, 3)]
        assert items(url, "2", {"up_to": 2}) == [{"n": n} for n in (1, 2)]
        assert items(url, "3", {"to": 2}) == [{"n": n} for n in (1, 2)]
print("clients of three versions are served by one worker in Python")
