//! Texts: plain ones, addresses, paths, lists.

use std::fmt;
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::super::source::cannot_read;
use super::{Kind, Raw, quoted};

/// Whether a text is right; if not, why, and what would be.
pub(crate) type Check = fn(&str) -> Result<(), String>;

/// Text that a check accepts.
pub(crate) struct Text {
    pub(crate) what: &'static str,
    pub(crate) check: Check,
}

impl Kind for Text {
    type Value = String;

    fn describe(&self) -> String {
        self.what.to_owned()
    }

    fn parse(&self, raw: &Raw<'_>) -> Result<String, Vec<String>> {
        let text = raw.text().ok_or_else(|| self.unexpected(raw))?;
        (self.check)(text).map_err(|why| vec![why])?;
        Ok(text.to_owned())
    }

    fn show(&self, value: &String) -> Option<String> {
        Some(quoted(value))
    }
}

/// Text that may be absent; empty means absent.
pub(crate) struct Optional(pub(crate) &'static str);

impl Kind for Optional {
    type Value = Option<String>;

    fn describe(&self) -> String {
        self.0.to_owned()
    }

    fn parse(&self, raw: &Raw<'_>) -> Result<Option<String>, Vec<String>> {
        let text = raw.text().ok_or_else(|| self.unexpected(raw))?;
        Ok(Some(text.to_owned()).filter(|t| !t.is_empty()))
    }

    fn show(&self, value: &Option<String>) -> Option<String> {
        value.as_deref().map(quoted)
    }
}

/// A file that must be readable; empty means none.
pub(crate) struct ReadableFile;

impl Kind for ReadableFile {
    type Value = Option<PathBuf>;

    fn describe(&self) -> String {
        "the path of a file, from the gateway's working directory".to_owned()
    }

    fn parse(&self, raw: &Raw<'_>) -> Result<Option<PathBuf>, Vec<String>> {
        let text = raw.text().ok_or_else(|| self.unexpected(raw))?;
        if text.is_empty() {
            return Ok(None);
        }
        let path = PathBuf::from(text);
        match File::open(&path).and_then(|file| file.metadata()) {
            Ok(metadata) if metadata.is_dir() => {
                Err(vec![format!("{text} is a directory, expected a file")])
            }
            Ok(_) => Ok(Some(path)),
            Err(error) => Err(vec![cannot_read(&path, &error)]),
        }
    }

    fn show(&self, value: &Option<PathBuf>) -> Option<String> {
        Some(quoted(value.as_ref()?.to_str()?))
    }
}

/// Where to listen.
pub(crate) struct Address;

impl Kind for Address {
    type Value = SocketAddr;

    fn describe(&self) -> String {
        "an IP address and a port, for example \"127.0.0.1:4000\" or \"[::]:4000\"".to_owned()
    }

    fn parse(&self, raw: &Raw<'_>) -> Result<SocketAddr, Vec<String>> {
        let text = raw.text().ok_or_else(|| self.unexpected(raw))?.trim();
        text.parse().map_err(|_| {
            let mut faults = self.unexpected(raw);
            if let (Some(hint), Some(fault)) = (address_hint(text), faults.first_mut()) {
                fault.push_str(&format!("; write {hint:?}"));
            }
            faults
        })
    }

    fn show(&self, value: &SocketAddr) -> Option<String> {
        Some(quoted(&value.to_string()))
    }
}

/// What `:4000`, `4000`, `127.0.0.1` and `localhost:4000` were meant to be.
fn address_hint(text: &str) -> Option<String> {
    let candidate = match text.split_once(':') {
        Some(("", port)) => format!("0.0.0.0:{port}"),
        Some(("localhost", port)) => format!("127.0.0.1:{port}"),
        None if text.parse::<u16>().is_ok() => format!("0.0.0.0:{text}"),
        None => format!("{text}:4000"),
        _ => return None,
    };
    candidate.parse::<SocketAddr>().ok().map(|_| candidate)
}

/// Several texts.
pub(crate) struct List {
    pub(crate) what: &'static str,
    pub(crate) check: Check,
}

impl Kind for List {
    type Value = Vec<String>;

    fn describe(&self) -> String {
        format!(
            "a list of {}; in the environment separated by commas",
            self.what
        )
    }

    fn parse(&self, raw: &Raw<'_>) -> Result<Vec<String>, Vec<String>> {
        let items = raw.items().ok_or_else(|| self.unexpected(raw))?;
        let (mut values, mut faults) = (Vec::new(), Vec::new());
        for (i, item) in items.iter().enumerate() {
            let checked = item
                .text()
                .ok_or_else(|| format!("expected text in quotes, got {item}"))
                .and_then(|text| (self.check)(text).map(|()| text.to_owned()));
            match checked {
                Ok(value) => values.push(value),
                Err(why) => faults.push(format!("item {}: {why}", i + 1)),
            }
        }
        if faults.is_empty() {
            Ok(values)
        } else {
            Err(faults)
        }
    }

    fn show(&self, value: &Vec<String>) -> Option<String> {
        Some(toml::Value::from(value.clone()).to_string())
    }
}

/// A URL that may hold a user, a password, or a key in its query.
pub(crate) struct Url {
    pub(crate) what: &'static str,
    /// The message repeats nothing of the URL.
    pub(crate) check: Check,
}

impl Kind for Url {
    type Value = Option<String>;

    fn describe(&self) -> String {
        self.what.to_owned()
    }

    fn parse(&self, raw: &Raw<'_>) -> Result<Option<String>, Vec<String>> {
        let expected = || vec![format!("expected {}", self.what)];
        let text = raw.text().ok_or_else(expected)?;
        if text.is_empty() {
            return Ok(None);
        }
        (self.check)(text).map_err(|why| vec![why])?;
        Ok(Some(text.to_owned()))
    }

    fn show(&self, value: &Option<String>) -> Option<String> {
        value.as_deref().map(|url| quoted(&without_secrets(url)))
    }

    fn debug(&self, value: &Option<String>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&value.as_deref().map(without_secrets), f)
    }
}

/// A URL without user, password and parameters, fit for logs and for whoever may look.
#[must_use]
pub(crate) fn without_secrets(url: &str) -> String {
    let address = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), address),
    };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}***@{host}"),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_what_is_secret_in_them() {
        for (url, shown) in [
            ("https://h/keys.json", "https://h/keys.json"),
            ("https://u:p@h:1/k", "https://***@h:1/k"),
            ("https://u:p,q@r@h/k", "https://***@h/k"),
            ("https://h/k?key=p", "https://h/k"),
            ("redis://:p,q@h:1/0", "redis://***@h:1/0"),
            ("unix:///s?pass=p", "unix:///s"),
        ] {
            assert_eq!(without_secrets(url), shown, "{url}");
        }
    }

    #[test]
    fn addresses_that_were_nearly_right_get_a_hint() {
        for (text, hint) in [
            (":4000", Some("0.0.0.0:4000")),
            ("4000", Some("0.0.0.0:4000")),
            ("localhost:80", Some("127.0.0.1:80")),
            ("10.0.0.1", Some("10.0.0.1:4000")),
            ("example.com:80", None),
            ("127.0.0.1:99999", None),
        ] {
            let fault = Address.parse(&Raw::Text(text)).unwrap_err().remove(0);
            match hint {
                Some(hint) => assert!(fault.ends_with(&format!("write {hint:?}")), "{fault}"),
                None => assert!(!fault.contains("write"), "{fault}"),
            }
        }
        assert!(Address.parse(&Raw::Text("[::1]:0")).is_ok());
    }

    #[test]
    fn every_item_of_a_list_is_checked() {
        let even = List {
            what: "texts of even length",
            check: |t| {
                (t.len() % 2 == 0)
                    .then_some(())
                    .ok_or(format!("{t} is odd"))
            },
        };
        assert_eq!(
            even.parse(&Raw::Text("ab, abcd,")),
            Ok(vec!["ab".to_owned(), "abcd".to_owned()])
        );
        assert_eq!(
            even.parse(&Raw::Text("a,ab,abc")),
            Err(vec!["item 1: a is odd".into(), "item 3: abc is odd".into()])
        );
    }
}
