//! A failing instance is on the first screen.

use serde_json::{Value, json};
use sluice_e2e::cluster::Cluster;
use sluice_e2e::nats::BrokerKind;
use sluice_e2e::{Error, eventually};

use crate::{ends, json, shop};

fn line<'a>(view: &'a Value, list: &str, name: &str) -> &'a Value {
    let all = view[list].as_array().unwrap();
    let found = all.iter().find(|one| one["name"] == name);
    found.unwrap_or(&Value::Null)
}

#[tokio::test]
async fn the_failing_instance_its_errors_its_breaker_and_its_function_come_first() {
    let cluster = Cluster::start(BrokerKind::Embedded)
        .gateways(2)
        .gateway(|_, gateway| gateway.option("breaker", "open_ms", 60_000))
        .await
        .unwrap();
    let url = cluster.broker().url();
    let good = shop(&url, "good", false).await;
    let no_args = json!({});
    cluster.wait_served("shop", "buy", &no_args).await.unwrap();
    let bad = shop(&url, "bad", true).await;
    let told = eventually("the breaker of the failing instance is open", || async {
        for gateway in cluster.gateways() {
            let client = gateway.client()?;
            for _ in 0..20 {
                client.call("shop", "buy", no_args.clone()).await?;
            }
        }
        let view = json(cluster.gateway(0), 0, "top --json").await;
        let bad = line(&view, "instances", "shop/bad");
        match bad["breaker"] == "open" || bad["breaker"] == "half_open" {
            true => Ok(Some(view)),
            false => Err(Error::new(view.to_string())),
        }
    });
    let view = told.await.unwrap();
    assert_eq!(view["gateways"], 2, "{view}");
    let first = &view["instances"][0];
    assert_eq!(first["name"], "shop/bad", "{view}");
    assert!(first["error_rate"].as_f64().unwrap() > 0.9, "{view}");
    assert_eq!(view["functions"][0]["name"], "shop.buy", "{view}");
    assert!(
        view["functions"][0]["error_rate"].as_f64().unwrap() > 0.0,
        "{view}"
    );
    assert_eq!(line(&view, "instances", "shop/good")["errors"], 0, "{view}");

    let screen = ends(cluster.gateway(1), 0, "top --once").await;
    assert!(
        screen.lines().all(|line| line.chars().count() <= 120),
        "{screen}"
    );
    let bad_line = screen.lines().find(|l| l.contains("shop/bad")).unwrap();
    assert!(bad_line.contains('%'), "{screen}");
    assert!(screen.contains("shop.buy") && screen.contains("breakers not closed"));
    let table = ends(cluster.gateway(1), 0, "stats").await;
    assert!(table.contains("shop/good"), "{table}");
    // Gateways hear of each other every few seconds.
    let both = eventually("both gateways have answered", || async {
        let stats = json(cluster.gateway(1), 0, "stats --json").await;
        match stats["gateways"][1]["answer"]["services"]["shop"].is_object() {
            true => Ok(Some(())),
            false => Err(Error::new(stats.to_string())),
        }
    });
    both.await.unwrap();
    ends(
        cluster.gateway(0),
        2,
        "top --once --admin http://127.0.0.1:1",
    )
    .await;
    for worker in [good, bad] {
        worker.shutdown().await.unwrap();
    }
}
