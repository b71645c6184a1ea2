//! A key set in a file, read again at each interval: whoever rotates keys replaces the file.

use std::path::PathBuf;

use super::keys::{self, KeySet};
use crate::config::JwtOptions;

/// The file, and what it held last.
#[derive(Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
    options: JwtOptions,
    held: Vec<u8>,
}

impl KeyFile {
    /// `None` where the configuration names none.
    pub(super) fn new(options: &JwtOptions) -> Option<Self> {
        Some(Self {
            path: options.jwks_file.clone()?,
            options: options.clone(),
            held: Vec::new(),
        })
    }

    /// Reads it; `None`: it holds what it held before.
    pub(super) fn read(&mut self) -> Result<Option<KeySet>, String> {
        let json = keys::read_bounded(&self.path, self.options.jwks_max_bytes)?;
        if json == self.held {
            return Ok(None);
        }
        let set = keys::from_file(&json, &self.options)
            .map_err(|fault| format!("{}: {fault}", self.path.display()))?;
        self.held = json;
        Ok(Some(set))
    }

    /// Reads it now and at each interval; `apply` gets each new set. What cannot be read changes
    /// nothing.
    pub(super) async fn run(mut self, apply: impl Fn(KeySet)) {
        loop {
            // A file may lie on a network.
            let read = tokio::task::spawn_blocking(move || {
                let read = self.read();
                (self, read)
            });
            let read = match read.await {
                Ok((back, read)) => {
                    self = back;
                    read
                }
                // The process ends; who supervises this begins anew otherwise.
                Err(_) => return,
            };
            match read {
                Ok(Some(set)) => apply(set),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(error, "jwt.jwks_file: the former keys go on");
                }
            }
            tokio::time::sleep(self.options.jwks_refresh).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_when_it_changes_and_only_if_it_holds_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        let options = JwtOptions {
            jwks_file: Some(path.clone()),
            jwks_max_bytes: 1024,
            algorithms: vec!["HS256".to_owned()],
            ..JwtOptions::default()
        };
        let mut file = KeyFile::new(&options).unwrap();
        assert!(file.read().is_err(), "it is not there");
        let set = |kid: &str| {
            format!(
                r#"{{"keys":[{{"kty":"oct","kid":"{kid}","k":"{}"}}]}}"#,
                "A".repeat(43)
            )
        };
        std::fs::write(&path, set("a")).unwrap();
        assert!(file.read().unwrap().unwrap().has("a"));
        assert!(file.read().unwrap().is_none(), "nothing new");
        let rsa = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        for bad in ["", "{", r#"{"keys":[]}"#, rsa, &" ".repeat(1025)] {
            std::fs::write(&path, bad).unwrap();
            assert!(file.read().is_err(), "{bad}");
        }
        std::fs::write(&path, set("a")).unwrap();
        assert!(file.read().unwrap().is_none(), "as it was before");
        std::fs::write(&path, set("b")).unwrap();
        assert!(file.read().unwrap().unwrap().has("b"));
    }
}
