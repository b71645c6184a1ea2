//! TLS at every edge, with real processes: clients over https and wss, client certificates, a
//! certificate that changes; credentials files, NKeys and TLS before the greeting towards NATS.

#![expect(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod clients;
mod creds;
mod edge;
mod listener;
mod nats;

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use sluice_e2e::certificates::Certificates;
use sluice_e2e::gateway::Gateway;
use sluice_e2e::nats::{Broker, BrokerKind};
use sluice_e2e::worker::Worker;
use sluice_e2e::{Error, eventually};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A gateway that speaks TLS, a broker and a demo worker.
struct Installation {
    certificates: Arc<Certificates>,
    gateway: Gateway,
    _worker: Worker,
    _broker: Broker,
}

impl Installation {
    /// With these options of `[http]` more.
    async fn start(options: &[(&str, serde_json::Value)]) -> Self {
        let certificates = Arc::new(Certificates::new().unwrap());
        let broker = Broker::start(BrokerKind::Embedded).await.unwrap();
        let mut builder = Gateway::builder(broker.url()).tls(&certificates);
        for (option, value) in options {
            builder = builder.option("http", option, value.clone());
        }
        let gateway = builder.start().await.unwrap();
        let worker = Worker::builder(broker.url()).start().unwrap();
        gateway.wait_ready().await.unwrap();
        is_served(&gateway).await;
        Self {
            certificates,
            gateway,
            _worker: worker,
            _broker: broker,
        }
    }
}

/// Waits until a call goes through gateway and broker and back.
async fn is_served(gateway: &Gateway) {
    let client = gateway.client().unwrap();
    eventually("a call", || async {
        let (status, told) = client.call("demo", "add", json!({"a": 1, "b": 2})).await?;
        Ok::<_, Error>(status == 200 && told.result == json!({"sum": 3}))
    })
    .await
    .unwrap();
}

/// A TLS connection that trusts the authority; with `name`, it shows that certificate.
async fn connect(
    address: SocketAddr,
    certificates: &Certificates,
    name: Option<&str>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let der = |name: &str| CertificateDer::from_pem_file(certificates.path(name)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(der("ca.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match name {
        None => config.with_no_client_auth(),
        Some(name) => {
            let path = certificates.path(&format!("{name}.key"));
            let key = PrivateKeyDer::from_pem_file(path).unwrap();
            let chain = vec![der(&format!("{name}.pem"))];
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let stream = TcpStream::connect(address).await?;
    let server = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(server, stream)
        .await
}
