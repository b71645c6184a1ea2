//! Selection by code of a program that embeds the gateway.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use sluice_protocol::id::InvalidId;
use sluice_protocol::{FunctionName, ServiceName};

use super::select::Selection;
use crate::registry::snapshot::Instance;

/// Picks the instance that gets the next attempt of a call.
pub trait Selector: Send + Sync + 'static {
    /// One of `candidates`, by its place: instances that have not had this call yet, are not
    /// suspended and whose breakers let it pass. Never empty. `None`, or a place that there is not,
    /// leaves the choice to the function's own mode.
    fn select(&self, selection: &Selection<'_>, candidates: &[&Arc<Instance>]) -> Option<usize>;
}

impl<F> Selector for F
where
    F: Fn(&Selection<'_>, &[&Arc<Instance>]) -> Option<usize> + Send + Sync + 'static,
{
    fn select(&self, selection: &Selection<'_>, candidates: &[&Arc<Instance>]) -> Option<usize> {
        self(selection, candidates)
    }
}

/// The selectors of a gateway, by function. Empty unless it is embedded.
#[derive(Clone, Default)]
pub struct Selectors(Arc<HashMap<(ServiceName, FunctionName), Arc<dyn Selector>>>);

impl Selectors {
    /// Selects for all versions of `service.function`.
    ///
    /// # Errors
    /// When the names are none.
    pub fn with(
        self,
        service: &str,
        function: &str,
        selector: impl Selector,
    ) -> Result<Self, InvalidId> {
        let name = (ServiceName::new(service)?, FunctionName::new(function)?);
        let mut all = HashMap::clone(&self.0);
        all.insert(name, Arc::new(selector));
        Ok(Self(Arc::new(all)))
    }

    pub(crate) fn of(
        &self,
        service: &ServiceName,
        function: &FunctionName,
    ) -> Option<&dyn Selector> {
        if self.0.is_empty() {
            return None;
        }
        let found = self.0.get(&(service.clone(), function.clone()));
        found.map(|selector| &**selector)
    }
}

impl fmt::Debug for Selectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.keys().map(|(s, f)| format!("{s}.{f}"));
        f.debug_set().entries(names).finish()
    }
}
