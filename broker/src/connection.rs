//! One socket: a task that reads and acts, a task that writes, and the timers of both.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::batch::Batch;
use crate::client::Client;
use crate::info::info_line;
use crate::refusal::Refusal;
use crate::server::Shared;
use crate::session::Session;

#[cfg(test)]
mod tests;

/// How much is read at once, from a quiet and from a busy connection.
const MIN_READ: usize = 4 * 1024;
const MAX_READ: usize = 64 * 1024;

/// How long a publisher is held back for a receiver that is far behind. Short: one slow client
/// must not stop the others, only give itself a chance to catch up before it is cut.
const MAX_STALL: Duration = Duration::from_millis(10);

/// Why a connection ended.
#[derive(Debug)]
enum End {
    /// The client closed it, or it broke.
    Gone,
    /// The broker shuts down, or another task found the connection dead.
    Stopped,
    Refused(Refusal),
}

/// Serves one client until it leaves, misbehaves, or `shutdown` is cancelled.
pub(crate) async fn serve<R, W>(
    shared: Arc<Shared>,
    id: u64,
    peer: IpAddr,
    (reader, writer): (R, W),
    shutdown: CancellationToken,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let client = Arc::new(Client::new(id, shared.options.max_pending));
    let close_timeout = shared.options.close_timeout;
    let writing = tokio::spawn(write_loop(Arc::clone(&client), writer, close_timeout));
    let mut connection = Connection {
        session: Session::new(Arc::clone(&shared), Arc::clone(&client)),
        reader,
        input: BytesMut::new(),
        read_size: MIN_READ,
    };
    let end = match greet(&shared, &client, peer) {
        Ok(()) => {
            connection
                .read_loop(&shutdown, shared.options.ping_interval)
                .await
        }
        Err(error) => {
            tracing::error!(%error, "cannot write INFO");
            End::Stopped
        }
    };
    tracing::debug!(client = id, ?end, "connection ends");
    connection.close(end, &shutdown, close_timeout).await;
    // It ends by itself: its time is limited once the connection stops.
    let _ = writing.await;
}

/// Greets a client and tells it why it cannot stay.
pub(crate) async fn turn_away<W: AsyncWrite + Unpin>(
    shared: &Shared,
    peer: IpAddr,
    mut writer: W,
    refusal: Refusal,
) {
    let Ok(info) = info_line(
        &shared.options,
        &shared.server_id,
        shared.local_addr,
        0,
        peer,
    ) else {
        return;
    };
    let bytes = info + &refusal.line();
    let farewell = async {
        writer.write_all(bytes.as_bytes()).await?;
        writer.shutdown().await
    };
    // Whether it listens or not, there is nothing more to do.
    let _ = timeout(shared.options.close_timeout, farewell).await;
}

fn greet(shared: &Shared, client: &Client, peer: IpAddr) -> serde_json::Result<()> {
    let info = info_line(
        &shared.options,
        &shared.server_id,
        shared.local_addr,
        client.id,
        peer,
    )?;
    client
        .outbox
        .push(|batch| batch.reserve(info.len()).extend_from_slice(info.as_bytes()));
    client.outbox.wake();
    Ok(())
}

struct Connection<R> {
    session: Session,
    reader: R,
    input: BytesMut,
    read_size: usize,
}

impl<R: AsyncRead + Unpin> Connection<R> {
    async fn read_loop(&mut self, shutdown: &CancellationToken, ping_interval: Duration) -> End {
        let stop = self.session.client.stop.clone();
        let (stopped, shut_down) = (stop.cancelled(), shutdown.cancelled());
        let tick = sleep(self.session.first_tick());
        tokio::pin!(stopped, shut_down, tick);
        loop {
            self.make_room();
            tokio::select! {
                biased;
                () = &mut stopped => return End::Stopped,
                () = &mut shut_down => return End::Stopped,
                () = &mut tick => {
                    if let Err(refusal) = self.session.tick() {
                        return End::Refused(refusal);
                    }
                    tick.as_mut().reset(Instant::now() + ping_interval);
                }
                read = self.reader.read_buf(&mut self.input) => match read {
                    Ok(0) | Err(_) => return End::Gone,
                    Ok(count) => {
                        if let Err(refusal) = self.act(count).await {
                            return End::Refused(refusal);
                        }
                    }
                }
            }
        }
    }

    /// Grows the buffer with what comes in, never ahead of it: a client that announces a large
    /// message has to send it before it takes up memory.
    fn make_room(&mut self) {
        if self.input.is_empty() && self.input.capacity() > 2 * MAX_READ {
            self.input = BytesMut::new();
        }
        let missing = self.session.needed().saturating_sub(self.input.len());
        self.input.reserve(missing.clamp(self.read_size, MAX_READ));
    }

    async fn act(&mut self, count: usize) -> Result<(), Refusal> {
        if count >= self.read_size {
            self.read_size = (self.read_size * 2).min(MAX_READ);
        } else if count < self.read_size / 4 {
            self.read_size = (self.read_size / 2).max(MIN_READ);
        }
        self.session.process(&mut self.input)?;
        if let Some(client) = self.session.take_backlogged() {
            // Over or not, it goes on: the bound on the outbox decides.
            let _ = timeout(MAX_STALL, client.outbox.wait_for_relief()).await;
        }
        Ok(())
    }

    async fn close(&mut self, end: End, shutdown: &CancellationToken, close_timeout: Duration) {
        self.session.end();
        let client = &self.session.client;
        let refusal = match end {
            End::Refused(refusal) => Some(refusal),
            End::Gone | End::Stopped => None,
        };
        client.outbox.close(refusal);
        client.stop.cancel();
        if refusal.is_some() {
            // Closing a socket with unread input resets it, and the reason would be lost.
            tokio::select! {
                () = self.discard_input() => {}
                () = sleep(close_timeout) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    async fn discard_input(&mut self) {
        loop {
            self.input.clear();
            self.input.reserve(MIN_READ);
            if let Ok(0) | Err(_) = self.reader.read_buf(&mut self.input).await {
                return;
            }
        }
    }
}

/// Writes what is queued until the connection closes, then the rest within `close_timeout`.
async fn write_loop<W: AsyncWrite + Unpin>(
    client: Arc<Client>,
    mut writer: W,
    close_timeout: Duration,
) {
    let overdue = async {
        client.stop.cancelled().await;
        sleep_until(Instant::now() + close_timeout).await;
    };
    tokio::select! {
        result = write_all(&client, &mut writer) => {
            if let Err(error) = result {
                tracing::debug!(client = client.id, %error, "cannot write");
            }
        }
        () = overdue => tracing::debug!(client = client.id, "gave up on the last bytes"),
    }
    client.outbox.close(None);
    client.stop.cancel();
}

async fn write_all<W: AsyncWrite + Unpin>(client: &Client, writer: &mut W) -> std::io::Result<()> {
    let mut batch = Batch::default();
    while client.outbox.next_batch(&mut batch).await {
        while batch.has_remaining() {
            let count = writer.write_buf(&mut batch).await?;
            if count == 0 {
                return Err(std::io::ErrorKind::WriteZero.into());
            }
            client.outbox.written(count);
        }
        batch.clear();
    }
    writer.shutdown().await
}
