"""What docs/worker-protocol.md fixes byte for byte: names, headers, encodings, signatures. No I/O."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import msgpack

JSON, MSGPACK = "application/json", "application/msgpack"
ENCODINGS = ["json", "msgpack"]
FEATURES = ["beat", "credit", "cancel"]
MOST_TEXT = 4096
"""Bytes of an error's text: it travels in a header."""

_HEADER_SAFE = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in ",%")
_NUMBER = re.compile(r"[0-9]{1,20}")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass
class Failure(Exception):
    """An error for the caller. `retry`: the same call may be sent again; `executed`: no, unknown, yes."""

    code: str
    status: int
    text: str
    retry: bool = False
    executed: str = "yes"
    details: dict[str, Any] | None = None


def invalid(text: str) -> Failure:
    """A message that is not what the protocol says."""
    return Failure("invalid_request", 400, text, executed="no")


def token(name: str | None) -> str:
    """A name as one token of a subject; without a name, that of "no version"."""
    if not name:
        return "="
    plain = {ord("."): "_"} | {b: chr(b) for b in range(128) if chr(b).isalnum() or b == ord("-")}
    return "".join(plain.get(byte, f"={byte:02X}") for byte in name.encode())


def percent(text: str) -> str:
    """Text as a header's value."""
    return quote(text, safe=_HEADER_SAFE)


def plain(name: str, value: str) -> str:
    """The text of a header's value."""
    try:
        if _BAD_ESCAPE.search(value):
            raise ValueError
        return unquote(value, errors="strict")
    except ValueError:
        raise invalid(f"the header {name} is not percent-encoded UTF-8") from None


def header_bytes(headers: Mapping[str, str] | None) -> int:
    """What headers add to a message: the broker's limit counts them."""
    if not headers:
        return 0
    return len(b"NATS/1.0\r\n\r\n") + sum(len(k) + len(v) + len(": \r\n") for k, v in headers.items())


@dataclass(frozen=True)
class CallHeaders:
    """What a call says besides its args. `deadline`: seconds left; None: no limit."""

    call: str
    deadline: float | None = None
    encoding: str = JSON
    user: str | None = None
    device: str | None = None
    roles: tuple[str, ...] = ()
    request: str = ""
    attempt: int = 1
    traceparent: str | None = None
    credit: tuple[int, int] | None = None

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> CallHeaders:
        """Those of a message; of a plain NATS client's, which has none, whoever it is."""
        encoding = headers.get("Content-Type", JSON)
        if encoding not in (JSON, MSGPACK):
            raise invalid(f"args are {JSON} or {MSGPACK}, not {encoding[:100]}")
        if "Sluice-Protocol" not in headers and "Sluice-Call" not in headers:
            return cls(call=f"nats-{secrets.token_hex(16)}", encoding=encoding)
        if headers.get("Sluice-Protocol") != "1":
            raise invalid("this worker speaks protocol 1")
        if "Sluice-Chunk" in headers:
            raise invalid("this worker takes no chunks: it does not list the feature")
        text = {k: plain(k, v) for k, v in headers.items() if k.startswith("Sluice-") or k == "traceparent"}
        for name in ("Sluice-Call", "Sluice-Request-Id"):
            if not text.get(name):
                raise invalid(f"the header {name} is missing")
        credit = headers.get("Sluice-Credit")
        roles = headers.get("Sluice-Roles", "")
        return cls(
            call=text["Sluice-Call"],
            deadline=_number(headers, "Sluice-Deadline") / 1000,
            encoding=encoding,
            user=text.get("Sluice-User"),
            device=text.get("Sluice-Device"),
            roles=tuple(plain("Sluice-Roles", role) for role in roles.split(",") if role),
            request=text["Sluice-Request-Id"],
            attempt=_number(headers, "Sluice-Attempt", "1"),
            traceparent=text.get("traceparent"),
            credit=None if credit is None else _credit(credit),
        )


def _number(headers: Mapping[str, str], name: str, default: str = "") -> int:
    value = headers.get(name, default)
    if not _NUMBER.fullmatch(value):
        raise invalid(f"the header {name} is missing or no number")
    return int(value)


def _credit(value: str) -> tuple[int, int]:
    items, comma, size = value.partition(",")
    if not (comma and _NUMBER.fullmatch(items) and _NUMBER.fullmatch(size)):
        raise invalid("the header Sluice-Credit is not <items>,<bytes>")
    return int(items), int(size)


def decode_args(body: bytes, encoding: str) -> dict[str, Any]:
    """The args: one object."""
    try:
        if encoding == MSGPACK:
            args = msgpack.unpackb(body)  # whose limits for claimed lengths follow the body's own
        else:
            args = json.loads(body or b"{}", parse_constant=_no_constant)
    except (ValueError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise invalid(f"the args are not {encoding}: {str(error)[:200]}") from None
    if not isinstance(args, dict):
        raise Failure("invalid_arguments", 422, "the args must be one object", executed="no")
    return args


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def encode(value: Any, encoding: str) -> bytes:
    """A result or item in the encoding of its call."""
    if encoding == MSGPACK:
        return msgpack.packb(value)
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def error_headers(failure: Failure, instance: str) -> dict[str, str]:
    """The headers of an error reply."""
    text = (failure.text or failure.code).encode()[:MOST_TEXT].decode(errors="ignore")
    return {
        "Sluice-Kind": "error",
        "Nats-Service-Error": percent(text),
        "Nats-Service-Error-Code": str(failure.status),
        "Sluice-Error": percent(failure.code),
        "Sluice-Retry": str(failure.retry).lower(),
        "Sluice-Executed": failure.executed,
        "Sluice-Instance": percent(instance),
    }


class Signer:
    """Signs registry messages with the service's secret, which never travels. Without one: no headers."""

    def __init__(self, secret: str | None) -> None:
        self._secret = secret.encode() if secret else None
        self._counter = itertools.count(time.time_ns() // 1000)

    def headers(self, subject: str, body: bytes) -> dict[str, str] | None:
        if self._secret is None:
            return None
        nonce = f"{next(self._counter)}-{secrets.token_hex(8)}"
        text = b"\n".join((subject.encode(), nonce.encode(), body))
        return {"Sluice-Nonce": nonce, "Sluice-Signature": hmac.new(self._secret, text, hashlib.sha256).hexdigest()}
