//! The HTTP client and its streams.

use serde_json::json;
use sluice_e2e::http;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::tiny_gateway::{Behaviour, envelope, read_call, tiny_gateway};

#[tokio::test]
async fn the_client_reads_envelopes_strictly() {
    use Behaviour::{Echo, Page, Refuse};
    let address = tiny_gateway(&[Echo, Refuse, Page]).await;
    let client = http::Client::new(format!("http://{address}")).unwrap();
    let client = client.header("x-request-id", "r1");

    let (status, ok) = client
        .call("demo", "echo", json!({"text": "hi"}))
        .await
        .unwrap();
    assert_eq!(
        (status, &ok.result, ok.code()),
        (200, &json!({"text": "hi"}), "")
    );
    assert_eq!(ok.request_id.as_deref(), Some("r1"));
    assert!(ok.is_final());

    let (_, refused) = client.call("demo", "echo", json!({})).await.unwrap();
    assert_eq!((refused.success, refused.code()), (false, "no_workers"));

    let error = client
        .call("demo", "echo", json!({}))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("answered 200: not an envelope"), "{error}");
    assert!(error.contains("bad gateway"), "{error}");
}

#[test]
fn an_envelope_with_too_little_too_much_or_against_itself_is_refused() {
    let good = envelope("r1", true, json!({}));
    assert!(http::Envelope::parse(good.as_bytes()).is_ok());
    let cases = [
        ("missing id", good.replace("\"request_id\":\"r1\",", "")),
        ("missing result", good.replace("\"result\":null,", "")),
        ("unknown field", envelope("r1", true, json!({"extra": 1}))),
        (
            "success with an error",
            envelope("r1", true, json!({"error": "no"})),
        ),
        (
            "error without a code",
            envelope("r1", false, json!({"error": "no"})),
        ),
        (
            "error without a text",
            envelope(
                "r1",
                false,
                json!({"error_code": "x", "error_source": "client"}),
            ),
        ),
    ];
    for (case, text) in cases {
        assert!(
            http::Envelope::parse(text.as_bytes()).is_err(),
            "{case}: {text}"
        );
    }
}

#[tokio::test]
async fn streams_are_read_event_by_event_and_line_by_line() {
    let sse = ": hello\n\nevent: item\nid: 1\ndata: {\"n\":\ndata: 1}\n\nevent: end\ndata:null\n\n";
    let events = stream_of("text/event-stream", sse, "\r\n0\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(
        (events[0].kind.as_str(), events[0].id.as_deref()),
        ("item", Some("1"))
    );
    assert_eq!(
        (&events[0].data, &events[1].data),
        (&json!({"n": 1}), &json!(null))
    );

    let lines = stream_of(
        "application/x-ndjson",
        "{\"n\":1}\n{\"n\":2}\n",
        "\r\n0\r\n\r\n",
    )
    .await;
    let lines: Vec<_> = lines.unwrap().into_iter().map(|event| event.data).collect();
    assert_eq!(lines, [json!({"n": 1}), json!({"n": 2})]);

    let cut = stream_of("application/x-ndjson", "{\"n\":1}\n", "")
        .await
        .unwrap_err()
        .to_string();
    assert!(cut.starts_with("stream: "), "{cut}");
}

/// Serves `body` as one chunk to one streaming call, ends as `ending` says, reads it back.
async fn stream_of(
    content_type: &str,
    body: &str,
    ending: &str,
) -> sluice_e2e::Result<Vec<http::Event>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = http::Client::new(format!("http://{}", listener.local_addr().unwrap()))?;
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{body}{ending}",
        body.len()
    );
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_call(&mut stream).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
    };
    let read = async {
        let opened = match content_type {
            "text/event-stream" => client.sse("demo", "count", json!({})).await,
            _ => client.ndjson("demo", "count", json!({})).await,
        };
        opened?.stream()?.collect().await
    };
    tokio::join!(server, read).1
}
