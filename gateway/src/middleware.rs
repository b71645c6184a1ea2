//! Code of an embedding program that sees every call first, from whatever edge it came.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sluice_protocol::{CallError, ErrorCode};

use crate::pipeline::Call;

/// Sees a call after its edge has read it and knows who calls, and before any stage: may change it
/// (who calls, the version, the time) or refuse it.
///
/// What it says about the caller counts like what the edge found out, so permissions and limits go by
/// it.
pub trait Middleware: Send + Sync + 'static {
    /// Lets the call go on, changed or not, or refuses it. Dropped when the client goes.
    fn on_call<'a>(&'a self, call: &'a mut Call) -> BoxFuture<'a, Result<(), CallError>>;
}

/// The middleware of a gateway, in the order in which calls pass it. Empty unless it is embedded.
#[derive(Clone, Default)]
pub struct Chain(Vec<Arc<dyn Middleware>>);

impl Chain {
    /// Adds one behind the others.
    pub fn push(&mut self, middleware: impl Middleware) {
        self.0.push(Arc::new(middleware));
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a call through all of them.
    ///
    /// # Errors
    /// The first refusal; `internal` for one that panics.
    pub async fn pass(&self, call: &mut Call) -> Result<(), CallError> {
        for middleware in &self.0 {
            // A panic of foreign code is the call's, not the shard's.
            let passed = AssertUnwindSafe(middleware.on_call(call)).catch_unwind();
            passed.await.unwrap_or_else(|_| {
                let text = "the gateway's own middleware panicked; the call did not run";
                Err(CallError::new(ErrorCode::Internal, text))
            })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::fake::call;

    struct Named(&'static str);

    impl Middleware for Named {
        fn on_call<'a>(&'a self, call: &'a mut Call) -> BoxFuture<'a, Result<(), CallError>> {
            Box::pin(async move {
                assert!(self.0 != "panic", "as it was told");
                if self.0 == "refuse" {
                    return Err(CallError::new(ErrorCode::PermissionDenied, "not today"));
                }
                let before = call.identity.user_id.take().unwrap_or_default();
                call.identity.user_id = Some(format!("{before}{}", self.0));
                Ok(())
            })
        }
    }

    #[tokio::test]
    async fn calls_pass_in_order_until_one_refuses() {
        let mut chain = Chain::default();
        assert!(chain.is_empty());
        for name in ["a", "b", "refuse", "c"] {
            chain.push(Named(name));
        }
        let mut seen = call("{}");
        seen.identity.user_id = None;
        let error = chain.pass(&mut seen).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::PermissionDenied);
        assert_eq!(seen.identity.user_id.as_deref(), Some("ab"));
    }

    #[tokio::test]
    async fn a_panic_is_the_calls_own() {
        let mut chain = Chain::default();
        chain.push(Named("panic"));
        let error = chain.pass(&mut call("{}")).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Internal);
    }
}
