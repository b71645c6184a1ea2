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

pub(crate) fn check_filter(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("an empty filter would log errors alone; write \"error\" for that".to_owned());
    }
    EnvFilter::try_new(text).map_err(|e| format!("{text:?}: {e}"))?;
    // A misspelt level is taken for the name of a module, and nothing would be logged.
    for word in text.split(',').map(str::trim) {
        let is_level = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
        let is_plain = word.chars().all(|c| c.is_ascii_alphabetic());
        if is_plain
            && !is_level
            && let Some(level) = closest(word, LEVELS)
        {
            return Err(format!("{word:?} is no level (did you mean {level}?)"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_filter;

    #[test]
    fn filters() {
        for good in ["info", "WARN", "off", "info,sluice_gateway=debug", "hyper"] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        assert!(check_filter("ifno").unwrap_err().contains("mean info"));
        assert!(check_filter("hyper=loud").unwrap_err().contains("loud"));
        assert!(check_filter(" ").is_err());
    }
}
