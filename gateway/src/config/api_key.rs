//! `[[api_key]]`: who may call with a key instead of a token.

use toml::de::{DeTable, DeValue};

use super::kind::Raw;
use super::mistake::Mistake;
use super::reader::Reader;
use super::source::entry;

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
    /// Names of limits that apply to it.
    pub limits: Vec<String>,
}

/// Reads all keys. Those with mistakes are left out.
pub(super) fn read(reader: &mut Reader<'_>) -> Vec<ApiKey> {
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
        if keys.iter().any(|k| k.hash == key.hash) {
            fault(offset, "hash", "another key has the same hash".to_owned());
        }
        keys.push(key);
    }
    keys
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
