//! Changes in code: the worker translates, and then checks what the gateway could not.

use serde_json::{Value, json};
use sluice_e2e::socket::Socket;
use sluice_worker::change::{Change, Declared, Operation};
use sluice_worker::{Arg, Error, Function, StreamSender, Worker, WorkerBuilder};

use crate::{call, cluster, pushes, request, served};

/// Version 2 counted in minutes.
struct Seconds;

impl Change for Seconds {
    fn functions(&self) -> Vec<String> {
        vec!["remind".into(), "ticks".into()]
    }

    fn request(&self, mut args: Value) -> Result<Value, Error> {
        match args["minutes"].as_u64() {
            Some(13) => return Err(Error::new("unlucky", "not thirteen")),
            Some(666) => panic!("the change panics"),
            Some(minutes) => args["seconds"] = (minutes * 60).into(),
            None => {}
        }
        args.as_object_mut().unwrap().remove("minutes");
        Ok(args)
    }

    fn response(&self, mut result: Value) -> Result<Value, Error> {
        if let Some(seconds) = result["seconds"].as_u64() {
            result = json!({"minutes": seconds / 60});
        }
        Ok(result)
    }

    fn place(&self, place: &str) -> String {
        place.replace("/seconds", "/minutes")
    }
}

async fn remind(args: Value) -> Value {
    json!({ "seconds": args["seconds"], "who": args["user"] })
}

async fn ticks(_: Value, sender: StreamSender<Value>) -> Result<(), Error> {
    for minute in 1..=2 {
        sender.send(json!({"seconds": minute * 60})).await?;
    }
    Ok(())
}

fn devices(url: &str) -> WorkerBuilder {
    let user = Declared::new("who is user", ["remind", "ticks"])
        .request([Operation::rename("who", "user")]);
    Worker::builder("devices")
        .version("3")
        .connect(url)
        .function_with(
            Function::sync("remind", remind)
                .args([("user", Arg::string()), ("seconds", Arg::integer())])
                .require_user_arg("user"),
        )
        .function_with(Function::stream("ticks", ticks).args([
            ("user", Arg::string().optional()),
            ("seconds", Arg::integer().optional()),
        ]))
        .versions(|versions| {
            versions
                .version("1", |v| v.declare(user))
                .version("2", |v| v.change(Seconds))
                .version("3", |v| v)
        })
}

#[tokio::test]
async fn code_translates_and_permission_and_args_are_checked_behind_it() {
    let cluster = cluster(|g| g).await;
    let worker = devices(&cluster.broker().url()).start().await.unwrap();
    let client = cluster.gateway(0).client().unwrap();
    served(&client, "remind").await;

    let (_, answer) = call(&client, "1", "remind", json!({"who": "u1", "minutes": 2})).await;
    assert_eq!(answer.result, json!({"minutes": 2}), "{answer:?}");
    let (_, answer) = call(&client, "3", "remind", json!({"user": "u1", "seconds": 5})).await;
    assert_eq!(
        answer.result,
        json!({"seconds": 5, "who": "u1"}),
        "{answer:?}"
    );
    // On behalf of another user: refused on today's shape, in whatever words it was said.
    for (version, args) in [
        ("1", json!({"who": "u2", "minutes": 2})),
        ("2", json!({"user": "u2", "minutes": 2})),
        ("2", json!({"minutes": 2})),
        ("3", json!({"user": "u2", "seconds": 2})),
    ] {
        let (status, denied) = call(&client, version, "remind", args).await;
        assert_eq!(
            (status, denied.code()),
            (403, "permission_denied"),
            "{denied:?}"
        );
        assert_eq!(denied.details.unwrap()["executed"], "no");
    }
    let bad = json!({"who": "u1", "minutes": "x", "more": 1});
    let (status, refused) = call(&client, "1", "remind", bad).await;
    assert_eq!(
        (status, refused.code()),
        (422, "invalid_arguments"),
        "{refused:?}"
    );
    let faults = refused.details.unwrap()["faults"].clone();
    let faults = faults.as_array().unwrap();
    let paths: Vec<&Value> = faults.iter().map(|f| &f["path"]).collect();
    assert_eq!(paths, ["/more", "/minutes"]);
    let messages: Vec<&str> = faults
        .iter()
        .map(|f| f["message"].as_str().unwrap())
        .collect();
    assert_eq!(
        refused.error,
        format!(
            "the args of devices.remind@1 are not valid: /more: {}; /minutes: {}",
            messages[0], messages[1]
        )
    );
    let missing = json!({"minutes": 1});
    let (_, refused) = call(&client, "1", "remind", missing).await;
    assert_eq!(refused.code(), "permission_denied");
    assert_eq!(refused.error, "you may not call devices.remind@1");
    let (_, refused) = call(&client, "2", "remind", json!({"user": "u1"})).await;
    let fault = &refused.details.as_ref().unwrap()["faults"][0];
    assert_eq!(fault["path"], "/minutes", "{refused:?}");
    assert!(refused.error.contains("devices.remind@2"), "{refused:?}");
    assert!(!format!("{refused:?}").contains("seconds"), "{refused:?}");
    let unlucky = json!({"who": "u1", "minutes": 13});
    let (_, refused) = call(&client, "1", "remind", unlucky).await;
    assert_eq!(refused.code(), "unlucky");
    let panics = json!({"who": "u1", "minutes": 666});
    let (status, refused) = call(&client, "1", "remind", panics).await;
    assert_eq!(
        (status, refused.code()),
        (500, "worker_error"),
        "{refused:?}"
    );

    let mut socket = Socket::joined(cluster.gateway(0).address()).await.unwrap();
    let answers = pushes(&mut socket, request("1", "ticks", json!({"who": "u1"}))).await;
    let items: Vec<&Value> = answers[1..3].iter().map(|a| &a["result"]).collect();
    assert_eq!(
        items,
        [&json!({"minutes": 1}), &json!({"minutes": 2})],
        "{answers:?}"
    );
    worker.shutdown().await.unwrap();
}
