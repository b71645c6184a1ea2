"""Calls the demo worker over HTTP: a call, an error, a stream as SSE, MessagePack. Standard library and msgpack.

python client.py [http://host:port]
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgpack

JSON, MSGPACK = "application/json", "application/msgpack"


@dataclass
class CallError(Exception):
    """An error that the gateway or the worker answered."""

    code: str
    text: str
    can_retry: bool

    def __str__(self) -> str:
        return f"{self.code}: {self.text}" + (" (may be repeated)" if self.can_retry else "")


@dataclass(frozen=True)
class Client:
    """Calls through one gateway."""

    url: str
    token: str | None = None
    timeout: float = 30.0

    def call(self, service: str, function: str, args: dict[str, Any], *, encoding: str = JSON) -> Any:
        """A sync call's result; raises CallError."""
        body = msgpack.packb(args) if encoding == MSGPACK else json.dumps(args).encode()
        try:
            with self._post(service, function, body, encoding, encoding) as answer:
                return result(decode(answer.read(), encoding))
        except urllib.error.HTTPError as refusal:  # errors are envelopes, too
            return result(decode(refusal.read(), refusal.headers.get_content_type()))

    def stream(self, service: str, function: str, args: dict[str, Any]) -> Iterator[Any]:
        """A stream's items, each as it comes; closing the iterator cancels the call."""
        try:
            answer = self._post(service, function, json.dumps(args).encode(), JSON, "text/event-stream")
        except urllib.error.HTTPError as refusal:
            result(decode(refusal.read(), refusal.headers.get_content_type()))
            raise
        with answer:
            for name, data in events(answer):
                if name == "item":
                    yield result(json.loads(data))
                elif name == "error":
                    result(json.loads(data))
                elif name == "end":
                    return
        raise ConnectionError("the stream broke before its end")

    def _post(self, service: str, function: str, body: bytes, sent: str, wanted: str) -> Any:
        headers = {"Content-Type": sent, "Accept": wanted}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(f"{self.url}/api/{service}/{function}", body, headers)
        return urllib.request.urlopen(request, timeout=self.timeout)


def decode(body: bytes, encoding: str) -> Any:
    return msgpack.unpackb(body) if encoding == MSGPACK else json.loads(body)


def result(envelope: dict[str, Any]) -> Any:
    """What an envelope carries."""
    if envelope["success"]:
        return envelope["result"]
    raise CallError(envelope["error_code"], envelope["error"], envelope["can_retry"])


def events(lines: Any) -> Iterator[tuple[str, str]]:
    """The events of an SSE body: name and data. Comments, which keep it alive, are passed over."""
    name, data = "message", []
    for raw in lines:
        line = raw.decode().rstrip("\r\n")
        if not line and data:
            yield name, "\n".join(data)
        if not line:
            name, data = "message", []
            continue
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if key == "event":
            name = value
        elif key == "data":
            data.append(value)


def main() -> None:
    client = Client(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:4000")
    print("call:", client.call("demo", "add", {"a": 1, "b": 2}))
    print("msgpack:", client.call("demo", "echo", {"message": "hé"}, encoding=MSGPACK))
    print("stream:", list(client.stream("demo", "count", {"to": 3, "delay_ms": 10})))
    try:
        client.call("demo", "fail", {"code": "sold_out", "message": "none left", "can_retry": True})
    except CallError as error:
        print("error:", error)


if __name__ == "__main__":
    main()
