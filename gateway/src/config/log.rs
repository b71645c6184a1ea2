//! `[log]`

use tracing_subscriber::EnvFilter;

use super::kind::number::Flag;
use super::kind::text::Text;
use super::section::section;
use super::suggest::closest;

section! {
    /// The log, on standard error.
    ["log"] Log {
        /// Levels, as `RUST_LOG` has them: `info`, or `warn,sluice_gateway::registry=debug`.
        filter: String = "info,async_nats=warn".to_owned(), Text {
            what: "levels: error, warn, info, debug, trace or off; module=level, with commas",
            check: check_filter,
        };
        /// JSON lines instead of text.
        json: bool = false, Flag;
    }
}

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// Modules that log; all that they say is meant where one stands without a level.
const TARGETS: [&str; 20] = [
    "sluice",
    "sluice_broker",
    "sluice_demo",
    "sluice_gateway",
    "sluice_protocol",
    "sluice_telemetry",
    "sluice_worker",
    "async_nats",
    "axum",
    "h2",
    "hyper",
    "hyper_util",
    "mio",
    "opentelemetry",
    "redis",
    "reqwest",
    "rustls",
    "tokio",
    "tonic",
    "tower",
];

pub(crate) fn check_filter(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("an empty filter would log errors alone; write \"error\" for that".to_owned());
    }
    EnvFilter::try_new(text).map_err(|e| format!("{text:?}: {e}"))?;
    text.split(',').map(str::trim).try_for_each(check_word)
}

/// A misspelt level is taken for the name of a module, and nothing would be logged.
fn check_word(word: &str) -> Result<(), String> {
    // With a level, a span or a field it is no bare word.
    if word.is_empty() || word.contains(['=', '[']) {
        return Ok(());
    }
    let is_level = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let first = word.split("::").next().unwrap_or(word);
    // By number, too: 0 is off, 5 is trace.
    if is_level || TARGETS.contains(&first) || matches!(word.parse(), Ok(0_u8..=5)) {
        return Ok(());
    }
    if let Some(near) = closest(word, LEVELS.into_iter().chain(TARGETS)) {
        return Err(format!("{word:?} is no level (did you mean {near}?)"));
    }
    Err(format!(
        "{word:?} is no level, and no module that is known to log; levels are {}; write \
         {word}=debug for another module",
        LEVELS.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::check_filter;

    #[test]
    fn filters() {
        for good in [
            "info",
            "WARN",
            "off",
            "info,sluice_gateway=debug",
            "hyper",
            "xyz=trace",
            "sluice_gateway::registry",
            "[call{user=ann}]=debug,info",
            "info,",
        ] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        assert!(check_filter("ifno").unwrap_err().contains("mean info"));
        assert!(check_filter("hyper=loud").unwrap_err().contains("loud"));
        assert!(check_filter(" ").is_err());
        for bad in ["xyz", "info,xyz", "sluice_gatway", "xyz::registry", "6"] {
            let why = check_filter(bad).unwrap_err();
            assert!(why.contains("is no level"), "{bad}: {why}");
        }
    }
}
