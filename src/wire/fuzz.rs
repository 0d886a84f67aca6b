//! What fuzzing feeds: what a hostile server may send, and connection strings as they are typed.

use bytes::{Bytes, BytesMut};

use super::Conninfo;
use super::environment::Environment;
use super::message::{Header, Message, row, take_i32, take_string};
use super::passfile::PassFile;
use super::server_words::Fields;
use super::startup::parse_version;

/// What nobody guesses.
const SECRET: &str = "uZ8!only=in the environment";

/// Messages, one after the other, read as each kind that we take apart.
///
/// # Panics
/// If one is taken before it is there whole, or more of it than there is.
pub fn messages(bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    loop {
        let before = buffer.len();
        match Message::take(&mut buffer, 1 << 16) {
            Err(_) => return,
            Ok(None) => return assert_eq!(buffer.len(), before),
            Ok(Some(Message { body, .. })) => {
                assert_eq!(before, buffer.len() + Header::SIZE + body.len());
                read_as_everything(&body);
            }
        }
    }
}

fn read_as_everything(body: &Bytes) {
    let _whatever_it_is = row(body.clone());
    if let Ok(fields) = Fields::read(body.clone()) {
        let detail = fields.detail.clone();
        let shown = fields.shown();
        // Keys and rows stand in this class's details.
        assert!(shown.class() != "23" || shown.detail.is_none(), "{detail:?}");
        let _is_shown = shown.to_string();
    }
    let mut rest = body.clone();
    while let Ok(text) = take_string(&mut rest) {
        let _some_version = parse_version(&text);
    }
    let _what_is_left = take_i32(&mut rest);
}

/// A connection string, a password file and PG* variables, separated by NULs.
///
/// # Panics
/// If something shows the password that isn't in the string.
pub fn conninfo(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split('\0');
    let (text, passfile) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let mut variables: std::collections::BTreeMap<String, String> = parts
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    variables.insert("PGPASSWORD".to_owned(), SECRET.to_owned());
    let environment = Environment { variables, home: None, user: Some("ann".to_owned()) };
    match Conninfo::parse(text, &environment) {
        Err(error) => assert!(!error.to_string().contains(SECRET), "{error}"),
        Ok(conninfo) => {
            let shown = format!("{conninfo:?} {} {:?}", conninfo.display(), conninfo.warnings());
            assert!(!shown.contains(SECRET), "{shown}");
            for endpoint in &conninfo.endpoints {
                let password = conninfo.password_for(endpoint);
                assert!(password.is_some(), "{shown}");
                let file = PassFile::parse(passfile);
                let host = endpoint.passfile_host();
                let _whose = file.find(&host, endpoint.port, conninfo.database(), conninfo.user());
            }
        }
    }
}

/// A server that says all this, whatever it is asked, and hangs up: from the beginning of the
/// session, or once it has let us in, as the first byte says.
///
/// # Panics
/// If it makes us wait for more than it can say.
#[cfg(unix)]
pub fn server(bytes: &[u8]) {
    use futures::FutureExt;
    let Some((how, said)) = bytes.split_first() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime without threads can be had");
    runtime.block_on(async {
        let talking = played::talk(*how, said).map(drop);
        let ended = tokio::time::timeout(std::time::Duration::from_secs(5), talking).await;
        assert!(ended.is_ok(), "it is still waited for");
    });
}

/// There are no pairs of sockets.
#[cfg(not(unix))]
pub fn server(_bytes: &[u8]) {}

#[cfg(unix)]
mod played {
    use std::net::SocketAddr;

    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixStream;

    use crate::error::Result;
    use crate::wire::cancel::CancelHandle;
    use crate::wire::connect::Established;
    use crate::wire::dial::{Address, Encryption, Route};
    use crate::wire::link::{Link, Socket};
    use crate::wire::{Conninfo, Environment, RawConnection, Session, session_setup, startup};

    /// How a server greets whom it lets in.
    const GREETING: &[u8] = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x18server_version\x0017.2\0\
        K\0\0\0\x0c\0\0\0\x07\0\0\0\x09Z\0\0\0\x05I";
    /// How it answers what sets the session up.
    const SET_UP: &[u8] = b"C\0\0\0\x08SET\0Z\0\0\0\x05I";

    /// What both sides say.
    pub(super) async fn talk(how: u8, said: &[u8]) -> Result<()> {
        let (ours, theirs) = UnixStream::pair().expect("two sockets can be had");
        let lets_in = how & 1 == 0;
        let (first, then): (&[u8], &[u8]) = if lets_in { (GREETING, SET_UP) } else { (b"", b"") };
        let all = [first, then, said].concat();
        let saying = async move {
            let mut theirs = theirs;
            // We may have hung up.
            let _heard = theirs.write_all(&all).await;
            let _ended = theirs.shutdown().await;
            theirs
        };
        let asking = ask(how, ours);
        let (_open, asked) = tokio::join!(saying, asking);
        asked
    }

    async fn ask(how: u8, ours: UnixStream) -> Result<()> {
        let settings = match how >> 1 & 3 {
            0 => "",
            1 => "password=pw",
            2 => "password=pw channel_binding=require",
            _ => "password=pw target_session_attrs=read-write",
        };
        let text = format!("host=127.0.0.1 port=1 user=ann sslmode=disable {settings}");
        let conninfo = Conninfo::parse(&text, &Environment::default())?;
        let route = Route {
            endpoint: conninfo.endpoints[0].clone(),
            address: Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 1))),
            encryption: Encryption::Without,
        };
        let link = Link::Plain(Socket::Unix(ours));
        let started = startup::start(link, &route, &conninfo).await;
        let started = started.map_err(|failure| failure.error)?;
        let mut raw = RawConnection::over(Established {
            channel: started.channel,
            version: started.version,
            process_id: started.process_id,
            cancel: CancelHandle::new(&route, &conninfo, started.process_id, started.secret_key),
            peer: route.to_string(),
        });
        let setup = session_setup::statements(raw.version(), &conninfo);
        raw.execute("setting up", &setup).await?;
        match how >> 3 & 3 {
            0 => raw.query("asking", "SELECT 1").await.map(drop),
            1 => {
                let both = ["COPY a TO STDOUT", "COPY b TO STDOUT"];
                raw.ask_copies_out("copying", &both).await?;
                raw.copy_out_begins("copying").await?;
                while raw.read_message_header().await?.tag == b'd' && !raw.buffer().is_empty() {
                    raw.buffer().clear();
                    raw.fill().await?;
                }
                raw.finish("copying").await.map(drop)
            }
            2 => {
                raw.ask_copy_in("copying", "COPY a FROM STDIN").await?;
                raw.until_it_objects().await?;
                raw.finish("copying").await.map(drop)
            }
            _ => {
                let session = Session::over(raw).await?;
                let rows = session.query("asking", "SELECT $1::text", &[&"a"]).await?;
                for row in &rows {
                    let texts = (0..row.len()).map(|at| row.try_get::<_, Option<&str>>(at));
                    let _whatever_they_are: Vec<_> = texts.collect();
                }
                session.execute("asking", "SELECT 1").await
            }
        }
    }
}
