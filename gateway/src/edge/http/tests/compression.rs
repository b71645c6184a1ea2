//! Packed bodies: for whom, of what, and what becomes of entity tags.

use super::*;
use crate::edge::http::compress::packer_tests::unpacked;

const PAGE: &str = "GET /resources/page";

/// A rig whose versions come from no header, so that `Vary` is about packing alone.
fn rig_with(change: impl FnOnce(&mut crate::config::Http)) -> Rig {
    Rig::with(|c| {
        c.versions.sources = vec!["field".to_owned()];
        change(&mut c.http);
    })
}

fn rig() -> Rig {
    rig_with(|_| {})
}

fn page() -> String {
    "page ".repeat(400)
}

#[tokio::test]
async fn who_asks_gets_it_packed() {
    let rig = rig();
    for (accept, coding) in [
        ("gzip", "gzip"),
        ("br", "br"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0.1, br;q=0.2, gzip;q=0.3", "gzip"),
    ] {
        let got = rig
            .send(PAGE, &format!("accept-encoding: {accept}"), "")
            .await;
        assert_eq!(got.status(), 200, "{accept}");
        assert_eq!(got.header("content-encoding"), coding, "{accept}");
        assert_eq!(got.header("vary"), "accept-encoding", "{accept}");
        assert_eq!(got.header("etag"), format!("\"1-{coding}\""));
        assert!(got.body.len() < 200, "{accept}: {}", got.body.len());
        assert_eq!(unpacked(coding, &got.body), page().into_bytes(), "{accept}");
    }
}

#[tokio::test]
async fn who_does_not_ask_gets_it_as_it_is() {
    let rig = rig();
    for headers in [
        "",
        "accept-encoding: identity",
        "accept-encoding: deflate",
        "accept-encoding: gzip;q=0",
        "accept-encoding: ?,;q=",
    ] {
        let got = rig.send(PAGE, headers, "").await;
        assert_eq!(got.header("content-encoding"), "", "{headers}");
        assert_eq!(got.header("etag"), "\"1\"", "{headers}");
        assert_eq!(got.body, page(), "{headers}");
        let vary = got.header("vary");
        assert_eq!(vary, "accept-encoding", "{headers}: caches must know");
    }
}

#[tokio::test]
async fn what_would_suffer_is_left_alone() {
    let rig = rig();
    for query in [
        "type=image/png",
        "type=text/event-stream",
        "fields=content-encoding:x",
        "fields=cache-control:max-age=1,No-Transform",
        "fields=content-digest:sha-256=:AA==:",
        "fields=content-range:bytes/2000&status=206",
        "status=206",
    ] {
        let line = format!("{PAGE}?{query}");
        let got = rig.send(&line, "accept-encoding: gzip", "").await;
        assert_ne!(got.header("content-encoding"), "gzip", "{query}");
        assert_eq!(got.body.len(), 2000, "{query}");
        assert_eq!(got.header("etag"), "\"1\"", "{query}");
    }
}

#[tokio::test]
async fn small_bodies_are_packed_only_for_who_takes_nothing_else() {
    let rig = rig_with(|http| http.compression_min_bytes = 2001);
    let got = rig.send(PAGE, "accept-encoding: gzip", "").await;
    assert_eq!(
        (got.header("content-encoding"), got.header("vary")),
        ("", "")
    );
    for line in [PAGE, "GET /resources/page?type=image/png"] {
        let got = rig
            .send(line, "accept-encoding: gzip, identity;q=0", "")
            .await;
        assert_eq!(got.header("content-encoding"), "gzip", "{line}");
        assert_eq!(unpacked("gzip", &got.body), page().into_bytes());
    }
}

#[tokio::test]
async fn nothing_is_packed_where_it_is_off() {
    let rig = rig_with(|http| http.compression = Vec::new());
    let got = rig.send(PAGE, "accept-encoding: gzip", "").await;
    assert_eq!(
        (got.header("content-encoding"), got.header("vary")),
        ("", "")
    );
    assert_eq!(got.body, page());
    // A copy from the time when it was on is still known.
    let got = rig.send(PAGE, "if-none-match: \"1-gzip\"", "").await;
    assert_eq!((got.status(), got.header("etag")), (304, "\"1-gzip\""));
}

#[tokio::test]
async fn a_packed_copy_that_is_current_is_not_sent_again() {
    let rig = rig();
    for (condition, tag) in [
        ("\"1-gzip\"", "\"1-gzip\""),
        ("\"1\"", "\"1\""),
        ("\"1-br\"", "\"1-br\""),
    ] {
        let headers = format!("accept-encoding: gzip\nif-none-match: {condition}");
        let got = rig.send(PAGE, &headers, "").await;
        assert_eq!(got.status(), 304, "{condition}");
        assert_eq!(got.header("etag"), tag, "{condition}");
        assert_eq!(got.header("vary"), "accept-encoding");
        assert_eq!(got.header("content-encoding"), "");
        assert!(got.body.is_empty());
    }
    let got = rig.send(PAGE, "if-none-match: \"2-gzip\"", "").await;
    assert_eq!(got.status(), 200);
}

#[tokio::test]
async fn a_resource_sees_its_own_tags_alone() {
    let rig = rig();
    let headers = "if-match: \"1-zstd\", \"a-gzip-identity\"\nif-range: \"1-gzip\"";
    rig.send(PAGE, headers, "").await;
    let seen = rig.fake.seen();
    let head = &seen[0].http.as_ref().unwrap().head;
    let of = |name: &str| {
        let found = head.headers.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(of("if-match"), Some("\"1\", \"a-gzip\""));
    let range = of("if-range");
    assert_eq!(range, Some("\"1-gzip\""), "no part of the packed form");
    let got = rig.send("GET /resources/page?tag=a-gzip", "", "").await;
    assert_eq!(got.header("etag"), "\"a-gzip-identity\"");
}

#[tokio::test]
async fn a_body_in_pieces_is_packed_as_it_comes() {
    let rig = rig();
    for coding in ["gzip", "br", "zstd"] {
        let headers = format!("x-request-id: pieces\naccept-encoding: {coding}");
        let request = request(PAGE, &headers, "");
        let mut response = rig.edge.handle(request).await;
        assert_eq!(response.headers()["content-encoding"], coding);
        assert_eq!(response.headers()["etag"], format!("\"1-{coding}\""));
        let body = response.body_mut();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(!first.is_empty(), "it is not held back");
        let rest = body.collect().await.unwrap().to_bytes();
        let all = [first, rest].concat();
        assert_eq!(unpacked(coding, &all), page().repeat(2).into_bytes());
    }
}

#[tokio::test]
async fn heads_say_what_gets_would() {
    let rig = rig();
    let query = format!("l={}", "a".repeat(2000));
    let line = |method: &str| format!("{method} /api/s/echo?{query}");
    let get = rig.send(&line("GET"), "accept-encoding: gzip", "").await;
    let head = rig.send(&line("HEAD"), "accept-encoding: gzip", "").await;
    for name in ["content-encoding", "vary", "content-type"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
    assert_eq!(head.header("content-encoding"), "gzip");
    assert_eq!((head.body.len(), head.header("content-length")), (0, ""));
    assert!(unpacked("gzip", &get.body).len() > 2000);
}

#[tokio::test]
async fn large_envelopes_and_streams() {
    let mut rig = rig();
    let large = format!("{{\"l\":[\"{}\"]}}", "a b ".repeat(50_000));
    let headers = "content-type: application/json\naccept-encoding: br";
    let got = rig.send("POST /api/s/echo", headers, large.clone()).await;
    assert_eq!(got.header("content-encoding"), "br");
    let plain = String::from_utf8(unpacked("br", &got.body)).unwrap();
    assert!(plain.contains(&large), "nothing is lost");
    for format in ["text/event-stream", "application/x-ndjson"] {
        let headers = format!(
            "content-type: application/json\naccept: {format}\naccept-encoding: gzip, identity;q=0"
        );
        let request = request("POST /api/s/items", &headers, "{}");
        let response = rig.edge.handle(request).await;
        assert!(!response.headers().contains_key("content-encoding"));
        drop(rig.opened().await);
    }
}

#[tokio::test]
async fn a_resource_need_not_pack_what_the_gateway_packs() {
    for (on, accept, seen) in [
        (true, "gzip, identity;q=0", "gzip"),
        (true, "gzip, identity;q=0.1", "gzip, identity;q=0.1"),
        (true, "deflate, identity;q=0", "deflate, identity;q=0"),
        (false, "gzip, identity;q=0", "gzip, identity;q=0"),
    ] {
        let rig = rig_with(|http| {
            if !on {
                http.compression = Vec::new();
            }
        });
        rig.send(PAGE, &format!("accept-encoding: {accept}"), "")
            .await;
        let call = rig.fake.seen().pop().unwrap();
        let head = &call.http.as_ref().unwrap().head;
        let got = head
            .headers
            .iter()
            .find(|(name, _)| name == "accept-encoding");
        assert_eq!(got.map(|(_, value)| value.as_str()), Some(seen), "{accept}");
    }
}
