//! The configuration of a gateway: a TOML file, and the environment over it.
//!
//! Each section is a file of this folder, and declares each of its options once: name, type,
//! default, what it takes, what it does. The reading, the names of environment variables,
//! `docs/configuration.md` and `sluice.example.toml` all come from there. [`Config::load`]
//! reports every mistake at once, each with its place.

mod admin;
mod api_key;
mod breaker;
mod dispatch;
pub mod docs;
mod function;
mod gateway;
mod http;
mod idempotency;
mod identity;
mod jwt;
mod kind;
mod limit;
mod limits;
mod log;
mod mistake;
mod nats;
mod phoenix;
mod reader;
mod redis;
mod registry;
mod results;
mod rules;
mod section;
mod source;
mod suggest;
mod telemetry;
#[cfg(test)]
mod tests;
mod unknown;
mod versions;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

pub use self::admin::Admin;
pub use self::api_key::ApiKey;
pub use self::breaker::BreakerOptions;
pub use self::dispatch::DispatchOptions;
pub use self::function::FixedFunction;
pub use self::gateway::Gateway;
pub use self::http::Http;
pub use self::idempotency::IdempotencyOptions;
pub use self::identity::IdentityOptions;
pub use self::jwt::JwtOptions;
pub(crate) use self::kind::text::without_secrets;
pub use self::limits::{KeyLayout, LimitOptions, OnFailure};
pub use self::log::Log;
pub(crate) use self::log::check_filter;
pub use self::mistake::{Invalid, Mistake, Origin};
pub use self::nats::{Nats, without_password};
pub use self::phoenix::PhoenixOptions;
pub use self::redis::{RedisMode, RedisOptions};
pub use self::registry::RegistryOptions;
pub use self::results::ResultOptions;
pub use self::source::Environment;
pub use self::telemetry::TelemetryOptions;
pub use self::versions::VersionOptions;

use self::reader::{File, Reader};
use self::section::{Section, SectionInfo};
use self::source::Text;

/// Declares [`Config`] and the order of its sections.
macro_rules! sections {
    ($($field:ident: $section:ident, $doc:literal;)+) => {
        /// Every option, by section. Printing it for debugging masks secrets.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct Config {
            $( #[doc = $doc] pub $field: $section, )+
            /// `[[function]]`: fixed functions, served by plain NATS responders.
            pub functions: Vec<FixedFunction>,
            /// `[[limit]]`: rate limits.
            pub limit: Vec<crate::limiter::Limit>,
            /// `[[api_key]]`: who may call with a key instead of a token.
            pub api_keys: Vec<ApiKey>,
        }

        impl Config {
            fn read(reader: &mut Reader<'_>) -> Self {
                $( let $field = $section::read(reader); )+
                let functions = function::read(reader);
                let limit = limit::read(reader);
                let api_keys = api_key::read(reader, &limit);
                Self { $( $field, )+ functions, limit, api_keys }
            }

            /// Every option as it runs, secrets masked: by section and name `{"value": …,
            /// "default": …}`, the value in the form that the file takes.
            #[must_use]
            pub fn running(&self) -> serde_json::Value {
                let sections = [$( self.$field.running(), )+];
                let section = |(name, options): section::Running| {
                    let option = |(name, value, default): (String, serde_json::Value, bool)| {
                        (name, serde_json::json!({ "value": value, "default": default }))
                    };
                    let options = options.into_iter().map(option);
                    (name.to_owned(), options.collect::<serde_json::Map<_, _>>().into())
                };
                let mut all: serde_json::Map<String, serde_json::Value> =
                    sections.into_iter().map(section).collect();
                let limits = self.limit.iter().map(|l| l.to_json());
                all.insert("limit".to_owned(), limits.collect());
                let functions = self.functions.iter().map(FixedFunction::to_json);
                all.insert("function".to_owned(), functions.collect());
                let keys = self.api_keys.iter().map(|k| {
                    serde_json::json!({"id": k.id, "user_id": k.user_id, "roles": k.roles})
                });
                all.insert("api_key".to_owned(), keys.collect());
                all.into()
            }

            /// What the reference says, in its order.
            pub(crate) fn reference() -> Vec<SectionInfo> {
                vec![$( $section::info(), )+]
            }
        }
    };
}

sections! {
    http: Http, "`[http]`";
    phoenix: PhoenixOptions, "`[phoenix]`";
    admin: Admin, "`[admin]`";
    nats: Nats, "`[nats]`";
    redis: RedisOptions, "`[redis]`";
    gateway: Gateway, "`[gateway]`";
    registry: RegistryOptions, "`[registry]`";
    identity: IdentityOptions, "`[identity]`";
    jwt: JwtOptions, "`[jwt]`";
    dispatch: DispatchOptions, "`[dispatch]`";
    breaker: BreakerOptions, "`[breaker]`";
    limits: LimitOptions, "`[limits]`";
    results: ResultOptions, "`[results]`";
    idempotency: IdempotencyOptions, "`[idempotency]`";
    telemetry: TelemetryOptions, "`[telemetry]`";
    versions: VersionOptions, "`[versions]`";
    log: Log, "`[log]`";
}

/// A configuration that can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// It.
    pub config: Config,
    /// What looks wrong all the same.
    pub warnings: Vec<Mistake>,
}

impl Config {
    /// Reads the configuration from a file, if there is one, and from the environment, which
    /// goes before the file.
    ///
    /// # Errors
    /// Every mistake of both, at once.
    pub fn load(file: Option<&Path>, env: &Environment) -> Result<Loaded, Invalid> {
        let (text, unreadable) = match file.map(Text::read) {
            Some(Ok(text)) => (Some(text), None),
            Some(Err(mistake)) => (None, Some(mistake)),
            None => (None, None),
        };
        let (table, syntax) = text.as_ref().map(Text::parse).unwrap_or_default();
        let file = text.as_ref().map(|text| File {
            text,
            table: &table,
        });
        let mut reader = Reader::new(file, env);
        let config = Self::read(&mut reader);
        unknown::check(&mut reader, &Self::reference());
        if syntax.is_empty() && unreadable.is_none() {
            rules::check(&config, &mut reader);
        }
        let (mistakes, warnings) = (reader.mistakes, reader.warnings);
        let mut mistakes = without_lines_of(&syntax, mistakes);
        mistakes.extend(syntax);
        mistakes.extend(unreadable);
        mistakes.extend(env.mistakes());
        // By place; the order of reading where that is the same.
        mistakes.sort_by(|a, b| a.origin.cmp(&b.origin));
        if mistakes.is_empty() {
            Ok(Loaded { config, warnings })
        } else {
            Err(Invalid { mistakes, warnings })
        }
    }
}

/// Who may do what at the admin port, by the environment alone: for `sluice dev`, which reads no
/// other option.
///
/// # Errors
/// Every mistake of `SLUICE_ADMIN_TOKENS` or its file.
pub(crate) fn operators(
    env: &Environment,
) -> Result<Vec<crate::admin::access::OperatorToken>, Invalid> {
    let mut reader = Reader::new(None, env);
    let tokens = reader.option("admin", "tokens", &kind::operators::OperatorTokens);
    match reader.mistakes.is_empty() {
        true => Ok(tokens.unwrap_or_default()),
        false => Err(Invalid {
            mistakes: reader.mistakes,
            warnings: Vec::new(),
        }),
    }
}

/// What a line with a mistake of syntax seems to say is not worth a report.
fn without_lines_of(syntax: &[Mistake], mut mistakes: Vec<Mistake>) -> Vec<Mistake> {
    let line = |mistake: &Mistake| match mistake.origin {
        Origin::Line { line, .. } => Some(line),
        _ => None,
    };
    let broken: Vec<usize> = syntax.iter().filter_map(line).collect();
    mistakes.retain(|m| line(m).is_none_or(|line| !broken.contains(&line)));
    mistakes
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
