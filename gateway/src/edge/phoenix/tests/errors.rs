//! Every error code over sockets: both serializers, text and binary; and those that this edge says
//! itself.

use serde_json::{Value, json};
use sluice_protocol::{Encoding, Executed, Payload};
use tokio_tungstenite::tungstenite::Message;

use super::rig::{Rig, options};
use crate::edge::error_table::{RAN, TABLE};
use crate::edge::phoenix::frame::Vsn;

/// A push and what is read of the answer to it, in one serializer.
struct Client {
    rig: Rig,
    vsn: Vsn,
}

impl Client {
    async fn joined(vsn: Vsn) -> Self {
        let rig = Rig::start(options(), vsn, true, 64);
        let mut client = Self { rig, vsn };
        client.push("1", "phx_join", &json!({}));
        assert_eq!(client.event().await.0, "phx_reply");
        client
    }

    fn push(&self, reference: &str, event: &str, payload: &Value) {
        let topic = "api:x";
        self.rig.send(match self.vsn {
            Vsn::V2 => json!(["1", reference, topic, event, payload]),
            Vsn::V1 => json!({
                "topic": topic, "event": event, "payload": payload, "ref": reference,
                "join_ref": "1",
            }),
        });
    }

    /// The next frame's event and payload.
    async fn event(&mut self) -> (String, Value) {
        let frame = self.rig.json().await;
        let (event, payload) = match self.vsn {
            Vsn::V2 => (&frame[3], &frame[4]),
            Vsn::V1 => (&frame["event"], &frame["payload"]),
        };
        (event.as_str().unwrap().to_owned(), payload.clone())
    }
}

fn request(id: &str) -> Value {
    json!({ "request_id": id, "service": "s", "request_type": "f" })
}

#[tokio::test(start_paused = true)]
async fn every_code_has_its_envelope() {
    for vsn in [Vsn::V2, Vsn::V1] {
        let mut client = Client::joined(vsn).await;
        for (number, row) in TABLE.iter().enumerate() {
            for (executed, idempotent) in RAN {
                let id = format!("{number}-{executed:?}-{idempotent}");
                client.push(&id, "phoenix_gen_api", &request(&id));
                let (event, reply) = client.event().await;
                assert_eq!(event, "phx_reply");
                assert_eq!(reply, json!({"status": "ok", "response": "f"}));
                client
                    .rig
                    .asked()
                    .await
                    .fail(row.error(executed, idempotent));
                let (event, response) = client.event().await;
                assert_eq!(event, "phoenix_gen_api");
                let expected = row.envelope(&id, executed, idempotent);
                assert_eq!(response, expected, "{vsn:?} {}", row.code);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_code_has_its_envelope_in_binary() {
    let mut rig = Rig::joined("api:x").await;
    for row in &TABLE {
        let payload = super::rig::message_pack(&request(row.code));
        let mut frame = vec![0, 1, 1, 5, 15];
        frame.extend_from_slice(b"11api:xphoenix_gen_api");
        frame.extend_from_slice(&payload);
        rig.message(Message::binary(frame));
        rig.binary().await;
        rig.asked().await.fail(row.error(Executed::No, false));
        let frame = rig.binary().await;
        // A push: kind, three lengths, join_ref, topic, event.
        let start = 4 + usize::from(frame[1]) + usize::from(frame[2]) + usize::from(frame[3]);
        let packed = Payload::message_pack(frame.slice(start..));
        let json = packed.transcode(Encoding::Json).unwrap();
        let response: Value = serde_json::from_slice(&json.bytes).unwrap();
        assert_eq!(response, row.envelope(row.code, Executed::No, false));
    }
}

#[tokio::test(start_paused = true)]
async fn codes_that_this_edge_says_itself() {
    for vsn in [Vsn::V2, Vsn::V1] {
        let mut client = Client::joined(vsn).await;
        client.push("2", "phoenix_gen_api", &request("held"));
        client.event().await;
        let held = client.rig.asked().await;
        for (payload, code) in [
            (json!({}), "invalid_request"),
            (
                json!({"service": "s", "request_type": "f"}),
                "invalid_request",
            ),
            (request("held"), "duplicate_request"),
        ] {
            client.push("3", "phoenix_gen_api", &payload);
            let (_, reply) = client.event().await;
            let (event, response) = client.event().await;
            assert_eq!(
                (event.as_str(), &reply["status"]),
                ("phoenix_gen_api", &json!("error"))
            );
            assert_eq!(reply["response"], response, "the reply says the same");
            assert_eq!(response["error_code"], code, "{vsn:?}");
            assert_eq!(response["can_retry"], json!(false));
            assert_eq!(response["error_source"], "client");
            assert_eq!(response["details"]["executed"], "no");
        }
        drop(held);
    }
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_needs_a_user_refuses_before_it_reads() {
    let mut options = options();
    options.require_user = true;
    for vsn in [Vsn::V2, Vsn::V1] {
        let rig = Rig::start(options.clone(), vsn, true, 64);
        let mut client = Client { rig, vsn };
        client.push("1", "phx_join", &json!({}));
        client.event().await;
        // Also a claim in the request itself makes no user.
        let mut claiming = request("r");
        claiming["user_id"] = json!("u1");
        for (payload, id) in [
            (claiming, "r"),
            (json!({}), "unknown"),
            (json!([1]), "unknown"),
        ] {
            client.push("2", "phoenix_gen_api", &payload);
            let (_, reply) = client.event().await;
            let (_, response) = client.event().await;
            assert_eq!(reply, json!({"status": "error", "response": response}));
            assert_eq!(response["error_code"], "unauthenticated");
            assert_eq!(response["request_id"], id);
        }
        assert!(client.rig.try_asked().is_none());
    }
}
