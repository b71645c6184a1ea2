//! TLS: who gets in, who does not, and a certificate that changes.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{CancellationToken, Client};
use crate::config::Http;
use crate::edge::fake::{Rig, within};
use crate::edge::listener::{bind_shards, check_tls, run};

/// Writes an identity for `localhost`; its certificate, to be trusted.
fn identity(dir: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("key.pem"), signing_key.serialize_pem()).unwrap();
    std::fs::write(dir.join("cert.pem"), cert.pem()).unwrap();
    cert.der().clone()
}

fn options(dir: &Path, http: &mut Http) {
    http.tls_cert_file = Some(dir.join("cert.pem"));
    http.tls_key_file = Some(dir.join("key.pem"));
}

fn serve(dir: &Path) -> SocketAddr {
    let rig = Rig::with(|c| options(dir, &mut c.http));
    let listener = bind_shards("127.0.0.1:0".parse().unwrap(), 1)
        .unwrap()
        .remove(0);
    let address = listener.local_addr().unwrap();
    tokio::spawn(run(listener, rig.edge, CancellationToken::new()));
    address
}

async fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
    alpn: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream);
    within("a handshake", connected).await
}

#[tokio::test]
async fn calls_go_over_tls_while_others_dawdle() {
    let dir = tempfile::tempdir().unwrap();
    let trusted = identity(dir.path());
    let address = serve(dir.path());
    // One says nothing, one says something else.
    let _silent = TcpStream::connect(address).await.unwrap();
    let mut hostile = TcpStream::connect(address).await.unwrap();
    hostile.write_all(b"\0\xffGET /\r\n\r\n").await.unwrap();
    let text = Client::over(hostile).closed().await;
    assert!(!text.contains("HTTP"), "{text}");
    // Plain HTTP is answered in plain HTTP.
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    plain.shutdown().await.unwrap();
    let text = Client::over(plain).closed().await;
    assert!(
        text.starts_with("HTTP/1.1 400 ") && text.contains("https://"),
        "{text}"
    );

    let mut client = Client::over(connect(address, &trusted, "http/1.1").await.unwrap());
    client.post("echo", "{}").await;
    assert_eq!(client.reply().await.status, 200);
    let h2 = connect(address, &trusted, "h2").await.unwrap();
    assert_eq!(h2.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
}

#[tokio::test]
async fn a_new_certificate_is_served_and_nobody_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let old = identity(dir.path());
    let address = serve(dir.path());
    let mut client = Client::over(connect(address, &old, "http/1.1").await.unwrap());
    let new = identity(dir.path());
    within("the new certificate", async {
        while connect(address, &new, "http/1.1").await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(connect(address, &old, "http/1.1").await.is_err());
    client.post("echo", "{}").await;
    assert_eq!(client.reply().await.status, 200);
}

#[test]
fn mistakes_name_option_and_reason() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    identity(one.path());
    identity(two.path());
    let told = |change: &dyn Fn(&mut Http)| {
        let mut http = Http::default();
        options(one.path(), &mut http);
        change(&mut http);
        check_tls(&http).unwrap_err()
    };
    assert!(told(&|h| h.tls_key_file = None).contains("give both"));
    let other = told(&|h| h.tls_key_file = Some(two.path().join("key.pem")));
    assert!(other.contains("does not go with"), "{other}");
    let missing = told(&|h| h.tls_cert_file = Some(one.path().join("none")));
    assert!(missing.contains("cannot be read"), "{missing}");
    let swapped = told(&|h| h.tls_cert_file = Some(one.path().join("key.pem")));
    assert!(swapped.contains("no certificate in PEM"), "{swapped}");
    let keyless = told(&|h| h.tls_key_file = Some(one.path().join("cert.pem")));
    assert!(keyless.contains("no private key in PEM"), "{keyless}");
}
