//! A peer that plays a server's part by a script: for what real servers do rarely, or never.

use std::future::Future;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{Conninfo, Environment};

/// The server's side of one connection.
pub(crate) struct Peer(TcpStream);

/// Plays `part` for the first connection; `settings` join the connection string.
pub(crate) async fn server<F>(
    settings: &str,
    part: impl FnOnce(Peer) -> F + Send + 'static,
) -> (Conninfo, JoinHandle<F::Output>)
where
    F: Future<Output: Send + 'static> + Send,
{
    let (conninfo, door) = door(settings).await;
    (conninfo, tokio::spawn(async move { part(door.peer().await).await }))
}

/// Where clients come in, one after the other.
pub(crate) struct Door(TcpListener);

/// Opens a door; `settings` join the connection string.
pub(crate) async fn door(settings: &str) -> (Conninfo, Door) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let text = format!("host=127.0.0.1 port={port} user=ann sslmode=disable {settings}");
    (conninfo(&text), Door(listener))
}

impl Door {
    /// Waits for the next connection.
    pub(crate) async fn peer(&self) -> Peer {
        let (stream, _) = self.0.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        Peer(stream)
    }
}

/// Plays `part` for each connection, which are numbered, until its task is dropped.
pub(crate) async fn server_of_many<F>(
    settings: &str,
    part: impl Fn(usize, Peer) -> F + Send + 'static,
) -> (Conninfo, JoinHandle<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(part(number, Peer(stream)));
        }
    });
    let text = format!("host=127.0.0.1 port={port} user=ann sslmode=disable {settings}");
    (conninfo(&text), task)
}

/// A connection string without surroundings.
pub(crate) fn conninfo(text: &str) -> Conninfo {
    Conninfo::parse(text, &Environment::default()).unwrap()
}

/// A message as it is sent.
pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag], &length[..], body].concat()
}

impl Peer {
    /// Takes in a message, its tag and its body, from a client that may have gone.
    pub(crate) async fn hear(&mut self) -> io::Result<(u8, Vec<u8>)> {
        Ok((self.0.read_u8().await?, self.body().await?))
    }

    /// Sends bytes, whole messages or not, to a client that may have gone.
    pub(crate) async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await
    }

    async fn body(&mut self) -> io::Result<Vec<u8>> {
        let mut body = vec![0; self.0.read_u32().await? as usize - 4];
        self.0.read_exact(&mut body).await?;
        Ok(body)
    }

    /// Takes the start-up message, whole.
    pub(crate) async fn take_startup(&mut self) -> Vec<u8> {
        self.body().await.unwrap()
    }

    /// Takes a message: its tag and its body as text.
    pub(crate) async fn take(&mut self) -> (char, String) {
        let (tag, body) = self.hear().await.unwrap();
        let text = String::from_utf8_lossy(&body);
        (tag.into(), text.trim_end_matches('\0').to_owned())
    }

    /// Waits until the client hangs up, having sent nothing more.
    pub(crate) async fn expect_end(&mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"");
    }

    /// Sends a message.
    pub(crate) async fn send(&mut self, tag: char, body: &[u8]) {
        self.say(&message(u8::try_from(tag).unwrap(), body)).await.unwrap();
    }

    /// Sends an error or a notice.
    pub(crate) async fn complain(&mut self, tag: char, severity: &str, sqlstate: &str) {
        let fields = format!("S{severity}\0V{severity}\0C{sqlstate}\0Mit said so\0\0");
        self.send(tag, fields.as_bytes()).await;
    }

    /// Lets the client in without a password, and takes the set-up of its session.
    pub(crate) async fn welcome(&mut self) {
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
