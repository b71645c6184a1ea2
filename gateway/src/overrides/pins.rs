//! Which version a client gets that names none.

use std::collections::HashMap;

use sluice_protocol::{FunctionName, ServiceName};

use super::decision::Client;

/// All pins, by client.
#[derive(Debug, Default)]
pub struct Pins {
    users: HashMap<String, OfClient>,
    api_keys: HashMap<String, OfClient>,
}

#[derive(Debug, Default)]
struct OfClient {
    services: HashMap<ServiceName, OfService>,
}

#[derive(Debug, Default)]
struct OfService {
    all: Option<String>,
    functions: HashMap<FunctionName, String>,
}

/// What a pin says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pinned<'a> {
    /// A version, or a range.
    pub version: &'a str,
    /// It was made for the whole service, where not every function has every version.
    pub of_service: bool,
}

impl Pins {
    pub(super) fn add(
        &mut self,
        client: Client,
        service: ServiceName,
        function: Option<FunctionName>,
        version: String,
    ) {
        let of_client = match client {
            Client::User(id) => self.users.entry(id),
            Client::ApiKey(name) => self.api_keys.entry(name),
        };
        let services = &mut of_client.or_default().services;
        let of_service = services.entry(service).or_default();
        match function {
            Some(function) => _ = of_service.functions.insert(function, version),
            None => of_service.all = Some(version),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.api_keys.is_empty()
    }

    /// The pin of a caller for a function, the nearest one: the user's before the API key's, the
    /// function's before the service's.
    #[must_use]
    pub fn find(
        &self,
        user: Option<&str>,
        api_key: Option<&str>,
        service: &str,
        function: &str,
    ) -> Option<Pinned<'_>> {
        let of_user = user.and_then(|id| self.users.get(id));
        let of_key = api_key.and_then(|name| self.api_keys.get(name));
        let pins = of_user.into_iter().chain(of_key);
        pins.filter_map(|client| client.services.get(service))
            .find_map(|of_service| {
                let exact = of_service.functions.get(function).map(|v| (v, false));
                exact.or_else(|| of_service.all.as_ref().map(|v| (v, true)))
            })
            .map(|(version, of_service)| Pinned {
                version,
                of_service,
            })
    }
}
