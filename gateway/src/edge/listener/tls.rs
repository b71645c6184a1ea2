//! TLS of the gateway's own listener: the identity from files, read again when they change.
//!
//! A connection keeps the identity that it began with, so that a new certificate drops nobody.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::plaintext;
use crate::config::Http;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// Most bytes of one file.
const MOST: usize = 1 << 20;

/// What connections are accepted with; changes when the files do.
pub(super) type Identity = watch::Receiver<Arc<ServerConfig>>;

/// The files' bytes: certificate, key, and the authorities of clients.
#[derive(PartialEq, Eq)]
struct Files {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// Checks that the files make an identity.
///
/// # Errors
/// What is wrong, with the option and the file.
pub fn check(http: &Http) -> Result<(), String> {
    match Files::read(http)? {
        Some(files) => files.identity(http).map(drop),
        None => Ok(()),
    }
}

/// The handshake. Takes as long as the client does: the caller has a limit.
///
/// # Errors
/// When the client leaves, speaks no TLS, or is not let in.
pub(super) async fn accept(
    stream: TcpStream,
    identity: Arc<ServerConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    if plaintext::is_http(&stream).await? {
        plaintext::answer(stream).await?;
        return Err(io::Error::other("a client speaks plain HTTP to a TLS port"));
    }
    TlsAcceptor::from(identity).accept(stream).await
}

/// The identity, and a task that keeps it up to date until `stop`; none if TLS is off.
pub(super) fn load(http: &Http, stop: CancellationToken) -> Result<Option<Identity>, String> {
    let Some(files) = Files::read(http)? else {
        return Ok(None);
    };
    let (sender, receiver) = watch::channel(files.identity(http)?);
    let http = http.clone();
    tokio::spawn(async move {
        stop.run_until_cancelled(follow(&http, files, &sender))
            .await;
    });
    Ok(Some(receiver))
}

/// Looks at the files now and then. What is wrong is said once for each change; what was good
/// stays in use.
async fn follow(http: &Http, mut known: Files, identity: &watch::Sender<Arc<ServerConfig>>) {
    let mut told = None;
    loop {
        tokio::time::sleep(LOOK).await;
        let paths = http.clone();
        let read = tokio::task::spawn_blocking(move || Files::read(&paths)).await;
        let result = match read {
            Ok(Ok(Some(files))) if files == known => Ok(None),
            Ok(Ok(Some(files))) => files.identity(http).map(|new| Some((files, new))),
            Ok(Ok(None)) | Err(_) => Ok(None),
            Ok(Err(error)) => Err(error),
        };
        match result {
            Ok(None) => {}
            Ok(Some((files, new))) => {
                tracing::info!("the TLS certificate was loaded anew");
                identity.send_replace(new);
                known = files;
                told = None;
            }
            Err(error) if told.as_ref() == Some(&error) => {}
            Err(error) => {
                tracing::warn!(error, "the TLS certificate stays as it was");
                told = Some(error);
            }
        }
    }
}

impl Files {
    fn read(http: &Http) -> Result<Option<Self>, String> {
        let (cert, key) = match (&http.tls_cert_file, &http.tls_key_file) {
            (Some(cert), Some(key)) => (cert, key),
            (None, None) if http.tls_client_ca_file.is_none() => return Ok(None),
            _ => {
                return Err(
                    "http.tls_cert_file and http.tls_key_file go together: give both".into(),
                );
            }
        };
        let client_ca = http.tls_client_ca_file.as_deref();
        Ok(Some(Self {
            cert: bytes("http.tls_cert_file", cert)?,
            key: bytes("http.tls_key_file", key)?,
            client_ca: client_ca
                .map(|path| bytes("http.tls_client_ca_file", path))
                .transpose()?,
        }))
    }

    fn identity(&self, http: &Http) -> Result<Arc<ServerConfig>, String> {
        let chain = certificates(&self.cert)
            .map_err(|why| told("http.tls_cert_file", http.tls_cert_file.as_deref(), why))?;
        let key_told =
            |why: &dyn Display| told("http.tls_key_file", http.tls_key_file.as_deref(), why);
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|why| key_told(&format_args!("no private key in PEM: {why}")))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let ca_told = |why: &dyn Display| {
                    told(
                        "http.tls_client_ca_file",
                        http.tls_client_ca_file.as_deref(),
                        why,
                    )
                };
                let mut roots = RootCertStore::empty();
                for authority in certificates(ca).map_err(|why| ca_told(&why))? {
                    roots.add(authority).map_err(|why| ca_told(&why))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .map_err(|why| ca_told(&why))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|why| key_told(&format_args!("does not go with http.tls_cert_file: {why}")))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn told(option: &str, path: Option<&Path>, why: impl Display) -> String {
    let path = path.unwrap_or(Path::new("")).display();
    format!("{option} {path}: {why}")
}

fn bytes(option: &str, path: &Path) -> Result<Vec<u8>, String> {
    let fail = |why: &dyn Display| told(option, Some(path), format_args!("cannot be read: {why}"));
    let bytes = std::fs::read(path).map_err(|error| fail(&error))?;
    if bytes.len() > MOST {
        return Err(fail(&format_args!("larger than {MOST} bytes")));
    }
    Ok(bytes)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err("no certificate in PEM".into()),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("not PEM: {error}")),
    }
}
