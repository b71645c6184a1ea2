//! Questions to gateways and their answers, as they travel between them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::trace::Filter;
use crate::dispatch::guards::Guarded;

/// What every gateway is asked. A newer gateway's question that this one does not know is answered
/// with an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Question {
    /// Is all well, part by part?
    Health,
    /// Who are you, and whom do you see?
    Cluster,
    /// What have you served, and whom do you spare?
    Traffic,
    /// Which version of a service's config is in force?
    Verify {
        /// Of which service.
        service: String,
        /// The `config_version` that is expected.
        version: String,
    },
    /// What would happen to calls of this function?
    Flow {
        /// Of which service.
        service: String,
        /// Which function.
        function: String,
        /// Which version.
        version: Option<String>,
    },
    /// What would happen to this call?
    Explain {
        /// A whole request, as clients send it.
        request: Value,
        /// The client's address, for limits that count by it.
        address: Option<IpAddr>,
        /// The id of the client's API key, whose limits and pins count.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        api_key: Option<String>,
    },
    /// Whom do you spare?
    Breakers,
    /// Close breakers: of a function, of an instance, or all.
    ResetBreakers {
        /// Whose; `None`: all.
        which: Option<Guarded>,
        /// The operator.
        by: String,
    },
    /// What do you log?
    Log,
    /// Change that.
    SetLog {
        /// Levels; `None`: those of the configuration.
        filter: Option<String>,
        /// For how long, milliseconds.
        for_ms: Option<u64>,
        /// The operator.
        by: String,
    },
    /// Tell of the calls that the filter is about.
    TraceOn {
        /// Which trace.
        id: String,
        /// Which calls.
        filter: Filter,
        /// For how long, milliseconds.
        for_ms: u64,
    },
    /// No more.
    TraceOff {
        /// Which trace.
        id: String,
    },
}

/// What one gateway answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Which gateway.
    pub gateway: String,
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// Why it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Answer {
    /// What it says; null if it says nothing.
    #[must_use]
    pub fn answer_or_null(&self) -> &Value {
        self.answer.as_ref().unwrap_or(&Value::Null)
    }

    /// A gateway's answer, or why it has none.
    #[must_use]
    pub fn of(gateway: &str, answer: Result<Value, String>) -> Self {
        let (answer, error) = match answer {
            Ok(answer) => (Some(answer), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            gateway: gateway.to_owned(),
            answer,
            error,
        }
    }
}
