//! `[[api_key]]`: who may call with a key instead of a token.

use toml::de::{DeTable, DeValue};

use super::kind::Raw;
use super::limit;
use super::mistake::Mistake;
use super::reader::{File, Reader};
use super::source::entry;
use crate::limiter::Limit;

/// The key of the tables in the file.
pub(super) const KEY: &str = "api_key";
/// All fields.
const FIELDS: [&str; 5] = ["id", "hash", "user_id", "roles", "limits"];

/// A key that clients may use. Only its hash is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Names it in logs, limits and revocations.
    pub id: String,
    /// SHA-256 of the key. Keys are random and have at least 128 bits, so there is nothing that a
    /// slow hash would protect from guessing.
    pub hash: [u8; 32],
    /// Whom it speaks for.
    pub user_id: String,
    /// The roles of its user.
    pub roles: Vec<String>,
    /// Names of limits that apply to it, each of them with `named_only`.
    pub limits: Vec<String>,
}

/// Reads all keys, which may name `limits`. Those with mistakes are left out.
pub(super) fn read(reader: &mut Reader<'_>, limits: &[Limit]) -> Vec<ApiKey> {
    let Some(file) = reader.file else {
        return Vec::new();
    };
    let Some((offset, value)) = entry(file.table, KEY) else {
        return Vec::new();
    };
    let DeValue::Array(items) = value.get_ref() else {
        let message = "expected tables [[api_key]], with two brackets";
        let origin = file.text.origin(offset);
        reader.mistakes.push(Mistake::new(origin, KEY, message));
        return Vec::new();
    };
    let mut named = Vec::new();
    let mut keys: Vec<ApiKey> = Vec::new();
    for item in items.iter() {
        let offset = item.span().start;
        let mut fault = |at: usize, field: &str, message: String| {
            let option = match field {
                "" => KEY.to_owned(),
                field => format!("{KEY}.{field}"),
            };
            let origin = file.text.origin(at);
            reader.mistakes.push(Mistake::new(origin, option, message));
        };
        let DeValue::Table(table) = item.get_ref() else {
            let got = Raw::Toml(item.get_ref());
            fault(offset, "", format!("expected a table, got {got}"));
            continue;
        };
        let Some(key) = read_one(table, offset, &mut fault) else {
            continue;
        };
        if keys.iter().any(|k| k.id == key.id) {
            fault(offset, "id", format!("{:?} stands here twice", key.id));
        }
        let at = entry(table, "limits").map_or(offset, |(at, _)| at);
        named.extend(key.limits.iter().map(|name| (at, name.clone())));
        if keys.iter().any(|k| k.hash == key.hash) {
            fault(offset, "hash", "another key has the same hash".to_owned());
        }
        keys.push(key);
    }
    check_names(reader, file, &named, limits);
    keys
}

/// Each limit that a key names must be there; one that applies to everybody need not be named.
fn check_names(
    reader: &mut Reader<'_>,
    file: File<'_>,
    named: &[(usize, String)],
    limits: &[Limit],
) {
    // Of limits that are wrong themselves it cannot be said whether they are there.
    let of_limits = format!("{}.", limit::KEY);
    let is_of_limit = |m: &Mistake| m.option.starts_with(&of_limits) || m.option == limit::KEY;
    let all_known = !reader.mistakes.iter().any(is_of_limit);
    for (at, name) in named {
        let origin = file.text.origin(*at);
        let option = format!("{KEY}.limits");
        match limits.iter().find(|limit| *limit.name == **name) {
            Some(limit) if limit.named_only => {}
            Some(_) => {
                let message = format!(
                    "the limit {name:?} applies to all callers anyway; with named_only = true it \
                     would to the keys that name it alone"
                );
                reader.warnings.push(Mistake::new(origin, option, message));
            }
            None if all_known => {
                let message = unknown(name, limits);
                reader.mistakes.push(Mistake::new(origin, option, message));
            }
            None => {}
        }
    }
}

fn unknown(name: &str, limits: &[Limit]) -> String {
    let names: Vec<&str> = limits.iter().map(|limit| &*limit.name).collect();
    match names.is_empty() {
        true => format!("there is no [[limit]] {name:?}, and no other"),
        false => format!(
            "there is no [[limit]] {name:?}; there are {}",
            names.join(", ")
        ),
    }
}

fn read_one(
    table: &DeTable<'_>,
    offset: usize,
    fault: &mut impl FnMut(usize, &str, String),
) -> Option<ApiKey> {
    let mut right = true;
    for (key, _) in table.iter() {
        let name = key.get_ref().as_ref();
        if !FIELDS.contains(&name) {
            right = false;
            let message = format!("unknown field; there are {}", FIELDS.join(", "));
            fault(key.span().start, name, message);
        }
    }
    let mut text = |field: &str| {
        let (at, found) = match entry(table, field) {
            Some((at, value)) => (at, Some(value.get_ref())),
            None => (offset, None),
        };
        let message = match found {
            Some(DeValue::String(text)) if (1..=512).contains(&text.len()) => {
                return Some((at, text.to_string()));
            }
            None => "is missing".to_owned(),
            // Not repeated: a secret may stand in the wrong place.
            Some(_) => "expected text of 1 to 512 bytes".to_owned(),
        };
        fault(at, field, message);
        None
    };
    let (id, hash, user_id) = (text("id"), text("hash"), text("user_id"));
    let hash = hash.and_then(|(at, text)| {
        let mut hash = [0; 32];
        let decoded = hex::decode_to_slice(text.trim(), &mut hash);
        decoded.map(|()| hash).map_err(|_| {
            let message = "expected the SHA-256 of a key in 64 hex digits, as `sluice api-key new` \
                           prints it";
            fault(at, "hash", message.to_owned());
        })
        .ok()
    });
    let mut list = |field: &str| match entry(table, field) {
        None => Some(Vec::new()),
        Some((at, value)) => {
            let items = match value.get_ref() {
                DeValue::Array(items) => items
                    .iter()
                    .map(|i| match i.get_ref() {
                        DeValue::String(text) if !text.is_empty() => Some(text.to_string()),
                        _ => None,
                    })
                    .collect::<Option<Vec<_>>>(),
                _ => None,
            };
            if items.is_none() {
                fault(at, field, "expected a list of texts".to_owned());
            }
            items
        }
    };
    let (roles, limits) = (list("roles"), list("limits"));
    let key = ApiKey {
        id: id?.1,
        hash: hash?,
        user_id: user_id?.1,
        roles: roles?,
        limits: limits?,
    };
    right.then_some(key)
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Invalid, Loaded};

    fn load(text: &str) -> Result<Loaded, Invalid> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sluice.toml");
        std::fs::write(&path, format!("[registry]\nopen = true\n{text}")).unwrap();
        Config::load(Some(&path), &[("", ""); 0].into_iter().collect())
    }

    fn key(id: &str, digit: char, more: &str) -> String {
        let hash = digit.to_string().repeat(64);
        format!("[[api_key]]\nid = \"{id}\"\nhash = \"{hash}\"\nuser_id = \"u\"\n{more}\n")
    }

    fn limit(name: &str, more: &str) -> String {
        format!(
            "[[limit]]\nname = \"{name}\"\nkey = \"api_key\"\nmax_requests = 1\n\
             window_ms = 1000\n{more}\n"
        )
    }

    fn told(mistakes: &[super::Mistake]) -> Vec<String> {
        let all = mistakes.iter();
        all.map(|m| format!("{}: {}", m.option, m.message))
            .collect()
    }

    #[test]
    fn a_key_names_limits_that_are_there() {
        let limits = limit("gold", "named_only = true") + &limit("all", "");
        let named = key("a", 'a', r#"limits = ["gold", "all"]"#);
        // Keys may stand before the limits that they name.
        let loaded = load(&(named + &limits)).unwrap();
        assert_eq!(loaded.config.api_keys[0].limits, ["gold", "all"]);
        assert_eq!(
            told(&loaded.warnings),
            [
                "api_key.limits: the limit \"all\" applies to all callers anyway; with named_only \
                 = true it would to the keys that name it alone"
            ]
        );
        let invalid = load(&(key("a", 'a', r#"limits = ["gild"]"#) + &limits)).unwrap_err();
        assert_eq!(
            told(&invalid.mistakes),
            ["api_key.limits: there is no [[limit]] \"gild\"; there are gold, all"]
        );
        let none = load(&key("a", 'a', r#"limits = ["x"]"#)).unwrap_err();
        assert_eq!(
            told(&none.mistakes),
            ["api_key.limits: there is no [[limit]] \"x\", and no other"]
        );
        // Of a limit that is wrong itself, the key is not blamed.
        let wrong = limit("gold", "cost = 0") + &key("a", 'a', r#"limits = ["gold"]"#);
        let invalid = load(&wrong).unwrap_err();
        let options: Vec<_> = invalid.mistakes.iter().map(|m| &m.option).collect();
        assert_eq!(options, ["limit.cost"]);
    }

    #[test]
    fn every_mistake_of_every_key_at_once() {
        let text = "[[api_key]]\nid = 5\nhash = \"secret-in-the-wrong-place\"\nrole = [\"x\"]\n\
                    roles = \"admin\"\nlimits = [1]\n"
            .to_owned()
            + &key("a", 'a', "")
            + &key("a", 'b', "")
            + &key("b", 'b', r#"limits = ["none"]"#);
        let mistakes = load(&text).unwrap_err().mistakes;
        let options: Vec<_> = mistakes.iter().map(|m| m.option.as_str()).collect();
        let expected = [
            "api_key.user_id",
            "api_key.id",
            "api_key.hash",
            "api_key.role",
            "api_key.roles",
            "api_key.limits",
            "api_key.id",
            "api_key.limits",
            "api_key.hash",
        ];
        let mut sorted = (options.clone(), expected.to_vec());
        sorted.0.sort_unstable();
        sorted.1.sort_unstable();
        assert_eq!(sorted.0, sorted.1, "{mistakes:?}");
        // What stands in the wrong place may be the key itself.
        assert!(mistakes.iter().all(|m| !m.message.contains("secret-in")));
    }
}
