//! TLS to the broker. The files are read for each connection, so that new ones need no restart.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::Nats;

/// The handshake with the server of that name.
pub(super) async fn connect(
    stream: TcpStream,
    name: &str,
    options: &Nats,
) -> io::Result<TlsStream<TcpStream>> {
    let options = options.clone();
    // A system's store of certificates is large.
    let config = tokio::task::spawn_blocking(move || config(&options)).await??;
    let name = name.trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await
}

fn config(options: &Nats) -> io::Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots(options)?);
    let (Some(cert), Some(key)) = (&options.tls_cert, &options.tls_key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(cert)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| named(key, &e))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|e| named(cert, &e))
}

/// Those of the config, else the system's.
fn roots(options: &Nats) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(file) = &options.tls_ca else {
        // One that cannot be read hinders only those who need it.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|e| named(file, &e))?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(file).map_err(|e| named(file, &e))?;
    all.collect::<Result<_, _>>().map_err(|e| named(file, &e))
}

fn named(file: &Path, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", file.display()))
}
