//! The workers of these tests: this very program again, so that they can be killed.

use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use sluice_e2e::process::Process;
use sluice_worker::{Error, Function, JsonSchema, Worker, WorkerBuilder};

const URL: &str = "GUARDS_NATS_URL";
const SERVICE: &str = "GUARDS_SERVICE";
const INSTANCE: &str = "GUARDS_INSTANCE";
const BROKEN: &str = "GUARDS_BROKEN";

/// Starts a worker of `shop` (what clients call) or `guard` (what the gateway asks).
pub(crate) fn start(url: &str, service: &str, instance: &str) -> Process {
    launch(url, service, instance, false)
}

/// One whose every answer is an error.
pub(crate) fn start_broken(url: &str, service: &str, instance: &str) -> Process {
    launch(url, service, instance, true)
}

fn launch(url: &str, service: &str, instance: &str, broken: bool) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["worker::as_worker", "--exact", "--ignored", "--nocapture"]);
    command
        .env(URL, url)
        .env(SERVICE, service)
        .env(INSTANCE, instance);
    if broken {
        command.env(BROKEN, "1");
    }
    Process::spawn(format!("{service} {instance}"), command).unwrap()
}

/// Not a test: the other end of [`start`].
#[tokio::test]
#[ignore = "the worker process of the other tests"]
async fn as_worker() {
    let (Ok(url), Ok(service)) = (std::env::var(URL), std::env::var(SERVICE)) else {
        return;
    };
    let builder = match service.as_str() {
        "shop" => shop(),
        _ => guard(),
    };
    let instance = std::env::var(INSTANCE).unwrap();
    builder
        .connect(&url)
        .instance(&instance)
        .run()
        .await
        .unwrap();
}

fn shop() -> WorkerBuilder {
    let order = || {
        Function::sync("order", order).before_execute_with("guard", "before", json!({"most": 9}))
    };
    Worker::builder("shop")
        .function_with(order())
        .function_with(
            Function::sync("impatient", echo)
                .before_execute("guard", "before")
                .hook_timeout(Duration::from_millis(300)),
        )
        .function_with(Function::sync("audited", echo).after_execute("guard", "after"))
        .function_with(Function::asynchronous("report", echo).after_execute("guard", "record"))
        .function_with(Function::sync("failing", failing).after_execute("guard", "linger"))
        .function_with(Function::sync("secret", echo).permission_callback("guard", "permit"))
        .function_with(Function::sync("orphan", echo).permission_callback("guard", "nowhere"))
        .function_with(
            Function::sync("narrow", wait)
                .timeout(Duration::from_secs(60))
                .max_in_flight(1)
                .max_queue(1),
        )
        .function_with(Function::sync("flaky", flaky))
        .function_with(Function::sync("where", here))
}

fn guard() -> WorkerBuilder {
    Worker::builder("guard")
        .function_with(Function::sync("before", before).internal())
        .function_with(Function::sync("after", after).internal())
        .function_with(Function::sync("record", record).internal())
        .function_with(Function::sync("linger", linger).internal())
        .function_with(Function::sync("permit", permit).internal())
        .function_with(Function::sync("seen", seen))
}

#[derive(Deserialize, JsonSchema)]
struct Order {
    count: u64,
}

async fn order(args: Order) -> Value {
    json!({ "ordered": args.count })
}

async fn echo(args: Value) -> Value {
    args
}

#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[derive(Default)]
struct Wait {
    ms: u64,
}

async fn wait(args: Wait) -> Value {
    eprintln!("narrow begins");
    tokio::time::sleep(Duration::from_millis(args.ms)).await;
    json!({ "waited": args.ms })
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default)]
struct Flaky {
    status: u16,
}

async fn flaky(args: Flaky) -> Result<Value, Error> {
    match args.status {
        0 => Ok(json!("well")),
        status => Err(Error::new("flaky", "as it was told").status(status)),
    }
}

async fn here(ctx: sluice_worker::Context) -> Result<Value, Error> {
    if std::env::var_os(BROKEN).is_some() {
        return Err(Error::new("broken", "this instance is broken"));
    }
    Ok(json!(ctx.instance()))
}

/// Does what the order's `hook` says.
async fn before(question: Value) -> Result<Value, Error> {
    let args = &question["request"]["args"];
    match args["hook"].as_str().unwrap_or_default() {
        "change" => Ok(json!({"args": {"count": question["extra"]["most"]}})),
        "spoil" => Ok(json!({"args": {"count": "many"}})),
        "refuse" => Err(Error::new("quota", "over quota")),
        "hang" => {
            eprintln!("the hook hangs");
            std::future::pending().await
        }
        "panic" => panic!("on purpose"),
        "odd" => Ok(json!(true)),
        _ => Ok(json!({"allow": true})),
    }
}

async fn after(question: Value) -> Value {
    json!({"result": {"phase": question["phase"], "was": question["response"]["result"]}})
}

static RECORDED: Mutex<Vec<Value>> = Mutex::new(Vec::new());

async fn failing() -> Result<Value, Error> {
    Err(Error::new("failing", "as always"))
}

/// Takes its time.
async fn linger(_question: Value) {
    eprintln!("the hook begins");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    eprintln!("the hook ends");
}

async fn record(question: Value) {
    RECORDED.lock().unwrap().push(question["response"].clone());
}

async fn seen() -> Value {
    json!(*RECORDED.lock().unwrap())
}

/// The owner may, whoever that is.
async fn permit(question: Value) -> Value {
    let request = &question["request"];
    match &request["args"]["owner"] {
        Value::String(word) if word == "odd" => json!({"allow": true}),
        owner => json!(!owner.is_null() && *owner == request["user_id"]),
    }
}
