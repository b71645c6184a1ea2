//! Errors, panics and walks in circles end in 500, and tell the client nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sluice_worker::Error;
use sluice_worker::resource::http::{Method, StatusCode};
use sluice_worker::resource::{
    Decision, ETag, GraphBuilder, Handler, Outcome, Pipeline, Reply, Resource, SendEntity, Verdict,
    Visit, with, with_async,
};

use crate::{send, text};

fn secret<T>(_: &Visit) -> Result<T, Error> {
    Err(Error::new("db", "password=hunter2"))
}

fn failing() -> [(&'static str, GraphBuilder); 6] {
    let graph = Resource::graph;
    [
        (
            "decision",
            graph().decide(Decision::Exists, with(secret::<bool>)),
        ),
        (
            "async decision",
            graph().decide(
                Decision::Exists,
                with_async(async |v: Visit| secret::<bool>(&v)),
            ),
        ),
        ("property", graph().etag(with(secret::<Option<ETag>>))),
        (
            "media types",
            graph().media_types(with(|_| vec!["hunter2".to_owned()])),
        ),
        ("handler", graph().get(with(secret::<String>))),
        (
            "panic",
            graph().decide(Decision::Allowed, with(|_| -> bool { panic!("hunter2") })),
        ),
    ]
}

#[tokio::test]
async fn a_failure_is_a_500_that_tells_nothing() {
    for (what, graph) in failing() {
        let resource = graph.build().unwrap();
        let response = send(&resource, Method::GET, &[]).await;
        assert_eq!(response.status, 500, "{what}");
        assert_eq!(text(&response), "Internal server error.", "{what}");
        assert!(!format!("{response:?}").contains("hunter2"), "{what}");
    }
}

#[tokio::test]
async fn the_exception_handler_knows_the_error() {
    let told = |visit: &Visit| match visit.error() {
        Some(error) => format!("code {}", error.code()),
        None => "nothing".to_owned(),
    };
    for (what, graph) in failing() {
        let resource = graph
            .handle(Handler::Exception, with(told))
            .build()
            .unwrap();
        let response = send(&resource, Method::GET, &[]).await;
        assert_eq!(response.status, 500, "{what}");
        let code = text(&response);
        assert!(
            ["code db", "code panic", "code worker_error"].contains(&code),
            "{what}: {code}"
        );
    }
}

#[tokio::test]
async fn an_exception_handler_that_fails_is_left_out() {
    let graph = || Resource::graph().decide(Decision::Exists, with(secret::<bool>));
    let panics = with(|_| -> Reply { panic!("hunter2") });
    let failing = graph().handle(Handler::Exception, with(secret::<Reply>));
    let panicking = graph().handle(Handler::Exception, panics);
    for graph in [failing, panicking] {
        let resource = graph.build().unwrap();
        let response = send(&resource, Method::GET, &[]).await;
        assert_eq!(
            (response.status, text(&response)),
            (StatusCode::INTERNAL_SERVER_ERROR, "Internal server error.")
        );
    }
}

#[tokio::test]
async fn a_walk_in_circles_ends() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let back = move |_: &Visit| {
        counter.fetch_add(1, Ordering::Relaxed);
        Verdict::Go(Decision::Allowed.into())
    };
    let resource = Resource::graph()
        .decide(Decision::Exists, with(back))
        .build()
        .unwrap();
    let response = send(&resource, Method::GET, &[]).await;
    assert_eq!(response.status, 500);
    assert!(
        (2..256).contains(&asked.load(Ordering::Relaxed)),
        "{asked:?}"
    );
}

#[tokio::test]
async fn see_other_needs_a_location() {
    let postponed = || {
        Resource::graph()
            .post(())
            .decide(Decision::CreateEnacted, false)
            .decide(Decision::RedirectWhenCreatePostponed, true)
    };
    let response = send(&postponed().build().unwrap(), Method::POST, &[]).await;
    assert_eq!(response.status, 500);
    let there = postponed()
        .post(with(|v| v.set_location("/queue/7")))
        .build()
        .unwrap();
    let response = send(&there, Method::POST, &[]).await;
    assert_eq!(
        (response.status, crate::header(&response, "location")),
        (StatusCode::SEE_OTHER, Some("/queue/7"))
    );
}

#[tokio::test]
async fn an_action_that_is_not_there_is_not_implemented() {
    // The entry point skips the check of the method.
    let resource = Resource::graph().entry(Decision::Exists).build().unwrap();
    assert_eq!(send(&resource, Method::DELETE, &[]).await.status, 501);
    assert_eq!(send(&resource, Method::GET, &[]).await.status, 200);
}

#[tokio::test]
async fn pipelines_fail_in_the_same_way() {
    let get = || Pipeline::new().entity("E").get();
    let panics = |_: &Visit| -> Outcome { panic!("hunter2") };
    let wrong = [
        (
            "entity",
            Resource::pipeline(Pipeline::new().entity(with(secret::<String>)).get()),
        ),
        (
            "plug",
            Resource::pipeline(get().plug("p", with(secret::<()>))),
        ),
        ("panic", Resource::pipeline(get().plug("p", with(panics)))),
        (
            "delegates",
            Resource::pipeline(get().plug("p", Outcome::Go(Handler::Ok.into()))),
        ),
        (
            "no such pipeline",
            Resource::pipeline(get().decant("nowhere")),
        ),
        ("a circle", Resource::pipeline(get().decant("start"))),
        (
            "none",
            Resource::pipeline(get().decant(with(|_| None::<String>))),
        ),
        (
            "send",
            Resource::pipeline(get().put((), SendEntity::when(with(secret::<bool>)))),
        ),
    ];
    for (what, pipeline) in wrong {
        let method = if what == "send" {
            Method::PUT
        } else {
            Method::GET
        };
        let response = send(&pipeline.build().unwrap(), method, &[]).await;
        assert_eq!(response.status, 500, "{what}");
        assert!(!format!("{response:?}").contains("hunter2"), "{what}");
    }
}
