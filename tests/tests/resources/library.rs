//! The library behind a gateway, and requests to it.

use reqwest::Method;
use serde_json::{Value, json};
use sluice_e2e::cluster::Cluster;
use sluice_e2e::gateway::GatewayBuilder;
use sluice_e2e::http::Client;
use sluice_e2e::nats::BrokerKind;

/// A gateway and the library, started.
pub(crate) struct Library {
    pub(crate) client: Client,
    pub(crate) cluster: Cluster,
}

/// What a request was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

impl Library {
    pub(crate) async fn start() -> Self {
        Self::with(|g| g).await
    }

    pub(crate) async fn with(
        shape: impl Fn(GatewayBuilder) -> GatewayBuilder + Send + 'static,
    ) -> Self {
        let cluster = Cluster::start(BrokerKind::Embedded)
            .gateway(move |_, g| shape(g))
            .worker(|_, w| w.program("library").arg("--trace"))
            .probe("library", "loan", json!({"book": 1}))
            .await
            .unwrap();
        Self {
            client: cluster.gateway(0).client().unwrap(),
            cluster,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &'static str,
    ) -> Answer {
        let mut request = self.client.request(method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.body(body).send().await.unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await.unwrap(),
        }
    }
}

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");
