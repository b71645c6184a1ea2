// The npm package `phoenix`, unmodified, against a gateway with the demo worker:
//
//   node demo.mjs ws://host:port/socket             every step below
//   node demo.mjs ws://host:port/socket --restarts  then prints `ready for restart N` twice, and goes on
//                                                   once the gateway is back
//   node demo.mjs ws://host:port/socket --minute    stays for a minute, with a heartbeat every 5 s

import assert from "node:assert/strict";
import { Calls, connect, event, limit, outcome, version1 } from "./_client.mjs";

const [url, mode] = process.argv.slice(2);

async function joined(socket, topic) {
  const calls = new Calls(socket.channel(topic));
  assert.deepEqual(await outcome(calls.channel.join()), ["ok", {}]);
  return calls;
}

/**
 * Leaves. In version 1 the `phx_close` that follows cannot say of which join it is, as with Phoenix itself: who
 * joins the topic again waits for it.
 */
async function leave({ channel }) {
  const closed = channel.socket.vsn === version1.vsn ? closeOf(channel) : null;
  assert.deepEqual(await outcome(channel.leave()), ["ok", {}]);
  await closed;
}

function closeOf({ socket, topic }) {
  return new Promise((resolve) => {
    const ref = socket.onMessage((message) => {
      if (message.topic !== topic || message.event !== "phx_close") return;
      socket.off([ref]);
      resolve();
    });
  });
}

const steps = {
  async "an unknown topic is refused"(socket) {
    const channel = socket.channel("room:1");
    assert.deepEqual(await outcome(channel.join()), ["error", { reason: "unmatched topic" }]);
    channel.leave();
  },

  async "all four kinds"(socket) {
    const calls = await joined(socket, "api:kinds");
    const echo = calls.push("echo", { message: "grüß \u{1F600}" });
    assert.deepEqual(await echo.reply, ["ok", "echo"]);
    const { success, result } = await calls.next(echo.id);
    assert.deepEqual([success, result], [true, { message: "grüß \u{1F600}" }]);

    const report = calls.push("report", { ms: 20 });
    assert.deepEqual(await report.reply, ["ok", "report"]);
    const ack = await calls.next(report.id);
    assert.deepEqual([ack.success, ack.async], [true, true]);
    assert.deepEqual((await calls.next(report.id)).result, { done: true });

    const count = calls.push("count", { to: 1000 });
    assert.deepEqual(await count.reply, ["ok", "count"]);
    assert.equal((await calls.next(count.id)).has_more, true);
    for (let n = 1; n <= 1000; n += 1) {
      const item = await calls.next(count.id);
      assert.deepEqual([item.has_more, item.result], [true, { n }]);
    }
    const end = await calls.next(count.id);
    assert.deepEqual([end.success, end.has_more], [true, false]);

    const log = calls.push("log", { message: "from npm phoenix" });
    assert.deepEqual(await log.reply, ["ok", "log"]);
    await calls.call("echo", { message: "after it" });
    assert.deepEqual(calls.unread(), [], "a call of kind none has no response");
    await leave(calls);
  },

  async "refused calls say why"(socket) {
    const calls = await joined(socket, "api:refused");
    const failed = await calls.call("fail", { code: "out_of_tea", message: "no tea", can_retry: true });
    assert.deepEqual(
      [failed.success, failed.error_code, failed.error, failed.can_retry],
      [false, "out_of_tea", "no tea", true],
    );
    const wrong = await calls.call("add", { a: "one", b: 2 });
    assert.deepEqual([wrong.success, wrong.error_code], [false, "invalid_arguments"]);
    const unknown = await calls.call("ehco");
    assert.equal(unknown.success, false);
    assert.match(unknown.error, /no function demo\.ehco/);
    const [status, error] = await outcome(calls.channel.push(event, { service: "demo" }));
    assert.deepEqual([status, error.error_code], ["error", "invalid_request"]);

    const first = calls.push("sleep", { ms: 500 }, "twice");
    assert.deepEqual(await first.reply, ["ok", "sleep"]);
    const [again, duplicate] = await calls.push("echo", { message: "x" }, "twice").reply;
    assert.deepEqual([again, duplicate.error_code], ["error", "duplicate_request"]);
    assert.equal((await calls.next("twice")).error_code, "duplicate_request");
    assert.deepEqual((await calls.next("twice")).result, { slept: 500 });
    await leave(calls);
  },

  async "500 calls at once, each with its own answer"(socket) {
    const calls = await joined(socket, "api:many");
    // More than `max_in_flight` at once is refused as retryable; a client tries again.
    const add = async (a) => {
      for (;;) {
        const answer = await calls.call("add", { a, b: 1000 });
        if (answer.success) return answer.result;
        assert.deepEqual([answer.error_code, answer.can_retry], ["overloaded", true]);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const sums = await Promise.all(Array.from({ length: 500 }, (_, a) => add(a)));
    assert.deepEqual(sums, Array.from({ length: 500 }, (_, a) => ({ sum: a + 1000 })));
    await leave(calls);
  },

  async "a stream is stopped"(socket) {
    const calls = await joined(socket, "api:stop");
    const { id } = calls.push("count", { to: 1_000_000, delay_ms: 2 });
    for (let n = 0; n < 10; n += 1) await calls.next(id);
    const stop = () => outcome(calls.channel.push("stop_stream", { request_id: id }));
    const stopped = stop();
    while ((await calls.next(id)).has_more);
    assert.deepEqual(await stopped, ["ok", {}]);
    assert.deepEqual(await stop(), ["error", { reason: "not_found" }]);
    assert.deepEqual(calls.unread(), [], "nothing after the end");
    await leave(calls);
  },

  async "pushes before the join completes wait for it"(socket) {
    const calls = new Calls(socket.channel("api:early"));
    const join = outcome(calls.channel.join());
    assert.equal(calls.channel.state, "joining");
    const early = calls.push("add", { a: 1, b: 2 });
    assert.deepEqual([await join, await early.reply], [["ok", {}], ["ok", "add"]]);
    assert.deepEqual((await calls.next(early.id)).result, { sum: 3 });
    await leave(calls);

    // The package holds pushes back until the join's reply. One that goes out right behind the join is served too.
    const eager = new Calls(socket.channel("api:eager"));
    const { topic } = eager.channel;
    const joining = outcome(eager.channel.join());
    const payload = { request_id: "eager", service: "demo", request_type: "add", args: { a: 2, b: 2 } };
    socket.push({ topic, event, payload, ref: socket.makeRef(), join_ref: eager.channel.joinRef() });
    assert.deepEqual((await eager.next("eager")).result, { sum: 4 });
    assert.deepEqual(await joining, ["ok", {}]);
    await leave(eager);
  },

  async "leave cancels, and the topic is joined again"(socket) {
    const calls = await joined(socket, "api:again");
    const { id } = calls.push("count", { to: 1_000_000, delay_ms: 2 });
    await calls.next(id);
    await leave(calls);
    assert.equal(calls.channel.state, "closed");
    const again = await joined(socket, "api:again");
    // The id is free: the stream that had it ended with the channel.
    const answer = again.push("echo", { message: "back" }, id);
    assert.deepEqual(await answer.reply, ["ok", "echo"]);
    assert.deepEqual((await again.next(id)).result, { message: "back" });
    assert.deepEqual(again.unread(), []);
    await leave(again);
  },

  async "a duplicate join replaces the first"(socket) {
    const first = await joined(socket, "api:twice");
    // The package leaves a topic that it joins twice; without that, the gateway closes the former join.
    const leaveOpenTopic = socket.leaveOpenTopic;
    socket.leaveOpenTopic = () => {};
    const second = await joined(socket, "api:twice");
    socket.leaveOpenTopic = leaveOpenTopic;
    assert.deepEqual((await second.call("add", { a: 2, b: 2 })).result, { sum: 4 });
    assert.deepEqual([first.channel.state, second.channel.state], ["closed", "joined"]);
    const third = await joined(socket, "api:twice");
    assert.deepEqual((await third.call("add", { a: 2, b: 3 })).result, { sum: 5 });
    assert.deepEqual([second.channel.state, third.channel.state], ["closed", "joined"]);
    await leave(third);
  },

  async "a repeated join keeps its channel"(socket) {
    const calls = await joined(socket, "api:repeated");
    // As after a join whose reply was late: the same topic with a new join_ref, and no leave before.
    calls.channel.joinPush.resend(calls.channel.timeout);
    await new Promise((resolve) => calls.channel.joinPush.receive("ok", resolve));
    assert.deepEqual((await calls.call("add", { a: 3, b: 3 })).result, { sum: 6 });
    assert.equal(calls.channel.state, "joined");
    await leave(calls);
  },

  async "heartbeats are answered"(_, options) {
    // On a socket of its own: the package gives up one whose heartbeat has no answer before the next is due.
    const socket = connect(url, { ...options, heartbeatIntervalMs: 500 });
    await beats(socket, 3);
    socket.disconnect();
  },
};

/** Steps that version 1 cannot do: without a join_ref nobody knows which join a frame is for. */
const ONLY_2 = ["a duplicate join replaces the first"];

/** Waits for so many answered heartbeats. */
function beats(socket, count) {
  return new Promise((resolve) => {
    const ref = socket.onMessage(({ topic, payload }) => {
      if (topic !== "phoenix" || payload.status !== "ok" || --count > 0) return;
      socket.off([ref]);
      resolve();
    });
  });
}

/** The gateway goes and comes back: the socket and its channel find back by themselves. */
async function restarts(socket) {
  const calls = await joined(socket, "api:restart");
  for (const n of [1, 2]) {
    const closed = new Promise((resolve) => {
      const ref = socket.onClose(({ code }) => {
        socket.off([ref]);
        resolve(code);
      });
    });
    const rejoined = closed.then(
      () => new Promise((resolve) => calls.channel.joinPush.receive("ok", resolve)),
    );
    console.log(`ready for restart ${n}`);
    console.log(`closed with ${await closed}`);
    await rejoined;
    // The new gateway may not know the worker yet.
    let answer;
    do answer = await calls.call("add", { a: n, b: 1 });
    while (!answer.success && (await new Promise((resolve) => setTimeout(resolve, 50, true))));
    assert.deepEqual(answer.result, { sum: n + 1 });
  }
  await leave(calls);
}

/** A minute with a stream that runs all the time, and nothing said but heartbeats. */
async function minute() {
  const socket = connect(url, { heartbeatIntervalMs: 5000 });
  socket.onClose(({ code }) => assert.fail(`closed with ${code}`));
  const calls = await joined(socket, "api:minute");
  const answered = beats(socket, 11);
  const { id } = calls.push("count", { to: 600, delay_ms: 100 });
  assert.equal((await calls.next(id)).has_more, true);
  for (let n = 1; n <= 600; n += 1) assert.deepEqual((await calls.next(id)).result, { n });
  assert.equal((await calls.next(id)).has_more, false);
  await answered;
  assert.deepEqual((await calls.call("add", { a: 1, b: 1 })).result, { sum: 2 });
}

async function everyStep(options, but, name) {
  const socket = connect(url, options);
  const guard = socket.onClose(({ code, reason }) => assert.fail(`closed with ${code} ${reason}`));
  for (const [step, run] of Object.entries(steps)) {
    if (but.includes(step)) continue;
    await run(socket, options);
    console.log(`${name}: ${step}`);
  }
  socket.off([guard]);
  return socket;
}

limit(mode === "--minute" ? 150 : 110);
if (mode === "--minute") await minute();
else {
  (await everyStep(version1, ONLY_2, "version 1")).disconnect();
  const socket = await everyStep({}, [], "version 2");
  if (mode === "--restarts") await restarts(socket);
  await new Promise((resolve) => socket.disconnect(resolve));
}
console.log("ok");
process.exit(0);
