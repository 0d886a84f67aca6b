//! Proving who we are (documentation: "Start-up", "SASL Authentication").

use bytes::{Bytes, BytesMut};
use postgres_protocol::authentication::{md5_hash, sasl};
use postgres_protocol::message::frontend;

use super::channel_binding::server_end_point;
use super::conninfo::{ChannelBinding, Conninfo};
use super::dial::{Address, Failure};
use super::endpoint::is_loopback;
use super::link::Link;
use super::message::{malformed, tag, take_i32, take_string};
use super::secret::Secret;
use super::startup::Greeting;
use super::tls_settings::SslMode;

/// What is said where a server has let a connection come as far as asking for a password.
pub(crate) const PASSWORD_MISSING: &str = "the server asks for a password, and none is given";

/// What an authentication request asks for (source: libpq/protocol.h, AUTH_REQ_*).
mod request {
    pub(super) const OK: i32 = 0;
    pub(super) const CLEARTEXT: i32 = 3;
    pub(super) const MD5: i32 = 5;
    pub(super) const SASL: i32 = 10;
    pub(super) const SASL_CONTINUE: i32 = 11;
    pub(super) const SASL_FINAL: i32 = 12;
}

/// Answers the server's requests until it says OK.
pub(super) async fn authenticate(
    greeting: &mut Greeting<'_>,
    conninfo: &Conninfo,
) -> Result<(), Failure> {
    let (kind, mut body) = next_request(greeting).await?;
    let mut bound = false;
    match kind {
        request::OK => return require_binding(greeting, conninfo, bound),
        request::CLEARTEXT => {
            require_binding(greeting, conninfo, bound)?;
            require_privacy(greeting, conninfo)?;
            let password = password(greeting, conninfo)?;
            send(greeting, |bytes| frontend::password_message(password.reveal().as_bytes(), bytes))
                .await?;
        }
        request::MD5 => {
            require_binding(greeting, conninfo, bound)?;
            let password = password(greeting, conninfo)?;
            let salt = take_i32(&mut body).map_err(|error| greeting.broken(error))?;
            let hash = md5_hash(
                conninfo.user().as_bytes(),
                password.reveal().as_bytes(),
                salt.to_be_bytes(),
            );
            send(greeting, |bytes| frontend::password_message(hash.as_bytes(), bytes)).await?;
        }
        request::SASL => bound = scram(greeting, conninfo, body).await?,
        other => {
            let name = match other {
                2 => "Kerberos V5",
                7 | 8 => "GSSAPI",
                9 => "SSPI",
                _ => "an unknown method",
            };
            return Err(greeting.refuse(
                &format!("the server asks for {name}"),
                "let pg_hba.conf ask this user for a password (scram-sha-256)",
            ));
        }
    }
    match next_request(greeting).await? {
        (request::OK, _) => require_binding(greeting, conninfo, bound),
        _ => Err(greeting.broken(malformed("a second request for a password".into()))),
    }
}

/// SCRAM-SHA-256, tied to the TLS connection where both sides can. It also proves that the server
/// knows the password. Whether the connection was tied.
async fn scram(
    greeting: &mut Greeting<'_>,
    conninfo: &Conninfo,
    mut mechanisms: Bytes,
) -> Result<bool, Failure> {
    let (mut plain, mut plus) = (false, false);
    loop {
        let name = take_string(&mut mechanisms).map_err(|error| greeting.broken(error))?;
        match name.as_str() {
            "" => break,
            sasl::SCRAM_SHA_256 => plain = true,
            sasl::SCRAM_SHA_256_PLUS => plus = true,
            _ => {}
        }
    }
    let link = &greeting.channel.link;
    let end_point = match conninfo.channel_binding {
        ChannelBinding::Disable => None,
        ChannelBinding::Prefer | ChannelBinding::Require => {
            link.peer_certificate().and_then(server_end_point)
        }
    };
    let (mechanism, binding) = match end_point {
        Some(hash) if plus => {
            (sasl::SCRAM_SHA_256_PLUS, sasl::ChannelBinding::tls_server_end_point(hash))
        }
        // We could have: whoever took PLUS off the list is found out by the server.
        Some(_) if plain => (sasl::SCRAM_SHA_256, sasl::ChannelBinding::unrequested()),
        None if plain => (sasl::SCRAM_SHA_256, sasl::ChannelBinding::unsupported()),
        _ => {
            return Err(greeting.refuse(
                "the server offers no way to prove the password that pgconvoy knows",
                "let pg_hba.conf ask this user for scram-sha-256",
            ));
        }
    };
    let bound = mechanism == sasl::SCRAM_SHA_256_PLUS;
    require_binding(greeting, conninfo, bound)?;

    let password = password(greeting, conninfo)?;
    let mut scram = sasl::ScramSha256::new(password.reveal().as_bytes(), binding);
    send(greeting, |bytes| frontend::sasl_initial_response(mechanism, scram.message(), bytes))
        .await?;
    let challenge = expect(greeting, request::SASL_CONTINUE).await?;
    if let Err(error) = scram.update(&challenge) {
        return Err(greeting.broken(malformed(error.to_string())));
    }
    send(greeting, |bytes| frontend::sasl_response(scram.message(), bytes)).await?;
    let proof = expect(greeting, request::SASL_FINAL).await?;
    match scram.finish(&proof) {
        Ok(()) => Ok(bound),
        Err(_) => Err(greeting.refuse(
            "the server could not prove that it knows the password",
            "check that host and port are those of the server you mean",
        )),
    }
}

/// `channel_binding=require` accepts nothing else.
fn require_binding(
    greeting: &Greeting<'_>,
    conninfo: &Conninfo,
    bound: bool,
) -> Result<(), Failure> {
    if bound || conninfo.channel_binding != ChannelBinding::Require {
        return Ok(());
    }
    Err(greeting.refuse(
        "channel binding is required, and this login would go without",
        "use TLS and a SCRAM password, or leave channel_binding=require out",
    ))
}

/// A password in clear leaves this machine over TLS only: whoever is in between may have said that
/// there is none, and that the password is wanted. `sslmode=disable` says that nobody is.
fn require_privacy(greeting: &Greeting<'_>, conninfo: &Conninfo) -> Result<(), Failure> {
    let is_private = match (&greeting.channel.link, &greeting.route.address) {
        (Link::Tls(_), _) => true,
        (Link::Plain(_), Address::Tcp(address)) => is_loopback(address.ip()),
        #[cfg(unix)]
        (Link::Plain(_), Address::Unix(_)) => true,
    };
    if is_private || conninfo.tls.mode(false) == SslMode::Disable {
        return Ok(());
    }
    Err(greeting.refuse(
        "the server asks for the password in clear, and the connection isn't encrypted",
        "use sslmode=verify-full, or let pg_hba.conf ask this user for scram-sha-256; if the network \
         between is safe, say sslmode=disable",
    ))
}

fn password<'a>(greeting: &Greeting<'_>, conninfo: &'a Conninfo) -> Result<&'a Secret, Failure> {
    conninfo.password_for(&greeting.route.endpoint).ok_or_else(|| {
        greeting.refuse(
            PASSWORD_MISSING,
            "set PGPASSWORD or add a line to the password file (~/.pgpass)",
        )
    })
}

/// The next authentication request: its kind and the rest of it.
async fn next_request(greeting: &mut Greeting<'_>) -> Result<(i32, Bytes), Failure> {
    let mut message = greeting.receive().await?;
    if message.tag != tag::AUTHENTICATION {
        return Err(greeting.broken(malformed(format!(
            "a message of type {:?} where authentication belongs",
            char::from(message.tag)
        ))));
    }
    match take_i32(&mut message.body) {
        Ok(kind) => Ok((kind, message.body)),
        Err(error) => Err(greeting.broken(error)),
    }
}

async fn expect(greeting: &mut Greeting<'_>, wanted: i32) -> Result<Bytes, Failure> {
    match next_request(greeting).await? {
        (kind, body) if kind == wanted => Ok(body),
        _ => Err(greeting.broken(malformed("SCRAM's messages out of order".into()))),
    }
}

async fn send(
    greeting: &mut Greeting<'_>,
    write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let mut bytes = BytesMut::new();
    if write(&mut bytes).is_err() {
        return Err(greeting.refuse("the password has a NUL in it", "give a password without one"));
    }
    greeting.send(&bytes).await
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    use super::super::dial::{Encryption, Route};
    use super::super::link::Socket;
    use super::super::scripted::conninfo;
    use super::super::startup::start;
    use super::*;

    /// What a server at `address` that asks for the password in clear hears after the greeting.
    async fn heard(settings: &str, address: [u8; 4]) -> Vec<u8> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let conninfo = conninfo(&format!("host=db user=ann password=hunter2 {settings}"));
        let route = Route {
            endpoint: conninfo.endpoints[0].clone(),
            address: Address::Tcp(SocketAddr::from((address, 5432))),
            encryption: Encryption::Without,
        };
        let playing = async move {
            let length = theirs.read_u32().await.unwrap();
            theirs.read_exact(&mut vec![0; length as usize - 4]).await.unwrap();
            theirs.write_all(b"R\0\0\0\x08\0\0\0\x03").await.unwrap();
            theirs.shutdown().await.unwrap();
            let mut heard = Vec::new();
            theirs.read_to_end(&mut heard).await.unwrap();
            heard
        };
        let link = Link::Plain(Socket::Unix(ours));
        let started = async { start(link, &route, &conninfo).await.map(|_| ()).unwrap_err() };
        tokio::join!(playing, started).0
    }

    #[tokio::test]
    async fn a_password_in_clear_leaves_this_machine_only_where_that_is_said() {
        for (settings, address, sent) in [
            ("sslmode=prefer", [192, 0, 2, 1], false),
            ("sslmode=allow", [192, 0, 2, 1], false),
            ("sslmode=disable", [192, 0, 2, 1], true),
            ("sslmode=prefer", [127, 0, 0, 1], true),
        ] {
            let heard = String::from_utf8(heard(settings, address).await).unwrap();
            assert_eq!(heard.contains("hunter2"), sent, "{settings} {address:?}: {heard}");
        }
    }
}
