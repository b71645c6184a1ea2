//! Versions that URLs and media types name, at declared routes.

use super::*;

fn rig() -> Rig {
    Rig::with(|c| {
        c.versions.sources = vec![
            "path:/v{version}".to_owned(),
            "accept:application/vnd.acme.v{version}+json".to_owned(),
        ];
    })
}

#[tokio::test]
async fn the_way_without_the_slash_keeps_the_version() {
    let rig = rig();
    for (path, to) in [
        ("/v1/r/echo/7/", "/v1/r/echo/7"),
        ("/v1/r/echo/7/?a=b%20c", "/v1/r/echo/7?a=b%20c"),
        ("/r/echo/7/", "/r/echo/7"),
    ] {
        let got = rig.get(path).await;
        assert_eq!((got.status(), got.header("location")), (308, to), "{path}");
    }
}

#[tokio::test]
async fn the_places_that_a_resource_names_are_in_the_version_of_the_path() {
    let rig = rig();
    for (path, place, told) in [
        ("/v1", "/books/4", "/v1/books/4"),
        ("/v1", "/books/4?a=/b", "/v1/books/4?a=/b"),
        ("/v1", "/", "/v1/"),
        ("/v1", "/v1/books/4", "/v1/books/4"),
        ("/v1", "4", "4"),
        ("/v1", "//other.example/books/4", "//other.example/books/4"),
        ("/v1", "https://other.example/4", "https://other.example/4"),
        ("", "/books/4", "/books/4"),
    ] {
        let encoded =
            percent_encoding::utf8_percent_encode(place, percent_encoding::NON_ALPHANUMERIC);
        for name in ["location", "content-location"] {
            let line = format!("GET {path}/resources/page?place={encoded}&named={name}");
            let got = rig.send(&line, "", "").await;
            assert_eq!(got.header(name), told, "{path} {place}");
        }
    }
}

#[tokio::test]
async fn a_resource_is_asked_for_the_plain_type_beside_the_vendors() {
    let rig = rig();
    for (accept, seen) in [
        (
            "application/vnd.acme.v1+json",
            "application/vnd.acme.v1+json, application/json",
        ),
        (
            "application/vnd.acme.v1+json;q=0.5, text/plain",
            "application/vnd.acme.v1+json;q=0.5, text/plain, application/json;q=0.500",
        ),
        (
            "application/vnd.acme.v1+json;q=0, */*",
            "application/vnd.acme.v1+json;q=0, */*",
        ),
        (
            "application/vnd.acme.v1+json, application/json;q=0.1",
            "application/vnd.acme.v1+json, application/json;q=0.1",
        ),
        (
            "application/vnd.other.v1+json",
            "application/vnd.other.v1+json",
        ),
        ("text/plain", "text/plain"),
    ] {
        rig.send("GET /resources/page", &format!("accept: {accept}"), "")
            .await;
        let call = rig.fake.seen().pop().unwrap();
        let head = &call.http.as_ref().unwrap().head;
        let got = head.headers.iter().find(|(name, _)| name == "accept");
        assert_eq!(got.map(|(_, value)| value.as_str()), Some(seen), "{accept}");
    }
}
