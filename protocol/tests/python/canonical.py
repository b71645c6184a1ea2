"""Reads one JSON document a line and prints, a line each, how Python's json understands it."""

import json
import struct
import sys


def text(value):
    value.encode("utf-8")  # fails for half a surrogate pair, which Python alone takes
    return value


def canonical(value):
    if isinstance(value, dict):
        return {text(key): canonical(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return "s" + text(value)
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return f"i{value}"
    # What is beyond 64 bits is a double everywhere else.
    value = float(value)
    return "i0" if value == 0 else "f" + struct.pack(">d", value).hex()


for line in sys.stdin.buffer:
    try:
        print(json.dumps(canonical(json.loads(line.decode("utf-8"))), sort_keys=True))
    except (ValueError, OverflowError, RecursionError) as error:
        print(json.dumps({"refused": str(error)}))
