//! The call that a question is about.

use std::net::IpAddr;

use bytes::Bytes;
use serde_json::Value;
use sluice_protocol::request::{Request, no_args};
use sluice_protocol::{FunctionName, Identity, RequestId, ServiceName};

use sluice_protocol::trace::TraceContext;

use crate::config::ApiKey;
use crate::pipeline::{Call, Caller};

/// What stands for the id of a request that has none.
const NO_ID: &str = "explain";

/// Any call of a function: nobody's, with no args.
pub(super) fn any(service: &str, function: &str, version: Option<&str>) -> Result<Call, String> {
    let service = ServiceName::new(service).map_err(|e| e.to_string())?;
    let name = FunctionName::new(function).map_err(|e| e.to_string())?;
    Ok(Call {
        version: version.map(str::to_owned),
        ..Call::new(id(None)?, service, name, no_args(), Identity::anonymous())
    })
}

/// The call of a request. Its claims count: whoever explains may say who the caller is. An API key
/// speaks for its own user, as it does in a real call.
pub(super) fn concrete(
    request: &Value,
    address: Option<IpAddr>,
    api_key: Option<&str>,
    keys: &[ApiKey],
) -> Result<Call, String> {
    let key = api_key.map(|id| {
        let found = keys.iter().find(|key| key.id == id);
        found.ok_or_else(|| format!("there is no API key {id:?}"))
    });
    let key = key.transpose()?;
    let body = Bytes::from(request.to_string());
    let request = Request::from_json(&body).map_err(|e| e.message.to_string())?;
    Ok(Call {
        request_id: id(request.request_id)?,
        service: request.service,
        request_type: request.request_type,
        version: request.version,
        args: request.args,
        identity: match key {
            Some(key) => Identity {
                user_id: Some(key.user_id.clone()),
                roles: key.roles.clone(),
                ..request.claim
            },
            None => request.claim,
        },
        trace: request.trace.and_then(|t| TraceContext::parse(&t, None)),
        timeout_ms: request.timeout_ms,
        idempotent_only: false,
        idempotency_key: request.idempotency_key,
        http: None,
        caller: Caller {
            address,
            api_key: key.map(|key| key.id.as_str().into()),
            limits: key.map(|key| key.limits.clone().into()),
            ..Caller::default()
        },
    })
}

fn id(named: Option<RequestId>) -> Result<RequestId, String> {
    named.map_or_else(|| RequestId::new(NO_ID).map_err(|e| e.to_string()), Ok)
}
