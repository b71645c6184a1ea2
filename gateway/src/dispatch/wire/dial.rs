//! One attempt to connect: greeting, TLS, who we are, and whether the server takes us.

use std::io;
use std::time::Duration;

use async_nats::ServerInfo;
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::parse::{Op, Parsed, first};
use super::servers::Server;
use super::{sign_in, tls};
use crate::config::Nats;

/// For everything up to the server's word that it takes us, for each of its addresses.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// What is read at once.
pub(super) const READ_BUFFER: usize = 64 * 1024;

/// Bytes in both directions, in secret or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection that a server has taken.
pub(super) struct Dialled {
    pub(super) stream: Box<dyn Stream>,
    /// What was read and not looked at.
    pub(super) input: BytesMut,
    pub(super) info: ServerInfo,
}

/// Connects to a server: to the first of its addresses that takes us.
///
/// # Errors
/// What the last one said.
pub(super) async fn dial(server: &Server, options: &Nats, name: &str) -> io::Result<Dialled> {
    let mut last = io::Error::other("its name has no address");
    let target = (
        server.address.host().trim_matches(['[', ']']),
        server.address.port(),
    );
    let addresses = tokio::time::timeout(HANDSHAKE, tokio::net::lookup_host(target));
    for address in addresses.await.map_err(|_| too_slow())?? {
        let attempt = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            greet(stream, server, options, name).await
        };
        match tokio::time::timeout(HANDSHAKE, attempt).await {
            Ok(Ok(dialled)) => return Ok(dialled),
            Ok(Err(error)) => last = error,
            Err(_) => last = too_slow(),
        }
    }
    Err(last)
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it took too long to connect")
}

async fn greet(
    stream: TcpStream,
    server: &Server,
    options: &Nats,
    name: &str,
) -> io::Result<Dialled> {
    let mut input = BytesMut::with_capacity(READ_BUFFER);
    let wanted = server.tls || options.tls_require;
    if options.tls_first {
        let mut stream = tls::connect(stream, &server.name, options).await?;
        let info = greeting(&mut stream, &mut input).await?;
        return sign_in(Box::new(stream), input, info, options, name, true).await;
    }
    let mut stream = stream;
    let info = greeting(&mut stream, &mut input).await?;
    if !(wanted || info.tls_required) {
        return sign_in(Box::new(stream), input, info, options, name, false).await;
    }
    // What came in the clear could have been put there by anybody.
    input.clear();
    let stream = tls::connect(stream, &server.name, options).await?;
    sign_in(Box::new(stream), input, info, options, name, true).await
}

async fn greeting(stream: &mut impl Stream, input: &mut BytesMut) -> io::Result<ServerInfo> {
    match next(stream, input).await? {
        Op::Info(info) if info.headers => Ok(*info),
        Op::Info(info) => Err(io::Error::other(format!(
            "NATS {} takes no headers: 2.2 or newer is needed",
            info.version
        ))),
        Op::Err(error) => Err(io::Error::other(error)),
        _ => Err(io::Error::other("it did not greet as a NATS server does")),
    }
}

async fn sign_in(
    mut stream: Box<dyn Stream>,
    mut input: BytesMut,
    mut info: ServerInfo,
    options: &Nats,
    name: &str,
    tls: bool,
) -> io::Result<Dialled> {
    let line = sign_in::connect_line(options, name, tls, &info)? + "PING\r\n";
    stream.write_all(line.as_bytes()).await?;
    stream.flush().await?;
    loop {
        match next(&mut stream, &mut input).await? {
            Op::Pong => break,
            Op::Err(error) => return Err(io::Error::other(error)),
            Op::Ping => stream.write_all(b"PONG\r\n").await?,
            // It may tell more to those that it knows.
            Op::Info(newer) => info = *newer,
            Op::Ok | Op::Message(_) => {}
        }
    }
    Ok(Dialled {
        stream,
        input,
        info,
    })
}

/// The next operation of a connection that is not in use yet.
async fn next(stream: &mut (impl Stream + ?Sized), input: &mut BytesMut) -> io::Result<Op> {
    loop {
        match first(input).map_err(io::Error::other)? {
            Parsed::Op(op, length) => {
                input.advance(length);
                return Ok(op);
            }
            Parsed::Part(_) if stream.read_buf(input).await? == 0 => {
                let text = "the server ended the connection";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
            }
            Parsed::Part(_) => {}
        }
    }
}
