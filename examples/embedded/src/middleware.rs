//! Code that sees every call first, from whatever edge it came.

use futures_util::future::BoxFuture;
use sluice_gateway::middleware::Middleware;
use sluice_gateway::pipeline::Call;
use sluice_protocol::{CallError, ErrorCode};

/// Users are named `tenant/user`; who has no tenant is let in to nothing, and the tenant becomes a
/// role, so that functions can ask for it.
#[derive(Debug, Clone, Copy)]
pub struct Tenants;

impl Middleware for Tenants {
    fn on_call<'a>(&'a self, call: &'a mut Call) -> BoxFuture<'a, Result<(), CallError>> {
        Box::pin(async move {
            let user = call.identity.user_id.as_deref().unwrap_or_default();
            let Some((tenant, _)) = user.split_once('/') else {
                let text = "users are named tenant/user; the call did not run";
                return Err(CallError::new(ErrorCode::Unauthenticated, text));
            };
            let role = format!("tenant:{tenant}");
            call.identity.roles.push(role);
            Ok(())
        })
    }
}
