//! Headers and bodies beyond the vectors.

use serde_json::json;
use sluice_worker::resource::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER,
};
use sluice_worker::resource::http::{Method, StatusCode};
use sluice_worker::resource::{
    Decision, ETag, Handler, HttpDate, Reply, Resource, ResourceResponse, Verdict, Visit, with,
    with_async,
};

use crate::{header, request, send, text};

struct Thing(u64);

#[tokio::test]
async fn decisions_leave_values_for_each_other() {
    async fn load(visit: Visit) -> Result<bool, std::fmt::Error> {
        tokio::task::yield_now().await;
        visit.put(Thing(7));
        Ok(visit.path() == "/things/1")
    }
    let resource = Resource::graph()
        .media_types(["application/json"])
        .decide(Decision::Exists, with_async(load))
        .etag(with(|v| {
            v.get::<Thing>().map(|t| ETag::weak(t.0.to_string()))
        }))
        .get(with(|v| json!({ "number": v.get::<Thing>().unwrap().0 })))
        .build()
        .unwrap();
    let response = send(&resource, Method::GET, &[]).await;
    assert_eq!(
        (response.status, text(&response)),
        (StatusCode::OK, "{\"number\":7}")
    );
    assert_eq!(header(&response, "etag"), Some("W/\"7\""));
    let again = send(&resource, Method::GET, &[("if-none-match", "W/\"7\"")]).await;
    assert_eq!(again.status, 304);
}

#[tokio::test]
async fn json_is_labelled_as_json() {
    let body = with(|_| json!([1]));
    let label = async |types: [&str; 2]| {
        let resource = Resource::graph()
            .media_types(types)
            .get(body)
            .build()
            .unwrap();
        let response = send(&resource, Method::GET, &[]).await;
        header(&response, "content-type").unwrap().to_owned()
    };
    assert_eq!(
        label(["application/vnd.x+json", "text/html"]).await,
        "application/vnd.x+json"
    );
    assert_eq!(
        label(["text/html", "application/json"]).await,
        "application/json"
    );
}

#[tokio::test]
async fn a_default_sentence_is_plain_text() {
    let resource = Resource::graph()
        .media_types(["application/json"])
        .encodings(["gzip"])
        .languages(["en"])
        .decide(Decision::Exists, false)
        .build()
        .unwrap();
    let response = send(&resource, Method::GET, &[("accept-encoding", "gzip")]).await;
    assert_eq!(response.status, 404);
    assert_eq!(
        header(&response, "content-type"),
        Some("text/plain;charset=utf-8")
    );
    assert_eq!(header(&response, "content-encoding"), None);
    assert_eq!(header(&response, "content-language"), None);
    assert_eq!(header(&response, "vary"), Some("Accept, Accept-Encoding"));
}

#[tokio::test]
async fn a_challenge_comes_with_401_alone() {
    let resource = Resource::graph()
        .decide(
            Decision::Authorized,
            with(|v| v.headers().contains_key("authorization")),
        )
        .challenge("Bearer")
        .build()
        .unwrap();
    let response = send(&resource, Method::GET, &[]).await;
    assert_eq!(header(&response, "www-authenticate"), Some("Bearer"));
    let response = send(&resource, Method::GET, &[("authorization", "Bearer x")]).await;
    assert_eq!(
        (response.status, header(&response, "www-authenticate")),
        (StatusCode::OK, None)
    );
}

#[tokio::test]
async fn a_sentence_about_an_error_is_plain_text() {
    let types = ["application/json", "application/xml"];
    let resource = |gone: Reply| {
        let built = Resource::graph().media_types(types);
        let built = built.decide(Decision::Exists, with(|v| v.query().is_none()));
        built
            .get("{}")
            .handle(Handler::NotFound, gone)
            .build()
            .unwrap()
    };
    let sent = async |reply: Reply, accept: &str| {
        let mut asked = request(Method::GET, &[("accept", accept)]);
        asked.query = Some("a=b".to_owned());
        let response = resource(reply).handle(asked).await;
        header(&response, "content-type").unwrap().to_owned()
    };
    let plain = "text/plain;charset=utf-8";
    for accept in types {
        let reply = || Reply::text("no book at /<script>");
        assert_eq!(sent(reply(), accept).await, plain, "{accept}");
        let lower = reply().status(StatusCode::OK);
        assert_eq!(sent(lower, accept).await, accept, "no error");
        let own = reply().header(CONTENT_TYPE, HeaderValue::from_static("text/css"));
        assert_eq!(sent(own, accept).await, "text/css");
        assert_eq!(sent(Reply::bytes("{}"), accept).await, accept);
    }
    let json = Reply::json(&[1]).unwrap();
    assert_eq!(sent(json, "application/xml").await, "application/json");
}

#[tokio::test]
async fn what_the_application_sets_wins() {
    let reply = Reply::text("a")
        .header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
        .header(CACHE_CONTROL, HeaderValue::from_static("private"))
        .header(CONTENT_TYPE, HeaderValue::from_static("text/css"));
    let busy = Reply::new().header(RETRY_AFTER, HeaderValue::from_static("9"));
    let resource = Resource::graph()
        .decide(
            Decision::Malformed,
            with(|v| {
                v.set_header(CACHE_CONTROL, HeaderValue::from_static("public"));
                false
            }),
        )
        .get(reply)
        .handle(Handler::ServiceNotAvailable, busy);
    let resource = resource.decide(Decision::ServiceAvailable, with(|v| v.query().is_none()));
    let resource = resource.build().unwrap();
    let response = send(&resource, Method::GET, &[]).await;
    let cache: Vec<_> = response.headers.get_all(CACHE_CONTROL).iter().collect();
    assert_eq!(cache, ["no-store", "private"]);
    assert_eq!(header(&response, "content-type"), Some("text/css"));
    let mut asked = request(Method::GET, &[]);
    asked.query = Some("a=b".to_owned());
    let response = resource.handle(asked).await;
    assert_eq!(header(&response, "retry-after"), Some("9"));
    assert_eq!(text(&response), "Service not available.");
}

#[tokio::test]
async fn validators_after_a_change_are_sent_only_if_the_action_says_so() {
    for says_so in [false, true] {
        let resource = Resource::graph()
            .decide(
                Decision::Exists,
                with(|v| {
                    v.put(Thing(1));
                    true
                }),
            )
            .decide(Decision::New, false)
            .etag(with(|v| {
                v.get::<Thing>().map(|t| ETag::strong(t.0.to_string()))
            }))
            .last_modified(HttpDate::from_unix(0))
            .put(with(move |v| {
                v.put(Thing(2));
                if says_so {
                    v.send_validators();
                }
            }))
            .build()
            .unwrap();
        let response = send(&resource, Method::PUT, &[("if-match", "\"1\"")]).await;
        assert_eq!(response.status, 204);
        assert_eq!(header(&response, "etag"), says_so.then_some("\"2\""));
        let date = says_so.then_some("Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(header(&response, "last-modified"), date);
    }
}

#[tokio::test]
async fn created_has_its_location() {
    let resource = Resource::graph()
        .location("/default")
        .post(with(|v| {
            if v.body().as_ref() == b"x" {
                v.set_location("/things/2");
            }
        }))
        .build()
        .unwrap();
    let response = resource.handle(request(Method::POST, &[]).body("x")).await;
    assert_eq!(
        (response.status, header(&response, "location")),
        (StatusCode::CREATED, Some("/things/2"))
    );
    let response = send(&resource, Method::POST, &[]).await;
    assert_eq!(header(&response, "location"), Some("/default"));
    let response = send(&resource, Method::GET, &[]).await;
    assert_eq!(header(&response, "location"), None);
}

#[tokio::test]
async fn a_language_that_is_not_there_may_be_forgiven() {
    let languages = || Resource::graph().languages(["en", "de"]);
    let french = [("accept-language", "fr")];
    let response = send(&languages().build().unwrap(), Method::GET, &french).await;
    assert_eq!(response.status, 406);
    let lenient = languages().lenient_language().build().unwrap();
    let response = send(&lenient, Method::GET, &french).await;
    assert_eq!(header(&response, "content-language"), Some("en"));
    assert_eq!(header(&response, "vary"), Some("Accept, Accept-Language"));
}

#[tokio::test]
async fn alternatives_vary_even_if_the_client_did_not_ask() {
    let resource = Resource::graph()
        .languages(["en", "de"])
        .charsets(["utf-8", "latin1"])
        .encodings(["gzip"])
        .build()
        .unwrap();
    let response = send(&resource, Method::GET, &[]).await;
    let all = "Accept, Accept-Charset, Accept-Language, Accept-Encoding";
    assert_eq!(header(&response, "vary"), Some(all));
    assert_eq!(
        header(&response, "content-type"),
        Some("text/html;charset=utf-8")
    );
    assert_eq!(header(&response, "content-language"), Some("en"));
    assert_eq!(header(&response, "content-encoding"), None);
}

#[tokio::test]
async fn alternatives_may_depend_on_the_request() {
    let types = |visit: &Visit| match visit.query() {
        Some(_) => vec!["text/csv".to_owned()],
        None => vec!["text/html".to_owned()],
    };
    let resource = Resource::graph().media_types(with(types)).build().unwrap();
    let csv = [("accept", "text/csv")];
    assert_eq!(send(&resource, Method::GET, &csv).await.status, 406);
    let mut asked = request(Method::GET, &csv);
    asked.query = Some("export".to_owned());
    assert_eq!(resource.handle(asked).await.status, 200);
}

#[tokio::test]
async fn an_early_response_has_no_body_for_head() {
    let early = ResourceResponse::new(StatusCode::IM_A_TEAPOT).body("short and stout");
    let resource = Resource::graph()
        .decide(Decision::Allowed, Verdict::Respond(early))
        .build()
        .unwrap();
    let response = send(&resource, Method::GET, &[]).await;
    assert_eq!(
        (response.status.as_u16(), text(&response)),
        (418, "short and stout")
    );
    let response = send(&resource, Method::HEAD, &[]).await;
    assert_eq!((response.status.as_u16(), text(&response)), (418, ""));
}

#[tokio::test]
async fn shared_decisions_follow_the_action_that_ran() {
    // A POST that is carried out as a PUT answers as a PUT: 202, not 303.
    let resource = Resource::graph()
        .post(sluice_worker::resource::Action::Put)
        .put(())
        .location("/elsewhere")
        .decide(Decision::CreateEnacted, false)
        .decide(Decision::RedirectWhenCreatePostponed, true)
        .build()
        .unwrap();
    assert_eq!(send(&resource, Method::POST, &[]).await.status, 202);
}

#[tokio::test]
async fn trace_has_no_preconditions() {
    let resource = Resource::graph()
        .allowed_methods([Method::GET, Method::TRACE])
        .etag(ETag::strong("1"))
        .build()
        .unwrap();
    let stale = [("if-match", "\"2\"")];
    assert_eq!(send(&resource, Method::TRACE, &stale).await.status, 200);
    assert_eq!(send(&resource, Method::GET, &stale).await.status, 412);
}
