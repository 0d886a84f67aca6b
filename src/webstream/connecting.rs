//! Connections as the services make them.

use crate::error::{Error, Kind, Result};
use crate::wire::{Conninfo, Environment};

use super::configuration::{ConnectionString, Keyword, Named};
use super::npgsql_version::{NpgsqlVersion, Tls};

/// How long Npgsql waits for a connection, unless told otherwise.
const TIMEOUT_SECONDS: &str = "15";

/// Leads where a service is led, with as much verified.
pub(super) fn as_service(
    named: &Named,
    password: &str,
    version: NpgsqlVersion,
) -> Result<Conninfo> {
    let string = &named.string;
    let refused = |why: String| {
        Error::new(Kind::Refused, format!("connecting to database {} as a service", named.database))
            .because(why)
            .hint("mend the connection string; `pgconvoy webstream repoint` writes one that works")
    };
    let tls = version.tls(string).map_err(refused)?;
    let mut settings = vec![
        ("host", named.host.clone()),
        ("port", named.port.to_string()),
        ("dbname", named.database.clone()),
        ("user", named.username.clone()),
        ("password", password.to_owned()),
        ("sslmode", tls.sslmode().to_owned()),
        ("application_name", "pgconvoy webstream".to_owned()),
        ("connect_timeout", timeout(string)),
    ];
    if tls >= Tls::VerifyCa {
        let roots = string.get(Keyword::RootCertificate).unwrap_or("system");
        settings.push(("sslrootcert", roots.to_owned()));
        if roots == "system" && tls == Tls::VerifyCa {
            let why = "VerifyCA without Root Certificate takes anybody's certificate";
            return Err(refused(why.to_owned()));
        }
    }
    let text: Vec<String> =
        settings.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
    // A service sees neither our PG* variables nor our files.
    Conninfo::parse(&text.join(" "), &Environment::default())
}

/// Zero is for ever, as in libpq.
fn timeout(string: &ConnectionString) -> String {
    let seconds = string.get(Keyword::Timeout).unwrap_or(TIMEOUT_SECONDS);
    match seconds.parse::<u32>() {
        Ok(seconds) => seconds.to_string(),
        Err(_) => TIMEOUT_SECONDS.to_owned(),
    }
}

/// A value as a list of keywords and values takes it (libpq's documentation: "Connection Strings").
pub(super) fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}
