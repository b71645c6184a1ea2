"""The example of an HTTP client does what it says, against `sluice dev`."""

import pathlib
import sys

from _sluice import dev

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples/python-http-client"))
import client as example  # noqa: E402

with dev() as ports:
    client = example.Client(ports["http"])
    for _ in range(600):
        try:
            assert client.call("demo", "add", {"a": 1, "b": 2}) == {"sum": 3}
            break
        except example.CallError as error:
            assert error.code in ("no_workers", "unknown_function"), error
            __import__("time").sleep(0.05)
    else:
        raise AssertionError("demo.add is not served within 30 s")
    assert client.call("demo", "echo", {"message": "hé"}, encoding=example.MSGPACK) == {"message": "hé"}
    assert list(client.stream("demo", "count", {"to": 3, "delay_ms": 5})) == [{"n": 1}, {"n": 2}, {"n": 3}]
    for encoding in (example.JSON, example.MSGPACK):
        try:
            client.call("demo", "fail", {"code": "x", "message": "y", "can_retry": True}, encoding=encoding)
            raise AssertionError("it did not fail")
        except example.CallError as error:
            assert (error.code, error.text, error.can_retry) == ("x", "y", True), error
    try:
        list(client.stream("demo", "count", {"to": "many"}))
        raise AssertionError("wrong args were taken")
    except example.CallError as error:
        assert error.code == "invalid_arguments", error
print("the HTTP client calls, streams and speaks MessagePack")
