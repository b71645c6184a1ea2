//! The commands for operators, as a shell runs them.

use std::process::Command;

use serde_json::Value;
use sluice_e2e::gateway::Gateway;
use sluice_e2e::socket::Socket;
use sluice_e2e::{Error, binaries, eventually};

use crate::{TOKEN, answers, cluster, echo, two_versions};

/// Exit code, output, and what was said beside it.
async fn sluice(gateway: &Gateway, line: &str) -> (i32, String, String) {
    let mut command = Command::new(binaries::ours("sluice").unwrap());
    command.args(line.split(' '));
    command.env("SLUICE_ADMIN_URL", gateway.admin_url());
    command.env("SLUICE_ADMIN_TOKEN", TOKEN);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

async fn ok(gateway: &Gateway, line: &str) -> String {
    let (code, out, err) = sluice(gateway, line).await;
    assert_eq!(code, 0, "sluice {line}: {out}{err}");
    out
}

async fn json(gateway: &Gateway, line: &str) -> Value {
    serde_json::from_str(&ok(gateway, line).await).unwrap()
}

#[tokio::test]
async fn versions_are_steered_from_the_command_line() {
    let cluster = two_versions().await;
    let (one, two) = (cluster.gateway(0), cluster.gateway(1));
    let said = ok(one, "versions disable demo echo 1.1.0").await;
    assert_eq!(said, "demo.echo 1.1.0: disabled at all gateways\n");
    answers(two, Some("1.1.0"), "function_disabled").await;
    let listed = ok(two, "versions list --service demo --function echo").await;
    assert!(listed.contains("disabled"), "{listed}");
    let listed = json(two, "versions list --state disabled --json").await;
    assert_eq!(listed["versions"][0]["by"], "ann", "{listed}");
    ok(two, "versions enable demo echo 1.1.0").await;
    answers(one, Some("1.1.0"), "").await;
    ok(one, "versions latest demo echo 1.0.0").await;
    ok(one, "versions latest demo echo").await;
    let line = "versions deprecate demo echo 1.0.0 --at 2026-01-01 --sunset 2026-06-30 --link https://example.com/v2";
    ok(one, line).await;
    let listed = ok(one, "versions list --function echo").await;
    assert!(listed.contains("2026-06-30"), "{listed}");
    ok(one, "versions undeprecate demo echo 1.0.0").await;
    ok(one, "versions pin demo ^1 --user ann --function echo").await;
    assert!(ok(one, "versions pins").await.contains("^1"));
    ok(one, "versions unpin demo --user ann --function echo").await;
    ok(one, "versions delete demo echo 1.0.0").await;
    assert_eq!(echo(one, Some("1.0.0")).await.code(), "unknown_version");
    ok(one, "versions restore demo echo 1.0.0").await;
    answers(one, Some("1.0.0"), "").await;
    assert!(
        ok(one, "versions callers demo echo 1.0.0")
            .await
            .contains("CALLS")
    );
    // What is not known is decided all the same, and said.
    for line in ["versions disable demo nothing", "disable demo nothing"] {
        let (code, out, err) = sluice(one, line).await;
        assert_eq!(code, 3, "sluice {line}: {out}{err}");
        assert!(err.contains("knows no such function"), "{err}");
    }
    for line in [
        "disable demo add",
        "enable demo add",
        "versions latest demo add 9.9.9",
    ] {
        let (code, out, err) = sluice(one, line).await;
        assert_eq!(code, 3, "sluice {line}: {out}{err}");
        assert!(err.contains("it has the versions 1.0.0"), "{err}");
    }
    ok(one, "versions latest demo add").await;
    ok(one, "disable demo add 1.0.0").await;
    ok(one, "enable demo add 1.0.0").await;
    for (line, expected) in [
        ("versions restore demo echo 1.0.0", 3),
        ("versions unpin demo --user ann", 3),
        ("versions pin demo 1", 64),
        ("versions deprecate demo echo 1.0.0 --at soon", 64),
        ("versions list --token wrong-0123456789abcdef", 4),
        ("versions list --admin http://127.0.0.1:1", 2),
    ] {
        let (code, out, err) = sluice(one, line).await;
        assert_eq!(code, expected, "sluice {line}: {out}{err}");
        assert!(!err.is_empty(), "sluice {line}");
    }
}

#[tokio::test]
async fn instances_breakers_sockets_and_streams_are_looked_at_and_changed() {
    let cluster = cluster().gateways(1).workers(2).await.unwrap();
    let gateway = cluster.gateway(0);
    ok(gateway, "instances drain demo w0").await;
    let listed = json(gateway, "instances list --service demo --json").await;
    assert_eq!(listed["instances"][0]["drained"], true, "{listed}");
    assert!(ok(gateway, "instances list").await.contains("w0"));
    ok(gateway, "instances undrain demo w0").await;
    assert_eq!(sluice(gateway, "instances drain demo w9").await.0, 3);
    let (code, _, err) = sluice(gateway, "instances undrain demo w9").await;
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("it has w0, w1"), "{err}");
    ok(gateway, "breakers list").await;
    ok(gateway, "breakers reset").await;
    ok(gateway, "breakers reset --service demo --instance w0").await;
    assert_eq!(
        sluice(gateway, "breakers reset --function echo").await.0,
        64
    );
    let mut socket = Socket::joined(gateway.address()).await.unwrap();
    let listed = json(gateway, "sockets list --json").await;
    let id = listed["sockets"][0]["id"].as_str().unwrap();
    assert!(ok(gateway, "sockets list").await.contains("127.0.0.1"));
    ok(gateway, &format!("sockets close {id} --reason bye")).await;
    assert_eq!(socket.closed().await.unwrap().0.code, 1008);
    eventually("the socket is not listed any more", || async {
        match json(gateway, "sockets list --json").await {
            listed if listed["total"] == 0 => Ok(()),
            listed => Err(Error::new(listed.to_string())),
        }
    })
    .await
    .unwrap();
    assert_eq!(sluice(gateway, &format!("sockets close {id}")).await.0, 3);
    ok(gateway, "streams list").await;
    assert_eq!(sluice(gateway, "streams close 7").await.0, 64);
    let (code, _, err) = sluice(gateway, "streams close another-7").await;
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("of gateway another"), "{err}");
}

#[tokio::test]
async fn limits_the_audit_the_configuration_and_sticky_keys_are_looked_at_and_changed() {
    let cluster = cluster().gateways(1).workers(1).await.unwrap();
    let gateway = cluster.gateway(0);
    let set = "limits set five --key user_id --max-requests 5 --window-ms 60000 --service demo";
    ok(gateway, set).await;
    ok(gateway, "limits check five ann").await;
    let status = ok(gateway, "limits status five ann").await;
    let line = |name: &str| {
        status
            .lines()
            .find(|l| l.starts_with(name))
            .unwrap()
            .to_owned()
    };
    assert!(
        line("USED").ends_with('1') && line("LEFT").ends_with('4'),
        "{status}"
    );
    ok(gateway, "limits remove five").await;
    assert_eq!(sluice(gateway, "limits status five").await.0, 3);
    let wrong = "limits set five --key nonsense --max-requests 5 --window-ms 60000";
    assert_eq!(sluice(gateway, wrong).await.0, 64);
    let audit = ok(gateway, "audit --done").await;
    assert_eq!(audit.matches("limits:write").count(), 3, "{audit}");
    let config = ok(gateway, "config redis").await;
    assert!(config.contains("redis.timeout_ms"), "{config}");
    assert!(ok(gateway, "config admin.tokens").await.contains("***"));
    ok(gateway, "refused").await;
    assert!(
        ok(gateway, "refused --clear")
            .await
            .contains("forgotten: 0")
    );
    assert_eq!(
        sluice(gateway, "sticky get demo echo k --version 1.0.0")
            .await
            .0,
        3
    );
    ok(gateway, "sticky forget demo echo k --version 1.0.0").await;
}
