//! A gateway that shuts down: what is in flight ends, what is new goes elsewhere.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use super::super::{Drained, bind_shards, run};
use super::*;
use crate::edge::fake::{Open, item, next_open, result};

struct Running {
    address: SocketAddr,
    drain: CancellationToken,
    served: JoinHandle<Drained>,
    open: UnboundedReceiver<Open>,
}

impl Running {
    fn start(rig: Rig) -> Self {
        let listener = bind_shards("127.0.0.1:0".parse().unwrap(), 1)
            .unwrap()
            .remove(0);
        let address = listener.local_addr().unwrap();
        let drain = CancellationToken::new();
        let token = drain.clone();
        let served = tokio::spawn(async move { run(listener, rig.edge, token).await.unwrap() });
        let open = rig.open;
        Self {
            address,
            drain,
            served,
            open,
        }
    }

    async fn connect(&self) -> Client<TcpStream> {
        Client::over(TcpStream::connect(self.address).await.unwrap())
    }
}

#[tokio::test]
async fn what_is_in_flight_ends_and_nothing_new_begins() {
    let mut gateway = Running::start(Rig::new());
    let mut idle = gateway.connect().await;
    idle.post("echo", "{}").await;
    assert!(!idle.reply().await.closes());
    let mut call = gateway.connect().await;
    call.post("hold", "{}").await;
    let call_far = next_open(&mut gateway.open).await;
    let mut stream = gateway.connect().await;
    stream.post("items", "{}").await;
    let stream_far = next_open(&mut gateway.open).await;
    let mut report = gateway.connect().await;
    report.post("report", "{}").await;
    assert_eq!(report.reply().await.status, 202);
    let report_far = next_open(&mut gateway.open).await;

    gateway.drain.cancel();
    assert_eq!(idle.closed().await, "", "an idle connection is closed");
    // The listener is closed by now, too: it was, before connections were told.
    assert!(TcpStream::connect(gateway.address).await.is_err());

    call_far.answers.send(result("1")).await.unwrap();
    let reply = call.reply().await;
    assert_eq!(
        (reply.status, reply.closes()),
        (200, true),
        "{}",
        reply.head
    );
    assert_eq!(call.closed().await, "");

    stream_far.answers.send(item("1")).await.unwrap();
    stream.until("\"result\":1").await;
    stream_far
        .answers
        .send(sluice_protocol::response::Answer::StreamEnd)
        .await
        .unwrap();
    assert!(stream.closed().await.ends_with("0\r\n\r\n"));

    assert!(
        !gateway.served.is_finished(),
        "an async call is still in flight"
    );
    assert!(!report_far.cancelled.is_cancelled());
    report_far.answers.send(result("1")).await.unwrap();
    let drained = within("the end", gateway.served).await.unwrap();
    assert_eq!(drained.cut, 0);
}

#[tokio::test]
async fn whoever_had_connected_before_is_served() {
    let gateway = Running::start(Rig::new());
    let mut early = gateway.connect().await;
    // In the system's queue, not accepted: nothing has run since.
    let early2 = std::net::TcpStream::connect(gateway.address).unwrap();
    gateway.drain.cancel();
    early2.set_nonblocking(true).unwrap();
    let mut early2 = Client::over(TcpStream::from_std(early2).unwrap());
    for client in [&mut early, &mut early2] {
        client.post("echo", "{}").await;
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.closes()), (200, true));
        assert_eq!(client.closed().await, "");
    }
    let drained = within("the end", gateway.served).await.unwrap();
    assert_eq!(drained, Drained { open: 2, cut: 0 });
}

#[tokio::test]
async fn what_does_not_end_is_cut() {
    let rig = Rig::with(|c| c.gateway.drain_timeout = Duration::from_millis(50));
    let results = rig.edge.parts().results.clone();
    let mut gateway = Running::start(rig);
    let mut call = gateway.connect().await;
    call.post("hold", "{}").await;
    let far = next_open(&mut gateway.open).await;
    let mut report = gateway.connect().await;
    report.post("report", "{}").await;
    let reply = report.reply().await;
    let report_far = next_open(&mut gateway.open).await;
    gateway.drain.cancel();
    assert_eq!(call.closed().await, "");
    within("the call is cancelled", far.cancelled.cancelled()).await;
    within("the async call, too", report_far.cancelled.cancelled()).await;
    let drained = within("the end", gateway.served).await.unwrap();
    assert_eq!(drained.cut, 1);
    let location = reply
        .head
        .lines()
        .find_map(|l| l.strip_prefix("location: /api/calls/"));
    let record = results.get(location.unwrap()).await.unwrap().unwrap();
    let Some(sluice_protocol::response::Answer::Error(error)) = record.answer else {
        panic!("{record:?}");
    };
    assert_eq!(error.code, sluice_protocol::ErrorCode::Cancelled);
    assert_eq!(error.source, sluice_protocol::ErrorSource::Gateway);
}

#[tokio::test]
async fn a_gateway_that_is_not_ready_sends_its_clients_elsewhere() {
    let rig = Rig::new();
    let health = rig.health.clone();
    let gateway = Running::start(rig);
    let mut client = gateway.connect().await;
    client.post("echo", "{}").await;
    assert!(!client.reply().await.closes());
    health.set_draining();
    client.post("echo", "{}").await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.closes()), (200, true));
    // But it still takes new ones, until balancers have noticed.
    let mut client = gateway.connect().await;
    client.post("echo", "{}").await;
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn whoever_connects_and_says_nothing_does_not_hold_it_up() {
    let (pipes, _open) = Pipes::of(Rig::new());
    let mut silent = pipes.connect(1 << 10);
    let start = tokio::time::Instant::now();
    tokio::task::yield_now().await;
    pipes.drain.cancel();
    assert_eq!(silent.closed().await, "");
    assert_eq!(start.elapsed().as_secs(), 1);
}
