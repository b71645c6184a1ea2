//! Secrets: never shown, and readable from files of their own.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;

use serde_json::Value;
use sluice_protocol::ServiceName;
use toml::Spanned;
use toml::de::{DeString, DeValue};

use super::super::source::cannot_read;
use super::{Kind, Raw};

/// Stands for a secret.
pub(crate) const MASK: &str = "***";
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Reads the file of a secret, without the line's end that editors put there.
pub(crate) fn read_file(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|e| cannot_read(path, &e))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!(
            "{} is larger than {MAX_FILE_BYTES} bytes",
            path.display()
        ));
    }
    let text =
        String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8 text", path.display()))?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Err(format!("{} is empty", path.display()));
    }
    Ok(text.to_owned())
}

/// One secret; empty means none.
pub(crate) struct Secret;

impl Kind for Secret {
    type Value = Option<String>;
    const SECRET: bool = true;

    fn describe(&self) -> String {
        "text; better in a file of its own".to_owned()
    }

    fn parse(&self, raw: &Raw<'_>) -> Result<Option<String>, Vec<String>> {
        // The value is not repeated in the message: a secret may stand there without quotes.
        let text = raw
            .text()
            .ok_or_else(|| vec!["expected text in quotes".to_owned()])?;
        Ok(Some(text.to_owned()).filter(|t| !t.is_empty()))
    }

    fn show(&self, _: &Option<String>) -> Option<String> {
        None
    }

    fn json(&self, value: &Option<String>) -> Value {
        value.as_ref().map_or(Value::Null, |_| MASK.into())
    }

    fn debug(&self, value: &Option<String>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&value.as_ref().map(|_| MASK), f)
    }
}

/// A secret for each service.
pub(crate) struct ServiceSecrets;

impl Kind for ServiceSecrets {
    type Value = BTreeMap<String, String>;
    const SECRET: bool = true;

    fn describe(&self) -> String {
        "a table, service = \"secret\"; in the environment service=secret,service=secret; in a \
         file one service=secret a line, lines with # are comments"
            .to_owned()
    }

    fn parse(&self, raw: &Raw<'_>) -> Result<Self::Value, Vec<String>> {
        let (mut secrets, mut faults) = (BTreeMap::new(), Vec::new());
        for pair in pairs(raw)? {
            match pair.and_then(|(service, secret)| checked(service, secret)) {
                Ok((service, _)) if secrets.contains_key(&service) => {
                    faults.push(format!("the service {service:?} has two secrets"));
                }
                Ok((service, secret)) => {
                    secrets.insert(service, secret);
                }
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() {
            Ok(secrets)
        } else {
            Err(faults)
        }
    }

    fn show(&self, value: &Self::Value) -> Option<String> {
        value.is_empty().then(|| "{}".to_owned())
    }

    fn json(&self, value: &Self::Value) -> Value {
        let masked = value.keys().map(|service| (service.clone(), MASK.into()));
        Value::Object(masked.collect())
    }

    fn debug(&self, value: &Self::Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(value.keys().map(|service| (service, MASK)))
            .finish()
    }
}

type Pair<'a> = Result<(&'a str, &'a str), String>;

fn pairs<'a>(raw: &Raw<'a>) -> Result<Vec<Pair<'a>>, Vec<String>> {
    let (text, separator) = match *raw {
        Raw::Toml(DeValue::Table(table)) => return Ok(table.iter().map(toml_pair).collect()),
        Raw::Toml(_) => {
            let fault = "expected a table of secrets, service = \"secret\"";
            return Err(vec![fault.to_owned()]);
        }
        Raw::Text(text) => (text, ','),
        // One a line, so that a secret may hold commas.
        Raw::File(text) => (text, '\n'),
    };
    Ok(text
        .split(separator)
        .map(str::trim)
        .filter(|pair| !pair.is_empty() && !pair.starts_with('#'))
        .enumerate()
        .map(|(i, pair)| text_pair(i, pair))
        .collect())
}

fn toml_pair<'a>(
    (service, secret): (&'a Spanned<DeString<'_>>, &'a Spanned<DeValue<'_>>),
) -> Pair<'a> {
    let service = service.get_ref().as_ref();
    match secret.get_ref() {
        DeValue::String(secret) => Ok((service, secret.as_ref())),
        _ => Err(format!("the secret of {service:?} must be text in quotes")),
    }
}

fn text_pair(i: usize, pair: &str) -> Pair<'_> {
    let (service, secret) = pair
        .split_once('=')
        .ok_or_else(|| format!("entry {} is not service=secret", i + 1))?;
    Ok((service.trim(), secret.trim()))
}

fn checked(service: &str, secret: &str) -> Result<(String, String), String> {
    ServiceName::new(service).map_err(|e| format!("{service:?}: {e}"))?;
    if secret.is_empty() {
        return Err(format!("the secret of {service:?} is empty"));
    }
    Ok((service.to_owned(), secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_secrets_from_text() {
        let parse = |text| ServiceSecrets.parse(&Raw::Text(text));
        let secrets = parse("users=abc, orders=d=e,").unwrap();
        assert_eq!(secrets["users"], "abc");
        assert_eq!(secrets["orders"], "d=e");
        let lines = ServiceSecrets
            .parse(&Raw::File("# workers\nusers = a,b\r\n\norders=def\n"))
            .unwrap();
        assert_eq!(lines["users"], "a,b");
        assert_eq!(lines["orders"], "def");
        assert_eq!(
            parse("users,=x,orders=,a=1,a=2").unwrap_err(),
            [
                "entry 1 is not service=secret",
                "\"\": service must not be empty",
                "the secret of \"orders\" is empty",
                "the service \"a\" has two secrets",
            ]
        );
    }

    #[test]
    fn a_secret_file_loses_its_line_end_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, " s p \r\n").unwrap();
        assert_eq!(read_file(&path).unwrap(), " s p ");
        std::fs::write(&path, "\n").unwrap();
        assert!(read_file(&path).unwrap_err().ends_with("is empty"));
        std::fs::write(&path, vec![b'x'; 70_000]).unwrap();
        assert!(read_file(&path).unwrap_err().contains("larger"));
        std::fs::write(&path, [0xff]).unwrap();
        assert!(read_file(&path).unwrap_err().contains("UTF-8"));
        assert!(
            read_file(&dir.path().join("none"))
                .unwrap_err()
                .contains("cannot read")
        );
    }
}
