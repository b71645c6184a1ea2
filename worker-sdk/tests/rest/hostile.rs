//! Bytes of a client never make a resource panic, or answer with what it does not have.

use proptest::prelude::*;
use sluice_worker::resource::http::Method;
use sluice_worker::resource::http::header::{HeaderName, HeaderValue};
use sluice_worker::resource::negotiate::media_type;
use sluice_worker::resource::{ETag, HttpDate, Resource, ResourceRequest};

const HEADERS: [&str; 9] = [
    "accept",
    "accept-language",
    "accept-charset",
    "accept-encoding",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "content-type",
];

/// Text that is nearly right, and bytes that are not.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let nearly = "[a-zA-Z0-9*/;,=\"\\\\ .+:-]{0,60}".prop_map(String::into_bytes);
    let bytes = prop::collection::vec(prop_oneof![0x20u8..=0x7e, 0x80u8..=0xff], 0..60);
    prop_oneof![nearly, bytes]
}

proptest! {
    #[test]
    fn any_header_gets_an_answer(
        values in prop::collection::vec((prop::sample::select(HEADERS.to_vec()), value()), 0..8),
        method in prop::sample::select(vec![Method::GET, Method::HEAD, Method::PUT, Method::PATCH]),
    ) {
        let resource = Resource::graph()
            .media_types(["text/html;level=1", "application/json", "text/*"])
            .languages(["en", "de-CH"])
            .charsets(["utf-8", "iso-8859-1"])
            .encodings(["gzip", "br"])
            .etag(ETag::strong("v1"))
            .last_modified(HttpDate::from_unix(784_111_777))
            .put(())
            .patch(())
            .patch_types(["application/merge-patch+json"])
            .build()
            .unwrap();
        let mut request = ResourceRequest::new(method, "/");
        for (name, value) in values {
            let value = HeaderValue::from_bytes(&value).unwrap();
            request = request.header(HeaderName::from_static(name), value);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let response = runtime.block_on(resource.handle(request));
        let status = response.status.as_u16();
        prop_assert!([200, 201, 204, 304, 406, 412, 415].contains(&status), "{status}");
    }

    #[test]
    fn what_is_selected_is_declared(accept in ".{0,80}") {
        let declared = ["text/html", "text/plain;format=flowed", "application/json"];
        if let Some(selected) = media_type(Some(&accept), &declared).unwrap() {
            prop_assert!(declared.contains(&selected.as_str()), "{selected}");
        }
    }

    #[test]
    fn what_a_wildcard_takes_is_a_header_value(accept in ".{0,80}") {
        if let Some(selected) = media_type(Some(&accept), &["*/*"]).unwrap() {
            prop_assert!(HeaderValue::from_str(&selected).is_ok(), "{selected:?}");
            prop_assert!(!selected.contains('*'), "{selected:?}");
        }
    }
}

/// Long lists take time in proportion to what is read of them, and are cut.
#[tokio::test]
async fn long_lists_are_cut() {
    let mut accept = "image/png, ".repeat(5000);
    accept.push_str("text/html");
    let resource = Resource::graph().build().unwrap();
    let request = crate::request(Method::GET, &[("accept", &accept)]);
    assert_eq!(resource.handle(request).await.status, 406);
}
