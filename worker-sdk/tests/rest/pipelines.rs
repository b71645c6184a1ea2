//! Pipelines beyond the vectors.

use sluice_worker::resource::http::Method;
use sluice_worker::resource::{
    ETag, Filter, Negotiate, Pipeline, Resource, SendEntity, Visit, with, with_async,
};

use crate::{header, send, text};

#[tokio::test]
async fn every_filter_has_its_handler() {
    for &filter in Filter::ALL {
        for answer in [true, false] {
            let pipeline = Pipeline::new().filter(filter, with(move |_| answer));
            let resource = Resource::pipeline(pipeline.entity("E").get())
                .build()
                .unwrap();
            let status = send(&resource, Method::GET, &[]).await.status.as_u16();
            let passes = answer == filter.passes();
            let expected = if passes {
                200
            } else {
                filter.handler().status()
            };
            assert_eq!(status, expected, "{} {answer}", filter.name());
        }
    }
}

#[tokio::test]
async fn async_functions_serve_as_well() {
    async fn store(visit: Visit) -> Result<(), std::fmt::Error> {
        tokio::task::yield_now().await;
        visit.put(visit.body().clone());
        visit.send_validators();
        Ok(())
    }
    let tag = |visit: &Visit| {
        let stored = visit.get::<bytes::Bytes>();
        stored.map_or(ETag::strong("old"), |_| ETag::strong("new"))
    };
    let pipeline = Pipeline::new()
        .negotiate(Negotiate::new().media_types(["text/plain"]))
        .etag(with(tag))
        .entity("E")
        .get()
        .put(with_async(store), SendEntity::No);
    let resource = Resource::pipeline(pipeline).build().unwrap();
    let response = send(&resource, Method::GET, &[]).await;
    assert_eq!(
        (header(&response, "etag"), text(&response)),
        (Some("\"old\""), "E")
    );
    let stale = send(&resource, Method::PUT, &[("if-match", "\"new\"")]).await;
    assert_eq!(stale.status, 412);
    let response = send(&resource, Method::PUT, &[("if-match", "\"old\"")]).await;
    assert_eq!(
        (response.status.as_u16(), header(&response, "etag")),
        (204, Some("\"new\""))
    );
}

#[tokio::test]
async fn a_method_without_get_has_no_head() {
    let pipeline = Pipeline::new().delete(()).challenge("Basic");
    let resource = Resource::pipeline(pipeline).build().unwrap();
    let response = send(&resource, Method::HEAD, &[]).await;
    assert_eq!(
        (response.status.as_u16(), header(&response, "allow")),
        (405, Some("DELETE, OPTIONS"))
    );
}
