//! Keeps a link connected: connects, probes, beats, and does it all again after a loss.

use std::sync::Arc;
use std::time::Duration;

use rand::random_range;
use tokio_util::sync::CancellationToken;

use super::{Connection, Shared, Unavailable, classify};

/// A connection that nobody uses may have died too, or its server become a replica.
const BEAT: Duration = Duration::from_secs(2);
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Until `stop`: with a connection beats, without one tries to get one.
pub(super) async fn keep(shared: Arc<Shared>, stop: CancellationToken) {
    stop.run_until_cancelled(async {
        loop {
            let connection = connect(&shared).await;
            let number = shared.connected(connection.clone());
            watch_over(&shared, number, connection).await;
        }
    })
    .await;
}

async fn connect(shared: &Shared) -> Connection {
    let mut wait = FIRST_WAIT;
    let mut told = String::new();
    loop {
        match attempt(shared).await {
            Ok(connection) => return connection,
            Err(error) => {
                let reason = error.to_string();
                // Once for each reason, not once for each attempt.
                if told != reason {
                    tracing::warn!(server = %shared.target, %reason, "Redis cannot be used; trying on");
                    shared.reason.lock().clone_from(&reason);
                    told = reason;
                }
            }
        }
        // Redis comes back to all gateways at once, so spread them a bit.
        let millis = wait.as_millis() as u64;
        tokio::time::sleep(Duration::from_millis(random_range(millis / 2..=millis))).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// A connection that answers, to a server that takes writes.
async fn attempt(shared: &Shared) -> Result<Connection, Unavailable> {
    let patience = shared.target.patience();
    let connected = async {
        let mut connection = shared.target.connect().await?;
        probe(shared, &mut connection).await?;
        Ok(connection)
    };
    match tokio::time::timeout(patience, connected).await {
        Ok(connected) => connected.map_err(|error: redis::RedisError| classify(&error)),
        Err(_) => Err(Unavailable::TimedOut(patience)),
    }
}

/// Asks for an answer, and for a write: a replica answers too.
async fn probe(shared: &Shared, connection: &mut Connection) -> redis::RedisResult<()> {
    redis::cmd("PING").exec_async(connection).await?;
    let key = format!("{}:probe", shared.prefix);
    redis::cmd("SET")
        .arg(key)
        .arg(1)
        .arg("PX")
        .arg(60_000)
        .exec_async(connection)
        .await
}

/// Returns when the connection was given up.
async fn watch_over(shared: &Shared, number: u64, mut connection: Connection) {
    loop {
        tokio::select! {
            () = shared.given_up.notified() => {}
            () = tokio::time::sleep(BEAT) => {
                let patience = shared.target.patience();
                match tokio::time::timeout(patience, probe(shared, &mut connection)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => shared.give_up(number, &classify(&error)),
                    Err(_) => shared.give_up(number, &Unavailable::TimedOut(patience)),
                }
            }
        }
        if shared.connection.load().is_none() {
            return;
        }
    }
}
