//! A socket that does not read while its stream runs: nobody keeps what it does not take, nobody
//! else waits for it, and it has missed nothing when it reads again.

use std::time::Duration;

use serde_json::json;
use sluice_e2e::cluster::Cluster;
use sluice_e2e::gateway::GatewayBuilder;
use sluice_e2e::process::Process;
use sluice_e2e::socket::{Socket, TOPIC};
use sluice_e2e::{Error, eventually};
use tokio::time::{interval, sleep};

use crate::machine::{assert_sound, broker, cpu, rss};
use crate::measure::{Times, busy};

/// What a slow socket may cost a process: much more than the buffers on the way.
const BOUND: u64 = 16 << 20;
/// A gateway or worker that does nothing but live has less processor time than this in a second, one
/// that has a stream to send has much more. In hundredths of a second.
const STILL: u64 = 8;
/// How much worse others may fare beside it. Machines are shared; that one socket stops the
/// others would show as a hundredfold.
const FACTOR: u32 = 10;
/// Sockets that call beside it.
const OTHERS: usize = 8;
const MEASURED: Duration = Duration::from_secs(4);
/// Items read in the end: many times what may wait between worker and client.
const READ: u64 = 60_000;

#[tokio::test]
async fn a_socket_that_does_not_read_costs_only_itself() {
    // Nothing ends what stands still before the test has looked.
    let patient = |_, gateway: GatewayBuilder| {
        let gateway = gateway.option("phoenix", "write_timeout_ms", 600_000);
        gateway.option("phoenix", "idle_timeout_ms", 600_000)
    };
    let cluster = Cluster::start(broker()).gateway(patient).await.unwrap();
    let address = cluster.gateway(0).address();
    let processes = [cluster.gateway(0).process(), cluster.worker(0).process()];
    let alone = busy(address, OTHERS, MEASURED).await.unwrap();

    let before = processes.map(rss);
    let mut slow = Socket::connect_narrow(address, 4096).await.unwrap();
    slow.join().await.unwrap();
    slow.push(&count_to_ten_million()).await.unwrap();
    let (beside, most) = tokio::join!(
        async { busy(address, OTHERS, MEASURED).await.unwrap() },
        most_memory(processes),
    );
    for ((process, before), most) in processes.into_iter().zip(before).zip(most) {
        let name = process.name();
        let grown = most.saturating_sub(before);
        eprintln!(
            "{name}: {} KiB before, at most {} KiB more",
            before >> 10,
            grown >> 10
        );
        assert!(
            grown < BOUND,
            "{name}: {before} bytes before, {most} beside a slow socket"
        );
    }
    eprintln!("{}", compare(&alone, &beside));
    stands_still(processes).await;
    reads_again(&mut slow).await;
    processes.into_iter().for_each(assert_sound);
}

fn count_to_ten_million() -> serde_json::Value {
    json!({
        "request_id": "slow", "service": "demo", "request_type": "count",
        "args": {"to": 10_000_000, "delay_ms": 0},
    })
}

/// The most memory each process had while others were measured, looked at often.
async fn most_memory(processes: [&Process; 2]) -> [u64; 2] {
    let mut most = [0; 2];
    let mut often = interval(Duration::from_millis(50));
    for _ in 0..MEASURED.as_millis() / 50 {
        often.tick().await;
        for (most, process) in most.iter_mut().zip(processes) {
            *most = rss(process).max(*most);
        }
    }
    most
}

fn compare(alone: &Times, beside: &Times) -> String {
    let (p99_alone, p99_beside) = (alone.quantile(0.99), beside.quantile(0.99));
    let (count_alone, count_beside) = (alone.count(), beside.count());
    let figures = format!(
        "alone {count_alone} calls, p99 {p99_alone:?}; beside {count_beside} calls, p99 {p99_beside:?}"
    );
    assert!(count_beside * FACTOR as usize >= count_alone, "{figures}");
    assert!(p99_beside <= p99_alone * FACTOR, "{figures}");
    figures
}

/// Neither process works on the stream any more: else its memory would only be a matter of time.
async fn stands_still(processes: [&Process; 2]) {
    eventually("the stream stands still", || async move {
        let before = processes.map(cpu);
        sleep(Duration::from_secs(1)).await;
        let busy = [0, 1].map(|i| cpu(processes[i]) - before[i]);
        if busy.iter().all(|busy| *busy < STILL) {
            return Ok(());
        }
        Err(Error::new(format!("gateway and worker had {busy:?}")))
    })
    .await
    .unwrap();
}

/// Reads on as fast as it can: all items in order, none missing, and then it stops the stream.
async fn reads_again(slow: &mut Socket) {
    let mut next = 1;
    while next <= READ {
        let frame = slow.frame().await.unwrap();
        if let Some(item) = frame.payload["result"]["n"].as_u64() {
            assert_eq!(item, next);
            next += 1;
        }
    }
    let stop = json!({"request_id": "slow"});
    let stop = slow.push_event(TOPIC, "stop_stream", &stop).await.unwrap();
    let mut ended = false;
    loop {
        let frame = slow.frame().await.unwrap();
        if frame.is_reply_to(stop) {
            assert_eq!(frame.payload["status"], "ok", "{frame:?}");
            break;
        }
        assert!(!ended, "after the end: {frame:?}");
        ended = frame.payload["has_more"] == false;
    }
    assert!(ended, "the end comes before the reply");
}
