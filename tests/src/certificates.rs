//! An authority of the test's own, and certificates that it issues, as PEM files.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

use crate::{Error, Result};

/// PEM files in a folder that goes with this: `ca.pem`, and `server` and `client`, each with `.pem`
/// and `.key`, for `localhost` and `127.0.0.1`.
pub struct Certificates {
    folder: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Certificates {
    /// A new authority, which nobody else trusts, and what it has issued.
    pub fn new() -> Result<Self> {
        let folder = TempDir::with_prefix("sluice-tls-").map_err(failed("folder"))?;
        let mut authority = CertificateParams::new(Vec::new()).map_err(failed("authority"))?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        authority
            .distinguished_name
            .push(DnType::CommonName, "the tests' authority");
        let key = KeyPair::generate().map_err(failed("key"))?;
        let authority =
            CertifiedIssuer::self_signed(authority, key).map_err(failed("authority"))?;
        let it = Self { folder, authority };
        it.write("ca.pem", &it.authority.pem())?;
        it.issue("server", ExtendedKeyUsagePurpose::ServerAuth)?;
        it.issue("client", ExtendedKeyUsagePurpose::ClientAuth)?;
        Ok(it)
    }

    /// Issues the server's certificate anew, with a new key, in the same files.
    pub fn renew_server(&self) -> Result {
        self.issue("server", ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> Result {
        let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(hosts).map_err(failed(name))?;
        params.extended_key_usages = vec![usage];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().map_err(failed(name))?;
        let certificate = params
            .signed_by(&key, &self.authority)
            .map_err(failed(name))?;
        self.write(&format!("{name}.pem"), &certificate.pem())?;
        self.write(&format!("{name}.key"), &key.serialize_pem())
    }

    /// Writes a file of the folder, whole or not at all: who reads it meanwhile sees the old one.
    pub fn write(&self, name: &str, text: &str) -> Result {
        let new = self.path(&format!("{name}.new"));
        std::fs::write(&new, text)
            .and_then(|()| std::fs::rename(&new, self.path(name)))
            .map_err(failed(name))
    }

    /// Where the file is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path as configs have it.
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The file's text.
    pub fn read(&self, name: &str) -> Result<String> {
        std::fs::read_to_string(self.path(name)).map_err(failed(name))
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn failed<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> Error {
    let what = format!("certificates: {what}");
    move |error| Error::because(what.clone(), error)
}
