//! A constant decision and a function that always says the same cannot be told apart.

use proptest::prelude::*;
use sluice_worker::resource::http::Method;
use sluice_worker::resource::{
    Decision, ETag, GraphBuilder, HttpDate, Resource, Rule, TABLE, Visit, with,
};

use crate::request;

fn application_decisions() -> Vec<Decision> {
    let asked = TABLE.iter().filter(|row| matches!(row.rule, Rule::Ask(_)));
    asked.map(|row| row.decision).collect()
}

fn base(with_validators: bool) -> GraphBuilder {
    let graph = Resource::graph()
        .media_types(["text/html", "application/json"])
        .encodings(["gzip"])
        .location("/there")
        .post(())
        .put(())
        .patch(())
        .delete(());
    if !with_validators {
        return graph;
    }
    graph
        .etag(ETag::strong("1"))
        .last_modified(HttpDate::from_unix(784_111_777))
}

fn methods() -> impl Strategy<Value = &'static str> {
    let all = [
        "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "ODD",
    ];
    prop::sample::select(all.to_vec())
}

fn headers() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let all = vec![
        ("accept", "application/json;q=0.5"),
        ("accept", "image/png"),
        ("accept-encoding", "gzip"),
        ("accept-language", "en"),
        ("if-match", "\"1\""),
        ("if-match", "\"2\""),
        ("if-match", "*"),
        ("if-none-match", "W/\"1\""),
        ("if-none-match", "*"),
        ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:36 GMT"),
        ("if-unmodified-since", "never"),
    ];
    prop::sample::subsequence(all, 0..5)
}

proptest! {
    #[test]
    fn folded_and_asked_walk_alike(
        answers in prop::collection::btree_map(prop::sample::select(application_decisions()), any::<bool>(), 0..12),
        validators in any::<bool>(),
        method in methods(),
        headers in headers(),
    ) {
        let (mut folded, mut asked) = (base(validators), base(validators));
        for (&decision, &answer) in &answers {
            folded = folded.decide(decision, answer);
            asked = asked.decide(decision, with(move |_: &Visit| answer));
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = request(method.clone(), &headers);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (one, two) = runtime.block_on(async {
            let one = folded.build().unwrap().trace(request.clone()).await;
            (one, asked.build().unwrap().trace(request).await)
        });
        prop_assert_eq!(&one.1, &two.1);
        prop_assert_eq!(one.0.status, two.0.status);
        prop_assert_eq!(&one.0.headers, &two.0.headers);
        prop_assert_eq!(&one.0.body, &two.0.body);
        // What holds for every response.
        let status = one.0.status.as_u16();
        let bodyless = matches!(status, 204 | 304) || method == Method::HEAD;
        prop_assert!(!bodyless || one.0.body.is_empty());
        prop_assert!(one.1.handler().is_some_and(|handler| handler.status() == status));
        prop_assert_eq!(one.0.headers.contains_key("allow"), status == 405 || (method == Method::OPTIONS && status == 200));
        prop_assert_ne!(status, 500);
    }
}
