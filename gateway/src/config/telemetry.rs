//! `[telemetry]`

use std::time::Duration;

use toml::de::DeValue;

use super::kind::number::{Count, Flag, Millis};
use super::kind::secret::Secret;
use super::kind::text::{Optional, Text};
use super::kind::{Kind, Raw};
use super::section::section;

section! {
    /// Traces, and what the log says of calls. Metrics need no options: see `admin.metrics_open`.
    ["telemetry"] TelemetryOptions {
        /// Where spans go: a collector that takes OTLP over gRPC. Without one no spans are made, and
        /// what clients send of their traces is passed on to workers as it came.
        otlp_endpoint: Option<String> = None, Endpoint;
        /// Headers of each export, for tokens of collectors: `name=value`, several separated by commas.
        otlp_headers: Option<String> = None, Secret;
        /// What part of the calls is traced whose clients send no `traceparent`. For others the
        /// client has decided: `trust_client_sampling`.
        sample_ratio: f64 = 0.01, Ratio;
        /// Whether a `traceparent` decides if its call is traced. Otherwise `sample_ratio` decides of
        /// all calls: clients that nobody trusts could have everything traced.
        trust_client_sampling: bool = true, Flag;
        /// `service.name` of the spans.
        service_name: String = "sluice".to_owned(), Text {
            what: "text",
            check: |name| match name.is_empty() {
                true => Err("is empty: backends find spans by it".to_owned()),
                false => Ok(()),
            },
        };
        /// How long spans wait for others, to be exported together.
        export_delay: Duration = Duration::from_secs(1), Millis::within(10..=60_000);
        /// Most spans that wait; more are dropped and counted.
        queue: usize = 8192, Count::within(512..=1_000_000);
        /// Whether each call that ends is one line of the log, at level info; otherwise at debug.
        access_log: bool = false, Flag;
    }
}

/// Where a collector listens; empty means none.
struct Endpoint;

impl Kind for Endpoint {
    type Value = Option<String>;

    fn describe(&self) -> String {
        "`http://host:4317` or `https://host:4317`".to_owned()
    }

    fn parse(&self, raw: &Raw<'_>) -> Result<Option<String>, Vec<String>> {
        let text = Optional("text").parse(raw)?;
        let is_url = |text: &String| {
            let uri: Option<http::Uri> = text.parse().ok();
            uri.is_some_and(|u| {
                u.authority().is_some() && matches!(u.scheme_str(), Some("http" | "https"))
            })
        };
        match text {
            Some(text) if !is_url(&text) => Err(self.unexpected(raw)),
            text => Ok(text),
        }
    }

    fn show(&self, value: &Option<String>) -> Option<String> {
        Optional("text").show(value)
    }
}

/// A share.
struct Ratio;

impl Kind for Ratio {
    type Value = f64;

    fn describe(&self) -> String {
        "a number from 0 to 1".to_owned()
    }

    fn parse(&self, raw: &Raw<'_>) -> Result<f64, Vec<String>> {
        let number = match raw {
            Raw::Toml(DeValue::Float(n)) => n.as_str().parse().ok(),
            Raw::Toml(_) => raw.integer().map(|n| n as f64),
            Raw::Text(text) | Raw::File(text) => text.trim().parse().ok(),
        };
        number
            .filter(|n: &f64| (0.0..=1.0).contains(n))
            .ok_or_else(|| self.unexpected(raw))
    }

    fn show(&self, value: &f64) -> Option<String> {
        Some(format!("{value:?}"))
    }
}

impl TelemetryOptions {
    /// The headers of exports.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        let pairs = self.otlp_headers.iter().flat_map(|text| text.split(','));
        let pairs = pairs.filter_map(|pair| pair.split_once('='));
        let trimmed = |text: &str| text.trim().to_owned();
        // Names of gRPC's headers are lower-case.
        pairs
            .map(|(name, value)| (trimmed(name).to_ascii_lowercase(), trimmed(value)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_and_endpoints() {
        for good in ["0", "1", "0.25", " 1e-3 "] {
            assert!(Ratio.parse(&Raw::Text(good)).is_ok(), "{good}");
        }
        for bad in ["", "1.1", "-0.1", "NaN", "half", "inf"] {
            assert!(Ratio.parse(&Raw::Text(bad)).is_err(), "{bad}");
        }
        assert_eq!(Endpoint.parse(&Raw::Text("")), Ok(None));
        assert!(Endpoint.parse(&Raw::Text("http://collector:4317")).is_ok());
        for bad in ["collector:4317", "/x", "ftp://x", "http://"] {
            assert!(Endpoint.parse(&Raw::Text(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn headers_are_pairs() {
        let options = TelemetryOptions {
            otlp_headers: Some("Authorization=Bearer a=b, x-team = core".to_owned()),
            ..TelemetryOptions::default()
        };
        let expected = [("authorization", "Bearer a=b"), ("x-team", "core")];
        let expected = expected.map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(options.headers(), expected);
        assert!(!format!("{options:?}").contains("Bearer"));
    }
}
