//! Every route of the admin API in one table: a route that is not here does not exist, and one
//! that is has an action.

use axum::http::Method;
use axum::routing::{MethodRouter, delete, get, post, put};

use super::action::{Action, Area};
use super::{Desk, diagnostics, limits, revocations, services};

/// One route.
pub(super) struct Route {
    /// Of its handler; for the table test and the documents.
    #[cfg_attr(not(test), expect(dead_code, reason = "the table is walked by tests"))]
    pub(super) method: Method,
    /// As axum writes paths.
    pub(super) path: &'static str,
    /// What a token must allow.
    pub(super) action: Action,
    pub(super) handler: MethodRouter<Desk>,
}

fn reads(path: &'static str, area: Area, handler: MethodRouter<Desk>) -> Route {
    Route {
        method: Method::GET,
        path,
        action: Action::read(area),
        handler,
    }
}

fn writes(method: Method, path: &'static str, area: Area, handler: MethodRouter<Desk>) -> Route {
    Route {
        method,
        path,
        action: Action::write(area),
        handler,
    }
}

/// All of them.
pub(super) fn all() -> Vec<Route> {
    vec![
        reads("/v1/services", Area::Services, get(services::list)),
        reads("/v1/refused", Area::Services, get(services::refused)),
        writes(
            Method::DELETE,
            "/v1/refused",
            Area::Services,
            delete(services::clear_refused),
        ),
        writes(
            Method::PUT,
            "/v1/functions/{service}/{function}/disabled",
            Area::Services,
            put(services::set_disabled),
        ),
        reads("/v1/limits", Area::Limits, get(limits::list)),
        reads("/v1/limits/{name}", Area::Limits, get(limits::status)),
        writes(
            Method::PUT,
            "/v1/limits/{name}",
            Area::Limits,
            put(limits::put),
        ),
        writes(
            Method::DELETE,
            "/v1/limits/{name}",
            Area::Limits,
            delete(limits::remove),
        ),
        writes(
            Method::POST,
            "/v1/limits/{name}/reset",
            Area::Limits,
            post(limits::reset),
        ),
        reads("/v1/revocations", Area::Identity, get(revocations::list)),
        writes(
            Method::POST,
            "/v1/revocations",
            Area::Identity,
            post(revocations::add),
        ),
        reads("/v1/health", Area::Diagnostics, get(diagnostics::health)),
        reads("/v1/cluster", Area::Diagnostics, get(diagnostics::cluster)),
        reads("/v1/trace", Area::Diagnostics, get(diagnostics::trace)),
        reads(
            "/v1/verify/{service}/{version}",
            Area::Services,
            get(diagnostics::verify),
        ),
        reads(
            "/v1/flow/{service}/{function}",
            Area::Services,
            get(diagnostics::flow),
        ),
        Route {
            method: Method::POST,
            path: "/v1/explain",
            // It changes nothing; a request does not fit into a query.
            action: Action::read(Area::Services),
            handler: post(diagnostics::explain),
        },
        reads("/v1/export", Area::Services, get(diagnostics::export)),
        writes(
            Method::POST,
            "/v1/limits/{name}/check",
            Area::Limits,
            post(limits::check),
        ),
        writes(
            Method::DELETE,
            "/v1/revocations",
            Area::Identity,
            delete(revocations::remove),
        ),
        reads("/v1/config", Area::Config, get(services::config)),
        reads("/v1/audit", Area::Audit, get(services::audit)),
    ]
}
