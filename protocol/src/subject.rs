//! NATS subjects: built here and nowhere else.
//!
//! A name becomes one token: `[A-Za-z0-9-]` stay, `.` becomes `_`, every other byte (also `_`)
//! becomes `=XX` in upper-case hex. So `1.2.0` reads `1_2_0`, two names never share a token, and
//! no name can add a token or a wildcard. An absent version is the token `=`.

use crate::id::{FunctionName, InstanceId, ServiceName};
use crate::version::ApiVersion;

/// The queue group that all workers of a function join.
pub const QUEUE_GROUP: &str = "q";
/// The token of a function without version.
pub const NO_VERSION: &str = "=";
/// The prefix that stands before all subjects unless configured otherwise.
pub const DEFAULT_PREFIX: &str = "sluice";

/// One name as one subject token.
///
/// ```
/// assert_eq!(sluice_protocol::subject::encode_token("a.b_c>"), "a_b=5Fc=3E");
/// ```
#[must_use]
pub fn encode_token(name: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(name.len() + 8);
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => out.push(char::from(byte)),
            b'.' => out.push('_'),
            _ => {
                out.push('=');
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    out
}

/// The name that [`encode_token`] made `token` of; `None` for anything it does not make.
#[must_use]
pub fn decode_token(token: &str) -> Option<String> {
    let mut out = Vec::with_capacity(token.len());
    let mut bytes = token.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => byte,
            b'_' => b'.',
            b'=' => {
                let digit = |b: Option<u8>| match b? {
                    b @ b'0'..=b'9' => Some(b - b'0'),
                    b @ b'A'..=b'F' => Some(b - b'A' + 10),
                    _ => None,
                };
                (digit(bytes.next())? << 4) | digit(bytes.next())?
            }
            _ => return None,
        });
    }
    let name = String::from_utf8(out).ok()?;
    // One name has one token: `=41` for `A` is refused.
    (!name.is_empty() && encode_token(&name) == token).then_some(name)
}

fn version_token(version: Option<&ApiVersion>) -> String {
    version.map_or_else(|| NO_VERSION.to_owned(), |v| encode_token(v.as_str()))
}

/// Builds every subject of one deployment, below its prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subjects {
    prefix: String,
}

impl Default for Subjects {
    fn default() -> Self {
        Self {
            prefix: DEFAULT_PREFIX.to_owned(),
        }
    }
}

/// A prefix must be subject tokens of `[A-Za-z0-9_-]`, separated by dots.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a subject prefix is one or more tokens of A-Z, a-z, 0-9, '-' and '_' joined by dots, got {0:?}"
)]
pub struct InvalidPrefix(String);

impl Subjects {
    /// Subjects below `prefix`.
    ///
    /// # Errors
    /// When the prefix has an empty token or other characters than letters, digits, `-`, `_`.
    pub fn new(prefix: &str) -> Result<Self, InvalidPrefix> {
        let fine = |t: &str| {
            !t.is_empty()
                && t.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        if prefix.len() > 128 || !prefix.split('.').all(fine) {
            return Err(InvalidPrefix(prefix.to_owned()));
        }
        Ok(Self {
            prefix: prefix.to_owned(),
        })
    }

    /// The prefix itself.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// `<p>.call.<service>.<version>.<request_type>`: any worker of it, by queue group.
    #[must_use]
    pub fn call(&self, s: &ServiceName, v: Option<&ApiVersion>, f: &FunctionName) -> String {
        let (s, v, f) = (
            encode_token(s.as_str()),
            version_token(v),
            encode_token(f.as_str()),
        );
        format!("{}.call.{s}.{v}.{f}", self.prefix)
    }

    fn instance_base(&self, s: &ServiceName, i: &InstanceId) -> String {
        format!(
            "{}.inst.{}.{}",
            self.prefix,
            encode_token(s.as_str()),
            encode_token(i.as_str())
        )
    }

    /// `<p>.inst.<service>.<instance>.<version>.<request_type>`: that worker alone.
    #[must_use]
    pub fn instance_call(
        &self,
        s: &ServiceName,
        i: &InstanceId,
        v: Option<&ApiVersion>,
        f: &FunctionName,
    ) -> String {
        format!(
            "{}.{}.{}",
            self.instance_base(s, i),
            version_token(v),
            encode_token(f.as_str())
        )
    }

    /// `<p>.inst.<service>.<instance>.>`: what a worker subscribes for itself.
    #[must_use]
    pub fn instance_all(&self, s: &ServiceName, i: &InstanceId) -> String {
        format!("{}.>", self.instance_base(s, i))
    }

    /// `<p>.inst.<service>.<instance>.control`: cancel and credit.
    #[must_use]
    pub fn control(&self, s: &ServiceName, i: &InstanceId) -> String {
        format!("{}.control", self.instance_base(s, i))
    }

    /// `<p>.inst.<service>.<instance>.ping`: is a call still held there?
    #[must_use]
    pub fn ping(&self, s: &ServiceName, i: &InstanceId) -> String {
        format!("{}.ping", self.instance_base(s, i))
    }

    /// `<p>.registry.announce.<service>.<instance>`: announce, heartbeat and leave.
    #[must_use]
    pub fn announce(&self, s: &ServiceName, i: &InstanceId) -> String {
        let (s, i) = (encode_token(s.as_str()), encode_token(i.as_str()));
        format!("{}.registry.announce.{s}.{i}", self.prefix)
    }

    /// What every gateway subscribes to hear all announcements.
    #[must_use]
    pub fn announce_all(&self) -> String {
        format!("{}.registry.announce.*.*", self.prefix)
    }

    /// `<p>.registry.discover`: a gateway that starts asks all workers.
    #[must_use]
    pub fn discover(&self) -> String {
        format!("{}.registry.discover", self.prefix)
    }

    /// `<p>.registry.pull.<service>.<config_hash>`: one config, from any worker that runs it.
    #[must_use]
    pub fn pull(&self, s: &ServiceName, config_hash: &str) -> String {
        format!(
            "{}.registry.pull.{}.{}",
            self.prefix,
            encode_token(s.as_str()),
            encode_token(config_hash)
        )
    }

    /// `<p>.gateway.beacon`: which gateways are there.
    #[must_use]
    pub fn beacon(&self) -> String {
        format!("{}.gateway.beacon", self.prefix)
    }

    /// `<p>.gateway.event`: hints between gateways.
    #[must_use]
    pub fn event(&self) -> String {
        format!("{}.gateway.event", self.prefix)
    }

    /// `<p>.gateway.ask`: a question that every gateway answers for itself.
    #[must_use]
    pub fn ask(&self) -> String {
        format!("{}.gateway.ask", self.prefix)
    }

    /// `<p>.gateway.trace.<id>`: what gateways tell of the calls that one trace is about.
    #[must_use]
    pub fn trace(&self, id: &str) -> String {
        format!("{}.gateway.trace.{}", self.prefix, encode_token(id))
    }

    /// `_INBOX.<p>.<gateway>.ask.<id>`: where answers of other gateways to one question arrive.
    #[must_use]
    pub fn answers(&self, gateway: &str, id: &str) -> String {
        let (gateway, id) = (encode_token(gateway), encode_token(id));
        format!("_INBOX.{}.{gateway}.ask.{id}", self.prefix)
    }

    /// `_INBOX.<p>.<gateway>.<shard>`: replies arrive one token below.
    #[must_use]
    pub fn inbox(&self, gateway: &str, shard: usize) -> String {
        format!("_INBOX.{}.{}.{shard}", self.prefix, encode_token(gateway))
    }

    /// Splits an announce subject into the service and instance that it names.
    #[must_use]
    pub fn parse_announce(&self, subject: &str) -> Option<(ServiceName, InstanceId)> {
        let rest = subject
            .strip_prefix(&self.prefix)?
            .strip_prefix(".registry.announce.")?;
        let (service, instance) = rest.split_once('.')?;
        Some((
            ServiceName::new(&decode_token(service)?).ok()?,
            InstanceId::new(&decode_token(instance)?).ok()?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_are_pinned() {
        for (name, token) in [
            ("demo", "demo"),
            ("1.2.0", "1_2_0"),
            ("a_b", "a=5Fb"),
            ("*", "=2A"),
            (">", "=3E"),
            ("=", "=3D"),
            ("a b", "a=20b"),
            ("é", "=C3=A9"),
        ] {
            assert_eq!(encode_token(name), token);
            assert_eq!(decode_token(token).as_deref(), Some(name));
        }
        for bad in ["", "=", "=4", "=41", "=2a", "a.b", "=FF", "a*"] {
            assert_eq!(decode_token(bad), None, "{bad}");
        }
    }

    #[test]
    fn prefixes_are_checked() {
        assert!(Subjects::new("acme.sluice-1").is_ok());
        for bad in ["", "a..b", "a.*", "a b", ".a", ">"] {
            assert!(Subjects::new(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_name_round_trips_as_one_token(name in "\\PC{1,40}") {
            let token = encode_token(&name);
            prop_assert!(!token.contains(['.', '*', '>', ' ']));
            prop_assert_eq!(decode_token(&token), Some(name));
        }

        #[test]
        fn strangers_tokens_never_panic(token in ".{0,60}") {
            let _ = decode_token(&token);
        }
    }
}
