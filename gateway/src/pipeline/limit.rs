//! Stage 5: has this caller a call left? All limits that apply, in one round trip.

use std::sync::Arc;

use sluice_protocol::CallError;
use tokio::time::Instant;

use super::authorize::{Admitted, Permitted};
use super::resolve::Resolved;
use crate::diagnostics::trace::Traced;
use crate::limiter::{Asking, Limiter, Refusal};
use crate::telemetry::meters::Meters;
use crate::telemetry::names::Series;

/// A call that its limits admit, and that they have counted.
#[derive(Debug)]
pub(super) struct Limited(Resolved);

impl Limited {
    /// The live trace that follows the call.
    pub(super) fn traced(&self) -> Option<Arc<Traced>> {
        self.0.call.caller.traced.clone()
    }

    pub(super) fn into_resolved(self) -> Resolved {
        self.0
    }
}

/// Refuses, before a worker is asked about the call, whoever is known to be over a limit.
pub(super) fn known(limiter: &Limiter, meters: &Meters, call: &Admitted) -> Result<(), CallError> {
    let call = call.as_resolved();
    let spec = call.spec();
    // Without a question the limits are looked at soon enough.
    if spec.before_execute.is_none() && spec.permission_callback.is_none() {
        return Ok(());
    }
    limiter.known(&asking(call)).map_err(|refusal| {
        meters.inc(Series::LimiterRefused);
        refusal.into_error(&spec.label())
    })
}

fn asking(call: &Resolved) -> Asking<'_> {
    let asked = &call.call;
    Asking {
        service: asked.service.as_str(),
        function: asked.request_type.as_str(),
        identity: &asked.identity,
        caller: &asked.caller,
        args: call.counted_args(),
    }
}

/// Checks and counts the call; what is refused is counted nowhere.
pub(super) async fn limit(
    limiter: &Limiter,
    meters: &Meters,
    call: Permitted,
) -> Result<Limited, CallError> {
    let call = call.into_resolved();
    if !limiter.has_rules() {
        return Ok(Limited(call));
    }
    // Boxed: all calls have room for what they wait for here, and most wait for nothing.
    Box::pin(counted(limiter, meters, call)).await
}

async fn counted(limiter: &Limiter, meters: &Meters, call: Resolved) -> Result<Limited, CallError> {
    let asking = asking(&call);
    let began = Instant::now();
    let admitted = limiter.admit(&asking).await;
    meters.limiter.record(began.elapsed());
    meters.inc(match &admitted {
        Ok(_) => Series::LimiterAdmitted,
        Err(Refusal::Limited { .. }) => Series::LimiterRefused,
        Err(Refusal::Unavailable) => Series::LimiterUnavailable,
    });
    match admitted {
        Ok(quota) => {
            if let (Some(place), Some(quota)) = (&call.call.caller.quota, quota) {
                // One call has one quota.
                let _ = place.set(quota);
            }
            Ok(Limited(call))
        }
        Err(refusal) => Err(refusal.into_error(&call.spec().label())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sluice_protocol::ErrorCode;
    use sluice_protocol::permission::Permission;

    use crate::config::LimitOptions;
    use crate::dispatch::fake::{Rig, call, spec};
    use crate::limiter::testing::limit;
    use crate::limiter::{Limiter, Refused};
    use crate::pipeline::Pipeline;

    fn limited(rig: Rig, limiter: &Arc<Limiter>, refused: u64) -> Pipeline {
        let pipeline = Arc::into_inner(rig.pipeline).unwrap();
        pipeline.limited_by(limiter.clone(), Arc::new(Refused::new(refused)))
    }

    fn one_for_all() -> Arc<Limiter> {
        let limits = [limit("one", "all", 1, 60_000)];
        Arc::new(Limiter::in_memory(&limits, &LimitOptions::default()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_denied_call_uses_up_no_quota() {
        let mut spec = spec();
        spec.check_permission = Permission::AnyAuthenticated;
        let limiter = one_for_all();
        let pipeline = limited(Rig::new(spec, &["a"]), &limiter, 0);
        for _ in 0..3 {
            let error = pipeline.run(call("{}")).await.unwrap_err();
            assert_ne!(error.code, ErrorCode::RateLimited);
        }
        let all = [String::new()];
        let status = limiter.status("one", &all).await.unwrap();
        assert_eq!(status.key.unwrap().current_requests, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn limits_come_before_args_are_looked_at() {
        let mut spec = spec();
        spec.arg_types = Some(Default::default());
        let pipeline = limited(Rig::new(spec, &["a"]), &one_for_all(), 0);
        let error = pipeline.run(call(r#"{"x":1}"#)).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArguments);
        let error = pipeline.run(call(r#"{"x":1}"#)).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::RateLimited);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_refused_all_the_time_is_limited() {
        let limiter = Arc::new(Limiter::in_memory(&[], &LimitOptions::default()));
        let pipeline = limited(Rig::new(spec(), &["a"]), &limiter, 2);
        let unknown = || {
            let mut call = call("{}");
            call.request_type = sluice_protocol::FunctionName::new("g").unwrap();
            call.caller.address = Some([192, 0, 2, 1].into());
            call
        };
        for _ in 0..2 {
            let error = pipeline.run(unknown()).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::UnknownFunction);
        }
        let error = pipeline.run(unknown()).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::RateLimited);
    }
}
