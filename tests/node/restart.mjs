// Calls and streams through the npm package `phoenix`, unmodified and with its own defaults, while whoever
// started this kills and restarts the gateways:
//
//   node restart.mjs ws://host:port/socket ws://host:port/socket ...
//
// Prints its accounts as a line of JSON several times a second. When stdin ends: no more calls, waits for the
// answers that are due, prints the last line (`"done": true`), and ends with 1 if any call was lost. A call that
// was sent has exactly one final answer, or its socket was seen to close.

import { Socket } from "phoenix";
import WebSocket from "ws";
import { event } from "./_client.mjs";

const SOCKETS_PER_URL = 4;
const ITEMS = 20;
/** Longer than the timeout of any function of the demo worker, which would be a clear answer. */
const PATIENCE_MS = 30_000;

const total = { sent: 0, ok: 0, failed: {}, cut: 0, hung: 0, wrong: 0, twice: 0, ghosts: 0, items: 0 };
let stopping = false;

/** One socket, and the calls that are open on it. */
class Client {
  state = { closes: 0, joins: 0, ok: 0 };
  #open = new Map();
  #done = new Set();
  #last = 0;

  constructor(url, number) {
    this.socket = new Socket(url, { transport: WebSocket });
    this.channel = this.socket.channel(`api:restart-${number}`);
    this.socket.onClose(() => this.#closed());
    // Hooks of a join outlive it: the library calls them after each rejoin of its own.
    this.channel.join().receive("ok", () => (this.state.joins += 1));
    this.channel.on(event, (response) => this.#response(response));
    this.socket.connect();
  }

  #closed() {
    this.state.closes += 1;
    for (const call of [...this.#open.values()]) this.#end(call, "cut");
  }

  #end(call, fate, code) {
    this.#open.delete(call.id);
    this.#done.add(call.id);
    clearTimeout(call.patience);
    if (fate === "failed") total.failed[code] = (total.failed[code] ?? 0) + 1;
    else total[fate] += 1;
    if (fate === "ok") this.state.ok += 1;
    call.ended(fate);
  }

  #response(response) {
    const call = this.#open.get(response.request_id);
    if (!call) {
      // After its final answer: a second one. After its socket closed, or never asked for: somebody else's.
      total[this.#done.has(response.request_id) ? "twice" : "ghosts"] += 1;
      console.error(`unexpected: ${JSON.stringify(response)}`);
      return;
    }
    if (!response.success) {
      const { error_code, can_retry } = response;
      return this.#end(call, "failed", can_retry ? `${error_code} (retry)` : error_code);
    }
    if (response.has_more) return call.item(response.result);
    const right = call.right(response.result);
    if (!right) console.error(`wrong: ${JSON.stringify(response)}`);
    this.#end(call, right ? "ok" : "wrong");
  }

  /** Sends a call and waits for its fate; only while joined, so that nothing waits in the library unsent. */
  #call(type, args, right, item = () => (total.wrong += 1)) {
    return new Promise((ended) => {
      const id = `${this.channel.topic}-${(this.#last += 1)}`;
      const call = { id, right, item, ended };
      call.patience = setTimeout(() => {
        console.error(`no answer to ${id} (${type}) within ${PATIENCE_MS} ms`);
        this.#end(call, "hung");
      }, PATIENCE_MS);
      this.#open.set(id, call);
      total.sent += 1;
      this.channel.push(event, { request_id: id, service: "demo", request_type: type, args });
    });
  }

  #echo() {
    const message = `${this.channel.topic} ${this.#last}`;
    return this.#call("echo", { message }, (result) => result?.message === message);
  }

  #stream() {
    let next = 1;
    let inOrder = true;
    const item = (result) => {
      // The acknowledgement has no result.
      if (result === null) return;
      total.items += 1;
      inOrder &&= result.n === next;
      next += 1;
    };
    const right = (result) => result === null && inOrder && next === ITEMS + 1;
    return this.#call("count", { to: ITEMS, delay_ms: 5 }, right, item);
  }

  async run() {
    const again = async (call) => {
      while (!stopping) {
        const joined = this.socket.isConnected() && this.channel.state === "joined";
        if (joined) await call();
        // A pause between calls, and the time to look again while the library reconnects.
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    await Promise.all([again(() => this.#echo()), again(() => this.#stream())]);
  }
}

const urls = process.argv.slice(2);
// Neighbours are on different gateways: socket n is on gateway n modulo their number.
const clients = Array.from(
  { length: SOCKETS_PER_URL * urls.length },
  (_, n) => new Client(urls[n % urls.length], n),
);
const print = (done) =>
  console.log(JSON.stringify({ done, ...total, sockets: clients.map((client) => client.state) }));
const progress = setInterval(() => print(false), 250);
process.stdin.resume();
process.stdin.on("end", () => (stopping = true));

await Promise.all(clients.map((client) => client.run()));
clearInterval(progress);
print(true);
const { cut, hung, wrong, twice, ghosts } = total;
const failed = Object.values(total.failed).reduce((sum, count) => sum + count, 0);
const balanced = total.sent === total.ok + failed + cut + hung + wrong;
process.exit(balanced && hung + wrong + twice + ghosts === 0 ? 0 : 1);
