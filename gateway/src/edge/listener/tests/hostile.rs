//! Bytes that are not HTTP, or HTTP that is not meant well.

use super::*;

#[tokio::test]
async fn each_is_answered_or_cut_and_harms_nobody_else() {
    let (pipes, _open) = Pipes::of(Rig::with(|c| c.http.max_body_bytes = 100));
    let post = "POST /api/s/echo HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n";
    let chunk = format!("20\r\n{}\r\n", " ".repeat(32));
    let large_header = format!("{post}x: {}\r\n\r\n", "x".repeat(100_000));
    let many_headers = format!("{post}{}\r\n", "x: y\r\n".repeat(1000));
    let long_path = format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", "x".repeat(70_000));
    // Beginning of the answer; empty: it is cut without a word.
    let rows: Vec<(String, &str)> = vec![
        ("\0\u{1}\u{2}\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        ("GET\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        (
            "GET /health/live HTTP/9.9\r\n\r\n".to_owned(),
            "HTTP/1.1 400",
        ),
        ("GET /a b HTTP/1.1\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        (format!("{post}content-length: x\r\n\r\n"), "HTTP/1.1 400"),
        (format!("{post}content-length: -1\r\n\r\n"), "HTTP/1.1 400"),
        (
            format!("{post}content-length: 1\r\ncontent-length: 2\r\n\r\n{{}}"),
            "HTTP/1.1 400",
        ),
        (format!("{post}bad header: x\r\n\r\n"), "HTTP/1.1 400"),
        (large_header, "HTTP/1.1 431"),
        (many_headers, "HTTP/1.1 431"),
        (long_path, "HTTP/1.1 431"),
        (format!("{post}content-length: 101\r\n\r\n"), "HTTP/1.1 413"),
        (
            format!("{post}content-length: 18446744073709551615\r\n\r\n"),
            "HTTP/1.1 4",
        ),
        (
            format!("{post}transfer-encoding: chunked\r\n\r\n{chunk}{chunk}{chunk}{chunk}"),
            "HTTP/1.1 413",
        ),
        (
            format!("{post}transfer-encoding: chunked\r\n\r\nnonsense\r\n"),
            "HTTP/1.1 400",
        ),
        (
            format!("{post}transfer-encoding: gzip\r\n\r\n{{}}"),
            "HTTP/1.1 400",
        ),
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense, nonsense".to_owned(),
            "",
        ),
    ];
    let mut neighbour = pipes.connect(1 << 10);
    for (bytes, answer) in rows {
        let mut client = pipes.connect(1 << 20);
        client.send(&bytes).await;
        let got = client.closed().await;
        let row: String = bytes.chars().take(120).collect();
        assert!(got.starts_with(answer), "{row:?}: {got}");
        neighbour.post("echo", "{}").await;
        assert_eq!(neighbour.reply().await.status, 200, "{row:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_unread() {
    let (pipes, _open) = Pipes::of(Rig::new());
    let mut client = pipes.connect(1 << 10);
    client
        .send(
            "POST /api/s/echo HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n\
             content-length: 1000001\r\nexpect: 100-continue\r\n\r\n",
        )
        .await;
    let reply = client.reply().await;
    assert_eq!(reply.status, 413);
    assert_eq!(reply.envelope()["details"]["max_bytes"], 1_000_000);
    assert_eq!(client.closed().await, "");
}
