//! Every route of the admin API in one table: a route that is not here does not exist, and one
//! that is has an action. What it says of itself goes into the OpenAPI document.

use axum::http::Method;
use axum::routing::{MethodRouter, delete, get, post, put};

use super::action::{Action, Area};
use super::openapi::{self, Field};
use super::{
    Desk, diagnostics, guards, instances, limits, live, log, pins, revocations, services, sticky,
    telemetry, versions,
};

/// One route.
pub(super) struct Route {
    /// Of its handler.
    pub(super) method: Method,
    /// As axum writes paths, and OpenAPI.
    pub(super) path: &'static str,
    /// What a token must allow.
    pub(super) action: Action,
    pub(super) handler: MethodRouter<Desk>,
    /// What it does, in one line.
    pub(super) summary: &'static str,
    /// What its query takes; a name that ends with `!` has to be there.
    pub(super) query: &'static [&'static str],
    /// The fields of its body, if it takes one.
    pub(super) body: &'static [Field],
    /// Statuses of errors that others do not have.
    pub(super) fails: &'static [&'static str],
}

impl Route {
    fn new(
        method: Method,
        path: &'static str,
        action: Action,
        handler: MethodRouter<Desk>,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            path,
            action,
            handler,
            summary,
            query: &[],
            body: &[],
            fails: &[],
        }
    }

    fn query(mut self, query: &'static [&'static str]) -> Self {
        self.query = query;
        self
    }

    fn body(mut self, body: &'static [Field]) -> Self {
        self.body = body;
        self
    }

    fn fails(mut self, fails: &'static [&'static str]) -> Self {
        self.fails = fails;
        self
    }
}

fn reads(
    path: &'static str,
    area: Area,
    handler: MethodRouter<Desk>,
    summary: &'static str,
) -> Route {
    Route::new(Method::GET, path, Action::read(area), handler, summary)
}

fn writes(
    method: Method,
    path: &'static str,
    area: Area,
    handler: MethodRouter<Desk>,
    summary: &'static str,
) -> Route {
    Route::new(method, path, Action::write(area), handler, summary)
}

/// The scrape, where it needs a token.
pub(super) fn metrics() -> Route {
    reads(
        "/metrics",
        Area::Metrics,
        get(telemetry::metrics),
        "Metrics in the text format of Prometheus.",
    )
}

/// All of them, but for the scrape.
pub(super) fn all() -> Vec<Route> {
    let mut all = of_services();
    all.extend(of_versions());
    all.extend(of_instances());
    all.extend(of_limits());
    all.extend(of_diagnostics());
    all.extend(of_the_rest());
    all
}

fn of_services() -> Vec<Route> {
    let area = Area::Services;
    vec![
        reads(
            "/v1/services",
            area,
            get(services::list),
            "Services, their functions and instances, and the configs that were refused.",
        ),
        reads(
            "/v1/services/{service}",
            area,
            get(services::one),
            "One service, with the versions that are translated and their changes.",
        ),
        reads(
            "/v1/refused",
            area,
            get(services::refused),
            "Configs that were refused, newest first, with every reason.",
        )
        .query(&["service", "source", "limit"]),
        writes(
            Method::DELETE,
            "/v1/refused",
            area,
            delete(services::clear_refused),
            "Forgets refused configs; they are looked at anew when they come again.",
        )
        .query(&["service", "source"]),
    ]
}

fn of_versions() -> Vec<Route> {
    let area = Area::Versions;
    vec![
        reads(
            "/v1/versions",
            area,
            get(versions::list),
            "Versions of functions: state, latest, deprecation, instances, calls.",
        )
        .query(&["service", "function", "state", "limit", "offset"]),
        reads(
            "/v1/functions/{service}/{function}/callers",
            area,
            get(versions::callers),
            "Who calls a version, at all gateways where there is a Redis; those who call most first.",
        )
        .query(&["version"]),
        writes(
            Method::PUT,
            "/v1/functions/{service}/{function}/disabled",
            area,
            put(versions::set_disabled),
            "Switches a version off or on, at all gateways.",
        )
        .query(&["version"])
        .body(const { &[Field::required("disabled", openapi::BOOLEAN)] })
        .fails(&["507"]),
        writes(
            Method::DELETE,
            "/v1/functions/{service}/{function}",
            area,
            delete(versions::delete),
            "Deletes a version at all gateways: announcements do not bring it back.",
        )
        .query(&["version"])
        .fails(&["507"]),
        writes(
            Method::POST,
            "/v1/functions/{service}/{function}/restore",
            area,
            post(versions::restore),
            "Takes the deletion of a version back.",
        )
        .query(&["version"]),
        writes(
            Method::PUT,
            "/v1/functions/{service}/{function}/latest",
            area,
            put(versions::set_latest),
            "Says which version a call gets that names none; null: the newest.",
        )
        .body(const { &[Field::required("version", openapi::TEXT_OR_NULL)] })
        .fails(&["507"]),
        writes(
            Method::PUT,
            "/v1/functions/{service}/{function}/deprecation",
            area,
            put(versions::deprecate),
            "Marks a version as going: its callers are told since when, until when, and where to read of it.",
        )
        .query(&["version"])
        .body(const { &[
            Field::required("at", openapi::SECONDS),
            Field::optional("sunset", openapi::SECONDS),
            Field::optional("link", openapi::TEXT),
        ] })
        .fails(&["507"]),
        writes(
            Method::DELETE,
            "/v1/functions/{service}/{function}/deprecation",
            area,
            delete(versions::undeprecate),
            "Takes the mark back.",
        )
        .query(&["version"]),
        reads(
            "/v1/pins",
            area,
            get(pins::list),
            "Which versions clients get that name none.",
        )
        .query(&["service", "limit", "offset"]),
        writes(
            Method::PUT,
            "/v1/pins",
            area,
            put(pins::put),
            "Pins a version, or a range, for a user or an API key.",
        )
        .body(const { &[
            Field::optional("user", openapi::TEXT),
            Field::optional("api_key", openapi::TEXT),
            Field::required("service", openapi::TEXT),
            Field::optional("function", openapi::TEXT),
            Field::required("version", openapi::TEXT),
        ] })
        .fails(&["507"]),
        writes(
            Method::DELETE,
            "/v1/pins",
            area,
            delete(pins::remove),
            "Takes a pin out.",
        )
        .query(&["user", "api_key", "service!", "function"]),
        reads(
            "/v1/overrides",
            area,
            get(pins::overrides),
            "All that operators have decided for all gateways, by whom and when.",
        )
        .query(&["kind", "service", "limit", "offset"]),
    ]
}

fn of_instances() -> Vec<Route> {
    vec![
        reads(
            "/v1/instances",
            Area::Instances,
            get(instances::list),
            "Instances: state, load, last seen.",
        )
        .query(&["service", "live", "drained", "limit", "offset"]),
        writes(
            Method::PUT,
            "/v1/instances/{service}/{instance}/drained",
            Area::Instances,
            put(instances::set_drained),
            "Gives an instance no new calls, at any gateway, or gives it some again.",
        )
        .body(const { &[Field::required("drained", openapi::BOOLEAN)] })
        .fails(&["507"]),
        reads(
            "/v1/functions/{service}/{function}/sticky",
            Area::Sticky,
            get(sticky::look),
            "The instance that a key sticks to.",
        )
        .query(&["version", "key!"]),
        writes(
            Method::DELETE,
            "/v1/functions/{service}/{function}/sticky",
            Area::Sticky,
            delete(sticky::forget),
            "Forgets a sticky key: its next call picks anew.",
        )
        .query(&["version", "key!"]),
        reads(
            "/v1/breakers",
            Area::Breakers,
            get(guards::breakers),
            "Circuit breakers of all gateways that are not closed, or count failures.",
        )
        .query(&["here"]),
        writes(
            Method::POST,
            "/v1/breakers/reset",
            Area::Breakers,
            post(guards::reset),
            "Closes the breaker of a function or an instance, or all, at all gateways.",
        )
        .query(&["service", "function", "version", "instance", "here"]),
        reads(
            "/v1/bulkheads",
            Area::Breakers,
            get(guards::bulkheads),
            "Calls in flight and waiting of the functions that bound them, at this gateway.",
        ),
        reads(
            "/v1/sockets",
            Area::Connections,
            get(live::sockets),
            "Sockets that are open at this gateway.",
        )
        .query(&["user", "after", "limit"]),
        writes(
            Method::DELETE,
            "/v1/sockets/{id}",
            Area::Connections,
            delete(live::close_socket),
            "Closes a socket, with code 1008 and a reason.",
        )
        .query(&["reason"]),
        reads(
            "/v1/streams",
            Area::Connections,
            get(live::streams),
            "Streams that are open at this gateway.",
        )
        .query(&["user", "service", "after", "limit"]),
        writes(
            Method::DELETE,
            "/v1/streams/{id}",
            Area::Connections,
            delete(live::close_stream),
            "Closes a stream: its client gets the error cancelled, its worker is told.",
        )
        .query(&["reason"]),
    ]
}

fn of_limits() -> Vec<Route> {
    let area = Area::Limits;
    vec![
        reads(
            "/v1/limits",
            area,
            get(limits::list),
            "Rate limits, and whom this gateway has refused.",
        ),
        reads(
            "/v1/limits/{name}",
            area,
            get(limits::status),
            "One limit; with values for its key also what that key has used.",
        )
        .query(&["value"])
        .fails(&["409", "422"]),
        writes(
            Method::PUT,
            "/v1/limits/{name}",
            area,
            put(limits::put),
            "Changes a limit at all gateways, or adds it.",
        )
        .body(
            const {
                &[
                    Field::required("key", openapi::ANY),
                    Field::required("max_requests", openapi::NUMBER),
                    Field::required("window_ms", openapi::MILLISECONDS),
                    Field::optional("name", openapi::TEXT),
                    Field::optional("service", openapi::TEXT_OR_NULL),
                    Field::optional("function", openapi::TEXT_OR_NULL),
                    Field::optional("cost", openapi::NUMBER),
                    Field::optional("shadow", openapi::BOOLEAN),
                    Field::optional("named_only", openapi::BOOLEAN),
                ]
            },
        )
        .fails(&["409", "507"]),
        writes(
            Method::DELETE,
            "/v1/limits/{name}",
            area,
            delete(limits::remove),
            "Removes a limit at all gateways.",
        )
        .fails(&["409"]),
        writes(
            Method::POST,
            "/v1/limits/{name}/reset",
            area,
            post(limits::reset),
            "Forgets what a key has used, or all keys.",
        )
        .query(&["value"])
        .fails(&["409", "422"]),
    ]
}

fn of_diagnostics() -> Vec<Route> {
    let area = Area::Diagnostics;
    vec![
        reads(
            "/v1/health",
            area,
            get(diagnostics::health),
            "How each part of this gateway is; the worst wins.",
        ),
        reads(
            "/v1/cluster",
            area,
            get(diagnostics::cluster),
            "All gateways and workers, and who sees whom.",
        ),
        reads(
            "/v1/cluster/stats",
            Area::Metrics,
            get(diagnostics::traffic),
            "What every gateway has counted, and its breakers.",
        ),
        reads(
            "/v1/trace",
            area,
            get(diagnostics::trace),
            "Live calls as they happen at any gateway, for a bounded time.",
        )
        .query(&["user", "service", "function", "request_id", "seconds"]),
        reads(
            "/v1/verify/{service}/{version}",
            Area::Services,
            get(diagnostics::verify),
            "Whether a version of a service is the same at all gateways.",
        ),
        reads(
            "/v1/flow/{service}/{function}",
            Area::Services,
            get(diagnostics::flow),
            "What would happen to a call, stage by stage.",
        )
        .query(&["version"]),
        Route::new(
            Method::POST,
            "/v1/explain",
            // It changes nothing; a request does not fit into a query.
            Action::read(Area::Services),
            post(diagnostics::explain),
            "What would happen to this request, without sending it.",
        )
        .query(&["address", "api_key"])
        .body(diagnostics::REQUEST),
        reads(
            "/v1/export",
            Area::Services,
            get(diagnostics::export),
            "Functions as JSON or as a configuration file.",
        )
        .query(&[
            "service",
            "form",
            "user_id",
            "device_id",
            "request_id",
            "event",
        ]),
        writes(
            Method::POST,
            "/v1/limits/{name}/check",
            Area::Limits,
            post(limits::check),
            "Counts one call of a key by hand, as a call would, and says whether it is admitted.",
        )
        .query(&["value"])
        .fails(&["409", "422"]),
    ]
}

fn of_the_rest() -> Vec<Route> {
    vec![
        reads(
            "/v1/revocations",
            Area::Identity,
            get(revocations::list),
            "Who is let in no more.",
        ),
        writes(
            Method::POST,
            "/v1/revocations",
            Area::Identity,
            post(revocations::add),
            "Revokes a user, a token or an API key, at all gateways.",
        )
        .body(revocations::BODY)
        .fails(&["507"]),
        reads(
            "/v1/gateways",
            Area::Cluster,
            get(services::gateways),
            "This gateway, and how many there are.",
        ),
        reads(
            "/v1/config",
            Area::Config,
            get(services::config),
            "The configuration as it runs, secrets masked.",
        ),
        reads(
            "/v1/audit",
            Area::Audit,
            get(services::audit),
            "Who changed what, and who was refused, newest first.",
        )
        .query(&["operator", "allowed", "limit", "offset"]),
        reads(
            "/v1/openapi.json",
            Area::Config,
            get(openapi::serve),
            "This API, as OpenAPI 3.1.",
        ),
        writes(
            Method::DELETE,
            "/v1/revocations",
            Area::Identity,
            delete(revocations::remove),
            "Lets a user, a token or an API key in again, at all gateways.",
        )
        .body(revocations::BODY),
        reads(
            "/v1/stats",
            Area::Metrics,
            get(telemetry::stats),
            "What this gateway has counted, by function and instance.",
        ),
        reads(
            "/v1/log",
            Area::Log,
            get(log::show),
            "The levels of the gateways' logs.",
        )
        .query(&["here"]),
        writes(
            Method::PUT,
            "/v1/log",
            Area::Log,
            put(log::set),
            "Changes the levels of all gateways' logs, for a time if wanted.",
        )
        .query(&["here"])
        .body(
            const {
                &[
                    Field::required("filter", openapi::TEXT),
                    Field::optional("for_ms", openapi::NUMBER),
                ]
            },
        ),
        writes(
            Method::DELETE,
            "/v1/log",
            Area::Log,
            delete(log::reset),
            "Sets the levels of the logs back to what each configuration says.",
        )
        .query(&["here"]),
    ]
}
