//! Which calls a trace is about.

use serde::{Deserialize, Serialize};

use crate::pipeline::Call;

/// All that is named has to fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Of one user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Of one service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Of one function of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// With one request id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Filter {
    /// Whether it names enough: never all calls of a gateway.
    ///
    /// # Errors
    /// What is missing.
    pub fn check(&self) -> Result<(), String> {
        if self.function.is_some() && self.service.is_none() {
            return Err("a function needs its service".to_owned());
        }
        if self.user.is_none() && self.function.is_none() && self.request_id.is_none() {
            return Err("name a user, a service with a function, or a request id".to_owned());
        }
        Ok(())
    }

    pub(super) fn fits(&self, call: &Call) -> bool {
        let is = |wanted: &Option<String>, got: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| got == Some(wanted))
        };
        is(&self.user, call.identity.user_id.as_deref())
            && is(&self.service, Some(call.service.as_str()))
            && is(&self.function, Some(call.request_type.as_str()))
            && is(&self.request_id, Some(call.request_id.as_str()))
    }
}
