//! Connecting: every host in turn, every address of it, with and without TLS as `sslmode` has it,
//! until one lets us in and is the kind of server that is wanted.

use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::pg::ServerVersion;

use super::cancel::CancelHandle;
use super::channel::Channel;
use super::conninfo::{Conninfo, TargetSession};
use super::dial::{self, Failure, Route, Then, connecting};
use super::endpoint::Endpoint;
use super::raw::RawConnection;
use super::startup;

/// A session that is ready for queries, and what is known of it.
pub(super) struct Established {
    pub(super) channel: Channel,
    pub(super) version: ServerVersion,
    pub(super) process_id: i32,
    pub(super) cancel: CancelHandle,
    /// The server, for errors.
    pub(super) peer: String,
}

/// Connects to the first host that will do.
pub(super) async fn establish(conninfo: &Conninfo) -> Result<RawConnection> {
    let wanted = match conninfo.target {
        // Any standby; but if there is none, whatever there is.
        TargetSession::PreferStandby => vec![TargetSession::Standby, TargetSession::Any],
        one => vec![one],
    };
    let mut failures = Vec::new();
    for target in wanted {
        failures.clear();
        for endpoint in &conninfo.endpoints {
            match try_endpoint(endpoint, conninfo, target, &mut failures).await {
                Ok(Some(connection)) => return Ok(connection),
                Ok(None) => {}
                Err(Stopped) => return Err(all_of(failures)),
            }
        }
    }
    Err(all_of(failures))
}

/// The last failure says that no other host is to be tried.
struct Stopped;

async fn try_endpoint(
    endpoint: &Endpoint,
    conninfo: &Conninfo,
    target: TargetSession,
    failures: &mut Vec<Error>,
) -> Result<Option<RawConnection>, Stopped> {
    let looking_up = || Error::new(Kind::Connect, format!("looking up {endpoint}"));
    let addresses = match in_time(conninfo, dial::resolve(endpoint)).await {
        Some(Ok(addresses)) => addresses,
        Some(Err(error)) => {
            failures.push(looking_up().io(error).hint("check the host's name"));
            return Ok(None);
        }
        None => {
            failures.push(looking_up().because("no answer in time").hint("check the name service"));
            return Ok(None);
        }
    };
    for address in addresses {
        let mut then = Then::NextAddress;
        for encryption in dial::encryptions(conninfo, &address) {
            let route = Route { endpoint: endpoint.clone(), address: address.clone(), encryption };
            match attempt(route, conninfo, target).await {
                Ok(connection) => return Ok(Some(connection)),
                Err(failure) => {
                    failures.push(failure.error);
                    then = failure.then;
                }
            }
            if then != Then::OtherEncryption {
                break;
            }
        }
        if then != Then::NextAddress {
            return Err(Stopped);
        }
    }
    Ok(None)
}

async fn attempt(
    route: Route,
    conninfo: &Conninfo,
    target: TargetSession,
) -> Result<RawConnection, Failure> {
    let trying = Box::pin(try_route(&route, conninfo, target));
    match in_time(conninfo, trying).await {
        Some(result) => result,
        None => Err(Failure::new(
            Then::NextAddress,
            connecting(&route)
                .because(format!(
                    "no answer within {} s",
                    conninfo.connect_timeout.unwrap_or(Duration::ZERO).as_secs()
                ))
                .hint("check host, port and firewalls, or raise connect_timeout"),
        )),
    }
}

async fn try_route(
    route: &Route,
    conninfo: &Conninfo,
    target: TargetSession,
) -> Result<RawConnection, Failure> {
    let link = dial::open(route, conninfo).await?;
    let started = startup::start(link, route, conninfo).await?;
    let mut connection = RawConnection::over(Established {
        channel: started.channel,
        version: started.version,
        process_id: started.process_id,
        cancel: CancelHandle::new(route, conninfo, started.process_id, started.secret_key),
        peer: route.to_string(),
    });
    let suits = connection.suits(target).await;
    match suits.map_err(|error| Failure::new(Then::NextAddress, error.as_kind(Kind::Connect)))? {
        None => Ok(connection),
        Some(why) => Err(Failure::new(
            Then::NextAddress,
            connecting(route)
                .because(why)
                .hint("name another host, or change target_session_attrs"),
        )),
    }
}

impl RawConnection {
    /// Why this server isn't the one that `target_session_attrs` wants, if it isn't.
    async fn suits(&mut self, target: TargetSession) -> Result<Option<&'static str>> {
        let read_only = match target {
            TargetSession::Any | TargetSession::PreferStandby => return Ok(None),
            TargetSession::ReadWrite | TargetSession::ReadOnly => self.is_read_only().await?,
            TargetSession::Primary | TargetSession::Standby => self.is_standby().await?,
        };
        Ok(match (target, read_only) {
            (TargetSession::ReadWrite, true) => Some("its sessions are read-only"),
            (TargetSession::ReadOnly, false) => Some("its sessions are not read-only"),
            (TargetSession::Primary, true) => Some("it is a standby"),
            (TargetSession::Standby, false) => Some("it is no standby"),
            _ => None,
        })
    }

    /// Servers from 14 on report both settings by themselves.
    async fn is_read_only(&mut self) -> Result<bool> {
        match (self.parameter("default_transaction_read_only"), self.parameter("in_hot_standby")) {
            (Some(read_only), Some(standby)) => Ok(read_only == "on" || standby == "on"),
            _ => self.asks("SHOW transaction_read_only", "on").await,
        }
    }

    async fn is_standby(&mut self) -> Result<bool> {
        match self.parameter("in_hot_standby") {
            Some(standby) => Ok(standby == "on"),
            None => self.asks("SELECT pg_catalog.pg_is_in_recovery()", "t").await,
        }
    }

    async fn asks(&mut self, sql: &str, yes: &str) -> Result<bool> {
        let rows = self.query("asking what kind of server it is", sql).await?;
        let value = rows.first().and_then(|row| row.first());
        Ok(value.is_some_and(|value| value.as_deref() == Some(yes)))
    }
}

/// What a future yields within the connection's time limit.
pub(super) async fn in_time<T>(conninfo: &Conninfo, future: impl Future<Output = T>) -> Option<T> {
    match conninfo.connect_timeout {
        Some(limit) => tokio::time::timeout(limit, future).await.ok(),
        None => Some(future.await),
    }
}

/// One error for all that was tried; the hint is the last one's.
fn all_of(mut failures: Vec<Error>) -> Error {
    if failures.len() == 1 {
        return failures.remove(0);
    }
    let hint = failures.last().and_then(Error::hint_text);
    let hint = hint.unwrap_or("name a host").to_owned();
    let tried: Vec<String> = failures.iter().map(one_of).collect();
    Error::new(Kind::Connect, format!("connecting ({} ways)", tried.len()))
        .because(format!("none of them worked\n{}", tried.join("\n")))
        .hint(hint)
}

/// A failure on a line of its own, without its hint.
fn one_of(failure: &Error) -> String {
    let text = failure.to_string();
    let text = text.split("\nhint: ").next().unwrap_or(&text);
    format!("  {}", text.strip_prefix("connecting to ").unwrap_or(text))
}
