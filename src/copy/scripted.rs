//! A server that plays a script, for the failures that a real one can't be asked for.

use std::io;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::wire::RawConnection;
use crate::wire::scripted::{self, Peer, message};

/// What the server does when it is asked for a COPY.
pub(super) enum Act {
    /// Sends bytes, whole messages or not.
    Send(Vec<u8>),
    /// Sends bytes in small pieces that cut messages anywhere.
    Trickle(Vec<u8>),
    /// Takes in what the client sends, until CopyDone or CopyFail.
    TakeCopy,
    /// Hangs up.
    HangUp,
}

/// What the client sent.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The payloads of CopyData, joined.
    pub(super) data: Vec<u8>,
    /// How many CopyData messages they came in.
    pub(super) frames: usize,
    /// The other messages once the session was set up, by type.
    pub(super) others: Vec<u8>,
}

/// Starts a server and connects to it.
pub(super) async fn server(script: Vec<Act>) -> (RawConnection, JoinHandle<Heard>) {
    let (conninfo, played) = scripted::server("dbname=d", |mut peer| async move {
        peer.welcome().await;
        let mut heard = Heard::default();
        // A client that breaks off ends the play, not the test.
        let _played = play(peer, script, &mut heard).await;
        heard
    })
    .await;
    (RawConnection::connect(&conninfo).await.unwrap(), played)
}

async fn play(mut peer: Peer, script: Vec<Act>, heard: &mut Heard) -> io::Result<()> {
    let mut script = Some(script);
    loop {
        let query = hear(&mut peer, heard).await?;
        let acts = match query {
            Some(sql) if sql.starts_with(b"COPY") => script.take().unwrap_or_default(),
            Some(_) => vec![Act::Send([complete("SET"), ready(b'T')].concat())],
            None => continue,
        };
        for act in acts {
            match act {
                Act::Send(bytes) => peer.say(&bytes).await?,
                Act::Trickle(bytes) => {
                    for piece in bytes.chunks(35) {
                        peer.say(piece).await?;
                        tokio::time::sleep(Duration::from_micros(100)).await;
                    }
                }
                Act::TakeCopy => loop {
                    let before = heard.others.len();
                    hear(&mut peer, heard).await?;
                    if heard.others[before..].iter().any(|tag| matches!(tag, b'c' | b'f')) {
                        break;
                    }
                },
                Act::HangUp => return Ok(()),
            }
        }
    }
}

/// Takes in one message; the SQL of a Query.
async fn hear(peer: &mut Peer, heard: &mut Heard) -> io::Result<Option<Vec<u8>>> {
    let (tag, body) = peer.hear().await?;
    if tag == b'd' {
        heard.frames += 1;
        heard.data.extend(body);
        return Ok(None);
    }
    heard.others.push(tag);
    Ok((tag == b'Q').then_some(body))
}

pub(super) fn ready(status: u8) -> Vec<u8> {
    message(b'Z', &[status])
}

pub(super) fn complete(tag: &str) -> Vec<u8> {
    message(b'C', format!("{tag}\0").as_bytes())
}

pub(super) fn error(severity: &str, sqlstate: &str, words: &str) -> Vec<u8> {
    let fields = format!("S{severity}\0V{severity}\0C{sqlstate}\0M{words}\0\0");
    message(b'E', fields.as_bytes())
}

pub(super) fn notice(words: &str) -> Vec<u8> {
    let fields = format!("SNOTICE\0VNOTICE\0C00000\0M{words}\0\0");
    message(b'N', fields.as_bytes())
}

/// The answer that starts a COPY TO STDOUT of one text column.
pub(super) fn copy_out() -> Vec<u8> {
    message(b'H', &[0, 0, 1, 0, 0])
}

/// The answer that starts a COPY FROM STDIN of one text column.
pub(super) fn copy_in() -> Vec<u8> {
    message(b'G', &[0, 0, 1, 0, 0])
}

/// A stream of lines, one to a message.
pub(super) fn lines(lines: &[Vec<u8>]) -> Vec<u8> {
    lines.iter().flat_map(|line| message(b'd', line)).collect()
}

/// The end of a stream of so many rows.
pub(super) fn copied(rows: usize) -> Vec<u8> {
    let count = complete(&format!("COPY {rows}"));
    [message(b'c', &[]), count, ready(b'T')].concat()
}

/// The answer to a CopyDone after so many rows.
pub(super) fn taken(rows: usize) -> Vec<u8> {
    [complete(&format!("COPY {rows}")), ready(b'T')].concat()
}
