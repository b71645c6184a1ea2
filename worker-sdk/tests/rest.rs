//! What a resource promises beyond the vectors, through the public interface.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "rest/build.rs"]
mod build;
#[path = "rest/failures.rs"]
mod failures;
#[path = "rest/folding.rs"]
mod folding;
#[path = "rest/hostile.rs"]
mod hostile;
#[path = "rest/pipelines.rs"]
mod pipelines;
#[path = "rest/responses.rs"]
mod responses;
#[path = "rest/tracing.rs"]
mod tracing;

use sluice_worker::resource::http::header::HeaderName;
use sluice_worker::resource::http::{HeaderValue, Method};
use sluice_worker::resource::{Resource, ResourceRequest, ResourceResponse};

fn request(method: Method, headers: &[(&'static str, &str)]) -> ResourceRequest {
    let mut request = ResourceRequest::new(method, "/things/1");
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).unwrap();
        request = request.header(HeaderName::from_static(name), value);
    }
    request
}

async fn send(
    resource: &Resource,
    method: Method,
    headers: &[(&'static str, &str)],
) -> ResourceResponse {
    resource.handle(request(method, headers)).await
}

fn header<'a>(response: &'a ResourceResponse, name: &str) -> Option<&'a str> {
    Some(response.headers.get(name)?.to_str().unwrap())
}

fn text(response: &ResourceResponse) -> &str {
    std::str::from_utf8(&response.body).unwrap()
}
