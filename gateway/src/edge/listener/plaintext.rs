//! A client that speaks plain HTTP where TLS is expected: told so in its own words, as it could make
//! nothing of a TLS alert.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ANSWER: &str = "HTTP/1.1 400 Bad Request\r\n\
     content-type: text/plain; charset=utf-8\r\n\
     content-length: 45\r\n\
     connection: close\r\n\r\n\
     this port speaks TLS: use https:// or wss://\n";
/// Most bytes of the request that are read and forgotten.
const MOST: u64 = 64 << 10;

/// Whether what comes first is a letter: HTTP begins with a method, a TLS handshake with byte 22.
/// Nothing is taken from the stream.
pub(super) async fn is_http(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    let peeked = stream.peek(&mut first).await?;
    Ok(peeked == 1 && first[0].is_ascii_alphabetic())
}

/// Answers and closes. What the client still sends is read first, for closing a socket with unread
/// bytes resets it, and the answer would be lost.
pub(super) async fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(ANSWER.as_bytes()).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(MOST), &mut tokio::io::sink()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ANSWER;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let (head, body) = ANSWER.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
    }
}
