//! The tokens of operators, each with the actions that it allows.

use std::fmt;

use serde_json::{Value, json};
use toml::de::DeValue;

use super::super::source::entry;
use super::secret::MASK;
use super::{Kind, Raw};
use crate::admin::access::OperatorToken;
use crate::admin::action::Grants;

/// Fewer characters than these can be guessed.
const MIN_CHARS: usize = 16;

/// Tokens by the name of who holds them.
pub(crate) struct OperatorTokens;

impl Kind for OperatorTokens {
    type Value = Vec<OperatorToken>;
    const SECRET: bool = true;

    fn describe(&self) -> String {
        "a table, name = { token = \"…\", allow = [\"services:read\", …] }; in the environment or a \
         file one `name token action,action` a line, lines with # are comments"
            .to_owned()
    }

    fn parse(&self, raw: &Raw<'_>) -> Result<Self::Value, Vec<String>> {
        let mut tokens: Vec<OperatorToken> = Vec::new();
        let mut faults = Vec::new();
        let entries = match *raw {
            Raw::Toml(value) => from_toml(value)?,
            Raw::Text(text) | Raw::File(text) => from_lines(text),
        };
        for entry in entries {
            match entry.and_then(checked) {
                Ok(token) if tokens.iter().any(|t| t.name == token.name) => {
                    faults.push(format!("the name {:?} stands here twice", token.name));
                }
                Ok(token) if tokens.iter().any(|t| t.is_same_token(&token)) => {
                    faults.push(format!("{:?} has the token of somebody else", token.name));
                }
                Ok(token) => tokens.push(token),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() {
            Ok(tokens)
        } else {
            Err(faults)
        }
    }

    fn show(&self, value: &Self::Value) -> Option<String> {
        value.is_empty().then(|| "{}".to_owned())
    }

    fn json(&self, value: &Self::Value) -> Value {
        let masked = value.iter().map(|token| {
            let fields = json!({ "token": MASK, "allow": token.grants.names() });
            (token.name.clone(), fields)
        });
        Value::Object(masked.collect())
    }

    fn debug(&self, value: &Self::Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(value.iter().map(|t| &t.name))
            .finish()
    }
}

/// As it is written: name, token, actions.
type Entry<'a> = (&'a str, &'a str, Vec<&'a str>);

fn from_lines(text: &str) -> Vec<Result<Entry<'_>, String>> {
    let lines = text.lines().map(str::trim).enumerate();
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            let mut words = line.split_whitespace();
            // The line is not repeated in the message: a secret stands there.
            match (words.next(), words.next(), words.next(), words.next()) {
                (Some(name), Some(token), Some(actions), None) => {
                    Ok((name, token, actions.split(',').collect()))
                }
                _ => Err(format!(
                    "line {}: expected `name token action,action`",
                    number + 1
                )),
            }
        })
        .collect()
}

fn from_toml<'a>(value: &'a DeValue<'a>) -> Result<Vec<Result<Entry<'a>, String>>, Vec<String>> {
    let DeValue::Table(table) = value else {
        return Err(vec!["expected a table of operators".to_owned()]);
    };
    let entry_of = |name: &'a str, value: &'a DeValue<'a>| {
        let wrong = || format!("{name}: expected {{ token = \"…\", allow = [\"…\"] }}");
        let DeValue::Table(fields) = value else {
            return Err(wrong());
        };
        let known = |key: &str| matches!(key, "token" | "allow");
        if fields.iter().any(|(key, _)| !known(key.get_ref())) {
            return Err(wrong());
        }
        let field = |key| entry(fields, key).map(|(_, value)| value.get_ref());
        match (field("token"), field("allow")) {
            (Some(DeValue::String(token)), Some(DeValue::Array(allow))) => {
                let action = |item: &'a toml::Spanned<DeValue<'a>>| match item.get_ref() {
                    DeValue::String(action) => Ok(action.as_ref()),
                    _ => Err(wrong()),
                };
                let actions = allow.iter().map(action).collect::<Result<_, _>>()?;
                Ok((name, token.as_ref(), actions))
            }
            _ => Err(wrong()),
        }
    };
    Ok(table
        .iter()
        .map(|(name, value)| entry_of(name.get_ref(), value.get_ref()))
        .collect())
}

fn checked((name, token, actions): Entry<'_>) -> Result<OperatorToken, String> {
    if name.is_empty() || name.len() > 64 {
        return Err("a name has 1 to 64 bytes".to_owned());
    }
    if token.len() < MIN_CHARS {
        return Err(format!(
            "{name}: a token has at least {MIN_CHARS} characters (openssl rand -hex 24)"
        ));
    }
    let mut grants = Grants::default();
    for action in actions {
        grants
            .add(action.trim())
            .map_err(|e| format!("{name}: {e}"))?;
    }
    Ok(OperatorToken::new(name, token, grants))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::action::{Action, Area};

    #[test]
    fn lines_name_token_and_actions() {
        let text = "# operators\nops 0123456789abcdef *\n\nlook fedcba9876543210 *:read,limits:*\n";
        let tokens = OperatorTokens.parse(&Raw::File(text)).unwrap();
        let names: Vec<_> = tokens.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["ops", "look"]);
        assert!(tokens[1].grants.allows(Action::write(Area::Limits)));
        assert!(!tokens[1].grants.allows(Action::write(Area::Services)));
    }

    #[test]
    fn every_fault_is_told_and_no_secret_repeated() {
        let text = "a short *\nb 0123456789abcdef limits:all\nc 0123456789abcdef\n\
                    d 00112233445566778899 *\nd 99112233445566778899 *\ne 00112233445566778899 *";
        let faults = OperatorTokens.parse(&Raw::Text(text)).unwrap_err();
        assert_eq!(faults.len(), 5, "{faults:?}");
        assert!(!faults.concat().contains("0123456789abcdef"), "{faults:?}");
        assert!(!faults.concat().contains("112233"), "{faults:?}");
    }
}
