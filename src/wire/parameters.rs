//! The connection parameters that libpq knows (documentation: "Parameter Key Words" and
//! "Environment Variables"), and what becomes of each here. What would be ignored at the cost of
//! safety or of reaching another server is refused.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

use super::environment::Environment;

/// A parameter.
struct Parameter {
    keyword: &'static str,
    variable: Option<&'static str>,
    support: Support,
}

/// What becomes of a parameter.
enum Support {
    /// It works.
    Full,
    /// It makes no difference here.
    Ignored,
    /// Only these values work: they ask for what is done anyway.
    Only(&'static [&'static str]),
}

use Support::{Full, Ignored, Only};

const fn full(keyword: &'static str, variable: &'static str) -> Parameter {
    with_variable(keyword, variable, Full)
}

const fn with_variable(
    keyword: &'static str,
    variable: &'static str,
    support: Support,
) -> Parameter {
    Parameter { keyword, variable: Some(variable), support }
}

const fn without_variable(keyword: &'static str, support: Support) -> Parameter {
    Parameter { keyword, variable: None, support }
}

const PARAMETERS: &[Parameter] = &[
    full("host", "PGHOST"),
    full("hostaddr", "PGHOSTADDR"),
    full("port", "PGPORT"),
    full("dbname", "PGDATABASE"),
    full("user", "PGUSER"),
    full("password", "PGPASSWORD"),
    full("passfile", "PGPASSFILE"),
    full("connect_timeout", "PGCONNECT_TIMEOUT"),
    full("client_encoding", "PGCLIENTENCODING"),
    full("options", "PGOPTIONS"),
    full("application_name", "PGAPPNAME"),
    full("target_session_attrs", "PGTARGETSESSIONATTRS"),
    full("channel_binding", "PGCHANNELBINDING"),
    full("sslmode", "PGSSLMODE"),
    full("sslrootcert", "PGSSLROOTCERT"),
    full("sslcert", "PGSSLCERT"),
    full("sslkey", "PGSSLKEY"),
    full("sslsni", "PGSSLSNI"),
    full("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    without_variable("fallback_application_name", Full),
    without_variable("keepalives", Full),
    without_variable("keepalives_idle", Full),
    without_variable("keepalives_interval", Full),
    without_variable("keepalives_count", Full),
    without_variable("tcp_user_timeout", Full),
    // GSSAPI and its relatives: never tried, so what tunes it makes no difference.
    with_variable("gssencmode", "PGGSSENCMODE", Only(&["disable", "prefer"])),
    with_variable("krbsrvname", "PGKRBSRVNAME", Ignored),
    with_variable("gsslib", "PGGSSLIB", Ignored),
    with_variable("gssdelegation", "PGGSSDELEGATION", Ignored),
    // Compression is in no TLS library any more; authtype and tty are long without effect.
    with_variable("sslcompression", "PGSSLCOMPRESSION", Ignored),
    without_variable("authtype", Ignored),
    without_variable("tty", Ignored),
    // Not there, unless the value asks for what is done anyway.
    with_variable("service", "PGSERVICE", Only(&[])),
    with_variable("servicefile", "PGSERVICEFILE", Ignored),
    with_variable("load_balance_hosts", "PGLOADBALANCEHOSTS", Only(&["disable"])),
    with_variable("requirepeer", "PGREQUIREPEER", Only(&[])),
    with_variable("require_auth", "PGREQUIREAUTH", Only(&[])),
    with_variable("sslnegotiation", "PGSSLNEGOTIATION", Only(&["postgres"])),
    with_variable("sslcertmode", "PGSSLCERTMODE", Only(&["allow"])),
    with_variable("sslcrl", "PGSSLCRL", Only(&[])),
    with_variable("sslcrldir", "PGSSLCRLDIR", Only(&[])),
    with_variable("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", Only(&["TLSv1.3"])),
    with_variable("min_protocol_version", "PGMINPROTOCOLVERSION", Only(&["3.0"])),
    with_variable("max_protocol_version", "PGMAXPROTOCOLVERSION", Ignored),
    without_variable("sslpassword", Only(&[])),
    without_variable("sslkeylogfile", Only(&[])),
    without_variable("replication", Only(&["false", "off", "no", "0"])),
    without_variable("scram_client_key", Only(&[])),
    without_variable("scram_server_key", Only(&[])),
    without_variable("oauth_issuer", Only(&[])),
    without_variable("oauth_client_id", Only(&[])),
    without_variable("oauth_client_secret", Only(&[])),
    without_variable("oauth_scope", Only(&[])),
];

/// The settings of a connection string, completed from the environment. An empty value counts as
/// none; of several settings of one parameter the last holds.
pub(super) struct Parameters(BTreeMap<&'static str, String>);

impl Parameters {
    /// Looks every setting up, and completes them.
    pub(super) fn complete(
        settings: Vec<(String, String)>,
        environment: &Environment,
    ) -> Result<Parameters> {
        let mut values = BTreeMap::new();
        for (keyword, value) in settings {
            let parameter = PARAMETERS
                .iter()
                .find(|parameter| parameter.keyword == keyword)
                .ok_or_else(|| unknown(&keyword))?;
            values.insert(parameter.keyword, value);
        }
        for parameter in PARAMETERS {
            let said = values.get(parameter.keyword).is_some_and(|value| !value.is_empty());
            let value = parameter.variable.and_then(|variable| environment.variables.get(variable));
            if let (false, Some(value)) = (said, value) {
                parameter.admit(value, parameter.variable.unwrap_or(parameter.keyword))?;
                values.insert(parameter.keyword, value.clone());
            } else if let Some(value) = values.get(parameter.keyword) {
                parameter.admit(value, parameter.keyword)?;
            }
        }
        values.retain(|_, value| !value.is_empty());
        Ok(Parameters(values))
    }

    /// A parameter's value.
    pub(super) fn get(&self, keyword: &str) -> Option<&str> {
        self.0.get(keyword).map(String::as_str)
    }

    /// A parameter that is a whole number.
    pub(super) fn number(&self, keyword: &str) -> Result<Option<i64>> {
        let parse = |value: &str| {
            value.trim().parse().map_err(|_| invalid(keyword, value, "a whole number"))
        };
        self.get(keyword).map(parse).transpose()
    }

    /// A parameter whose value is one of a few words.
    pub(super) fn choice<T: Copy>(
        &self,
        keyword: &str,
        choices: &[(&'static str, T)],
    ) -> Result<Option<T>> {
        let Some(value) = self.get(keyword) else {
            return Ok(None);
        };
        match choices.iter().find(|(word, _)| *word == value) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                Err(invalid(keyword, value, &words.join(", ")))
            }
        }
    }
}

impl Parameter {
    fn admit(&self, value: &str, name: &str) -> Result<()> {
        let admitted = match self.support {
            Full | Ignored => true,
            Only(values) => value.is_empty() || values.contains(&value),
        };
        if admitted {
            return Ok(());
        }
        Err(Error::usage(format!("reading the connection parameter {name}"))
            .because("it is one of libpq's that pgconvoy does not support")
            .hint("leave it out and connect without it"))
    }
}

fn unknown(keyword: &str) -> Error {
    let words: Vec<&str> = PARAMETERS
        .iter()
        .filter(|parameter| matches!(parameter.support, Full))
        .map(|parameter| parameter.keyword)
        .collect();
    Error::usage("reading the connection string")
        .because(format!("there is no parameter {keyword:?}"))
        .hint(format!("use one of {}", words.join(", ")))
}

/// A value that a parameter can't have.
pub(super) fn invalid(keyword: &str, value: &str, wanted: &str) -> Error {
    Error::usage(format!("reading the connection parameter {keyword}"))
        .because(format!("{value:?} is no value for it"))
        .hint(format!("give {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(settings: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Parameters> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let environment = Environment {
            variables: variables.iter().map(owned).collect(),
            ..Environment::default()
        };
        Parameters::complete(settings.iter().map(owned).collect(), &environment)
    }

    #[test]
    fn what_is_said_comes_before_the_environment_and_the_last_word_holds() {
        let variables = [("PGHOST", "env"), ("PGPORT", "1"), ("PGUSER", "")];
        let settings = [("host", "a"), ("host", "b"), ("port", "")];
        let parameters = complete(&settings, &variables).unwrap();
        assert_eq!(parameters.get("host"), Some("b"));
        assert_eq!(parameters.get("port"), Some("1"));
        assert_eq!(parameters.get("user"), None);
    }

    #[test]
    fn an_unknown_keyword_is_named() {
        let message = complete(&[("hots", "a")], &[]).err().unwrap().to_string();
        assert!(message.contains("\"hots\""), "{message}");
    }

    #[test]
    fn what_is_not_supported_is_refused_wherever_it_is_said() {
        for (settings, variables, name) in [
            (&[("service", "x")][..], &[][..], "service"),
            (&[], &[("PGSERVICE", "x")], "PGSERVICE"),
            (&[("gssencmode", "require")], &[], "gssencmode"),
            (&[("sslcrl", "x")], &[], "sslcrl"),
        ] {
            let message = complete(settings, variables).err().unwrap().to_string();
            assert!(message.contains(name), "{message}");
        }
        complete(&[("gssencmode", "disable"), ("krbsrvname", "x"), ("sslcrl", "")], &[]).unwrap();
    }
}
