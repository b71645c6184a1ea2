//! Every metric of a gateway, in one place: names, labels, what they count.
//!
//! Units are in the names. Labels come from closed sets, or name functions and instances that the
//! registry knows: never ids, users or topics, and never a name that a client made up.

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts by buckets, with sum and count.
    Histogram,
}

impl Kind {
    /// As the reference has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// `sluice_…`, with its unit.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What tells its series apart.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
    /// The series that every gateway has from its start, with the values of their labels; empty
    /// where series come with functions, instances or codes.
    pub series: &'static [(Series, &'static [&'static str])],
}

/// Declares the metrics whose series are known beforehand; each series is one atomic number.
macro_rules! metrics {
    ($($const:ident: $kind:ident $name:literal [$($label:literal),*], $help:literal
        { $($series:ident [$($value:literal),*];)* })+) => {
        /// A number that some line of code counts.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the table says it: metric and labels of each")]
        pub enum Series { $($($series,)*)+ }

        impl Series {
            /// How many there are.
            pub const COUNT: usize = [$($(Self::$series,)*)+].len();
        }

        $(
            #[doc = $help]
            pub const $const: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: $help,
                series: &[$((Series::$series, &[$($value),*])),*],
            };
        )+

        /// All of them, in the order of a request's way.
        pub const ALL: &[Metric] = &[$($const),+];
    };
}

metrics! {
    EDGE_CONNECTIONS: Counter "sluice_edge_connections_total" [],
        "Connections of clients that were accepted." { ConnectionsAccepted []; }
    EDGE_CONNECTIONS_OPEN: Gauge "sluice_edge_connections_open" [],
        "Connections of clients that are open now." {}
    EDGE_REQUESTS: Counter "sluice_edge_requests_total" ["edge"],
        "Requests that were read: HTTP requests, and calls pushed over sockets." {
            HttpRequests ["http"];
            SocketRequests ["socket"];
        }
    EDGE_REFUSED: Counter "sluice_edge_refused_total" ["edge", "code"],
        "Requests that an edge answered with an error before they became calls." {}
    EDGE_SOCKETS: Counter "sluice_edge_sockets_total" [],
        "Phoenix sockets that were opened." { SocketsOpened []; }
    EDGE_SOCKETS_OPEN: Gauge "sluice_edge_sockets_open" [],
        "Phoenix sockets that are open now." { SocketsOpen []; }
    EDGE_SOCKET_FRAMES: Counter "sluice_edge_socket_frames_total" ["direction"],
        "Frames of Phoenix sockets." {
            FramesIn ["in"];
            FramesOut ["out"];
        }
    EDGE_SOCKET_BYTES: Counter "sluice_edge_socket_bytes_total" ["direction"],
        "Bytes of the frames of Phoenix sockets." {
            BytesIn ["in"];
            BytesOut ["out"];
        }

    CALLS: Counter "sluice_calls_total" ["service", "function", "version", "code"],
        "Calls that ended, by their outcome: `ok` or an error code. Calls to functions that do not exist have the service and function `_unknown`." {}
    CALL_DURATION: Histogram "sluice_call_duration_seconds" ["service", "function", "version"],
        "Time from a call's entry into the pipeline to its final answer." {}
    CALLS_IN_FLIGHT: Gauge "sluice_calls_in_flight" ["service", "function", "version"],
        "Calls without a final answer yet; streams that are open are among them." {}
    STREAM_ITEMS: Counter "sluice_stream_items_total" ["service", "function", "version"],
        "Items of streams that went to clients." {}
    STREAMS_OPEN: Gauge "sluice_streams_open" [],
        "Streams that were acknowledged and have not ended." { StreamsOpen []; }

    FORWARDED_IGNORED: Counter "sluice_forwarded_ignored_total" [],
        "Times that a header was not believed which names the client's address, because its peer is not among http.trusted_proxies; a request may be looked at more than once." {}
    REFUSED_WINDOW: Counter "sluice_refused_window_total" [],
        "Calls refused because their caller or their address had too many calls refused within the last minute." {
            RefusedWindow [];
        }
    PERMISSION_CALLBACKS: Counter "sluice_permission_callbacks_total" ["outcome"],
        "Questions to permission callbacks; failed ones deny." {
            PermissionAllowed ["allowed"];
            PermissionDenied ["denied"];
            PermissionFailed ["failed"];
        }
    HOOKS: Counter "sluice_hooks_total" ["phase", "outcome"],
        "Hooks that were asked. A before hook that refused or failed refused its call; after a failed after hook the response stays as it was." {
            HookBeforeOk ["before", "ok"];
            HookBeforeRefused ["before", "refused"];
            HookAfterOk ["after", "ok"];
            HookAfterFailed ["after", "failed"];
        }
    HOOK_DURATION: Histogram "sluice_hook_duration_seconds" ["phase"],
        "Time that hooks and permission callbacks took to answer; it is part of their calls' own." {}
    LIMITER_CHECKS: Counter "sluice_limiter_checks_total" ["outcome"],
        "Calls held against the rate limits; unavailable: the store could not be asked and the policy is fail_closed." {
            LimiterAdmitted ["admitted"];
            LimiterRefused ["refused"];
            LimiterUnavailable ["unavailable"];
        }
    LIMIT_REFUSALS: Counter "sluice_limit_refusals_total" ["limit", "enforced"],
        "Calls that were over a limit: refused, or admitted where it is in shadow (enforced: no)." {}
    LIMITER_DURATION: Histogram "sluice_limiter_check_duration_seconds" [],
        "Time that the check of all limits of a call took." {}
    IDEMPOTENCY: Counter "sluice_idempotent_requests_total" ["outcome"],
        "Requests with an idempotency key: run, answered from the record, or refused because the key stands for another or a running request." {
            OnceRun ["run"];
            OnceReplayed ["replayed"];
            OnceRefused ["refused"];
        }

    ATTEMPTS: Counter "sluice_attempts_total" ["selection"],
        "Messages sent to workers, first attempts and others, by how the instance was selected; group: a queue group of the broker picked it." {
            AttemptGroup ["group"];
            AttemptInstance ["instance"];
            AttemptFixed ["fixed"];
        }
    ATTEMPT_FAILURES: Counter "sluice_attempt_failures_total" ["failure"],
        "Attempts that failed, whatever followed." {
            FailedNoResponders ["no_responders"];
            FailedCircuitOpen ["circuit_open"];
            FailedOverloaded ["overloaded"];
            FailedWorker ["worker_error"];
            FailedAttemptTimeout ["attempt_timeout"];
            FailedDeadline ["deadline"];
            FailedLost ["worker_lost"];
            FailedStreamLost ["stream_lost"];
            FailedReconnected ["reconnected"];
            FailedProtocol ["protocol"];
            FailedBroker ["broker_unavailable"];
            FailedUnsendable ["unsendable"];
        }
    RETRIES: Counter "sluice_retries_total" ["kind"],
        "Further attempts; retry: after a back-off, as the function's retry says; elsewhere: at once at another instance." {
            RetryLater ["retry"];
            RetryElsewhere ["elsewhere"];
        }
    RETRIES_EXHAUSTED: Counter "sluice_retries_exhausted_total" [],
        "Calls that failed after all their retries." { RetriesExhausted []; }
    BREAKER_CHANGES: Counter "sluice_breaker_changes_total" ["guarded", "to"],
        "Circuits that opened, and circuits that closed because a call that tried it went well; not those that an operator reset." {
            BreakerFunctionOpened ["function", "open"];
            BreakerFunctionClosed ["function", "closed"];
            BreakerInstanceOpened ["instance", "open"];
            BreakerInstanceClosed ["instance", "closed"];
        }
    BREAKERS_OPEN: Gauge "sluice_breakers_open" ["guarded"],
        "Circuits that are open or half-open now." {}
    BULKHEAD: Counter "sluice_bulkhead_total" ["outcome"],
        "Calls of functions with `max_in_flight`: in at once, in after a wait, refused because the queue was full or the wait too long." {
            BulkheadEntered ["entered"];
            BulkheadWaited ["waited"];
            BulkheadRefused ["refused"];
        }
    REPLIES_DROPPED: Counter "sluice_replies_dropped_total" ["reason"],
        "Replies of workers that nobody waited for; unknown: late or forged; surplus: after the final one or beyond the credit." {}

    BROKER_CONNECTED: Gauge "sluice_broker_connected" [],
        "1 while the registry's connection to NATS stands." {}
    REDIS_AVAILABLE: Gauge "sluice_redis_available" [],
        "1 while Redis answers, or where none is configured." {}
    READY: Gauge "sluice_ready" [],
        "1 while the gateway takes calls." {}
    REGISTRY_SERVICES: Gauge "sluice_registry_services" [],
        "Services that are known." {}
    REGISTRY_FUNCTIONS: Gauge "sluice_registry_functions" [],
        "Versions of functions that are known." {}
    REGISTRY_INSTANCES: Gauge "sluice_registry_instances" ["service"],
        "Instances that take calls." {}
    REGISTRY_CONFIGS: Counter "sluice_registry_configs_total" ["outcome"],
        "Configs that workers announced or that were pulled from them." {
            ConfigAccepted ["accepted"];
            ConfigRefused ["refused"];
        }
    REGISTRY_EVENTS: Counter "sluice_registry_instance_events_total" ["event"],
        "Instances that came, left, or were silent for too long." {
            InstanceJoined ["joined"];
            InstanceLeft ["left"];
            InstanceExpired ["expired"];
        }
    INSTANCE_CALLS: Counter "sluice_instance_attempts_total" ["service", "instance", "outcome"],
        "Attempts by the instance that is known to have held them: keyed selection, and calls that ran for long enough to name their holder. Calls that a queue group handed out and that were answered fast name nobody." {}
    INSTANCE_DURATION: Histogram "sluice_instance_attempt_duration_seconds" ["service", "instance"],
        "Time that such attempts took." {}
    INSTANCE_IN_FLIGHT: Gauge "sluice_instance_in_flight" ["service", "instance"],
        "Calls of this gateway that such an instance holds now." {}
    RESULTS: Counter "sluice_async_results_total" ["outcome"],
        "Results of async calls over HTTP: kept for the client, or lost because the store failed." {
            ResultKept ["kept"];
            ResultLost ["lost"];
        }
    ADMIN_REQUESTS: Counter "sluice_admin_requests_total" ["action", "status"],
        "Requests to routes of the admin API, by what they would do and the HTTP status of the answer." {}
    SPANS: Counter "sluice_spans_total" ["outcome"],
        "Spans of sampled calls; dropped: more than the queue takes; failed: the collector did not take them." {}
}

/// The label of functions that do not exist: what clients make up is no label.
pub const UNKNOWN: &str = "_unknown";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_as_the_house_has_them() {
        let mut seen = HashSet::new();
        for metric in ALL {
            let name = metric.name;
            // What the scrape calls a family: the name without its ending.
            let family = name.strip_suffix("_total").unwrap_or(name);
            assert!(seen.insert(family), "{name} stands twice");
            assert!(name.starts_with("sluice_"), "{name}");
            assert_eq!(
                metric.kind == Kind::Counter,
                name.ends_with("_total"),
                "{name}"
            );
            assert_eq!(
                metric.kind == Kind::Histogram,
                name.ends_with("_seconds"),
                "{name}"
            );
            for label in metric.labels {
                let ids = ["user", "device", "request_id", "topic", "key", "address"];
                assert!(!ids.contains(label), "{name} has the label {label}");
            }
            for (_, values) in metric.series {
                assert_eq!(values.len(), metric.labels.len(), "{name}");
            }
        }
    }
}
