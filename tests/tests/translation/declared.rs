//! Changes that run in the gateway.

use serde_json::{Value, json};
use sluice_e2e::socket::Socket;
use sluice_worker::change::{Declared, Operation};
use sluice_worker::schemars::{self, JsonSchema};
use sluice_worker::{Function, StreamSender, Worker, WorkerBuilder};

use crate::{call, cluster, pushes, request, served};

#[derive(serde::Deserialize, serde::Serialize, JsonSchema)]
struct Text {
    text: String,
}

#[derive(serde::Deserialize, serde::Serialize, JsonSchema)]
struct Owner {
    id: u64,
}

/// A device as version 3 has it.
#[derive(serde::Deserialize, serde::Serialize, JsonSchema)]
struct Device {
    details: Text,
    owner: Owner,
    status: String,
}

async fn create(device: Device) -> Value {
    json!({ "data": device, "id": 7 })
}

async fn list(sender: StreamSender<Value>) -> Result<(), sluice_worker::Error> {
    for id in 1..=3 {
        let item = json!({
            "data": { "id": id, "details": {"text": format!("pump {id}")}, "owner": {"id": id},
                "status": "active" }
        });
        sender.send(item).await?;
    }
    Ok(())
}

/// The worker of version 3, with everything it says of its older versions.
fn devices(url: &str) -> WorkerBuilder {
    let all = ["create", "list"];
    let name = Declared::new("name is a description", all)
        .request([Operation::rename("name", "description")])
        .reverse_at(["/data"]);
    let owner = Declared::new("an owner is an object", all)
        .request([Operation::move_to("/owner_id", "/owner/id")])
        .reverse_at(["/data"]);
    let details = Declared::new("descriptions are details", all)
        .request([Operation::move_to("/description", "/details/text")])
        .reverse_at(["/data"]);
    let status = Declared::new("devices have a status", all)
        .request([Operation::default("/status", "active")])
        .reverse_at(["/data"]);
    Worker::builder("devices")
        .version("3")
        .connect(url)
        .function("create", create)
        .function_with(Function::stream("list", list).unchecked_args())
        .versions(|versions| {
            versions
                .version("1", |v| v.declare(name).declare(owner))
                .version("2", |v| v.declare(details).declare(status))
                .version("3", |v| v)
        })
}

#[tokio::test]
async fn a_client_of_version_1_works_unchanged_against_version_3() {
    let cluster = cluster(|g| g).await;
    let worker = devices(&cluster.broker().url()).start().await.unwrap();
    let client = cluster.gateway(0).client().unwrap();
    served(&client, "create").await;

    let args = json!({"name": "pump", "owner_id": 3});
    let (_, answer) = call(&client, "1", "create", args.clone()).await;
    let expected = json!({"data": {"name": "pump", "owner_id": 3}, "id": 7});
    assert_eq!(answer.result, expected, "{answer:?}");
    let two = json!({"description": "pump", "owner": {"id": 3}});
    let (_, answer) = call(&client, "2", "create", two.clone()).await;
    assert_eq!(answer.result, json!({"data": two, "id": 7}), "{answer:?}");
    let three = json!({"details": {"text": "pump"}, "owner": {"id": 3}, "status": "off"});
    let (_, answer) = call(&client, "3", "create", three.clone()).await;
    assert_eq!(answer.result, json!({"data": three, "id": 7}), "{answer:?}");

    let mut socket = Socket::joined(cluster.gateway(0).address()).await.unwrap();
    let answers = pushes(&mut socket, request("1", "create", args)).await;
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0]["result"], expected);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn streams_are_translated_item_by_item() {
    let cluster = cluster(|g| g).await;
    let worker = devices(&cluster.broker().url()).start().await.unwrap();
    let client = cluster.gateway(0).client().unwrap();
    served(&client, "create").await;
    let item = |id: u64| json!({"data": {"id": id, "name": format!("pump {id}"), "owner_id": id}});

    let mut socket = Socket::joined(cluster.gateway(0).address()).await.unwrap();
    let answers = pushes(&mut socket, request("1", "list", json!({}))).await;
    let items: Vec<&Value> = answers[1..4].iter().map(|a| &a["result"]).collect();
    assert_eq!(items, [&item(1), &item(2), &item(3)], "{answers:?}");

    let client = client.header("sluice-version", "1");
    let stream = client.sse("devices", "list", json!({})).await.unwrap();
    let events = stream.stream().unwrap().collect().await.unwrap();
    let items: Vec<Value> = events
        .iter()
        .filter(|event| event.kind == "item")
        .map(|event| event.envelope().unwrap().result)
        .collect();
    assert_eq!(items, [item(1), item(2), item(3)], "{events:?}");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn errors_name_the_fields_of_the_clients_version() {
    let cluster = cluster(|g| g).await;
    let worker = devices(&cluster.broker().url()).start().await.unwrap();
    let client = cluster.gateway(0).client().unwrap();
    served(&client, "create").await;

    let args = json!({"name": 5, "owner_id": "x", "more": 1});
    let (status, refused) = call(&client, "1", "create", args).await;
    assert_eq!((status, refused.code()), (422, "invalid_arguments"));
    let details = refused.details.clone().unwrap();
    let mut paths: Vec<&str> = details["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["path"].as_str().unwrap())
        .collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/more", "/name", "/owner_id"], "{refused:?}");
    for text in ["devices.create@1", "/name: ", "/owner_id: "] {
        assert!(refused.error.contains(text), "{text}: {refused:?}");
    }
    let (status, unknown) = call(&client, "9", "create", json!({})).await;
    assert_eq!((status, unknown.code()), (404, "unknown_version"));
    assert_eq!(unknown.details.unwrap()["versions"], json!(["1", "2", "3"]));
    // A key twice would be one thing here and another there.
    let twice = r#"{"service":"devices","request_type":"create","version":"1",
        "args":{"name":"a","\u006eame":"b"}}"#;
    let response = client
        .request(reqwest::Method::POST, "/api")
        .header("content-type", "application/json")
        .body(twice)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 422);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn messagepack_clients_are_translated_too() {
    let cluster = cluster(|g| g).await;
    let worker = devices(&cluster.broker().url()).start().await.unwrap();
    let client = cluster.gateway(0).client().unwrap();
    served(&client, "create").await;
    let body = rmp_serde::to_vec_named(&request(
        "1",
        "create",
        json!({"name": "pump", "owner_id": 3}),
    ));
    let response = client
        .request(reqwest::Method::POST, "/api")
        .header("content-type", "application/msgpack")
        .header("accept", "application/msgpack")
        .body(body.unwrap())
        .send()
        .await
        .unwrap();
    let bytes = response.bytes().await.unwrap();
    let answer: Value = rmp_serde::from_slice(&bytes).unwrap();
    let expected = json!({"data": {"name": "pump", "owner_id": 3}, "id": 7});
    assert_eq!(answer["result"], expected, "{answer}");
    worker.shutdown().await.unwrap();
}
