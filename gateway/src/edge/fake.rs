//! A gateway behind the edge that does what its name says: for tests of the edge.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;
use sluice_protocol::argument::ArgTypes;
use sluice_protocol::function::{Kind, ResponseType};
use sluice_protocol::http::ResponseHead;
use sluice_protocol::response::Answer;
use sluice_protocol::{
    ApiVersion, CallError, ErrorCode, FunctionName, FunctionSpec, Payload, ServiceName,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::capacity::Capacity;
use super::http::{Edge, Parts};
use super::service::CallService;
use crate::config::Config;
use crate::health::Health;
use crate::identity::Identifier;
use crate::pipeline::{Call, HttpRequest};
use crate::registry::routes::{Lookup, Target};
use crate::registry::wanted::Wanted;
use crate::reply::{Answers, Reply};
use crate::results::memory::MemoryResults;
use crate::telemetry::Recorder;
use crate::telemetry::meters::EdgeKind;

/// The user who has version 1 pinned.
pub(super) const PINNED: &str = "pinned";

/// How many answers wait between a call's far end and the edge.
pub(super) const CHANNEL: usize = 4;

/// The far end of a call that is not answered at once.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) answers: mpsc::Sender<Answer>,
    pub(super) cancelled: CancellationToken,
}

/// Functions of any service: `echo`, `fail`, `none`, `hold` (sync), `report` (async),
/// `items` (stream); those of [`Rig::with`] are known with types. At `/r/{name}` and `/r/{name}/{n}`
/// they are routes, at `/resources/{name}` a resource is. The user `pinned` gets version 1 of them.
#[derive(Debug)]
pub(super) struct Fake {
    functions: HashMap<&'static str, Arc<FunctionSpec>>,
    seen: Mutex<Vec<Call>>,
    open: mpsc::UnboundedSender<Open>,
    scripted: Mutex<Option<CallError>>,
    recorder: Recorder,
}

fn spec(name: &str, response_type: ResponseType) -> FunctionSpec {
    let (service, name) = (ServiceName::new("s"), FunctionName::new(name));
    let mut spec = FunctionSpec::new(service.unwrap(), name.unwrap());
    spec.response_type = response_type;
    spec.arg_types = ArgTypes::from_json(&json!({"n": "num", "l": "list_string"})).ok();
    spec
}

impl Fake {
    /// What came through, in order.
    pub(super) fn seen(&self) -> Vec<Call> {
        self.seen.lock().clone()
    }

    /// How many requests with this error became no call.
    pub(super) fn refused(&self, code: ErrorCode) -> u64 {
        self.recorder.meters.get_refused(EdgeKind::Http, code)
    }

    /// What calls of `scripted` end with from now on.
    pub(super) fn fail_with(&self, error: CallError) {
        *self.scripted.lock() = Some(error);
    }

    fn hold(&self) -> Answers {
        let (answers, receiver) = mpsc::channel(CHANNEL);
        let cancelled = CancellationToken::new();
        let out = Answers::new(receiver, cancelled.clone());
        let open = Open { answers, cancelled };
        // A test that does not look wants the call to be given up.
        let _ = self.open.send(open);
        out
    }
}

impl CallService for Fake {
    async fn call(&self, call: Box<Call>) -> Result<Reply, CallError> {
        self.seen.lock().push((*call).clone());
        if let Some(request) = call
            .http
            .as_deref()
            .filter(|_| call.request_type.as_str() == "page")
        {
            return page(request, call.request_id.as_str() == "pieces").await;
        }
        match call.request_type.as_str() {
            "echo" | "typed" => Ok(Reply::Result(call.args)),
            "binary" => Ok(Reply::Result(Payload::message_pack(vec![0xc4, 1, 7]))),
            "fail" => Err(CallError::new(ErrorCode::RateLimited, "slow down")
                .with_detail("retry_after_ms", 1500)),
            "broken" => Err(CallError::new(ErrorCode::NoWorkers, "nobody is there")),
            "scripted" => Err(self.scripted.lock().clone().unwrap()),
            "none" => Ok(Reply::Accepted),
            "report" => Ok(Reply::Async(self.hold())),
            "items" => Ok(Reply::Stream(self.hold())),
            "hold" => match self.hold().next().await {
                Some(Answer::Result(payload)) => Ok(Reply::Result(payload)),
                Some(Answer::Error(error)) => Err(*error),
                other => panic!("a sync call was answered {other:?}"),
            },
            other => Err(CallError::new(
                ErrorCode::UnknownFunction,
                format!("there is no function {other}"),
            )),
        }
    }

    fn function(
        &self,
        _: &str,
        request_type: &str,
        wanted: Wanted<'_>,
    ) -> Option<Arc<FunctionSpec>> {
        let known = self.functions.get(request_type)?;
        if wanted.version.is_some() || wanted.user != Some(PINNED) {
            return Some(known.clone());
        }
        let mut old = FunctionSpec::clone(known);
        old.version = ApiVersion::new("1").ok();
        old.arg_types = ArgTypes::from_json(&json!({"n": "string"})).ok();
        Some(Arc::new(old))
    }

    fn recorder(&self) -> Option<&Recorder> {
        Some(&self.recorder)
    }

    fn has_pins(&self) -> bool {
        true
    }

    fn route(&self, _: &str, path: &str, wanted: Wanted<'_>) -> Lookup {
        let mut segments = path.split('/').skip(1);
        let (Some(at @ ("r" | "resources")), Some(name)) = (segments.next(), segments.next())
        else {
            return Lookup::Nothing;
        };
        if path.len() > 1 && path.ends_with('/') {
            return Lookup::WithoutSlash;
        }
        if wanted.version == Some("9") {
            let (of, known) = (format!("s.{name}"), vec!["1".to_owned()]);
            return Lookup::Version { of, known };
        }
        let known = self.function("s", name, wanted);
        let mut spec = known.unwrap_or_else(|| Arc::new(spec(name, ResponseType::Sync)));
        if at == "resources" {
            Arc::make_mut(&mut spec).kind = Kind::Resource;
        }
        let param = segments.next().map(|n| ("n".to_owned(), n.to_owned()));
        Lookup::Found(Box::new(Target {
            service: spec.service.clone(),
            request_type: spec.request_type.clone(),
            version: spec.version.as_ref().map(ToString::to_string),
            params: param.into_iter().collect(),
            spec,
        }))
    }
}

/// A resource of 2000 bytes: text, or what `?type=` says, with the further fields of `?fields=`
/// (`name:value;…`), and one that is `?named=` so and has the value `?place=`. Its tag is `"1"`, or what `?tag=` says. In pieces: all of it twice.
async fn page(request: &HttpRequest, in_pieces: bool) -> Result<Reply, CallError> {
    let head = &request.head;
    let of = |name: &str| {
        let pairs = head.query.as_deref().unwrap_or_default().split('&');
        let mut pairs = pairs.filter_map(|pair| pair.split_once('='));
        pairs.find(|(own, _)| *own == name).map(|(_, value)| value)
    };
    let tag = format!("\"{}\"", of("tag").unwrap_or("1"));
    let current = head
        .headers
        .iter()
        .any(|(name, value)| name == "if-none-match" && *value == tag);
    let mut headers = vec![
        ("etag".to_owned(), tag),
        (
            "content-type".to_owned(),
            of("type").unwrap_or("text/plain").to_owned(),
        ),
    ];
    let further = of("fields").unwrap_or_default().split(';');
    headers.extend(
        further
            .filter_map(|field| field.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    if let (Some(name), Some(place)) = (of("named"), of("place")) {
        let place = percent_encoding::percent_decode_str(place).decode_utf8();
        headers.push((name.to_owned(), place.unwrap().into_owned()));
    }
    let status = of("status").map_or(200, |status| status.parse().unwrap());
    let status = if current { 304 } else { status };
    let head = ResponseHead { status, headers };
    let head = head.to_value().unwrap();
    let body = "page ".repeat(400);
    if !in_pieces {
        return Ok(Reply::Result(Payload::http(&head, body.as_bytes())));
    }
    let (sender, receiver) = mpsc::channel(CHANNEL);
    let none = ResponseHead {
        status: 200,
        headers: Vec::new(),
    };
    let none = none.to_value().unwrap();
    for (head, last) in [(&head, false), (&none, true)] {
        let payload = Payload::http(head, body.as_bytes());
        let _ = sender.send(Answer::Item { payload, last }).await;
    }
    Ok(Reply::Stream(Answers::new(
        receiver,
        CancellationToken::new(),
    )))
}

/// An edge with its fake, and what a test may want to look at.
pub(super) struct Rig {
    pub(super) edge: Edge<Fake>,
    pub(super) fake: Arc<Fake>,
    pub(super) health: Arc<Health>,
    pub(super) capacity: Arc<Capacity>,
    pub(super) open: mpsc::UnboundedReceiver<Open>,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.identity.trust_client_identity = true;
        change(&mut config);
        let (open, opened) = mpsc::unbounded_channel();
        let functions = [
            ("echo", ResponseType::Sync),
            ("typed", ResponseType::Sync),
            ("none", ResponseType::None),
            ("report", ResponseType::Async),
            ("items", ResponseType::Stream),
        ];
        let fake = Arc::new(Fake {
            functions: functions
                .into_iter()
                .map(|(name, kind)| (name, Arc::new(spec(name, kind))))
                .collect(),
            seen: Mutex::default(),
            open,
            scripted: Mutex::default(),
            recorder: Recorder::default(),
        });
        let health = Arc::new(Health::default());
        let capacity = Arc::new(Capacity::new(&config));
        let parts = Parts {
            page: None,
            results: Arc::new(MemoryResults::new(&config.results)),
            health: health.clone(),
            identifier: Arc::new(Identifier::new(&config)),
            config: Arc::new(config),
            capacity: capacity.clone(),
        };
        Self {
            edge: Edge::new(fake.clone(), parts),
            fake,
            health,
            capacity,
            open: opened,
        }
    }

    /// The far end of the next call that waits.
    pub(super) async fn opened(&mut self) -> Open {
        next_open(&mut self.open).await
    }
}

pub(super) async fn next_open(open: &mut mpsc::UnboundedReceiver<Open>) -> Open {
    within("a call that waits", open.recv()).await.unwrap()
}

/// What comes in any case, but not after any time.
pub(super) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let limit = std::time::Duration::from_secs(60);
    let result = tokio::time::timeout(limit, future).await;
    result.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// An item of a stream.
pub(super) fn item(json: &str) -> Answer {
    Answer::Item {
        payload: Payload::json(json.to_owned()),
        last: false,
    }
}

/// A result.
pub(super) fn result(json: &str) -> Answer {
    Answer::Result(Payload::json(json.to_owned()))
}
