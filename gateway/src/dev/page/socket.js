// As much of the Phoenix Channels protocol (v2) as one page needs.
export class Socket {
  static open(topic, onclose) {
    return new Promise((resolve, reject) => {
      const scheme = location.protocol === "https:" ? "wss" : "ws";
      const self = new Socket();
      self.topic = topic;
      self.socket = new WebSocket(`${scheme}://${location.host}/socket/websocket?vsn=2.0.0`);
      self.socket.onopen = () => self.send("phx_join", {}).then(
        (reply) => reply.status === "ok" ? resolve(self) : reject(new Error(JSON.stringify(reply.response))));
      self.socket.onclose = (event) => {
        clearInterval(self.heartbeat);
        onclose();
        reject(new Error(`the socket closed: ${event.code} ${event.reason}`));
      };
      self.socket.onmessage = (event) => self.receive(JSON.parse(event.data));
      self.heartbeat = setInterval(() => self.socket.send(JSON.stringify([null, "hb", "phoenix", "heartbeat", {}])), 30000);
    });
  }

  constructor() {
    this.ref = 0;
    this.waiting = new Map();
    this.onmessage = () => {};
  }

  push(event, payload) {
    return this.send(event, payload);
  }

  send(event, payload) {
    const ref = String(++this.ref);
    if (event === "phx_join") this.joinRef = ref;
    this.socket.send(JSON.stringify([this.joinRef, ref, this.topic, event, payload]));
    return new Promise((resolve) => this.waiting.set(ref, resolve));
  }

  receive([, ref, topic, event, payload]) {
    if (topic !== this.topic) return;
    if (event === "phx_reply") {
      this.waiting.get(ref)?.(payload);
      this.waiting.delete(ref);
      if (ref !== this.joinRef) this.onmessage("phx_reply", payload);
      return;
    }
    this.onmessage(event, payload);
  }
}
