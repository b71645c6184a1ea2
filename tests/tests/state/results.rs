//! Async calls: made at one gateway, followed at the other.

use reqwest::Method;
use serde_json::{Value, json};
use sluice_e2e::http::Client;
use sluice_e2e::{Error, eventually};

use super::{cluster, redis_available};

/// Makes an async call; where its result will be.
async fn start(client: &Client, ms: u64) -> String {
    let response = client
        .request(Method::POST, "/api/demo/report")
        .json(&json!({ "ms": ms }))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 202);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    assert!(location.starts_with("/api/calls/"), "{location}");
    location
}

async fn told(client: &Client, path: &str) -> Result<(u16, Value), Error> {
    let response = client.get(path).send().await;
    let response = response.map_err(|e| Error::because("result", e))?;
    let status = response.status().as_u16();
    let body = response.json().await;
    Ok((status, body.map_err(|e| Error::because("result", e))?))
}

async fn done(client: &Client, path: &str) -> (u16, Value) {
    eventually("the result", || async {
        match told(client, path).await? {
            (202, _) => Ok(None),
            done => Ok::<_, Error>(Some(done)),
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_result_is_found_through_either_gateway() {
    let cluster = cluster().await;
    let one = cluster.gateway(0).client().unwrap();
    let two = cluster.gateway(1).client().unwrap();
    let path = start(&one, 300).await;
    // The record is there before the 202 is.
    let (status, _) = told(&two, &path).await.unwrap();
    assert!(matches!(status, 200 | 202), "{status}");
    let (status, result) = done(&two, &path).await;
    assert_eq!(status, 200, "{result}");
    assert_eq!(result["result"], json!({ "done": true }));
    assert_eq!(done(&one, &path).await.1["result"], result["result"]);
    let stranger = two.clone().header("x-user-id", "somebody");
    assert_eq!(told(&stranger, &path).await.unwrap().0, 404);
}

#[tokio::test]
async fn a_result_is_followed_at_the_other_gateway() {
    let cluster = cluster().await;
    let one = cluster.gateway(0).client().unwrap();
    let two = cluster.gateway(1).client().unwrap();
    let path = start(&one, 1000).await;
    let events = two
        .get(&path)
        .header("accept", "text/event-stream")
        .send()
        .await
        .unwrap();
    let text = events.text().await.unwrap();
    assert!(text.contains("event: ack"), "{text}");
    assert!(text.contains("\"done\":true"), "{text}");
}

#[tokio::test]
async fn a_call_is_cancelled_through_the_other_gateway() {
    let cluster = cluster().await;
    let one = cluster.gateway(0).client().unwrap();
    let two = cluster.gateway(1).client().unwrap();
    let path = start(&one, 60_000).await;
    let asked = two.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(asked.status(), 202);
    let (status, result) = done(&one, &path).await;
    assert_eq!(status, 499, "{result}");
    assert_eq!(result["error_code"], "cancelled");
    assert_eq!(done(&two, &path).await.1["error_code"], "cancelled");
}

#[tokio::test]
async fn a_call_that_ends_while_redis_is_away_is_not_lost() {
    let mut cluster = cluster().await;
    let one = cluster.gateway(0).client().unwrap();
    let two = cluster.gateway(1).client().unwrap();
    let path = start(&one, 500).await;
    cluster.redis_mut().unwrap().process().kill9().unwrap();
    redis_available(&cluster, false).await;
    let refused = told(&two, &path).await.unwrap();
    assert_eq!(refused.0, 503, "{refused:?}");
    let (status, refused) = one.call("demo", "report", json!({"ms": 1})).await.unwrap();
    assert_eq!(status, 503, "{refused:?}");
    cluster.redis_mut().unwrap().restart().await.unwrap();
    redis_available(&cluster, true).await;
    // This Redis forgot the call; the gateway that ran it writes it anew.
    let (status, result) = eventually("the result", || async {
        match told(&two, &path).await? {
            (404 | 202, _) => Ok(None),
            done => Ok::<_, Error>(Some(done)),
        }
    })
    .await
    .unwrap();
    assert_eq!(status, 200, "{result}");
    assert_eq!(result["result"], json!({ "done": true }));
}
