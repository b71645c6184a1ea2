// The page of `sluice dev`: no build step, no dependencies.
import { Socket } from "/dev/socket.js";

const $ = (id) => document.getElementById(id);
const state = { functions: [], picked: null, stop: null, socket: null };

// --- what is registered -----------------------------------------------------------------------

async function refresh() {
  try {
    const response = await fetch("/dev/functions");
    const { services } = await response.json();
    const all = services.flatMap((s) => s.functions.map((f) => ({ service: s.service, ...f })));
    $("status").textContent = `${all.length} functions of ${services.length} services`;
    if (JSON.stringify(all) !== JSON.stringify(state.functions)) {
      state.functions = all;
      list();
    }
  } catch {
    $("status").textContent = "the gateway does not answer; trying again";
  }
  setTimeout(refresh, 1000);
}

function list() {
  const wanted = $("filter").value.toLowerCase();
  const rows = [];
  let service = null;
  for (const f of state.functions) {
    if (!`${f.service}.${f.request_type}`.toLowerCase().includes(wanted)) continue;
    if (f.service !== service) {
      service = f.service;
      rows.push(element("li", { className: "service" }, service));
    }
    const button = element("button", { type: "button", onclick: () => pick(f) },
      f.request_type, element("small", {}, summary(f)));
    button.setAttribute("aria-current", String(same(f, state.picked)));
    rows.push(element("li", {}, button));
  }
  $("list").replaceChildren(...rows);
  $("empty").hidden = state.functions.length > 0;
}

const same = (a, b) => a && b && a.service === b.service && a.request_type === b.request_type && a.version === b.version;
const summary = (f) => [f.version, f.response_type, modeText(f.choose_node_mode), plural(f.instances, "instance")].filter(Boolean).join(" · ");
const modeText = (m) => (typeof m === "string" ? m : Object.entries(m ?? {}).map(([k, v]) => `${k}: ${v}`).join());
const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

// --- one function -----------------------------------------------------------------------------

function pick(f) {
  state.picked = f;
  list();
  $("call-title").textContent = `${f.service}.${f.request_type}`;
  $("about").textContent = f.description ?? summary(f);
  $("form").hidden = false;
  const types = Object.entries(f.spec?.arg_types ?? {});
  $("fields").replaceChildren(...types.map(([name, type]) => field(name, type)));
  fill();
}

function field(name, type) {
  const kind = typeof type === "string" ? type : type.type;
  const optional = typeof type === "object" && (type.allow_nil || type.default_value !== undefined);
  const input = element("input", { name, autocomplete: "off", oninput: fill });
  input.dataset.kind = kind;
  input.dataset.optional = optional;
  if (typeof type === "object" && type.default_value !== undefined) input.placeholder = JSON.stringify(type.default_value);
  return element("label", {}, `${name}: ${kind}${optional ? "?" : ""}`, input);
}

const SAMPLES = { string: "hello", num: 3, integer: 3, boolean: true };

function fill() {
  const args = {};
  for (const input of $("fields").querySelectorAll("input")) {
    const { kind, optional } = input.dataset;
    if (input.value === "" && optional === "true") continue;
    args[input.name] = input.value === "" ? (SAMPLES[kind] ?? null) : read(input.value, kind);
  }
  $("args").value = JSON.stringify(args, null, 2);
}

function read(text, kind) {
  if (kind === "string" || kind === "uuid" || kind === "datetime") return text;
  try { return JSON.parse(text); } catch { return text; }
}

function identity() {
  const roles = $("roles").value.split(",").map((r) => r.trim()).filter(Boolean);
  return { user_id: $("user").value, device_id: $("device").value, roles };
}

// --- frames -----------------------------------------------------------------------------------

let began = 0;

function begin(how) {
  $("frames").hidden = false;
  $("frames").tBodies[0].replaceChildren();
  began = performance.now();
  show("→", how);
}

function show(arrow, text, kind = "") {
  const ms = (performance.now() - began).toFixed(1);
  const row = element("tr", { className: kind }, element("td", {}, ms), element("td", {}, arrow), element("td", {}, text));
  const body = $("frames").tBodies[0];
  body.append(row);
  while (body.rows.length > 500) body.rows[0].remove();
}

const mood = (envelope) => envelope.success === undefined ? "" : envelope.success ? "good" : "bad";
const showEnvelope = (envelope) => show("←", JSON.stringify(envelope), mood(envelope));

function running(stop) {
  state.stop = stop;
  $("stop").disabled = !stop;
}

// --- over HTTP --------------------------------------------------------------------------------

async function overHttp(f, args) {
  const path = `/api/${encodeURIComponent(f.service)}/${encodeURIComponent(f.request_type)}`;
  const headers = { "Content-Type": "application/json" };
  const who = identity();
  if (who.user_id) headers["X-User-Id"] = who.user_id;
  if (who.device_id) headers["X-Device-Id"] = who.device_id;
  if (who.roles.length) headers["X-User-Roles"] = who.roles.join(",");
  if (f.version) headers["Sluice-Version"] = f.version;
  const abort = new AbortController();
  begin(`POST ${path} ${JSON.stringify(args)}`);
  curl(path, headers, args);
  running(() => abort.abort());
  try {
    const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(args), signal: abort.signal });
    show("←", `${response.status} ${response.statusText}`, response.ok ? "good" : "bad");
    const lines = response.headers.get("content-type")?.includes("ndjson");
    if (lines) await eachLine(response, (line) => showEnvelope(JSON.parse(line)));
    else showEnvelope(await response.json());
    const location = response.headers.get("location");
    if (location) await follow(location, who);
  } catch (error) {
    show("×", error.name === "AbortError" ? "stopped" : String(error), "bad");
  } finally {
    running(null);
  }
}

async function follow(location, who) {
  show("→", `GET ${location}`);
  for (;;) {
    const response = await fetch(location, { headers: who.user_id ? { "X-User-Id": who.user_id } : {} });
    if (response.status !== 202) return showEnvelope(await response.json());
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

async function eachLine(response, use) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    lines.filter(Boolean).forEach(use);
  }
}

function curl(path, headers, args) {
  const flags = Object.entries(headers).map(([name, value]) => `-H '${name}: ${value}'`).join(" ");
  $("curl").hidden = false;
  $("curl").textContent = `curl -sN ${location.origin}${path} ${flags} -d '${JSON.stringify(args).replaceAll("'", "'\\''")}'`;
}

// --- over a socket ----------------------------------------------------------------------------

async function overSocket(f, args) {
  const who = identity();
  const request = {
    request_id: crypto.randomUUID?.() ?? String(Math.random()), service: f.service, request_type: f.request_type,
    version: f.version ?? undefined, args,
    user_id: who.user_id || undefined, device_id: who.device_id || undefined,
    user_roles: who.roles.length ? who.roles : undefined,
  };
  $("curl").hidden = true;
  begin(`socket push phoenix_gen_api ${JSON.stringify(request)}`);
  try {
    state.socket ??= await Socket.open("api:dev", () => { state.socket = null; });
  } catch (error) {
    show("×", String(error), "bad");
    return;
  }
  const socket = state.socket;
  running(() => socket.push("stop_stream", { request_id: request.request_id }));
  socket.onmessage = (event, payload) => {
    show("←", `${event} ${JSON.stringify(payload)}`, mood(payload));
    const over = payload.request_id === request.request_id && !payload.has_more && !(payload.async && payload.success && f.response_type === "async");
    if (over) running(null);
  };
  const reply = await socket.push("phoenix_gen_api", request);
  if (reply.status !== "ok" || f.response_type === "none") running(null);
}

// --- wiring -----------------------------------------------------------------------------------

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

$("filter").addEventListener("input", list);
$("stop").addEventListener("click", () => state.stop?.());
$("clear").addEventListener("click", () => { $("frames").hidden = true; $("curl").hidden = true; });
$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  let args;
  try { args = JSON.parse($("args").value); } catch (error) {
    begin("args");
    show("×", `the args are no JSON: ${error.message}`, "bad");
    return;
  }
  const how = event.submitter?.value === "socket" ? overSocket : overHttp;
  how(state.picked, args);
});
refresh();
