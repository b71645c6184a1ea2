//! From an HTTP request to a socket.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    CONNECTION, HOST, HeaderName, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use sluice_protocol::{CallError, ErrorCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_util::task::TaskTracker;

use super::auth::{Offer, SocketAuth};
use super::clock::Drain;
use super::frame::Vsn;
use super::options::Phoenix as Options;
use super::origin;
use super::service::CallService;
use super::socket::{Shared, Socket};
use super::transport::{ClientSocket, Wire};
use crate::edge::identity::{CHALLENGE, Peer};
use crate::edge::version_source::Named;
use crate::identity::Session;
use crate::live::{self, Live, Ticket};

/// The sub-protocol of Phoenix's own clients, echoed where it is offered.
const SUB_PROTOCOL: &str = "phoenix";
/// A buffer of each socket. Small: it is cleared before each read.
const READ_BUFFER: usize = 3 << 10;
/// Written at once when there is more, flushed when there is less and nothing follows.
const WRITE_BUFFER: usize = 16 << 10;
/// After the close frames, how long and for how many bytes a client may go on sending.
const LINGER: (Duration, usize) = (Duration::from_secs(2), 4 << 20);

/// The sockets of one shard.
#[derive(Debug)]
pub struct Sockets<C, A> {
    shared: Arc<Shared<C, A>>,
    open: TaskTracker,
    live: Arc<Live>,
}

impl<C: CallService, A: SocketAuth> Sockets<C, A> {
    /// No sockets yet.
    pub fn new(options: Options, service: C, auth: A, drain: Drain) -> Self {
        Self {
            shared: Arc::new(Shared {
                options,
                service,
                auth,
                drain,
            }),
            open: TaskTracker::new(),
            live: Arc::default(),
        }
    }

    /// The same; they are on this list.
    #[must_use]
    pub fn listed_in(mut self, live: Arc<Live>) -> Self {
        self.live = live;
        self
    }

    /// Whether requests to `path` are for [`Self::upgrade`].
    #[must_use]
    pub fn serves(&self, path: &str) -> bool {
        self.shared.options.enabled && path == self.shared.options.path
    }

    /// How many sockets are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open.len()
    }

    /// Resolves when all sockets are closed, after the drain has begun.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        let open = self.open.clone();
        async move {
            open.close();
            open.wait().await;
        }
    }

    /// Answers a request to [`Options::path`]: 101, and a task that serves the socket on the
    /// current runtime; or the reason why not. The body is text.
    ///
    /// `guard` is dropped when the socket is closed: a permit of the connection, for example.
    pub fn upgrade<B>(
        &self,
        request: &mut Request<B>,
        guard: impl Send + 'static,
    ) -> Response<String> {
        let accepted = match self.check(request) {
            Ok(accepted) => accepted,
            Err(refusal) => return refusal.into_response(),
        };
        let response = accepted.response();
        let (vsn, session) = (accepted.vsn, accepted.session);
        let address = accepted.address;
        let version = request.extensions().get::<Named>().map(|n| n.0.clone());
        let upgrade = hyper::upgrade::on(request);
        let shared = Arc::clone(&self.shared);
        let ticket = self.live.sockets.open(live::Socket {
            user: session.identity.user_id.clone(),
            api_key: session.caller.api_key.clone(),
            address,
            ..live::Socket::default()
        });
        self.open.spawn(async move {
            serve(upgrade, shared, vsn, session, (address, version), ticket).await;
            drop(guard);
        });
        response
    }

    fn check<B>(&self, request: &Request<B>) -> Result<Accepted, Refusal> {
        let headers = request.headers();
        let key = check_handshake(request.method(), request.version(), headers)?;
        let allow = &self.shared.options.check_origin;
        if !origin::allowed(text(headers, &ORIGIN), text(headers, &HOST), allow) {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "this origin may not connect; see phoenix.check_origin",
            ));
        }
        let query = request.uri().query().unwrap_or_default();
        let offer = Offer { query, headers };
        let vsn = read_vsn(&offer)?;
        let auth = &self.shared.auth;
        let peer = request.extensions().get::<Peer>();
        let address = peer.map(|p| auth.address(p.0, headers));
        auth.admits(address)?;
        let session = auth.connect(&offer);
        let session = session.inspect_err(|error| auth.note(address, error))?;
        Ok(Accepted {
            accept: derive_accept_key(key.as_bytes()),
            phoenix: offer.protocols().any(|p| p == SUB_PROTOCOL),
            vsn,
            session,
            address,
        })
    }
}

/// A request that becomes a socket.
struct Accepted {
    accept: String,
    phoenix: bool,
    vsn: Vsn,
    session: Arc<Session>,
    address: Option<IpAddr>,
}

impl Accepted {
    fn response(&self) -> Response<String> {
        let mut response = Response::new(String::new());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        // Base64 is a header value.
        if let Ok(accept) = HeaderValue::from_str(&self.accept) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        if self.phoenix {
            let phoenix = HeaderValue::from_static(SUB_PROTOCOL);
            headers.insert(SEC_WEBSOCKET_PROTOCOL, phoenix);
        }
        response
    }
}

/// Why a request does not become a socket.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    text: String,
    header: Option<(HeaderName, &'static str)>,
}

impl Refusal {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
            header: None,
        }
    }

    fn into_response(self) -> Response<String> {
        let mut response = Response::new(self.text);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(http::header::CONTENT_TYPE, plain);
        if let Some((name, value)) = self.header {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// Who may not connect is told why as calls are.
impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        let status = StatusCode::from_u16(error.code.http_status());
        let header = match error.code {
            ErrorCode::Unauthenticated => Some((WWW_AUTHENTICATE, CHALLENGE)),
            _ => None,
        };
        Self {
            header,
            ..Self::new(status.unwrap_or(StatusCode::UNAUTHORIZED), error.message)
        }
    }
}

/// The key of a handshake that is as RFC 6455 §4.2.1 wants it.
fn check_handshake<'a>(
    method: &Method,
    version: Version,
    headers: &'a HeaderMap,
) -> Result<&'a str, Refusal> {
    let bad = |text: &str| Refusal::new(StatusCode::BAD_REQUEST, text);
    if method != Method::GET {
        return Err(bad("sockets are opened with GET"));
    }
    let upgrade_required = |header, text: &str| Refusal {
        header: Some(header),
        ..Refusal::new(StatusCode::UPGRADE_REQUIRED, text)
    };
    if version != Version::HTTP_11 {
        return Err(bad("sockets are opened over HTTP/1.1"));
    }
    if !has_token(headers, &UPGRADE, "websocket") || !has_token(headers, &CONNECTION, "upgrade") {
        return Err(upgrade_required(
            (UPGRADE, "websocket"),
            "this path speaks WebSocket: send \"Connection: Upgrade\" and \"Upgrade: websocket\"",
        ));
    }
    if text(headers, &SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(upgrade_required(
            (SEC_WEBSOCKET_VERSION, "13"),
            "Sec-WebSocket-Version must be 13",
        ));
    }
    // 16 bytes in base64.
    text(headers, &SEC_WEBSOCKET_KEY)
        .filter(|key| key.len() == 24)
        .ok_or_else(|| bad("Sec-WebSocket-Key must be 16 bytes in base64"))
}

/// Phoenix takes `~> 2.0.0` and `~> 1.0.0`, and the latter where nothing is said.
fn read_vsn(offer: &Offer<'_>) -> Result<Vsn, Refusal> {
    let vsn = offer.params().filter(|(key, _)| key == "vsn").last();
    let Some((_, vsn)) = vsn else {
        return Ok(Vsn::V1);
    };
    match vsn.rsplit_once('.') {
        Some(("1.0", patch)) if patch.parse::<u32>().is_ok() => Ok(Vsn::V1),
        Some(("2.0", patch)) if patch.parse::<u32>().is_ok() => Ok(Vsn::V2),
        _ => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "vsn must be 2.0.0 or 1.0.0",
        )),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

async fn serve<C: CallService, A: SocketAuth>(
    upgrade: OnUpgrade,
    shared: Arc<Shared<C, A>>,
    vsn: Vsn,
    session: Arc<Session>,
    (address, version): (Option<IpAddr>, Option<String>),
    ticket: Ticket<live::Socket>,
) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%error, "the connection ended before it became a socket");
            return;
        }
    };
    let config = websocket_config(shared.options.max_frame_bytes);
    let transport = ClientSocket::new(upgraded, config).await;
    let transport = Socket::new(transport, shared, vsn, session, address)
        .listed_as(ticket)
        .speaking(version)
        .run()
        .await;
    linger(transport.into_inner()).await;
}

/// The transport's own limits; a message is refused by the length that it announces.
pub(super) fn websocket_config(max_frame_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(max_frame_bytes))
        .max_frame_size(Some(max_frame_bytes))
}

/// Reads on for a moment: a connection that is closed with bytes unread is reset, and a reset may
/// overtake the close frame that says why.
async fn linger(mut io: Wire) {
    let (time, mut bytes) = LINGER;
    let rest = async {
        io.shutdown().await?;
        let mut buffer = [0; READ_BUFFER];
        while bytes > 0 {
            match io.read(&mut buffer).await? {
                0 => break,
                n => bytes = bytes.saturating_sub(n),
            }
        }
        Ok::<(), std::io::Error>(())
    };
    let _ = tokio::time::timeout(time, rest).await;
}
