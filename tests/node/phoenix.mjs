// The npm package `phoenix`, unmodified, against a gateway: node phoenix.mjs ws://host:port/socket
//
// The service "script" answers: echo (its args), fail (permission_denied), none (nothing), later (an async
// result), count (a stream of the numbers below args.n), forever (a stream without end).

import assert from "node:assert/strict";
import { Socket } from "phoenix";
import WebSocket from "ws";

const url = process.argv[2];
const event = "phoenix_gen_api";

function connect() {
  const socket = new Socket(url, { transport: WebSocket, heartbeatIntervalMs: 2000 });
  socket.connect();
  return socket;
}

/** A push or a join as a promise of [status, response]. */
function outcome(push) {
  return new Promise((resolve) => {
    for (const status of ["ok", "error", "timeout"]) {
      push.receive(status, (response) => resolve([status, response]));
    }
  });
}

/** Responses by request id, awaited one after the other. */
function responses(channel) {
  const queue = [];
  const waiting = [];
  channel.on(event, (response) => {
    const next = waiting.shift();
    if (next) next(response);
    else queue.push(response);
  });
  return () =>
    queue.length ? Promise.resolve(queue.shift()) : new Promise((resolve) => waiting.push(resolve));
}

const request = (id, type, args = {}) => ({
  request_id: id,
  service: "script",
  request_type: type,
  args,
});

const steps = {
  async "an unknown topic is refused"(socket) {
    const channel = socket.channel("room:1");
    assert.deepEqual(await outcome(channel.join()), ["error", { reason: "unmatched topic" }]);
    channel.leave();
  },

  async "a call is accepted and answered"(socket) {
    const channel = socket.channel("api:calls", { user_id: "u" });
    const next = responses(channel);
    assert.deepEqual(await outcome(channel.join()), ["ok", {}]);
    const push = channel.push(event, request("1", "echo", { text: "grüß \u{1F600}" }));
    assert.deepEqual(await outcome(push), ["ok", "echo"]);
    const { result, success } = await next();
    assert.deepEqual([success, result], [true, { text: "grüß \u{1F600}" }]);

    channel.push(event, request("2", "fail"));
    assert.equal((await next()).error_code, "permission_denied");

    const [status, error] = await outcome(channel.push(event, { service: "script" }));
    assert.deepEqual([status, error.error_code], ["error", "invalid_request"]);
    assert.deepEqual(await next(), error);

    channel.push(event, request("3", "later", { n: 5 }));
    assert.equal((await next()).async, true);
    assert.deepEqual((await next()).result, { n: 5 });
    assert.deepEqual(await outcome(channel.leave()), ["ok", {}]);
  },

  async "a stream is read, and another one stopped"(socket) {
    const channel = socket.channel("api:streams");
    const next = responses(channel);
    await outcome(channel.join());
    channel.push(event, request("s", "count", { n: 1000 }));
    assert.equal((await next()).has_more, true);
    for (let n = 0; n < 1000; n += 1) assert.equal((await next()).result, n);
    assert.deepEqual([(await next()).has_more, channel.state], [false, "joined"]);

    channel.push(event, request("f", "forever"));
    for (let n = 0; n < 100; n += 1) await next();
    const stop = outcome(channel.push("stop_stream", { request_id: "f" }));
    while ((await next()).has_more);
    assert.deepEqual(await stop, ["ok", {}]);
    const again = await outcome(channel.push("stop_stream", { request_id: "f" }));
    assert.deepEqual(again, ["error", { reason: "not_found" }]);
    channel.leave();
  },

  async "a binary push gets binary answers"(socket) {
    const channel = socket.channel("api:binary");
    const next = responses(channel);
    await outcome(channel.join());
    // {"request_id": "b", "service": "script", "request_type": "echo", "args": {"n": 7}}
    const text = (value) => [0xa0 + value.length, ...Buffer.from(value)];
    const body = [
      0x84, ...text("request_id"), ...text("b"), ...text("service"), ...text("script"),
      ...text("request_type"), ...text("echo"), ...text("args"), 0x81, ...text("n"), 7,
    ];
    const push = channel.push(event, new Uint8Array(body).buffer);
    const [status, response] = await outcome(push);
    assert.deepEqual([status, Buffer.from(response)], ["ok", Buffer.from(text("echo"))]);
    const answer = Buffer.from(await next());
    assert.ok(answer.includes(Buffer.from([...text("result"), 0x81, ...text("n"), 7])));
    channel.leave();
  },

  async "a second join of the same topic replaces the first"(socket) {
    const first = socket.channel("api:twice");
    await outcome(first.join());
    const second = socket.channel("api:twice");
    const next = responses(second);
    assert.deepEqual(await outcome(second.join()), ["ok", {}]);
    second.push(event, request("t", "echo", { n: 1 }));
    assert.deepEqual((await next()).result, { n: 1 });
    assert.deepEqual([first.state, second.state], ["closed", "joined"]);
    second.leave();
  },

  async "a join that the client repeats keeps its channel"(socket) {
    const channel = socket.channel("api:again");
    const next = responses(channel);
    await outcome(channel.join());
    // As after a join whose reply was late: the same topic with a new join_ref, and no leave before.
    channel.joinPush.resend(channel.timeout);
    await new Promise((resolve) => channel.joinPush.receive("ok", resolve));
    channel.push(event, request("a", "echo", { n: 2 }));
    assert.deepEqual((await next()).result, { n: 2 });
    assert.equal(channel.state, "joined");
    channel.leave();
  },

  async "heartbeats are answered"(socket) {
    await new Promise((resolve) => {
      socket.onMessage(({ topic, payload }) => {
        if (topic === "phoenix" && payload.status === "ok") resolve();
      });
    });
    assert.equal(socket.isConnected(), true);
  },
};

const limit = setTimeout(() => {
  console.error("not done after 30 s");
  process.exit(1);
}, 30_000);
const socket = connect();
for (const [name, step] of Object.entries(steps)) {
  await step(socket);
  console.log(`ok: ${name}`);
}
socket.disconnect(() => clearTimeout(limit));
