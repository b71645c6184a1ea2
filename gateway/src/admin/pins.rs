//! Pins on the operator's port: which version a client gets that names none. And all overrides.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use sluice_protocol::{ApiVersion, FunctionName, ServiceName};

use super::Desk;
use super::access::Operator;
use super::action::{Action, Area};
use super::page::Page;
use super::steer::{self, Fault, Wish};
use crate::overrides::{Client, Decision, Entry, Key};

const CHANGE: Action = Action::write(Area::Versions);
/// Longest id of a client.
const MAX_CLIENT_BYTES: usize = 512;

/// Whose pin.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    user: Option<String>,
    api_key: Option<String>,
    service: ServiceName,
    function: Option<FunctionName>,
    /// Only where one is made.
    version: Option<String>,
}

/// Which overrides are wanted.
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    kind: Option<String>,
    service: Option<String>,
}

/// `GET /v1/overrides?kind=&service=&limit=&offset=`: all that operators have decided.
pub(super) async fn overrides(
    State(desk): State<Desk>,
    Query(filter): Query<Filter>,
    Query(page): Query<Page>,
) -> Response {
    let overrides = desk.parts.steering.overrides();
    let is = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|w| w == name);
    let wanted = |entry: &&Entry| {
        is(&filter.kind, entry.key.kind()) && is(&filter.service, entry.key.service().as_str())
    };
    let all: Vec<&Entry> = overrides.entries().filter(wanted).collect();
    steer::told(&page.cut("overrides", &all))
}

/// `GET /v1/pins?service=&limit=&offset=`
pub(super) async fn list(
    state: State<Desk>,
    Query(mut filter): Query<Filter>,
    page: Query<Page>,
) -> Response {
    filter.kind = Some("pin".to_owned());
    overrides(state, Query(filter), page).await
}

/// `PUT /v1/pins` with `{"user" or "api_key": …, "service": …, "function": …, "version": …}`. The
/// version may be a range; without function it holds for all of the service that have it.
pub(super) async fn put(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    body: Bytes,
) -> Result<Response, Fault> {
    let whose: Whose = steer::body(&body)?;
    let client = whose.client()?;
    let version = whose.version.ok_or_else(|| {
        Fault::Invalid("version: which one, for example \"1.2.0\" or \"^1.2\"".to_owned())
    })?;
    ApiVersion::new(&version).map_err(Fault::invalid)?;
    let wish = Wish::Decide(Decision::Pin {
        client,
        service: whose.service,
        function: whose.function,
        version,
    });
    let changed = steer::change(&desk, &operator, CHANGE, wish).await?;
    Ok(steer::told(&changed.after))
}

/// `DELETE /v1/pins?user=|api_key=&service=&function=`
pub(super) async fn remove(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Query(whose): Query<Whose>,
) -> Result<Response, Fault> {
    let key = Key::Pin {
        client: whose.client()?,
        service: whose.service,
        function: whose.function,
    };
    let missing = Fault::Missing(format!("nothing is pinned for {key}"));
    let changed = steer::change(&desk, &operator, CHANGE, Wish::Withdraw(key)).await?;
    Ok(steer::told(&changed.before.ok_or(missing)?))
}

impl Whose {
    fn client(&self) -> Result<Client, Fault> {
        let client = match (&self.user, &self.api_key) {
            (Some(id), None) => Client::User(id.clone()),
            (None, Some(name)) => Client::ApiKey(name.clone()),
            _ => return Err(Fault::Invalid("name one of user and api_key".to_owned())),
        };
        let (Client::User(text) | Client::ApiKey(text)) = &client;
        if text.is_empty() || text.len() > MAX_CLIENT_BYTES {
            let text = format!("user or api_key: 1 to {MAX_CLIENT_BYTES} bytes");
            return Err(Fault::Invalid(text));
        }
        Ok(client)
    }
}
