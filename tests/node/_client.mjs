// What the checks share: the npm package `phoenix` with promises around it.

import { Socket } from "phoenix";
import WebSocket from "ws";

export const event = "phoenix_gen_api";

/** Ends the process with an error if it still runs after so many seconds. */
export function limit(seconds) {
  setTimeout(() => {
    console.error(`not done after ${seconds} s`);
    process.exit(1);
  }, seconds * 1000).unref();
}

export function connect(url, options = {}) {
  const socket = new Socket(url, {
    transport: WebSocket,
    rejoinAfterMs: () => 100,
    reconnectAfterMs: () => 100,
    timeout: 30_000,
    ...options,
  });
  socket.connect();
  return socket;
}

/** Version 1 of the protocol, through the package's own options. */
export const version1 = {
  vsn: "1.0.0",
  encode: (message, callback) => callback(JSON.stringify(message)),
  decode: (text, callback) => callback(JSON.parse(text)),
};

/** A push or a join as a promise of [status, response]. */
export function outcome(push) {
  return new Promise((resolve) => {
    for (const status of ["ok", "error", "timeout"]) {
      push.receive(status, (response) => resolve([status, response]));
    }
  });
}

/** The calls of one channel: each request id has its own line of responses. */
export class Calls {
  #lines = new Map();
  #last = 0;

  constructor(channel) {
    this.channel = channel;
    channel.on(event, (response) => {
      const line = this.#line(response.request_id);
      const next = line.waiting.shift();
      if (next) next(response);
      else line.come.push(response);
    });
  }

  #line(id) {
    if (!this.#lines.has(id)) this.#lines.set(id, { come: [], waiting: [] });
    return this.#lines.get(id);
  }

  /** Pushes a call of the demo worker: its id and its reply. */
  push(type, args = {}, id = `${this.channel.topic}-${++this.#last}`) {
    const request = { request_id: id, service: "demo", request_type: type, args };
    return { id, reply: outcome(this.channel.push(event, request)) };
  }

  /** The next response of that call. */
  next(id) {
    const line = this.#line(id);
    if (line.come.length) return Promise.resolve(line.come.shift());
    return new Promise((resolve) => line.waiting.push(resolve));
  }

  /** Responses that came and were not asked for, of all calls. */
  unread() {
    return [...this.#lines.values()].flatMap((line) => line.come);
  }

  /** Pushes a call and waits for its first response. */
  call(type, args) {
    return this.next(this.push(type, args).id);
  }
}
