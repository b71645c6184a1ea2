//! One service of a worker: its functions, and their checks.

use sluice_protocol::ServiceName;
use sluice_protocol::function::ServiceConfig;
use sluice_protocol::registry::Reason;

use crate::change::Versions;
use crate::function::Function;
use crate::handler::Handler;
use crate::runtime::service::CheckedService;
use crate::stream::StreamHandler;

/// One service and its functions; see [`crate::WorkerBuilder::service`].
#[derive(Debug, Clone)]
#[must_use]
pub struct ServiceBuilder {
    pub(super) name: String,
    version: Option<String>,
    functions: Vec<Function>,
    secret: Option<Vec<u8>>,
    versions: Versions,
}

impl ServiceBuilder {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: None,
            functions: Vec::new(),
            secret: None,
            versions: Versions::default(),
        }
    }

    /// A function that answers with one result: [`Function::sync`] with all defaults.
    pub fn function<H: Handler<M>, M>(self, name: &str, handler: H) -> Self {
        self.function_with(Function::sync(name, handler))
    }

    /// A function whose result comes later: [`Function::asynchronous`] with all defaults.
    pub fn async_function<H: Handler<M>, M>(self, name: &str, handler: H) -> Self {
        self.function_with(Function::asynchronous(name, handler))
    }

    /// A function that answers with items: [`Function::stream`] with all defaults.
    pub fn stream<H: StreamHandler<M>, M>(self, name: &str, handler: H) -> Self {
        self.function_with(Function::stream(name, handler))
    }

    /// A function without result: [`Function::none`] with all defaults.
    pub fn notify<H: Handler<M>, M>(self, name: &str, handler: H) -> Self {
        self.function_with(Function::none(name, handler))
    }

    /// A function with options of its own.
    pub fn function_with(mut self, function: Function) -> Self {
        self.functions.push(function);
        self
    }

    /// The version of all functions that have none of their own.
    pub fn version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    /// Older versions that today's functions serve, through changes: oldest first, see
    /// [`crate::change`].
    pub fn versions(mut self, build: impl FnOnce(Versions) -> Versions) -> Self {
        self.versions = build(self.versions);
        self
    }

    /// The secret that signs this service's registry messages; it never travels.
    pub fn secret(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.secret = Some(secret.into());
        self
    }

    pub(super) fn check(self, mistakes: &mut Vec<Reason>) -> Option<CheckedService> {
        let about = |field: &str, message: String| Reason {
            function: self.name.clone(),
            field: field.to_owned(),
            message,
        };
        if self.functions.is_empty() {
            mistakes.push(about("functions", "the service has no function".to_owned()));
        }
        if self.secret.as_ref().is_some_and(Vec::is_empty) {
            mistakes.push(about("secret", "the secret is empty".to_owned()));
        }
        let name = match ServiceName::new(&self.name) {
            Ok(name) => name,
            Err(fault) => {
                mistakes.push(about("service", fault.to_string()));
                return None;
            }
        };
        let mut functions = Vec::new();
        for function in self.functions {
            match function.finish(&name, self.version.as_deref()) {
                Ok(finished) => functions.push(finished),
                Err(faults) => mistakes.extend(faults),
            }
        }
        let versions = self.versions.finish(&self.name, mistakes);
        // What gateways would refuse is said here already, by the same rules.
        if !functions.is_empty() {
            let specs = functions.iter().map(|(spec, _)| spec.clone()).collect();
            let text = ServiceConfig {
                functions: specs,
                versions: versions.wire.clone(),
            }
            .to_text();
            mistakes.extend(ServiceConfig::parse(&name, &text).err().unwrap_or_default());
        }
        Some(CheckedService {
            name,
            functions,
            versions,
            secret: self.secret,
        })
    }
}
