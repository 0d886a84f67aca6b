//! A target that is far away: a door in front of it which holds everything back for half a round
//! trip each way, and lets as much be under way as a long line would.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::error::{Error, Result};

/// What is read at once.
const PIECE: usize = 64 << 10;
/// So many pieces may be under way: 16 MB, far more than sockets hold back themselves.
const UNDER_WAY: usize = 256;

/// The door; it closes when this is dropped.
pub(super) struct Distance {
    /// Where it stands, on 127.0.0.1.
    pub(super) port: u16,
    _serving: JoinSet<()>,
}

impl Distance {
    /// Opens a door to the server on `to`, on 127.0.0.1.
    pub(super) async fn open(to: u16, round_trip: Duration) -> Result<Distance> {
        let failed = |error| Error::step("opening a delayed way to the target").io(error);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut ways = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                // A way that breaks is a lost connection to both ends, which say so.
                ways.spawn(async move { lead(client, to, round_trip / 2).await.ok() });
            }
        });
        Ok(Distance { port, _serving: serving })
    }
}

async fn lead(client: TcpStream, to: u16, delay: Duration) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", to)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::try_join!(carry(from_client, to_server, delay), carry(from_server, to_client, delay),)?;
    Ok(())
}

async fn carry(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    delay: Duration,
) -> io::Result<()> {
    let (put, mut take) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let reading = async move {
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            if from.read_buf(&mut piece).await? == 0 {
                return Ok(());
            }
            if put.send((Instant::now() + delay, piece)).await.is_err() {
                return Ok(());
            }
        }
    };
    let writing = async move {
        while let Some((arrives, piece)) = take.recv().await {
            sleep_until(arrives).await;
            to.write_all(&piece).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(reading, writing).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_goes_through_comes_whole_and_a_round_trip_later() {
        let server = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let round_trip = Duration::from_millis(60);
        let door = Distance::open(server.local_addr().unwrap().port(), round_trip).await.unwrap();
        tokio::spawn(async move {
            let (mut socket, _) = server.accept().await.unwrap();
            let (mut from, mut to) = socket.split();
            tokio::io::copy(&mut from, &mut to).await.unwrap();
        });
        let mut socket = TcpStream::connect(("127.0.0.1", door.port)).await.unwrap();
        let sent: Vec<u8> = (0..300_000u32).flat_map(u32::to_be_bytes).collect();
        let started = Instant::now();
        let (mut from, mut to) = socket.split();
        let mut heard = Vec::new();
        let send = async {
            to.write_all(&sent).await.unwrap();
            to.shutdown().await.unwrap();
        };
        tokio::join!(send, async { from.read_to_end(&mut heard).await.unwrap() });
        assert!(heard == sent, "{} bytes of {}", heard.len(), sent.len());
        assert!(started.elapsed() >= round_trip, "{:?}", started.elapsed());
    }
}
