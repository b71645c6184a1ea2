//! The scrape: all metrics as text (OpenMetrics 1.0).

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry as Encoded, Unit};
use sluice_protocol::ErrorCode;

use super::Telemetry;
use super::function_stats::Outcome;
use super::histogram::{BOUNDS_US, Durations};
use super::meters::EdgeKind;
use super::names::{self, Kind, Metric};
use crate::hooks::Phase;
use crate::registry::snapshot::{Function, Instance};

/// Of the answer.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Telemetry {
    /// All metrics now.
    ///
    /// # Errors
    /// None in practice: text is written to memory.
    pub fn scrape(self: &Arc<Self>) -> Result<String, fmt::Error> {
        let mut registry = Encoded::default();
        registry.register_collector(Box::new(Scrape(self.clone())));
        let mut text = String::with_capacity(16 << 10);
        text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

#[derive(Debug)]
struct Scrape(Arc<Telemetry>);

type Labels<'a> = Vec<(&'static str, &'a str)>;

/// One metric's series, as they are written.
struct Writer<'a>(MetricEncoder<'a>, &'static Metric);

impl Writer<'_> {
    fn number(&mut self, values: &[&str], value: u64) -> fmt::Result {
        let write = |encoder: &mut MetricEncoder<'_>, kind| match kind {
            Kind::Counter => encoder.encode_counter::<NoLabelSet, _, u64>(&value, None),
            // Threads are read one after another: what one added another may have taken away.
            _ => encoder.encode_gauge(&(value.cast_signed().max(0))),
        };
        match self.labels(values).as_slice() {
            [] => write(&mut self.0, self.1.kind),
            labels => write(&mut self.0.encode_family(&labels)?, self.1.kind),
        }
    }

    fn durations(&mut self, values: &[&str], durations: &Durations) -> fmt::Result {
        let bounds = BOUNDS_US.iter().map(|us| *us as f64 / 1e6);
        let bounds = bounds.chain(std::iter::once(f64::MAX));
        let buckets: Vec<(f64, u64)> = bounds.zip(durations.buckets).collect();
        let (sum, count) = (durations.sum_us as f64 / 1e6, durations.count());
        let write = |encoder: &mut MetricEncoder<'_>| {
            encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        };
        match self.labels(values).as_slice() {
            [] => write(&mut self.0),
            labels => write(&mut self.0.encode_family(&labels)?),
        }
    }

    fn labels<'v>(&self, values: &[&'v str]) -> Labels<'v> {
        let names = self.1.labels.iter().copied();
        names.zip(values.iter().copied()).collect()
    }
}

fn describe<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    metric: &'static Metric,
) -> Result<Writer<'a>, fmt::Error> {
    // The encoder appends the unit and `_total` itself.
    let (name, unit, kind) = match metric.kind {
        Kind::Counter => (
            metric.name.strip_suffix("_total"),
            None,
            MetricType::Counter,
        ),
        Kind::Gauge => (None, None, MetricType::Gauge),
        Kind::Histogram => {
            let name = metric.name.strip_suffix("_seconds");
            (name, Some(&Unit::Seconds), MetricType::Histogram)
        }
    };
    let name = name.unwrap_or(metric.name);
    let writer = encoder.encode_descriptor(name, metric.help, unit, kind)?;
    Ok(Writer(writer, metric))
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in names::ALL {
            let mut writer = describe(&mut encoder, metric)?;
            for (series, values) in metric.series {
                writer.number(values, self.0.sum(*series))?;
            }
            self.others(metric, &mut writer)?;
        }
        Ok(())
    }
}

impl Scrape {
    /// The series that come with functions, instances or codes, and what is known elsewhere.
    fn others(&self, metric: &Metric, writer: &mut Writer<'_>) -> fmt::Result {
        let telemetry = &self.0;
        match metric.name {
            n if n == names::EDGE_REFUSED.name => {
                for edge in EdgeKind::ALL {
                    for code in ErrorCode::ALL {
                        let count = telemetry.refused(edge, *code);
                        if count > 0 {
                            writer.number(&[edge.as_str(), code.as_str()], count)?;
                        }
                    }
                }
                Ok(())
            }
            n if n == names::LIMITER_DURATION.name => {
                writer.durations(&[], &telemetry.limiter_durations())
            }
            n if n == names::HOOK_DURATION.name => Phase::ALL.into_iter().try_for_each(|phase| {
                writer.durations(&[phase.as_str()], &telemetry.hook_durations(phase))
            }),
            n if n == names::REPLIES_DROPPED.name => {
                let (unknown, surplus) = telemetry.dropped_replies();
                writer.number(&["unknown"], unknown)?;
                writer.number(&["surplus"], surplus)
            }
            _ => {
                for (values, value) in telemetry.state_of(metric) {
                    let values: Vec<&str> = values.iter().map(String::as_str).collect();
                    writer.number(&values, value)?;
                }
                self.functions(metric, writer)?;
                self.instances(metric, writer)
            }
        }
    }

    fn functions(&self, metric: &Metric, writer: &mut Writer<'_>) -> fmt::Result {
        let is_of_functions = [
            names::CALLS.name,
            names::CALL_DURATION.name,
            names::CALLS_IN_FLIGHT.name,
            names::STREAM_ITEMS.name,
        ];
        if !is_of_functions.contains(&metric.name) {
            return Ok(());
        }
        let telemetry = &self.0;
        telemetry.each_function(|service, function, version, stats| {
            let totals = stats.totals();
            let labels = [service, function, version];
            if totals.started == 0 {
                return Ok(());
            }
            match metric.name {
                n if n == names::CALLS.name => {
                    for (index, code) in Outcome::all() {
                        let count = totals.outcomes[index];
                        if count > 0 {
                            writer.number(&[service, function, version, code], count)?;
                        }
                    }
                    Ok(())
                }
                n if n == names::CALL_DURATION.name => writer.durations(&labels, &totals.duration),
                n if n == names::CALLS_IN_FLIGHT.name => writer.number(&labels, totals.in_flight()),
                _ if totals.items > 0 => writer.number(&labels, totals.items),
                _ => Ok(()),
            }
        })
    }

    fn instances(&self, metric: &Metric, writer: &mut Writer<'_>) -> fmt::Result {
        let is_of_instances = [
            names::INSTANCE_CALLS.name,
            names::INSTANCE_DURATION.name,
            names::INSTANCE_IN_FLIGHT.name,
        ];
        if !self.0.instance_series || !is_of_instances.contains(&metric.name) {
            return Ok(());
        }
        for instance in self.0.instances() {
            one_instance(metric, &instance, writer)?;
        }
        Ok(())
    }
}

fn one_instance(metric: &Metric, instance: &Instance, writer: &mut Writer<'_>) -> fmt::Result {
    let (failed, durations) = instance.stats.totals();
    let labels = [instance.service.as_str(), instance.id.as_str()];
    let [service, id] = labels;
    match metric.name {
        n if n == names::INSTANCE_IN_FLIGHT.name => {
            let now = instance
                .in_flight
                .load(std::sync::atomic::Ordering::Relaxed);
            writer.number(&labels, u64::from(now))
        }
        n if n == names::INSTANCE_DURATION.name => writer.durations(&labels, &durations),
        _ => {
            let ok = durations.count().saturating_sub(failed);
            writer.number(&[service, id, "ok"], ok)?;
            writer.number(&[service, id, "failed"], failed)
        }
    }
}

/// The version as labels and documents have it: empty where there is none.
pub(super) fn version(function: &Function) -> &str {
    function.version.as_ref().map_or("", |v| v.as_str())
}
