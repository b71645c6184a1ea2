"""The curl transcripts in the docs, run against the library example behind a gateway, in their order.

A block ```console has commands (`$ curl …`) and what they print. Every line printed in the docs has to come, in that
order; fields that the docs leave out may come between. `…` alone stands for any lines, within a line for any text.
"""

import re
import shlex
import subprocess
import sys

from _sluice import BIN, LIMIT, ROOT, Process, nats_server, nats_servers, serve, until

DOCS = ["docs/resources.md", "docs/translation.md"]
PLACE = "http://localhost:4000"


def transcripts(text):
    """[(command, [line, …]), …] of each block."""
    for block in re.findall(r"^```console\n(.*?)^```", text, re.S | re.M):
        commands = []
        for line in block.splitlines():
            if line.startswith("$ curl "):
                commands.append((line[2:], []))
            elif line.strip() and line.strip() != "…":
                commands[-1][1].append(line.rstrip())
        yield commands


def matches(wanted, line):
    """Whether a line is as the docs have it; names of header fields in any case."""
    pattern = ".*".join(re.escape(part) for part in wanted.split("…"))
    return re.fullmatch(pattern, line.rstrip(), re.I if re.match(r"[\w-]+: ", wanted) else 0)


def run(command, url):
    words = shlex.split(command.replace(PLACE, url))
    assert words[0] == "curl", command
    done = subprocess.run([*words, "--silent", "--show-error", "--noproxy", "*"], capture_output=True, text=True,
                          timeout=LIMIT, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.replace("\r", "").splitlines()


def check(command, wanted, got):
    left = iter(got)
    for line in wanted:
        if not any(matches(line, other) for other in left):
            printed = "\n".join(got)
            sys.exit(f"FAILED: $ {command}\nthe docs promise, in this order: {line}\nbut it printed:\n{printed}")


def fresh(program, commands):
    """Runs one block against a library of its own: what an earlier block changed is not there."""
    library = [BIN / "library", "--nats"]
    with nats_server(program) as (nats, _), serve(nats) as url, Process([*library, nats]):
        probe = f"curl {PLACE}/books/1 -o /dev/null -w %{{http_code}}"
        until("the library is served", lambda: run(probe, url) == ["200"])
        for command, wanted in commands:
            assert wanted, f"{command}: the docs do not say what it prints"
            check(command, wanted, run(command, url))


program = next(iter(nats_servers().values()))
count = 0
for path in DOCS:
    blocks = list(transcripts((ROOT / path).read_text()))
    assert blocks, f"{path} has no transcripts"
    for commands in blocks:
        fresh(program, commands)
        count += len(commands)
print(f"{count} commands of {len(DOCS)} documents print what the documents say")
