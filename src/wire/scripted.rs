//! A peer that plays a server's part by a script: for what real servers do rarely, or never.

use std::future::Future;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{Conninfo, Environment};

/// The server's side of one connection.
pub(super) struct Peer(TcpStream);

/// Plays `part` for the first connection; `settings` join the connection string.
pub(super) async fn server<F>(
    settings: &str,
    part: impl FnOnce(Peer) -> F + Send + 'static,
) -> (Conninfo, JoinHandle<()>)
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        part(Peer(stream)).await;
    });
    let text = format!("host=127.0.0.1 port={port} user=ann sslmode=disable {settings}");
    (conninfo(&text), task)
}

/// A connection string without surroundings.
pub(super) fn conninfo(text: &str) -> Conninfo {
    Conninfo::parse(text, &Environment::default()).unwrap()
}

impl Peer {
    /// Takes the start-up message, whole.
    pub(super) async fn take_startup(&mut self) -> Vec<u8> {
        let length = self.0.read_u32().await.unwrap() as usize;
        let mut body = vec![0; length - 4];
        self.0.read_exact(&mut body).await.unwrap();
        body
    }

    /// Takes a message: its tag and its body as text.
    pub(super) async fn take(&mut self) -> (char, String) {
        let tag = self.0.read_u8().await.unwrap();
        let body = self.take_startup().await;
        let text = String::from_utf8_lossy(&body);
        (tag.into(), text.trim_end_matches('\0').to_owned())
    }

    /// Waits until the client hangs up, having sent nothing more.
    pub(super) async fn expect_end(&mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"");
    }

    /// Sends a message.
    pub(super) async fn send(&mut self, tag: char, body: &[u8]) {
        let mut bytes = BytesMut::new();
        bytes.put_u8(u8::try_from(tag).unwrap());
        bytes.put_u32(u32::try_from(body.len() + 4).unwrap());
        bytes.put_slice(body);
        self.0.write_all(&bytes).await.unwrap();
    }

    /// Sends an error or a notice.
    pub(super) async fn complain(&mut self, tag: char, severity: &str, sqlstate: &str) {
        let fields = format!("S{severity}\0V{severity}\0C{sqlstate}\0Mit said so\0\0");
        self.send(tag, fields.as_bytes()).await;
    }

    /// Lets the client in without a password, and takes the set-up of its session.
    pub(super) async fn welcome(&mut self) {
        self.take_startup().await;
        self.send('R', &[0, 0, 0, 0]).await;
        self.send('S', b"server_version\x0017.2\0").await;
        self.send('K', &[0, 0, 0, 7, 0, 0, 0, 9]).await;
        self.send('Z', b"I").await;
        let (tag, setup) = self.take().await;
        assert_eq!(tag, 'Q');
        assert!(setup.contains("SET search_path = ''"), "{setup}");
        self.send('C', b"SET\0").await;
        self.send('Z', b"I").await;
    }
}
