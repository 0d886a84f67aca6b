//! Starting a session on a link: the start-up message, authentication, the server's greeting
//! (documentation: "Start-up").

use std::io;

use bytes::BytesMut;
use postgres_protocol::message::frontend;

use crate::pg::{ServerError, ServerVersion};

use super::authenticate::authenticate;
use super::channel::Channel;
use super::conninfo::Conninfo;
use super::dial::{Failure, Route, Then, connecting, not_postgres};
use super::link::Link;
use super::message::{Message, malformed, tag, take_i32};
use super::server_words::Fields;

/// Nothing a server says before it is ready is longer: an impostor can't fill the memory.
const LARGEST_GREETING_BYTES: usize = 64 * 1024;

/// A session that is ready for queries.
pub(super) struct Started {
    pub(super) channel: Channel,
    pub(super) version: ServerVersion,
    pub(super) process_id: i32,
    pub(super) secret_key: i32,
}

/// Starts a session.
pub(super) async fn start(
    link: Link,
    route: &Route,
    conninfo: &Conninfo,
) -> Result<Started, Failure> {
    let mut greeting = Greeting { channel: Channel::new(link), route };
    let mut bytes = BytesMut::new();
    frontend::startup_message(startup_parameters(conninfo), &mut bytes)
        .map_err(|error| Failure::new(Then::Stop, connecting(route).io(error)))?;
    greeting.send(&bytes).await?;
    authenticate(&mut greeting, conninfo).await?;
    greeting.finish().await
}

fn startup_parameters(conninfo: &Conninfo) -> Vec<(&str, &str)> {
    let mut parameters = vec![
        ("user", conninfo.user()),
        ("database", conninfo.database()),
        ("client_encoding", conninfo.client_encoding()),
        ("application_name", conninfo.application_name()),
    ];
    if let Some(options) = conninfo.options() {
        parameters.push(("options", options));
    }
    parameters
}

/// A session that is being started.
pub(super) struct Greeting<'a> {
    pub(super) channel: Channel,
    pub(super) route: &'a Route,
}

impl Greeting<'_> {
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self.channel.send(bytes).await {
            Ok(()) => Ok(()),
            Err(error) => Err(match self.channel.last_words().await {
                Some(words) => rejected(self.route, words.shown()),
                None => self.broken(error),
            }),
        }
    }

    /// The next message; the server's refusal is a failure.
    pub(super) async fn receive(&mut self) -> Result<Message, Failure> {
        let message = match self.channel.receive(LARGEST_GREETING_BYTES).await {
            Ok(message) => message,
            Err(error) => return Err(self.broken(error)),
        };
        if message.tag != tag::ERROR {
            return Ok(message);
        }
        match Fields::read(message.body) {
            Ok(words) => Err(rejected(self.route, words.shown())),
            Err(error) => Err(self.broken(error)),
        }
    }

    /// The peer broke the link or the protocol.
    pub(super) fn broken(&self, error: io::Error) -> Failure {
        let then = match error.kind() {
            io::ErrorKind::InvalidData => Then::Stop,
            _ => Then::NextAddress,
        };
        Failure::new(then, not_postgres(self.route, error))
    }

    /// Going on would be wrong.
    pub(super) fn refuse(&self, because: &str, hint: &str) -> Failure {
        Failure::new(Then::Stop, connecting(self.route).because(because).hint(hint))
    }

    async fn finish(mut self) -> Result<Started, Failure> {
        let (mut process_id, mut secret_key) = (0, 0);
        loop {
            let mut message = self.receive().await?;
            match message.tag {
                tag::BACKEND_KEY_DATA => {
                    let key = take_i32(&mut message.body)
                        .and_then(|process| Ok((process, take_i32(&mut message.body)?)));
                    (process_id, secret_key) = key.map_err(|error| self.broken(error))?;
                }
                // The server knows a newer minor version, or not an option: neither is used.
                tag::NEGOTIATE_PROTOCOL => {}
                tag::READY_FOR_QUERY => break,
                other => {
                    return Err(self.broken(malformed(format!(
                        "a message of type {:?} where none belongs",
                        char::from(other)
                    ))));
                }
            }
        }
        let version = self.channel.parameters.get("server_version");
        let Some(version) = version.and_then(|text| parse_version(text)) else {
            return Err(self.refuse(
                "the server does not say its version",
                "connect to the PostgreSQL server itself, not through a proxy",
            ));
        };
        Ok(Started { channel: self.channel, version, process_id, secret_key })
    }
}

/// The server would not let us in.
fn rejected(route: &Route, words: ServerError) -> Failure {
    let (then, hint) = match words.sqlstate.as_str() {
        // What pg_hba.conf refuses with TLS it may accept without, and the other way round.
        "28000" => (
            Then::OtherEncryption,
            "use a user, database, sslmode and client certificate that the server's pg_hba.conf admits",
        ),
        "28P01" => (
            Then::Stop,
            "check the user and the password (in the connection string, PGPASSWORD or the password file)",
        ),
        "3D000" => (Then::Stop, "create the database, or name another one with dbname=NAME"),
        // What a database's own grants refuse.
        "42501" => (
            Then::Stop,
            "connect as the database's owner, or as that: GRANT CONNECT ON DATABASE … TO …",
        ),
        "53300" => {
            (Then::Stop, "close other sessions, raise max_connections, or use fewer jobs (-j)")
        }
        // Starting up or shutting down: another host may be ready.
        "57P03" => (Then::NextAddress, "wait until the server is up"),
        _ => (Then::Stop, ""),
    };
    let error = connecting(route).server(words);
    let error = if hint.is_empty() { error } else { error.hint(hint) };
    Failure::new(then, error)
}

/// "15.18 (Debian 15.18-1)", "18beta1", "9.6.24" as server_version_num has them.
pub(super) fn parse_version(text: &str) -> Option<ServerVersion> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let mut parts = text[..end].split('.').map(|part| part.parse::<u16>().ok());
    let major = u32::from(parts.next()??);
    let minor = u32::from(parts.next().flatten().unwrap_or(0));
    let patch = u32::from(parts.next().flatten().unwrap_or(0));
    Some(ServerVersion(if major >= 10 {
        major * 10_000 + minor
    } else {
        major * 10_000 + minor * 100 + patch
    }))
}

#[cfg(test)]
mod tests {
    use super::super::RawConnection;
    use super::super::scripted::{self, Peer, server};
    use super::*;

    async fn refusal<F>(settings: &str, part: impl FnOnce(Peer) -> F + Send + 'static) -> String
    where
        F: Future<Output = ()> + Send,
    {
        let (conninfo, task) = server(settings, part).await;
        let refused = RawConnection::connect(&conninfo).await;
        task.await.unwrap();
        refused.err().unwrap().to_string()
    }

    #[tokio::test]
    async fn a_greeting_too_long_is_refused_before_it_is_read() {
        let message = refusal("", |mut peer| async move {
            peer.take_startup().await;
            peer.send('R', &vec![0; LARGEST_GREETING_BYTES + 1]).await;
        });
        assert!(message.await.contains("at most 65536 fit"));
    }

    #[tokio::test]
    async fn a_server_that_skips_its_proof_of_the_password_is_refused() {
        let message = refusal("password=pw", |mut peer| async move {
            peer.take_startup().await;
            peer.send('R', b"\0\0\0\x0aSCRAM-SHA-256\0\0").await;
            let (_, first) = peer.take().await;
            let nonce = first.split("r=").nth(1).unwrap();
            let challenge = format!("\0\0\0\x0br={nonce}x,s=c2FsdA==,i=1");
            peer.send('R', challenge.as_bytes()).await;
            peer.take().await;
            peer.send('R', &[0, 0, 0, 0]).await;
        });
        assert!(message.await.contains("out of order"));
    }

    #[tokio::test]
    async fn without_tls_a_password_required_to_be_bound_to_it_is_never_sent() {
        for request in [&b"\0\0\0\x03"[..], b"\0\0\0\x05salt", b"\0\0\0\0"] {
            let settings = "password=pw channel_binding=require";
            let message = refusal(settings, move |mut peer| async move {
                peer.take_startup().await;
                peer.send('R', request).await;
                peer.expect_end().await;
            });
            assert!(message.await.contains("channel binding is required"));
        }
    }

    #[tokio::test]
    async fn a_server_that_starts_up_leads_to_the_next_host_but_a_wrong_password_ends_the_search() {
        for (sqlstate, tried) in [("57P03", 2), ("28P01", 1)] {
            let (first, _task) = server("", move |mut peer| async move {
                peer.take_startup().await;
                peer.complain('E', "FATAL", sqlstate).await;
            })
            .await;
            let port = first.endpoints[0].port;
            let text = format!("host=127.0.0.1,127.0.0.1 port={port},1 user=ann sslmode=disable");
            let conninfo = scripted::conninfo(&text);
            let message = RawConnection::connect(&conninfo).await.err().unwrap();
            let count = message.to_string().matches("127.0.0.1:").count();
            assert_eq!(count, tried, "{message}");
        }
    }

    #[test]
    fn versions_are_read_in_every_form_servers_give_them() {
        for (text, number) in [
            ("15.18 (Debian 15.18-1.pgdg120+1)", 150_018),
            ("18beta1", 180_000),
            ("19devel", 190_000),
            ("9.6.24", 90_624),
            ("13.23", 130_023),
        ] {
            assert_eq!(parse_version(text), Some(ServerVersion(number)), "{text}");
        }
        assert_eq!(parse_version("PgBouncer 1.2"), None);
        assert_eq!(parse_version("4294967295.4294967295"), None);
    }
}
