"""Calls the demo worker over HTTP: calls, errors, async calls, streams as SSE and NDJSON, MessagePack.

Standard library and msgpack alone.

python client.py [http://host:port | https://host:port] [--ca FILE] [--token TOKEN]
"""

from __future__ import annotations

import argparse
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from typing import Any

import msgpack

JSON, MSGPACK = "application/json", "application/msgpack"
SSE, NDJSON = "text/event-stream", "application/x-ndjson"


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
    """Calls through one gateway. `tls`: `ssl.create_default_context(cafile=...)` where https needs more than the system's
    authorities, or a certificate of the client's own."""

    url: str
    token: str | None = None
    timeout: float = 30.0
    tls: ssl.SSLContext | None = None

    def call(self, service: str, function: str, args: dict[str, Any], *, encoding: str = JSON) -> Any:
        """A sync call's result; raises CallError."""
        return result(self._whole("POST", f"/api/{service}/{function}", args, encoding)[1])

    def later(self, service: str, function: str, args: dict[str, Any], *, within: float = 60.0) -> Any:
        """An async call's result: asked for until it is there."""
        status, envelope, headers = self._whole("POST", f"/api/{service}/{function}", args, JSON)
        end = time.monotonic() + within
        location = headers["Location"]
        while status == 202 and time.monotonic() < end:
            time.sleep(float(headers.get("Retry-After", 0)))
            status, envelope, headers = self._whole("GET", location, None, JSON)
        if status == 202:
            raise TimeoutError(f"{service}.{function} has no result after {within} s: {location}")
        return result(envelope)

    def stream(self, service: str, function: str, args: dict[str, Any], *, accept: str = SSE) -> Iterator[Any]:
        """A stream's items, each as it comes; closing the iterator cancels the call."""
        try:
            answer = self._open("POST", f"/api/{service}/{function}", args, JSON, accept)
        except urllib.error.HTTPError as refusal:
            result(decode(refusal.read(), refusal.headers.get_content_type()))
            raise
        with answer:
            yield from items(events(answer) if accept == SSE else lines(answer))

    def _whole(self, method: str, path: str, args: Any, encoding: str) -> tuple[int, dict[str, Any], Message]:
        """Status, envelope and headers; errors are envelopes, too."""
        try:
            with self._open(method, path, args, encoding, encoding) as answer:
                return answer.status, decode(answer.read(), answer.headers.get_content_type()), answer.headers
        except urllib.error.HTTPError as refusal:
            return refusal.code, decode(refusal.read(), refusal.headers.get_content_type()), refusal.headers

    def _open(self, method: str, path: str, args: Any, sent: str, wanted: str) -> Any:
        headers = {"Accept": wanted} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        body = None
        if args is not None:
            headers["Content-Type"] = sent
            body = msgpack.packb(args) if sent == MSGPACK else json.dumps(args).encode()
        request = urllib.request.Request(f"{self.url}{path}", body, headers, method=method)
        return urllib.request.urlopen(request, timeout=self.timeout, context=self.tls)


def decode(body: bytes, encoding: str) -> Any:
    return msgpack.unpackb(body) if encoding == MSGPACK else json.loads(body)


def result(envelope: dict[str, Any]) -> Any:
    """What an envelope carries."""
    if envelope["success"]:
        return envelope["result"]
    raise CallError(envelope["error_code"], envelope["error"], envelope["can_retry"])


def items(envelopes: Iterator[dict[str, Any]]) -> Iterator[Any]:
    """The items among a stream's envelopes, whose last one says that nothing follows."""
    for envelope in envelopes:
        value = result(envelope)  # raises if the stream ended in an error
        if value is not None:  # neither the acknowledgement nor the end
            yield value
        if not envelope["has_more"]:
            return
    raise ConnectionError("the stream broke before its end")


def lines(body: Any) -> Iterator[dict[str, Any]]:
    """The envelopes of an NDJSON body: one a line."""
    return (json.loads(line) for line in body if line.strip())


def events(body: Any) -> Iterator[dict[str, Any]]:
    """The envelopes of an SSE body. Comments, which keep it alive, are passed over."""
    data: list[str] = []
    for raw in body:
        line = raw.decode().rstrip("\r\n")
        key, _, value = line.partition(":")
        if key == "data":
            data.append(value.removeprefix(" "))
        elif not line and data:
            yield json.loads("\n".join(data))
            data = []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:4000")
    parser.add_argument("--ca", help="trust the authorities of this PEM file")
    parser.add_argument("--token", help="a bearer token")
    options = parser.parse_args()
    tls = ssl.create_default_context(cafile=options.ca) if options.ca else None
    client = Client(options.url.rstrip("/"), options.token, tls=tls)
    print("call:", client.call("demo", "add", {"a": 1, "b": 2}))
    print("msgpack:", client.call("demo", "echo", {"message": "hé"}, encoding=MSGPACK))
    print("later:", client.later("demo", "report", {"ms": 50}))
    for accept in (SSE, NDJSON):
        print(f"{accept}:", list(client.stream("demo", "count", {"to": 3, "delay_ms": 10}, accept=accept)))
    try:
        client.call("demo", "fail", {"code": "sold_out", "message": "none left", "can_retry": True})
    except CallError as error:
        print("error:", error)


if __name__ == "__main__":
    main()
