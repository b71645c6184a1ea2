//! What stands before the first attempt of a call: time left, the function's breaker, its bulkhead.

use sluice_protocol::{CallError, ErrorCode, Executed};
use tokio::time::Instant;

use super::Context;
use super::breaker::{Pass, Probe};
use super::bulkhead::{Place, Slot};
use super::retry::circuit_open;
use crate::pipeline::Ready;
use crate::telemetry::names::Series;

/// What a call holds of its function until it ends.
#[derive(Debug, Default)]
pub(super) struct Admitted {
    /// It is the probe of the function's breaker.
    pub(super) probe: Option<Probe>,
    /// Its place among the calls in flight.
    #[expect(dead_code, reason = "held until it is dropped")]
    pub(super) slot: Option<Slot>,
}

/// Lets a call in, or refuses it; a refused call did not run.
pub(super) async fn admit(context: &Context, call: &Ready) -> Result<Admitted, CallError> {
    in_time(call)?;
    let mut probe = pass(context, call)?;
    let Some(limit) = call.spec().max_in_flight else {
        return Ok(Admitted { probe, slot: None });
    };
    let max_queue = call.spec().max_queue.unwrap_or(0);
    let slot = match call.function().bulkhead.enter(limit, max_queue) {
        Ok(Place::Now(slot)) => {
            context.recorder.inc(Series::BulkheadEntered);
            slot
        }
        Err(_) => {
            context.recorder.inc(Series::BulkheadRefused);
            return Err(full(call, limit, max_queue));
        }
        Ok(Place::Later(mut waiting)) => {
            let turn = tokio::time::timeout_at(call.first_by(), waiting.turn());
            let slot = turn.await.map_err(|_| {
                context.recorder.inc(Series::BulkheadRefused);
                waited_in_vain(call, limit)
            })?;
            context.recorder.inc(Series::BulkheadWaited);
            // The wait may have been long enough for things to go wrong.
            in_time(call)?;
            if probe.is_none() {
                probe = pass(context, call)?;
            }
            slot
        }
    };
    Ok(Admitted {
        probe,
        slot: Some(slot),
    })
}

fn in_time(call: &Ready) -> Result<(), CallError> {
    if Instant::now() < call.first_by() {
        return Ok(());
    }
    let text = format!(
        "the time for {} was used up before it could be sent; it did not run",
        call.spec().label()
    );
    Err(CallError::new(ErrorCode::Timeout, text).with_executed(Executed::No, false))
}

fn pass(context: &Context, call: &Ready) -> Result<Option<Probe>, CallError> {
    match call.function().breaker.admit(context.link.clock) {
        Ok(Pass::Free) => Ok(None),
        Ok(Pass::Probe(probe)) => Ok(Some(probe)),
        Err(wait_ms) => Err(circuit_open(&call.spec().label(), wait_ms)),
    }
}

fn full(call: &Ready, limit: u32, max_queue: u32) -> CallError {
    let waiting = match max_queue {
        0 => String::new(),
        n => format!(" and {n} more wait"),
    };
    let text = format!(
        "{limit} calls of {} are in flight{waiting}, which is all that this gateway takes; it did \
         not run, try again",
        call.spec().label()
    );
    CallError::new(ErrorCode::Overloaded, text)
        .with_detail("max_in_flight", limit)
        .with_detail("max_queue", max_queue)
}

fn waited_in_vain(call: &Ready, limit: u32) -> CallError {
    let text = format!(
        "the time for {} was used up while {limit} other calls of it were in flight; it did not \
         run, try again",
        call.spec().label()
    );
    CallError::new(ErrorCode::Overloaded, text).with_detail("max_in_flight", limit)
}
