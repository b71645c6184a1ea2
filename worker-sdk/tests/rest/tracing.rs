//! Traces: off unless asked for, bounded, without anything of the request.

use sluice_worker::resource::http::Method;
use sluice_worker::resource::{
    Decision, ETag, Filter, Negotiate, Pipeline, Resource, TRACE_HEADER, TraceTo, Visit, with,
};

use crate::{header, request, send};

#[tokio::test]
async fn there_is_no_trace_unless_asked_for() {
    let resource = Resource::graph().build().unwrap();
    let response = send(&resource, Method::GET, &[]).await;
    assert_eq!(header(&response, TRACE_HEADER), None);
}

#[tokio::test]
async fn the_header_tells_decisions_and_no_secrets() {
    let authorized = |visit: &Visit| visit.headers().contains_key("authorization");
    let resource = Resource::graph()
        .decide(Decision::Authorized, with(authorized))
        .trace(TraceTo::Header)
        .build()
        .unwrap();
    let secrets = [("authorization", "Bearer hunter2"), ("cookie", "s=hunter2")];
    let response = send(&resource, Method::GET, &secrets).await;
    let trace = header(&response, TRACE_HEADER).unwrap();
    assert!(
        trace.starts_with("service_available?=yes, known_method?=yes, "),
        "{trace}"
    );
    assert!(trace.contains("authorized?=yes, allowed?=yes"), "{trace}");
    assert!(
        trace.ends_with("multiple_representations?=no, handle_ok=200"),
        "{trace}"
    );
    assert!(!trace.contains("hunter2"));
    let (_, trace) = resource.trace(request(Method::GET, &secrets)).await;
    assert!(!trace.to_json().to_string().contains("hunter2"));
}

#[tokio::test]
async fn json_has_every_step() {
    let resource = Resource::pipeline(
        Pipeline::new()
            .plug("session", ())
            .filter(Filter::Exists, false)
            .entity("E")
            .get(),
    );
    let resource = resource.build().unwrap();
    let (_, trace) = resource.trace(request(Method::GET, &[])).await;
    let expected = serde_json::json!([
        { "function": "session", "answer": "yes" },
        { "function": "exists?", "answer": "no" },
        { "handler": "handle_not_found", "status": 404 },
    ]);
    assert_eq!(trace.to_json(), expected);
}

#[tokio::test]
async fn pipelines_tell_what_was_negotiated_and_compared() {
    let negotiate = Negotiate::new()
        .media_types(["text/html"])
        .charsets(["utf-8"]);
    let pipeline = Pipeline::new().negotiate(negotiate).entity("E").get();
    let resource = Resource::pipeline(pipeline.etag(ETag::strong("1")))
        .build()
        .unwrap();
    let same = [("if-none-match", "\"1\"")];
    let (_, trace) = resource.trace(request(Method::GET, &same)).await;
    let expected = "media_type_available?=yes, charset_available?=yes, if_match_exists?=no, \
                    if_unmodified_since_exists?=no, if_none_match_exists?=yes, \
                    if_none_match_star?=no, etag_matches_for_if_none?=yes, \
                    method_get_or_head?=yes, handle_not_modified=304";
    assert_eq!(trace.to_header(), expected);
}

#[tokio::test]
async fn delegation_and_failure_show_in_a_trace() {
    let resource = Resource::graph()
        .decide(Decision::Allowed, with(|_| Decision::Exists))
        .decide(Decision::Exists, with(|_| Err::<bool, _>(std::fmt::Error)))
        .build()
        .unwrap();
    let (response, trace) = resource.trace(request(Method::GET, &[])).await;
    assert_eq!(response.status, 500);
    let text = trace.to_header();
    let expected = "allowed?=exists?, exists?=error, handle_exception=500";
    assert!(text.ends_with(expected), "{text}");
}
