//! Circuits that open and heal.

use serde_json::json;
use sluice_e2e::{Error, eventually};

use crate::{call, cluster, known, worker};

#[tokio::test]
async fn a_function_that_fails_is_refused_at_once_and_heals() {
    let cluster = cluster(|g| {
        g.option("breaker", "failures", 3)
            .option("breaker", "open_ms", 3000)
            .option("breaker", "window_ms", 60_000)
    })
    .await;
    let url = cluster.broker().url();
    let _shop = worker::start(&url, "shop", "s1");
    let client = cluster.gateway(0).client().unwrap();
    known(&client, "flaky").await;
    // What a function refuses on purpose opens nothing.
    for _ in 0..20 {
        let (status, refused) = call(&client, "flaky", json!({"status": 409})).await;
        assert_eq!((status, refused.code()), (409, "flaky"), "{refused:?}");
    }
    let (status, open) = eventually("the circuit opens", || async {
        let (status, envelope) = call(&client, "flaky", json!({"status": 500})).await;
        match envelope.code() {
            "circuit_open" => Ok(Some((status, envelope))),
            "flaky" => Ok(None),
            _ => Err(Error::new(format!("{envelope:?}"))),
        }
    })
    .await
    .unwrap();
    let details = open.details.clone().unwrap();
    assert_eq!((status, open.can_retry), (503, true), "{open:?}");
    assert_eq!(details["executed"], "no");
    assert!(details["retry_after_ms"].as_u64().is_some(), "{details}");
    // Other functions of the same worker do not suffer.
    let (_, other) = call(&client, "narrow", json!({"ms": 0})).await;
    assert!(other.success, "{other:?}");
    eventually("it heals", || async {
        call(&client, "flaky", json!({})).await.1.success
    })
    .await
    .unwrap();
    for _ in 0..5 {
        assert!(call(&client, "flaky", json!({})).await.1.success);
    }
}

#[tokio::test]
async fn a_broken_instance_is_left_out() {
    let cluster = cluster(|g| g.option("breaker", "open_ms", 3000)).await;
    let url = cluster.broker().url();
    let _workers = [
        worker::start(&url, "shop", "s1"),
        worker::start(&url, "shop", "s2"),
        worker::start_broken(&url, "shop", "s3"),
    ];
    let client = cluster.gateway(0).client().unwrap();
    known(&client, "where").await;
    let broken = |envelope: &sluice_e2e::http::Envelope| envelope.code() == "broken";
    eventually("the broken one takes part", || async {
        broken(&call(&client, "where", json!({})).await.1)
    })
    .await
    .unwrap();
    // By luck that would happen once in ten thousand million times.
    eventually("only the others are called", || async {
        for _ in 0..60 {
            let (_, envelope) = call(&client, "where", json!({})).await;
            if !envelope.success {
                return Err(Error::new(format!("{envelope:?}")));
            }
        }
        Ok(())
    })
    .await
    .unwrap();
}
