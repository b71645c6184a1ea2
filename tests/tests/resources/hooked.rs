//! Resources with a permission callback and an after hook.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use sluice_e2e::cluster::Cluster;
use sluice_e2e::eventually;
use sluice_e2e::nats::BrokerKind;
use sluice_worker::resource::{Resource, with};
use sluice_worker::{Function, Worker, WorkerBuilder};
use tokio::sync::mpsc;

/// Notes that may be read and not deleted; `heard` gets what the after hook is told.
fn notes(url: &str, heard: mpsc::UnboundedSender<Value>) -> WorkerBuilder {
    let note = Resource::graph()
        .media_types(["text/plain"])
        .get(with(|visit| {
            let names = visit.headers().keys().map(ToString::to_string);
            names.collect::<Vec<String>>().join(" ")
        }))
        .delete(())
        .build()
        .unwrap();
    let heard = Arc::new(heard);
    Worker::builder("notes")
        .connect(url)
        .function_with(
            Function::resource("note", "/notes/{id}", note)
                .permission_callback("notes", "may")
                .after_execute("notes", "record"),
        )
        .function_with(Function::sync("may", may).unchecked_args().internal())
        .function_with(
            Function::sync("record", move |question: Value| {
                let heard = heard.clone();
                async move {
                    let _ = heard.send(question);
                    json!({"allow": true})
                }
            })
            .unchecked_args()
            .internal(),
        )
}

async fn may(question: Value) -> bool {
    let http = &question["request"]["http"];
    http["method"] == "GET" && http["path"] == "/notes/7" && http["query"] == "a=%20"
}

#[tokio::test]
async fn callbacks_see_the_request_and_after_hooks_hear_the_status() {
    let cluster = Cluster::start(BrokerKind::Embedded)
        .workers(0)
        .gateway(|_, gateway| gateway)
        .await
        .unwrap();
    let (heard, mut told) = mpsc::unbounded_channel();
    let worker = notes(&cluster.broker().url(), heard).start().await.unwrap();
    let client = cluster.gateway(0).client().unwrap();
    let send = async |method: Method, path: &str| {
        let request = client.request(method, path);
        let request = request.header("X-User-Id", "root").header("x-other", "1");
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.text().await.unwrap())
    };
    let read = eventually("notes are served", || async {
        match send(Method::GET, "/notes/7?a=%20").await {
            (200, body) => Some(body),
            _ => None,
        }
    })
    .await
    .unwrap();
    let names: Vec<&str> = read.split(' ').collect();
    assert!(names.contains(&"x-other"), "{names:?}");
    assert!(!names.contains(&"x-user-id"), "{names:?}");

    for (method, path) in [
        (Method::GET, "/notes/8?a=%20"),
        (Method::GET, "/notes/7"),
        (Method::DELETE, "/notes/7?a=%20"),
    ] {
        let (status, problem) = send(method, path).await;
        assert_eq!(status, 403, "{path}: {problem}");
    }
    // Of those it hears nothing: the next that it hears is the next that was let in.
    let (status, _) = send(Method::GET, "/notes/7?a=%20").await;
    assert_eq!(status, 200);
    for _ in 0..2 {
        let question = told.recv().await.unwrap();
        assert_eq!(question["phase"], "after", "{question}");
        assert_eq!(question["request"]["http"]["path"], "/notes/7");
        assert_eq!(question["request"]["args"], json!({"id": "7"}));
        assert_eq!(question["response"]["result"], json!({"status": 200}));
    }
    worker.shutdown().await.unwrap();
    assert!(told.try_recv().is_err(), "it heard of somebody else");
}
