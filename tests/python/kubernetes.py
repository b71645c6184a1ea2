"""The manifests of deploy/kubernetes run: their environment, ports, probes and drain, with the real binaries.

Each pod becomes a process with exactly the environment and arguments of its manifest. What differs is only where
things are: the broker's and Redis' addresses, the ports (another pod's are free), and where secrets are mounted.
"""

import base64
import contextlib
import pathlib
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

import yaml

from _sluice import BIN, LIMIT, ROOT, Process, call, free_port, nats_server, nats_servers, until

FOLDER = ROOT / "deploy/kubernetes"
FLUSH_MS = 5000
"""What a pod needs after its drain, at most."""


def manifests():
    """{(kind, name): manifest} of all files; no object twice."""
    found = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        for manifest in yaml.safe_load_all(path.read_text()):
            key = manifest["kind"], manifest["metadata"]["name"]
            assert key not in found, f"{key} is there twice"
            assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == "sluice", key
            found[key] = manifest
    return found


ALL = manifests()


def secret(name):
    manifest = ALL["Secret", name]
    plain = {k: base64.b64decode(v).decode() for k, v in manifest.get("data", {}).items()}
    return plain | manifest.get("stringData", {})


class Pod:
    """The one container of a deployment's pods."""

    def __init__(self, name, mounts):
        self.spec = ALL["Deployment", name]["spec"]["template"]["spec"]
        [self.container] = self.spec["containers"]
        self.env = {}
        for source in self.container["envFrom"]:
            self.env |= ALL["ConfigMap", source["configMapRef"]["name"]]["data"]
        for variable in self.container.get("env", []):
            reference = variable["valueFrom"]["secretKeyRef"]
            self.env[variable["name"]] = secret(reference["name"])[reference["key"]]
        volumes = {v["name"]: secret(v["secret"]["secretName"]) for v in self.spec.get("volumes", [])}
        for mount in self.container.get("volumeMounts", []):
            for key, value in volumes[mount["name"]].items():
                (mounts / key).write_text(value + "\n")
            moved = {k: v.replace(mount["mountPath"], str(mounts)) for k, v in self.env.items()}
            self.env |= moved
        assert all(isinstance(v, str) for v in self.env.values()), "Kubernetes takes only strings"

    def ports(self):
        return {p["name"]: p["containerPort"] for p in self.container.get("ports", [])}

    def probe(self, kind):
        return self.container[f"{kind}Probe"]


def names_are_the_projects(gateway, worker):
    """Every SLUICE_ name is an option of the gateway, or of the demo worker."""
    options = set(re.findall(r"`(SLUICE_[A-Z0-9_]+)`", (ROOT / "docs/configuration.md").read_text()))
    for name in gateway.env:
        assert name in options or name.removesuffix("_FILE") in options, f"{name} is no option of the gateway"
    usage = subprocess.run([BIN / "demo", "--help"], capture_output=True, text=True, check=True).stdout
    # Help is wrapped: a name may stand on the next line.
    known = set(re.findall(r"\[env:\s+(SLUICE_[A-Z0-9_]+)", usage))
    for name in worker.env:
        assert name in known, f"{name} is no variable of the worker: {known}"


def the_pieces_fit(gateway):
    """References, labels, ports, and time to drain."""
    for (kind, name), manifest in ALL.items():
        if kind == "Deployment":
            template = manifest["spec"]["template"]
            assert manifest["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"], name
            assert template["spec"]["securityContext"]["runAsUser"] == 65532  # the Dockerfile's
        if kind in ("Service", "PodDisruptionBudget"):
            selector = manifest["spec"]["selector"]
            labels = selector.get("matchLabels", selector)
            assert any(d["spec"]["selector"]["matchLabels"] == labels for (k, _), d in ALL.items() if k == "Deployment")
        if kind == "HorizontalPodAutoscaler":
            assert ("Deployment", manifest["spec"]["scaleTargetRef"]["name"]) in ALL, name
    ports = gateway.ports()
    [service] = ALL["Service", "sluice-gateway"]["spec"]["ports"]
    assert service["targetPort"] in ports
    defaults = dict(re.findall(r"`listen`<br>`SLUICE_(\w+)_LISTEN` \| `\"127\.0\.0\.1:(\d+)\"`",
                               (ROOT / "docs/configuration.md").read_text()))
    for name, port in ports.items():
        assert gateway.env[f"SLUICE_{name.upper()}_LISTEN"] == f"0.0.0.0:{port}", name
        assert int(defaults[name.upper()]) == port, f"{name}: the documented port is {defaults[name.upper()]}"
    for kind in ("startup", "readiness", "liveness"):
        assert gateway.probe(kind)["httpGet"]["port"] in ports
    assert "lifecycle" not in gateway.container, "a preStop hook counts into the time to drain"
    drain = sum(int(gateway.env[f"SLUICE_GATEWAY_DRAIN_{part}_MS"]) for part in ("DELAY", "TIMEOUT"))
    assert gateway.spec["terminationGracePeriodSeconds"] * 1000 >= drain + FLUSH_MS, "killed before it has drained"


@contextlib.contextmanager
def redis(password):
    program = shutil.which("redis-server")
    port = free_port()
    options = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--requirepass", password]
    with Process([program, *options]) as it:
        it.line("Ready to accept connections")
        yield f"redis://127.0.0.1:{port}"


def users():
    """The users of deploy/nats/nats.conf, with the passwords of the secrets."""
    text = (ROOT / "deploy/nats/nats.conf").read_text()
    text = "\n".join(line for line in text.splitlines() if not line.startswith("http"))
    passwords = {"GATEWAY": secret("sluice-gateway")["nats-password"], "OPERATOR": "unused",
                 "DEMO": secret("sluice-worker-demo")["nats-password"]}
    for user, password in passwords.items():
        text = text.replace(f"$NATS_{user}_PASSWORD", f'"{password}"')
    return text


def status(url):
    try:
        with urllib.request.urlopen(url, timeout=LIMIT) as answer:
            return answer.status
    except urllib.error.HTTPError as answer:
        return answer.code
    except OSError:
        return 0


def it_runs(gateway, worker, nats, redis_url):
    env = gateway.env | {"SLUICE_NATS_URL": nats, "SLUICE_REDIS_URL": redis_url}
    ports = {name: free_port() for name in gateway.ports()}
    for name, port in ports.items():
        env[f"SLUICE_{name.upper()}_LISTEN"] = f"0.0.0.0:{port}"
    probe = lambda kind: status(  # noqa: E731
        "http://127.0.0.1:{}{}".format(ports[gateway.probe(kind)["httpGet"]["port"]], gateway.probe(kind)["httpGet"]["path"]))
    check = subprocess.run([BIN / "sluice", "check"], env=env, capture_output=True, text=True)
    assert check.returncode == 0 and "warning" not in (check.stdout + check.stderr).lower(), check
    with Process([BIN / "sluice", *gateway.container["args"]], env) as serving:
        until("the startup probe", lambda: probe("startup") == 200)
        until("the readiness probe", lambda: probe("readiness") == 200)
        assert probe("liveness") == 200
        url = f"http://127.0.0.1:{ports['http']}"
        mine = worker.env | {"SLUICE_NATS_URL": nats}
        with Process([BIN / "demo", *worker.container["args"]], mine) as working:
            until("a call through both", lambda: call(url, "add", {"a": 1, "b": 2})["result"] == {"sum": 3})
            command = worker.probe("readiness")["exec"]["command"]
            until("the worker's probe", lambda: subprocess.run(
                [BIN / command[0], *command[1:]], env=mine, capture_output=True).returncode == 0)
            # The endpoint is told first, and clients that do not know yet are served on.
            serving.terminate()
            until("not ready", lambda: probe("readiness") == 503)
            assert probe("liveness") == 200
            assert call(url, "add", {"a": 1, "b": 2})["success"]
            working.terminate()
            assert working.ends(worker.spec["terminationGracePeriodSeconds"]) == 0
            assert serving.ends(gateway.spec["terminationGracePeriodSeconds"]) == 0


with tempfile.TemporaryDirectory() as folder:
    gateway, worker = Pod("sluice-gateway", pathlib.Path(folder)), Pod("sluice-worker-demo", pathlib.Path(folder))
    names_are_the_projects(gateway, worker)
    the_pieces_fit(gateway)
    program = list(nats_servers().values())[-1]
    with nats_server(program, users()) as (nats, _), redis(secret("sluice-gateway")["redis-password"]) as redis_url:
        it_runs(gateway, worker, nats, redis_url)
print("the manifests for Kubernetes run")
