"""A Sluice worker in plain Python over nats-py: docs/worker-protocol.md is all that it was written from.

It serves functions.json, the config of the demo worker in Rust, so that both stand in one queue group.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import pathlib
import signal
import ssl
from typing import Any

import functions
from life import Options, Worker


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    env = os.environ.get
    add = parser.add_argument
    add("--nats", default=env("SLUICE_NATS_URL", "nats://127.0.0.1:4222"), help="several are joined by commas")
    add("--user", default=env("SLUICE_NATS_USER"))
    add("--password", default=env("SLUICE_NATS_PASSWORD"))
    add("--creds", type=pathlib.Path, help="file with NATS credentials (needs nats-py[nkeys])")
    add("--tls-ca", type=pathlib.Path, help="trust the authorities of this PEM file")
    add("--tls-cert", type=pathlib.Path)
    add("--tls-key", type=pathlib.Path)
    add("--tls-first", action="store_true", help="TLS begins before the server's greeting")
    add("--inbox-prefix", default=env("SLUICE_NATS_INBOX_PREFIX", "_INBOX"))
    add("--service", default="demo")
    add("--instance", default="", help="another one for each process and each start; default: random")
    add("--prefix", default="sluice", help="what stands before all subjects")
    add("--capacity", type=int, default=64, help="calls that are at work at once")
    add("--secret", default=env("SLUICE_SECRET"), help="the service's secret, which signs registry messages")
    add("--config", type=pathlib.Path, default=pathlib.Path(__file__).parent / "functions.json")
    return parser.parse_args()


def connection(options: argparse.Namespace) -> dict[str, Any]:
    """How nats-py connects."""
    connect: dict[str, Any] = {"servers": [url.strip() for url in options.nats.split(",")],
                               "inbox_prefix": options.inbox_prefix.encode()}
    if options.user:
        connect |= {"user": options.user, "password": options.password}
    if options.creds:
        connect["user_credentials"] = str(options.creds)
    if options.tls_ca or options.tls_cert or options.tls_first:
        connect["tls"] = ssl.create_default_context(cafile=options.tls_ca)
        connect["tls_handshake_first"] = options.tls_first
        if options.tls_cert:
            connect["tls"].load_cert_chain(options.tls_cert, options.tls_key)
    return connect


async def main() -> None:
    options = parse()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    worker = Worker(Options(
        service=options.service, config=json.loads(options.config.read_text()), functions=functions.ALL,
        connect=connection(options), instance=options.instance, prefix=options.prefix,
        capacity=options.capacity, secret=options.secret))
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, worker.stop.set)
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
