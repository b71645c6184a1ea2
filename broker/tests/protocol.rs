//! The protocol, byte by byte: what goes in, what comes out, and what closes the connection.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Raw, broker};

#[tokio::test]
async fn info_says_what_clients_need() {
    let broker = broker().await;
    let raw = Raw::open(&broker).await;
    let info: serde_json::Value = serde_json::from_str(&raw.info["INFO ".len()..]).unwrap();
    assert_eq!(info["version"], "2.10.0");
    assert_eq!(info["proto"], 1);
    assert_eq!(info["headers"], true);
    assert_eq!(info["max_payload"], 1024 * 1024);
    assert_eq!(info["port"], broker.addr().port());
    assert_eq!(info["client_ip"], "127.0.0.1");
    assert_eq!(info["client_id"], 1);
    assert_eq!(info["auth_required"], false);
    assert_eq!(info["server_id"].as_str().unwrap().len(), 32);
}

#[tokio::test]
async fn exchanges_that_keep_the_connection() {
    let broker = broker().await;
    // Each runs on a connection of its own; the answer is what precedes the PONG.
    let cases = [
        (
            "tabs and spaces",
            "SUB\ta \t1 \r\nPUB  a\t1\r\nx\r\n",
            "MSG a 1 1\r\nx\r\n",
        ),
        (
            "any case",
            "sub a 1\r\nPub a 0\r\n\r\n",
            "MSG a 1 0\r\n\r\n",
        ),
        (
            "bare newlines",
            "SUB a 1\nPUB a 1\nx\r\n",
            "MSG a 1 1\r\nx\r\n",
        ),
        (
            "reply",
            "SUB a 1\r\nPUB a r.1 1\r\nx\r\n",
            "MSG a 1 r.1 1\r\nx\r\n",
        ),
        (
            "body with newlines",
            "SUB a 1\r\nPUB a 6\r\n\r\nPING\r\n",
            "MSG a 1 6\r\n\r\nPING\r\n",
        ),
        (
            "headers",
            "SUB a 1\r\nHPUB a r 12 13\r\nNATS/1.0\r\n\r\nx\r\n",
            "HMSG a 1 r 12 13\r\nNATS/1.0\r\n\r\nx\r\n",
        ),
        (
            "wildcard *",
            "SUB a.*.c 1\r\nPUB a.b.c 0\r\n\r\nPUB a.c 0\r\n\r\n",
            "MSG a.b.c 1 0\r\n\r\n",
        ),
        (
            "wildcard >",
            "SUB a.> 1\r\nPUB a.b.c 0\r\n\r\nPUB a 0\r\n\r\n",
            "MSG a.b.c 1 0\r\n\r\n",
        ),
        (
            "publish to a wildcard",
            "SUB a.* 1\r\nPUB a.* 0\r\n\r\n",
            "MSG a.* 1 0\r\n\r\n",
        ),
        (
            "publish to nonsense",
            "SUB > 1\r\nPUB a..b 0\r\n\r\nPUB .a 0\r\n\r\n",
            "",
        ),
        (
            "subscribe to nonsense",
            "SUB a..b 1\r\nSUB a.>.b 2\r\nSUB a. 3\r\n",
            "-ERR 'Invalid Subject'\r\n-ERR 'Invalid Subject'\r\n-ERR 'Invalid Subject'\r\n",
        ),
        (
            "unsubscribe",
            "SUB a 1\r\nUNSUB 1\r\nUNSUB 1\r\nPUB a 0\r\n\r\n",
            "",
        ),
        (
            "unsubscribe after two",
            "SUB a 1\r\nUNSUB 1 2\r\nPUB a 1\r\n1\r\nPUB a 1\r\n2\r\nPUB a 1\r\n3\r\n",
            "MSG a 1 1\r\n1\r\nMSG a 1 1\r\n2\r\n",
        ),
        (
            "unsubscribe after one, too late",
            "SUB a 1\r\nPUB a 0\r\n\r\nPUB a 0\r\n\r\nUNSUB 1 1\r\nPUB a 0\r\n\r\n",
            "MSG a 1 0\r\n\r\nMSG a 1 0\r\n\r\n",
        ),
        (
            "an id is free again",
            "SUB a 1\r\nUNSUB 1 1\r\nPUB a 0\r\n\r\nSUB b 1\r\nPUB b 0\r\n\r\n",
            "MSG a 1 0\r\n\r\nMSG b 1 0\r\n\r\n",
        ),
        (
            "an id in use stays",
            "SUB a 1\r\nSUB b 1\r\nPUB b 0\r\n\r\nPUB a 0\r\n\r\n",
            "MSG a 1 0\r\n\r\n",
        ),
        (
            "no responders",
            "SUB i 1\r\nPUB a i 0\r\n\r\n",
            "HMSG i 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
        ),
        (
            "no responders, wildcard inbox",
            "SUB i.* 1\r\nPUB a i.7 0\r\n\r\n",
            "HMSG i.7 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
        ),
        (
            "no responders to JetStream",
            "SUB i 1\r\nPUB $JS.API.INFO i 0\r\n\r\n",
            "HMSG i 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
        ),
        (
            "pedantic",
            "CONNECT {\"verbose\":false}\r\nPUB a.* 0\r\n\r\n",
            "-ERR 'Invalid Publish Subject'\r\n",
        ),
        (
            "verbose",
            "CONNECT {}\r\nSUB a 1\r\nPUB a 0\r\n\r\nUNSUB 1\r\n",
            "+OK\r\n+OK\r\n+OK\r\nMSG a 1 0\r\n\r\n+OK\r\n",
        ),
        (
            "headers for one who cannot read them",
            "SUB a 1\r\nHPUB a 12 13\r\nNATS/1.0\r\n\r\nx\r\n\
            CONNECT {\"verbose\":false}\r\nPUB a 0\r\n\r\n",
            "HMSG a 1 12 13\r\nNATS/1.0\r\n\r\nx\r\nMSG a 1 0\r\n\r\n",
        ),
    ];
    for (name, sent, answer) in cases {
        let mut raw = Raw::connect(&broker).await;
        assert_eq!(raw.ask(sent).await, answer, "{name}");
    }
}

#[tokio::test]
async fn refusals_that_close_the_connection() {
    let broker = broker().await;
    let long = format!("SUB {} 1\r\n", "a".repeat(5000));
    let wrong_port = "Attempted To Connect To Wrong Port: Routes, Gateways And Leaf Nodes Are Not \
                      Supported";
    let cases = [
        ("FOO\r\n", "Unknown Protocol Operation"),
        ("hello", "Unknown Protocol Operation"),
        (
            "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
            "HTTP And WebSocket Are Not Supported",
        ),
        ("\x16\x03\x01\x02\x00\x01", "TLS Is Not Supported"),
        (
            "CONNECT {\"tls_required\":true}\r\n",
            "TLS Is Not Supported",
        ),
        ("CONNECT {\"cluster\":\"c\"}\r\n", wrong_port),
        ("INFO {\"server_id\":\"x\"}\r\n", wrong_port),
        ("CONNECT {\r\n", "Parser Error"),
        ("SUB a\r\n", "Parser Error"),
        ("PUB a x\r\n", "Parser Error"),
        ("PUB a 1\r\nxyz", "Parser Error"),
        ("PUB a 1048577\r\n", "Maximum Payload Violation"),
        (long.as_str(), "maximum control line exceeded"),
        (
            "CONNECT {\"no_responders\":true}\r\n",
            "no responders requires headers support",
        ),
        (
            "CONNECT {\"verbose\":false}\r\nHPUB a 0 0\r\n\r\n",
            "message headers not supported",
        ),
    ];
    for (sent, refusal) in cases {
        let mut raw = Raw::connect(&broker).await;
        raw.send(sent).await;
        assert_eq!(
            raw.rest().await,
            format!("-ERR '{refusal}'\r\n"),
            "{sent:?}"
        );
    }
}

#[tokio::test]
async fn what_was_answered_before_a_refusal_is_not_lost() {
    let broker = broker().await;
    let mut raw = Raw::connect(&broker).await;
    raw.send("SUB a 1\r\nPUB a 1\r\nx\r\nNONSENSE\r\n").await;
    assert_eq!(
        raw.rest().await,
        "MSG a 1 1\r\nx\r\n-ERR 'Unknown Protocol Operation'\r\n"
    );
}

#[tokio::test]
async fn a_refused_payload_need_not_be_read_to_learn_why() {
    let broker = broker().await;
    let mut raw = Raw::connect(&broker).await;
    // Two megabytes are under way when the broker decides; the reason arrives all the same.
    raw.send(format!("PUB a 2000000\r\n{}\r\n", "x".repeat(2_000_000)))
        .await;
    assert_eq!(raw.until("\r\n").await, "-ERR 'Maximum Payload Violation'");
}

#[tokio::test]
async fn echo_off_spares_the_sender_alone() {
    let broker = broker().await;
    let mut silent = Raw::connect(&broker).await;
    let mut other = Raw::connect(&broker).await;
    other.send("SUB a 9\r\n").await;
    other.flush().await;
    let connect =
        "CONNECT {\"echo\":false,\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n";
    assert_eq!(
        silent
            .ask(format!("{connect}SUB a 1\r\nPUB a 1\r\nx\r\n"))
            .await,
        ""
    );
    assert_eq!(other.ask("").await, "MSG a 9 1\r\nx\r\n");

    // Its own subscription is nobody who could respond; its inbox hears of that nevertheless.
    other.send("UNSUB 9\r\n").await;
    other.flush().await;
    let answer = silent.ask("SUB i 2\r\nPUB a i 0\r\n\r\n").await;
    assert_eq!(answer, "HMSG i 2 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
}

#[tokio::test]
async fn headers_are_dropped_for_clients_without_them() {
    let broker = broker().await;
    let mut old = Raw::open(&broker).await;
    old.ask("CONNECT {\"verbose\":false}\r\nSUB > 1\r\n").await;
    let mut new = Raw::connect(&broker).await;
    new.send("HPUB a 12 13\r\nNATS/1.0\r\n\r\nx\r\n").await;
    // Also when the body is one of those that receivers share.
    let large = "y".repeat(10_000);
    new.send(format!("HPUB b 12 10012\r\nNATS/1.0\r\n\r\n{large}\r\n"))
        .await;
    new.flush().await;
    let expected = format!("MSG a 1 1\r\nx\r\nMSG b 1 10000\r\n{large}\r\n");
    assert_eq!(old.ask("").await, expected);
}
