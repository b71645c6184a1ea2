//! What no store keeps is asked and changed at every gateway all the same: levels of the log,
//! breakers; ids of what is open name their gateway.

use reqwest::Method;
use serde_json::{Value, json};
use sluice_e2e::gateway::Gateway;
use sluice_e2e::socket::Socket;
use sluice_e2e::{Error, eventually};

use crate::{ask, cluster};

/// Asks until both gateways have answered: they hear of each other every few seconds.
async fn of_both(gateway: &Gateway, method: Method, path: &str, body: Value) -> Value {
    eventually(&format!("both gateways answer {path}"), || async {
        let (status, answer) = ask(gateway, method.clone(), path, body.clone()).await;
        assert_eq!(status, 200, "{answer}");
        let all = answer["gateways"].as_array().cloned().unwrap_or_default();
        let both = all.len() == 2 && all.iter().all(|said| said["error"].is_null());
        match both {
            true => Ok(Some(answer)),
            false => Err(Error::new(answer.to_string())),
        }
    })
    .await
    .unwrap()
}

async fn filter(gateway: &Gateway) -> Value {
    let (_, told) = ask(gateway, Method::GET, "/v1/log?here=true", Value::Null).await;
    told["filter"].clone()
}

#[tokio::test]
async fn levels_change_at_all_gateways_or_at_one() {
    let cluster = cluster().await.unwrap();
    let (one, two) = (cluster.gateway(0), cluster.gateway(1));
    let debug = json!({ "filter": "info,sluice_gateway=debug" });
    of_both(one, Method::PUT, "/v1/log", debug.clone()).await;
    assert_eq!(filter(two).await, debug["filter"]);
    let warn = json!({ "filter": "warn" });
    let (_, told) = ask(one, Method::PUT, "/v1/log?here=true", warn).await;
    assert_eq!(told["gateways"].as_array().unwrap().len(), 1, "{told}");
    assert_eq!(filter(one).await, "warn");
    assert_eq!(filter(two).await, debug["filter"]);
    let told = of_both(two, Method::DELETE, "/v1/log", Value::Null).await;
    for gateway in [one, two] {
        assert_eq!(filter(gateway).await, told["configured"]);
    }
    // What is wrong changes nothing anywhere.
    let wrong = json!({ "filter": "xyz" });
    let (status, _) = ask(one, Method::PUT, "/v1/log", wrong).await;
    assert_eq!(status, 400);
    assert_eq!(filter(two).await, told["configured"]);
    // The other gateway's log says who changed it.
    let said = two.process().log();
    let noted =
        said.count(|line| line.contains("sluice::audit") && line.contains("another gateway"));
    assert!(noted >= 1, "the change is not noted");
}

#[tokio::test]
async fn breakers_are_reset_at_all_gateways() {
    let cluster = cluster().await.unwrap();
    let one = cluster.gateway(0);
    let told = of_both(one, Method::POST, "/v1/breakers/reset", Value::Null).await;
    assert_eq!(told["reset"], 0, "{told}");
    let none = "/v1/breakers/reset?service=demo&instance=nobody";
    let (status, answer) = ask(one, Method::POST, none, Value::Null).await;
    assert_eq!(status, 404, "{answer}");
    let (_, listed) = ask(one, Method::GET, "/v1/breakers", Value::Null).await;
    assert_eq!(listed, json!({ "breakers": [], "silent": [] }));
}

#[tokio::test]
async fn a_socket_is_closed_at_its_own_gateway_alone() {
    let cluster = cluster().await.unwrap();
    let (one, two) = (cluster.gateway(0), cluster.gateway(1));
    let mut socket = Socket::joined(one.address()).await.unwrap();
    let (_, listed) = ask(one, Method::GET, "/v1/sockets", Value::Null).await;
    let id = listed["sockets"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/sockets/{id}");
    let (status, answer) = ask(two, Method::DELETE, &path, Value::Null).await;
    assert_eq!(status, 404, "{answer}");
    let (owner, _) = id.rsplit_once('-').unwrap();
    let text = answer["error"].as_str().unwrap();
    assert!(text.contains(&format!("of gateway {owner}")), "{text}");
    let (status, answer) = ask(one, Method::DELETE, &path, Value::Null).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(socket.closed().await.unwrap().0.code, 1008);
}
