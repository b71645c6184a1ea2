//! By what a limit tells callers apart.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use sluice_protocol::Identity;
use sluice_protocol::argument::{ArgTypes, ArgValue, top_level};
use sluice_protocol::payload::Payload;

use crate::pipeline::Caller;

/// Parts that a key has at most.
const MAX_PARTS: usize = 4;
const MAX_NAME_BYTES: usize = 128;

/// One thing to tell callers apart by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    UserId,
    DeviceId,
    IpAddress,
    ApiKey,
    /// All callers are one.
    All,
    /// An arg at the top level.
    Arg(Arc<str>),
    /// A claim of the token; the names of objects on the way to it.
    Claim(Arc<[String]>),
}

/// What a limit counts by: one part, or several joined by `+`.
///
/// A caller without a value is told apart by address instead: nobody gets around a limit by
/// leaving something out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(Vec<Part>);

/// A caller as one limit sees it: short, whatever the client sent.
pub(super) type Digest = [u8; 16];

/// What the keys of a call are taken from.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// Of which service.
    pub service: &'a str,
    /// Which function.
    pub function: &'a str,
    /// For whom.
    pub identity: &'a Identity,
    /// From where.
    pub caller: &'a Caller,
    /// With what; not validated yet.
    pub args: CountedArgs<'a>,
}

/// The args of a call, as far as limits may count by them: in the shape that its function takes
/// today, whatever version its client speaks.
#[derive(Debug, Clone, Copy)]
pub enum CountedArgs<'a> {
    /// They have that shape.
    Today {
        /// As they are.
        given: &'a Payload,
        /// What stands in for absent ones.
        types: Option<&'a ArgTypes>,
    },
    /// Code in the worker makes that shape of them: an arg of the same name may be another thing.
    /// Who could choose a bucket by it would be unlimited, so the address stands in for all of them.
    Unknown,
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<Part> = text.split('+').map(part).collect::<Result<_, _>>()?;
        if parts.len() > MAX_PARTS {
            return Err(format!("{text:?} has more than {MAX_PARTS} parts"));
        }
        Ok(Self(parts))
    }
}

fn part(text: &str) -> Result<Part, String> {
    let named = |name: &str| match name.len() {
        1..=MAX_NAME_BYTES => Ok(()),
        _ => Err(format!(
            "{text:?}: the name after the colon has 1 to {MAX_NAME_BYTES} bytes"
        )),
    };
    Ok(match text.trim() {
        "user_id" => Part::UserId,
        "device_id" => Part::DeviceId,
        "ip_address" => Part::IpAddress,
        "api_key" => Part::ApiKey,
        "all" => Part::All,
        other => match other.split_once(':') {
            Some(("arg", name)) => {
                named(name)?;
                Part::Arg(name.into())
            }
            Some(("claim", path)) => {
                named(path)?;
                Part::Claim(path.split('.').map(str::to_owned).collect())
            }
            _ => {
                return Err(format!(
                    "{text:?} is nothing to count by: write user_id, device_id, ip_address, api_key, all, \
                     arg:<name> or claim:<path>, or several joined by +"
                ));
            }
        },
    })
}

impl Part {
    /// How it is written, in two pieces.
    fn label(&self) -> (&'static str, Cow<'_, str>) {
        match self {
            Self::UserId => ("user_id", "".into()),
            Self::DeviceId => ("device_id", "".into()),
            Self::IpAddress => ("ip_address", "".into()),
            Self::ApiKey => ("api_key", "".into()),
            Self::All => ("all", "".into()),
            Self::Arg(name) => ("arg:", Cow::Borrowed(name)),
            Self::Claim(path) => ("claim:", path.join(".").into()),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = self.label();
        write!(f, "{kind}{name}")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.0.iter().enumerate() {
            write!(f, "{}{part}", if i == 0 { "" } else { "+" })?;
        }
        Ok(())
    }
}

/// A value of a part, or that there is none and the address stands in.
#[derive(Debug, Clone, Copy)]
enum Found<'a> {
    Value(&'a str),
    Absent(Option<IpAddr>),
}

/// Hashes values so that no two lists of values look alike.
struct Hasher(Sha256);

impl Hasher {
    fn add(&mut self, part: &Part, found: Found<'_>) {
        self.label(part);
        let mut field = |tag: u8, bytes: &[u8]| {
            self.begin(tag, bytes.len());
            self.0.update(bytes);
        };
        match found {
            Found::Value(text) => field(1, text.as_bytes()),
            Found::Absent(None) => field(2, b""),
            Found::Absent(Some(IpAddr::V4(address))) => field(3, &address.octets()),
            Found::Absent(Some(IpAddr::V6(address))) => field(4, &network(address)),
        }
    }

    fn begin(&mut self, tag: u8, bytes: usize) {
        let mut head = [tag; 9];
        head[1..].copy_from_slice(&(bytes as u64).to_le_bytes());
        self.0.update(head);
    }

    /// The part as it is written, without writing it.
    fn label(&mut self, part: &Part) {
        let (kind, name) = part.label();
        self.begin(0, kind.len() + name.len());
        self.0.update(kind);
        self.0.update(name.as_bytes());
    }

    fn finish(self) -> Digest {
        let mut short = Digest::default();
        short.copy_from_slice(&self.0.finalize()[..16]);
        short
    }
}

/// The /64 of an IPv6 address: whoever has one has all of it.
fn network(address: Ipv6Addr) -> [u8; 8] {
    let mut network = [0; 8];
    network.copy_from_slice(&address.octets()[..8]);
    network
}

impl Key {
    /// Whether it tells callers apart by what they send: hooks and changes of version may rewrite
    /// that.
    pub(super) fn reads_args(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Arg(_)))
    }

    /// Who the caller is to this limit. `None`: nobody that could be told apart, since neither a
    /// value nor an address is known. Edges know the address of all their clients.
    pub(super) fn of(&self, asking: &Asking<'_>) -> Option<Digest> {
        let mut hasher = Hasher(Sha256::new());
        let address = asking.caller.address.map(|a| a.to_canonical());
        let mut known = address.is_some();
        for part in &self.0 {
            let value = match part {
                Part::UserId => given(asking.identity.user_id.as_deref()),
                Part::DeviceId => given(asking.identity.device_id.as_deref()),
                Part::ApiKey => given(asking.caller.api_key.as_deref()),
                Part::IpAddress => None,
                Part::All => Some("".into()),
                Part::Arg(name) => arg(&asking.args, name),
                Part::Claim(path) => asking.caller.claims.as_deref().and_then(|c| claim(c, path)),
            };
            known |= value.is_some();
            let found = value
                .as_deref()
                .map_or(Found::Absent(address), Found::Value);
            hasher.add(part, found);
        }
        known.then(|| hasher.finish())
    }

    /// Whether args are among what it counts by.
    pub(super) fn counts_args(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Arg(_)))
    }

    /// The same for values that an operator names, one for each part. An address, where
    /// `ip_address` is not the part, is written `ip_address=…`: whoever has no value there.
    pub(super) fn named(&self, values: &[String]) -> Result<Digest, String> {
        if values.len() != self.0.len() {
            return Err(format!(
                "{self} takes {} values, got {}",
                self.0.len(),
                values.len()
            ));
        }
        let mut hasher = Hasher(Sha256::new());
        for (part, value) in self.0.iter().zip(values) {
            let address = |text: &str| {
                let address = text.parse::<IpAddr>().map(|a| a.to_canonical());
                address.map_err(|_| format!("{text:?} is no address"))
            };
            let found = match (part, value.strip_prefix("ip_address=")) {
                (Part::All, _) => Found::Value(""),
                (_, Some(text)) => Found::Absent(Some(address(text)?)),
                (Part::IpAddress, None) => Found::Absent(Some(address(value)?)),
                (_, None) if value.is_empty() => Found::Absent(None),
                (_, None) => Found::Value(value),
            };
            hasher.add(part, found);
        }
        Ok(hasher.finish())
    }
}

fn given(text: Option<&str>) -> Option<Cow<'_, str>> {
    text.filter(|t| !t.is_empty()).map(Cow::Borrowed)
}

/// Numbers and booleans count by their text: `5`, `5.0` and `"5"` are one caller. A default counts as if
/// it had been given.
fn arg<'a>(args: &CountedArgs<'a>, name: &str) -> Option<Cow<'a, str>> {
    let CountedArgs::Today { given, types } = args else {
        return None;
    };
    match top_level(given, name) {
        Some(ArgValue::Str(text)) => Some(text).filter(|t| !t.is_empty()),
        Some(ArgValue::Other(json)) => {
            let value: Value = serde_json::from_str(&json).ok()?;
            scalar(&value).map(|text| text.into_owned().into())
        }
        None => scalar(types.as_ref()?.stand_in(name)?),
    }
}

fn claim<'a>(claims: &'a Map<String, Value>, path: &[String]) -> Option<Cow<'a, str>> {
    let (first, rest) = path.split_first()?;
    let found = rest
        .iter()
        .try_fold(claims.get(first)?, |value, name| value.get(name))?;
    scalar(found)
}

fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => given(Some(text)),
        Value::Bool(b) => Some(b.to_string().into()),
        Value::Number(n) if n.is_f64() => n.as_f64().map(|f| f.to_string().into()),
        Value::Number(n) => Some(n.to_string().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn digest(key: &str, identity: &Identity, caller: &Caller, args: &str) -> Digest {
        let digest = key.parse::<Key>().unwrap().of(&Asking {
            service: "s",
            function: "f",
            identity,
            caller,
            args: CountedArgs::Today {
                given: &Payload::json(args.to_owned()),
                types: None,
            },
        });
        digest.unwrap()
    }

    fn from(address: &str) -> Caller {
        Caller {
            address: Some(address.parse().unwrap()),
            ..Caller::default()
        }
    }

    #[test]
    fn keys_are_read_and_printed() {
        for good in [
            "user_id",
            "device_id",
            "ip_address",
            "api_key",
            "all",
            "arg:tenant",
            "claim:org.id",
            "user_id+arg:tenant",
        ] {
            assert_eq!(good.parse::<Key>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "user",
            "arg:",
            "claim",
            "user_id+",
            "all+all+all+all+all",
        ] {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
    }

    #[test]
    fn nobody_gets_around_a_limit_by_leaving_something_out() {
        let nobody = Identity::anonymous();
        let empty = Identity {
            user_id: Some(String::new()),
            ..Identity::default()
        };
        let (a, b) = (from("192.0.2.1"), from("192.0.2.2"));
        let of = |caller| digest("user_id", &nobody, caller, "{}");
        assert_eq!(of(&a), of(&a));
        assert_ne!(of(&a), of(&b));
        assert_eq!(of(&a), digest("user_id", &empty, &a, "{}"));
        // A user whose name is that address is somebody else.
        let named = Identity {
            user_id: Some("192.0.2.1".into()),
            ..Identity::default()
        };
        assert_ne!(of(&a), digest("user_id", &named, &a, "{}"));
        for args in [
            "{}",
            r#"{"n":null}"#,
            r#"{"n":""}"#,
            r#"{"n":[1]}"#,
            r#"{"n":1,"n":2}"#,
            "x",
        ] {
            let of_args = digest("arg:n", &nobody, &a, args);
            assert_eq!(of_args, digest("arg:n", &nobody, &a, "{}"), "{args}");
        }
    }

    #[test]
    fn without_value_and_address_there_is_nobody_to_count() {
        let (nobody, nowhere) = (Identity::anonymous(), Caller::default());
        let args = Payload::json(r#"{"n":1}"#);
        let asking = Asking {
            service: "s",
            function: "f",
            identity: &nobody,
            caller: &nowhere,
            args: CountedArgs::Today {
                given: &args,
                types: None,
            },
        };
        let known = |key: &str| key.parse::<Key>().unwrap().of(&asking).is_some();
        assert!(!known("user_id") && !known("ip_address") && !known("user_id+arg:m"));
        assert!(known("all") && known("arg:n") && known("user_id+arg:n"));
    }

    #[test]
    fn a_default_is_the_value_that_it_stands_for() {
        let types = ArgTypes::from_json(&json!({
            "tenant": {"type": "string", "default_value": "main"},
            "size": {"type": "num", "default_value": 5},
            "bare": "string",
        }))
        .unwrap();
        let nobody = Identity::anonymous();
        let of = |key: &str, args: Option<&str>| {
            let given = Payload::json(args.unwrap_or("{}").to_owned());
            let today = CountedArgs::Today {
                given: &given,
                types: Some(&types),
            };
            let asking = Asking {
                service: "s",
                function: "f",
                identity: &nobody,
                caller: &from("192.0.2.1"),
                args: args.map_or(CountedArgs::Unknown, |_| today),
            };
            key.parse::<Key>().unwrap().of(&asking).unwrap()
        };
        let given = of("arg:tenant", Some(r#"{"tenant":"main"}"#));
        assert_eq!(of("arg:tenant", Some("{}")), given);
        assert_ne!(of("arg:tenant", Some(r#"{"tenant":"other"}"#)), given);
        // Null is no absence: nothing stands in for it.
        assert_ne!(of("arg:tenant", Some(r#"{"tenant":null}"#)), given);
        assert_eq!(
            of("arg:size", Some("{}")),
            of("arg:size", Some(r#"{"size":5}"#))
        );
        // Without a default, and where only the worker knows, the address stands in.
        let by_address = |key: &str| {
            let values = ["ip_address=192.0.2.1".to_owned()];
            key.parse::<Key>().unwrap().named(&values).unwrap()
        };
        assert_eq!(of("arg:bare", Some("{}")), by_address("arg:bare"));
        assert_eq!(of("arg:tenant", None), by_address("arg:tenant"));
    }

    #[test]
    fn numbers_count_however_they_are_written() {
        let nobody = Identity::anonymous();
        let of = |args| digest("arg:n", &nobody, &from("192.0.2.1"), args);
        for args in [
            r#"{"n":"5"}"#,
            r#"{"n":5.0}"#,
            r#"{"n":5e0}"#,
            r#"{"n":0.5e1}"#,
        ] {
            assert_eq!(of(args), of(r#"{"n":5}"#), "{args}");
        }
        assert_ne!(of(r#"{"n":5}"#), of(r#"{"n":6}"#));
    }

    #[test]
    fn an_address_is_a_network_in_ipv6_and_one_in_ipv4() {
        let nobody = Identity::anonymous();
        let of = |address| digest("ip_address", &nobody, &from(address), "{}");
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn claims_and_joined_parts() {
        let claims = json!({"org": {"id": 7}, "flat": "x"});
        let caller = Caller {
            claims: claims.as_object().cloned().map(Arc::new),
            ..from("192.0.2.1")
        };
        let user = Identity {
            user_id: Some("u".into()),
            ..Identity::default()
        };
        let key: Key = "claim:org.id+user_id".parse().unwrap();
        let named = key.named(&["7".into(), "u".into()]).unwrap();
        assert_eq!(digest("claim:org.id+user_id", &user, &caller, "{}"), named);
        assert!(key.named(&["7".into()]).is_err());
        let key: Key = "claim:org.none".parse().unwrap();
        let named = key.named(&["ip_address=192.0.2.1".into()]).unwrap();
        assert_eq!(digest("claim:org.none", &user, &caller, "{}"), named);
        assert!(key.named(&["ip_address=nowhere".into()]).is_err());
        // Parts do not run into each other.
        let key: Key = "user_id+device_id".parse().unwrap();
        let (a, b) = (["ab", "c"], ["a", "bc"]);
        let named = |v: [&str; 2]| key.named(&v.map(str::to_owned)).unwrap();
        assert_ne!(named(a), named(b));
    }
}
