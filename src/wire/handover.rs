//! Handing a session to tokio-postgres.
//!
//! tokio-postgres would dial and authenticate by itself, with a second set of rules and errors.
//! Instead it is given a session that is ready: its own start-up message is swallowed, and it reads
//! a greeting that says what the server has long said, and then what `sieve` lets through.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{Client, Config, Connection, NoTls};

use super::channel::Channel;
use super::link::Link;
use super::message::tag;
use super::sieve::Sieve;

/// The link of a session that tokio-postgres believes it has started.
pub(super) struct Handover {
    link: Link,
    /// What is read first: the greeting, then what came through the sieve.
    passed: BytesMut,
    sieve: Sieve,
    /// What one read takes in.
    scratch: Box<[u8]>,
    startup: Startup,
    /// The bytes that the server has sent.
    heard: Arc<AtomicU64>,
}

/// What one read asks for.
const READ_BYTES: usize = 64 << 10;

/// How much of the start-up message has been swallowed.
enum Startup {
    /// The bytes of its length that were seen.
    Length(u32, u8),
    /// The bytes that are left of it.
    Rest(usize),
}

/// Makes a tokio-postgres client and its connection out of a ready session.
pub(super) async fn hand_over(
    channel: Channel,
    process_id: i32,
    secret_key: i32,
    heard: Arc<AtomicU64>,
) -> Result<(Client, Connection<Handover, NoTlsStream>), tokio_postgres::Error> {
    let passed = greeting(&channel, process_id, secret_key);
    let stream = Handover {
        link: channel.link,
        passed,
        sieve: Sieve::holding(channel.buffer),
        scratch: vec![0; READ_BYTES].into(),
        startup: Startup::Length(0, 0),
        heard,
    };
    Config::new()
        // Swallowed with the rest, but without one the system's is looked up.
        .user("handed over")
        .ssl_mode(SslMode::Disable)
        .connect_raw(stream, NoTls)
        .await
}

fn greeting(channel: &Channel, process_id: i32, secret_key: i32) -> BytesMut {
    let mut bytes = BytesMut::new();
    let mut message = |tag: u8, body: &[u8]| {
        let length = u32::try_from(body.len() + 4).expect("a greeting is short");
        bytes.put_u8(tag);
        bytes.put_u32(length);
        bytes.put_slice(body);
    };
    message(tag::AUTHENTICATION, &0_u32.to_be_bytes());
    for (name, value) in &channel.parameters {
        let status = format!("{name}\0{value}\0");
        message(tag::PARAMETER_STATUS, status.as_bytes());
    }
    let mut key = Vec::from(process_id.to_be_bytes());
    key.extend(secret_key.to_be_bytes());
    message(tag::BACKEND_KEY_DATA, &key);
    message(tag::READY_FOR_QUERY, b"I");
    bytes
}

impl Startup {
    /// How many of `bytes` belong to the start-up message.
    fn swallow(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while let Startup::Length(value, seen) = *self {
            let Some(&byte) = bytes.get(taken) else {
                return taken;
            };
            taken += 1;
            let value = value << 8 | u32::from(byte);
            *self = match seen {
                3 => Startup::Rest((value as usize).saturating_sub(4)),
                _ => Startup::Length(value, seen + 1),
            };
        }
        if let Startup::Rest(left) = self {
            let now = (*left).min(bytes.len() - taken);
            *left -= now;
            taken += now;
        }
        taken
    }
}

impl AsyncRead for Handover {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.passed.is_empty() {
            this.sieve.sift(&mut this.passed)?;
            if !this.passed.is_empty() {
                break;
            }
            let mut read = ReadBuf::new(&mut this.scratch);
            ready!(Pin::new(&mut this.link).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.heard.fetch_add(read.filled().len() as u64, Ordering::Relaxed);
            this.sieve.take(read.filled());
        }
        let now = this.passed.len().min(buffer.remaining());
        buffer.put_slice(&this.passed[..now]);
        this.passed.advance(now);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Handover {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.startup.swallow(bytes) {
            0 => Pin::new(&mut this.link).poll_write(cx, bytes),
            taken => Poll::Ready(Ok(taken)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().link).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.get_mut().link).poll_shutdown(cx));
        Poll::Ready(flushed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_startup_message_is_swallowed_however_it_is_cut() {
        let message = b"\0\0\0\x09start";
        for size in 1..=message.len() {
            let mut startup = Startup::Length(0, 0);
            for piece in message.chunks(size) {
                assert_eq!(startup.swallow(piece), piece.len());
            }
            assert_eq!(startup.swallow(b"Q"), 0);
        }
        let mut whole = message.to_vec();
        whole.extend(b"Qnext");
        assert_eq!(Startup::Length(0, 0).swallow(&whole), message.len());
    }
}
