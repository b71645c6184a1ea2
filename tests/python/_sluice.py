"""Starts `sluice dev` for a check and finds its ports."""

import contextlib
import os
import pathlib
import queue
import subprocess
import threading

LIMIT = 60


@contextlib.contextmanager
def dev(*options):
    """Yields {"http": url, "admin": url, "nats": url} of a `sluice dev` on free ports."""
    binary = pathlib.Path(os.environ.get("SLUICE_BIN_DIR", "target/debug")) / "sluice"
    command = [binary, "dev", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--nats", "127.0.0.1:0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    lines = queue.Queue()
    threading.Thread(target=lambda: [lines.put(line) for line in process.stdout], daemon=True).start()
    try:
        found = {}
        while len(found) < 3:
            words = lines.get(timeout=LIMIT).split()
            if len(words) == 4 and words[1:3] == ["listening", "on"]:
                found[words[0]] = words[3]
        yield found
    finally:
        process.terminate()
        assert process.wait(timeout=LIMIT) == 0, f"sluice dev ended with {process.returncode}"
