//! HTTP in front of the WebSockets: the upgrade at `/ws`, and what an operator asks for.

use std::cell::Cell;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, CONTENT_TYPE, HeaderName, ORIGIN, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tracing::debug;

use crate::hub::Hub;
use crate::origin;

/// A request's head, and the next one on the same connection, must be here within this time.
pub(crate) const HEAD: Duration = Duration::from_secs(10);
/// Longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 8 << 10;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

type Answer = Response<Full<Bytes>>;

/// A socket that has become a WebSocket.
#[derive(Debug)]
pub(crate) struct Upgraded<S> {
    pub(crate) stream: S,
    /// What already came on it.
    pub(crate) early: Bytes,
    /// Its place among the connections.
    pub(crate) seat: OwnedSemaphorePermit,
}

impl<S> Upgraded<S> {
    pub(crate) fn map<T>(self, change: impl FnOnce(S) -> T) -> Upgraded<T> {
        Upgraded {
            stream: change(self.stream),
            early: self.early,
            seat: self.seat,
        }
    }
}

/// Serves HTTP on `stream` until it has become a WebSocket, which is then the caller's, or until it is
/// over.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    hub: &Hub,
) -> Option<Upgraded<S>> {
    let seat = Cell::new(None);
    let (mut stream, early) = answers(stream, |request| answer(request, hub, &seat)).await?;
    if let Some(seat) = seat.take() {
        return Some(Upgraded {
            stream,
            early,
            seat,
        });
    }
    // Whoever does not take the end of what was said is not waited for.
    let _ = timeout(HEAD, stream.shutdown()).await;
    None
}

/// Tells whoever speaks HTTP where TLS is spoken.
pub(crate) async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    let refusal = "this node speaks TLS here: connect with wss://, or https:// where it is not /ws";
    let refuse = |_: &_| {
        let refusal = plain(StatusCode::BAD_REQUEST, refusal);
        with_header(refusal, CONNECTION, "close")
    };
    let answered = answers(stream, refuse).await;
    if let Some((mut stream, _)) = answered {
        let _ = timeout(HEAD, stream.shutdown()).await;
    }
}

/// Answers requests on `stream` until there are no more; gives it back, and what came on it since.
async fn answers<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    answer: impl Fn(&Request<Incoming>) -> Answer,
) -> Option<(S, Bytes)> {
    let service = service_fn(|request| {
        let answer = answer(&request);
        async { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_header_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .without_shutdown();
    match connection.await {
        Ok(parts) => Some((parts.io.into_inner(), parts.read_buf)),
        Err(error) => {
            debug!(%error, "HTTP connection ended");
            None
        }
    }
}

fn answer(
    request: &Request<Incoming>,
    hub: &Hub,
    seat: &Cell<Option<OwnedSemaphorePermit>>,
) -> Answer {
    match (request.method(), request.uri().path()) {
        (_, "/ws") => upgrade(request, hub, seat),
        (&Method::GET, "/healthz") => plain(StatusCode::OK, "ok"),
        (&Method::GET, "/readyz") => match hub.not_stored() {
            None => plain(StatusCode::OK, "ready"),
            Some(why) => plain(StatusCode::SERVICE_UNAVAILABLE, why.to_string()),
        },
        (&Method::GET, "/metrics") if !hub.is_operator(request.headers()) => with_header(
            plain(
                StatusCode::UNAUTHORIZED,
                "this is for the node's operator: send Authorization: Bearer and the operator's token",
            ),
            WWW_AUTHENTICATE,
            "Bearer",
        ),
        (&Method::GET, "/metrics") => match hub.snapshot().into_text() {
            Ok(text) => with_header(plain(StatusCode::OK, text), CONTENT_TYPE, OPENMETRICS),
            Err(_) => plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "metrics cannot be written",
            ),
        },
        _ => plain(
            StatusCode::NOT_FOUND,
            "there is nothing here: a node has GET /ws, /healthz, /readyz and /metrics",
        ),
    }
}

/// 101, with a `seat`, or why not.
fn upgrade(
    request: &Request<Incoming>,
    hub: &Hub,
    seat: &Cell<Option<OwnedSemaphorePermit>>,
) -> Answer {
    let origin = request.headers().get(ORIGIN);
    let welcome = |origin| origin::is_welcome(origin, hub.domain());
    let refusal = if hub.is_stopping() {
        plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "this node is stopping: try again in a moment",
        )
    } else if origin.is_some_and(|origin| !origin.to_str().is_ok_and(welcome)) {
        plain(
            StatusCode::FORBIDDEN,
            "this page may not connect: its Origin is neither this node's domain nor this machine",
        )
    } else {
        match (
            create_response_with_body(request, Full::default),
            hub.seat(),
        ) {
            (Ok(switching), Some(taken)) => {
                seat.set(Some(taken));
                return switching;
            }
            (Ok(_), None) => plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "this node has all the connections that it takes: try again later",
            ),
            (Err(error), _) => no_websocket(&error),
        }
    };
    hub.count_refused();
    refusal
}

/// Says what a request lacks to become a WebSocket.
fn no_websocket(error: &Error) -> Answer {
    match error {
        Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => with_header(
            plain(
                StatusCode::UPGRADE_REQUIRED,
                "a WebSocket request has Sec-WebSocket-Version: 13",
            ),
            SEC_WEBSOCKET_VERSION,
            "13",
        ),
        Error::Protocol(
            ProtocolError::MissingConnectionUpgradeHeader
            | ProtocolError::MissingUpgradeWebSocketHeader,
        ) => with_header(
            plain(
                StatusCode::UPGRADE_REQUIRED,
                "this is a WebSocket address: send Connection: Upgrade and Upgrade: websocket",
            ),
            UPGRADE,
            "websocket",
        ),
        error => plain(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

fn plain(status: StatusCode, line: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(line.into()));
    *answer.status_mut() = status;
    with_header(answer, CONTENT_TYPE, TEXT)
}

fn with_header(mut answer: Answer, name: HeaderName, value: &'static str) -> Answer {
    let value = hyper::header::HeaderValue::from_static(value);
    answer.headers_mut().insert(name, value);
    answer
}
