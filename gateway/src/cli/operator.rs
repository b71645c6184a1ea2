//! What commands for operators share: the address of the admin API, the token, its refusals.

use std::time::Duration;

use reqwest::RequestBuilder;
use serde::de::DeserializeOwned;

use super::Failure;
use super::client::{Answer, Gateway};

/// How the admin API is reached.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Admin {
    /// The gateway's address for operators.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "SLUICE_ADMIN_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:4001"
    )]
    pub(super) admin: String,
    /// A token of `admin.tokens`; better in the environment, where other users do not see it.
    #[arg(
        long,
        global = true,
        env = "SLUICE_ADMIN_TOKEN",
        hide_env_values = true
    )]
    pub(super) token: Option<String>,
}

impl Admin {
    pub(super) fn gateway(&self) -> Result<Gateway, Failure> {
        Gateway::at("--admin", &self.admin)
    }

    /// Sends a request and reads the head of an answer that goes on; one that is no success is a
    /// failure that says why.
    pub(super) async fn open(
        &self,
        gateway: &Gateway,
        request: RequestBuilder,
    ) -> Result<reqwest::Response, Failure> {
        let response = gateway.open(self.allowed(request)).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refused(&gateway.read(response).await?))
    }

    fn allowed(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request; an answer that is no success is a failure that says why.
    pub(super) async fn send(
        &self,
        gateway: &Gateway,
        request: RequestBuilder,
    ) -> Result<Answer, Failure> {
        let request = request.timeout(Duration::from_secs(10));
        let answer = gateway.send(self.allowed(request)).await?;
        if answer.status.is_success() {
            Ok(answer)
        } else {
            Err(refused(&answer))
        }
    }
}

/// Reads an answer's body.
pub(super) fn decode<T: DeserializeOwned>(answer: &Answer) -> Result<T, Failure> {
    serde_json::from_slice(&answer.body).map_err(|e| strange(answer, &format!(", {e}")))
}

#[derive(serde::Deserialize)]
struct Refusal {
    error_code: String,
    error: String,
}

fn refused(answer: &Answer) -> Failure {
    match serde_json::from_slice::<Refusal>(&answer.body) {
        Ok(refusal) => {
            let hint = if refusal.error_code == "unauthenticated" {
                " (--token, or SLUICE_ADMIN_TOKEN)"
            } else {
                ""
            };
            let text = format!("{}: {}{hint}", refusal.error_code, refusal.error);
            match answer.status.as_u16() {
                400 | 422 => Failure::Usage(text),
                401 | 403 => Failure::NotAllowed(text),
                404 => Failure::Unknown(text),
                _ => Failure::Failed(text),
            }
        }
        Err(_) => strange(answer, ""),
    }
}

fn strange(answer: &Answer, why: &str) -> Failure {
    let (status, text) = (answer.status, answer.text());
    Failure::Failed(format!(
        "this is no answer of a gateway's admin API (is the URL right?): HTTP {status}{why}\n{}",
        text.trim()
    ))
}
