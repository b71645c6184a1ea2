// Calls the demo worker over a socket: node client.mjs [ws://localhost:4000/socket]
import { Socket } from "phoenix";
import WebSocket from "ws"; // a browser has its own

const socket = new Socket(process.argv[2] ?? "ws://localhost:4000/socket", { transport: WebSocket });
socket.connect();
const channel = socket.channel("api:example");

// Responses come in any order: the request_id says whose each is.
const pending = new Map();
channel.on("phoenix_gen_api", (response) => pending.get(response.request_id)?.(response));

/** Yields the responses of one call; whoever leaves the loop early stops the stream. */
async function* responses(service, request_type, args) {
  const request_id = crypto.randomUUID();
  const come = [];
  let wake;
  pending.set(request_id, (response) => (come.push(response), wake?.()));
  channel.push("phoenix_gen_api", { request_id, service, request_type, args });
  let last = null;
  try {
    while (!last) {
      while (!come.length) await new Promise((resolve) => (wake = resolve));
      const response = come.shift();
      if (!response.success) throw new Error(`${response.error_code}: ${response.error}`);
      // An async call and a stream are acknowledged first; a stream then has more until it has not.
      if (!response.async && !response.has_more) last = response;
      yield response;
    }
  } finally {
    pending.delete(request_id);
    if (!last) channel.push("stop_stream", { request_id });
  }
}

/** The result of a sync or async call. */
async function call(service, request_type, args) {
  for await (const response of responses(service, request_type, args)) {
    if (!response.async) return response.result;
  }
}

await new Promise((ok, error) => channel.join().receive("ok", ok).receive("error", error));
console.log(await Promise.all([1, 2, 3].map((n) => call("demo", "add", { a: n, b: n }))));
console.log(await call("demo", "report", { ms: 100 }));
for await (const item of responses("demo", "count", { to: 1000, delay_ms: 10 })) {
  if (item.result) console.log(item.result);
  if (item.result?.n === 5) break;
}
await call("demo", "fail", { message: "as it was told" }).catch((error) => console.log(error.message));
socket.disconnect();
