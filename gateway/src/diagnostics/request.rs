//! The call that a question is about.

use std::net::IpAddr;

use bytes::Bytes;
use serde_json::Value;
use sluice_protocol::request::{Request, no_args};
use sluice_protocol::{FunctionName, Identity, RequestId, ServiceName};

use sluice_protocol::trace::TraceContext;

use crate::pipeline::{Call, Caller};

/// What stands for the id of a request that has none.
const NO_ID: &str = "explain";

/// Any call of a function: nobody's, with no args.
pub(super) fn any(service: &str, function: &str, version: Option<&str>) -> Result<Call, String> {
    Ok(Call {
        request_id: id(None)?,
        service: ServiceName::new(service).map_err(|e| e.to_string())?,
        request_type: FunctionName::new(function).map_err(|e| e.to_string())?,
        version: version.map(str::to_owned),
        args: no_args(),
        identity: Identity::anonymous(),
        trace: None,
        timeout_ms: None,
        idempotent_only: false,
        idempotency_key: None,
        http: None,
        caller: Caller::default(),
    })
}

/// The call of a request. Its claims count: whoever explains may say who the caller is.
pub(super) fn concrete(request: &Value, address: Option<IpAddr>) -> Result<Call, String> {
    let body = Bytes::from(request.to_string());
    let request = Request::from_json(&body).map_err(|e| e.message.to_string())?;
    Ok(Call {
        request_id: id(request.request_id)?,
        service: request.service,
        request_type: request.request_type,
        version: request.version,
        args: request.args,
        identity: request.claim,
        trace: request.trace.and_then(|t| TraceContext::parse(&t, None)),
        timeout_ms: request.timeout_ms,
        idempotent_only: false,
        idempotency_key: request.idempotency_key,
        http: None,
        caller: Caller {
            address,
            ..Caller::default()
        },
    })
}

fn id(named: Option<RequestId>) -> Result<RequestId, String> {
    named.map_or_else(|| RequestId::new(NO_ID).map_err(|e| e.to_string()), Ok)
}
