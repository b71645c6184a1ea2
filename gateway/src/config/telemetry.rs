//! `[telemetry]`

use std::time::Duration;

use toml::de::DeValue;

use super::kind::number::{Count, Flag, Millis};
use super::kind::secret::Secret;
use super::kind::text::{Text, Url};
use super::kind::{Kind, Raw};
use super::section::section;

section! {
    /// Traces, and what the log says of calls. Metrics need no options: see `admin.metrics_open`.
    ["telemetry"] TelemetryOptions {
        /// Where spans go: a collector that takes OTLP over gRPC. Without one no spans are made, and
        /// what clients send of their traces is passed on to workers as it came.
        otlp_endpoint: Option<String> = None, Url { what: ENDPOINT, check: endpoint };
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
        /// Whether metrics have series by instance (`sluice_instance_…`). They come and go with
        /// instances, which have a name of their own for each process; without them the backend
        /// keeps fewer series, and `sluice top` shows instances all the same.
        instance_series: bool = true, Flag;
        /// Whether each call that ends is one line of the log, at level info; otherwise at debug.
        access_log: bool = false, Flag;
    }
}

const ENDPOINT: &str = "`http://host:4317` or `https://host:4317`";

/// Where a collector listens. Nothing signs in by that address: a password in it would be left out
/// silently, and stand in configurations all the same.
fn endpoint(text: &str) -> Result<(), String> {
    let uri: Option<http::Uri> = text.parse().ok();
    let is_http = |u: &http::Uri| matches!(u.scheme_str(), Some("http" | "https"));
    if !uri.is_some_and(|u| is_http(&u) && u.authority().is_some()) {
        return Err(format!("expected {ENDPOINT}"));
    }
    if text.contains('@') {
        return Err(format!(
            "must hold no user and password: name them in telemetry.otlp_headers; expected \
             {ENDPOINT}"
        ));
    }
    Ok(())
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
        assert_eq!(endpoint("http://collector:4317"), Ok(()));
        for bad in [
            "collector:4317",
            "/x",
            "ftp://x",
            "http://",
            "http://ann:hunter2@c:4317",
            "http://hunter2@c",
            "http://ann:hun/ter2@c",
            "hunter2",
        ] {
            let why = endpoint(bad).unwrap_err();
            assert!(!why.contains("hun"), "{why}");
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
