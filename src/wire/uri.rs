//! Connection URIs (documentation: "Connection URIs").

use crate::error::{Error, Result};

/// What follows the scheme, if `text` is a connection URI.
pub(super) fn without_scheme(text: &str) -> Option<&str> {
    ["postgresql://", "postgres://"].iter().find_map(|scheme| text.strip_prefix(scheme))
}

/// The settings that a URI, its scheme taken off, stands for.
pub(super) fn parse(rest: &str) -> Result<Vec<(String, String)>> {
    let mut settings = Vec::new();
    let mut set = |keyword: &str, value: &str| -> Result<()> {
        if !value.is_empty() {
            settings.push((keyword.to_owned(), decode(value)?));
        }
        Ok(())
    };

    let rest = match rest.find(['@', '/']) {
        Some(at) if rest[at..].starts_with('@') => {
            let (user, password) = match rest[..at].split_once(':') {
                Some((user, password)) => (user, password),
                None => (&rest[..at], ""),
            };
            set("user", user)?;
            set("password", password)?;
            &rest[at + 1..]
        }
        _ => rest,
    };

    let (hosts, ports, rest) = take_hosts(rest)?;
    set("host", &hosts)?;
    // As that of a URI whose password has a "/" or a "?" in it.
    if !decode(&ports)?.chars().all(|c| c.is_ascii_digit() || c == ',') {
        return Err(malformed("a port isn't a number"));
    }
    set("port", &ports)?;

    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, query),
        None => (rest, ""),
    };
    if path.contains('@') {
        return Err(malformed("an \"@\" stands behind a \"/\"; write %2F and %40 in names"));
    }
    set("dbname", path.strip_prefix('/').unwrap_or(path))?;

    if !query.is_empty() {
        for parameter in query.split('&') {
            settings.push(parse_parameter(parameter)?);
        }
    }
    Ok(settings)
}

/// The hosts and ports, each joined by commas, and what follows them.
fn take_hosts(mut rest: &str) -> Result<(String, String, &str)> {
    let (mut hosts, mut ports) = (String::new(), String::new());
    loop {
        if let Some(bracketed) = rest.strip_prefix('[') {
            let Some((address, after)) = bracketed.split_once(']') else {
                return Err(malformed("a \"[\" of an IPv6 address has no \"]\""));
            };
            if address.is_empty() {
                return Err(malformed("there is no address between \"[\" and \"]\""));
            }
            if !(after.is_empty() || after.starts_with([':', '/', '?', ','])) {
                return Err(malformed("only a port, a path or a query may follow \"]\""));
            }
            hosts.push_str(address);
            rest = after;
        } else {
            let end = rest.find([':', '/', '?', ',']).unwrap_or(rest.len());
            hosts.push_str(&rest[..end]);
            rest = &rest[end..];
        }
        if let Some(after) = rest.strip_prefix(':') {
            let end = after.find(['/', '?', ',']).unwrap_or(after.len());
            ports.push_str(&after[..end]);
            rest = &after[end..];
        }
        match rest.strip_prefix(',') {
            Some(after) => {
                hosts.push(',');
                ports.push(',');
                rest = after;
            }
            None => break,
        }
    }
    // Without any port, the commas alone would only count hosts.
    if ports.chars().all(|c| c == ',') {
        ports.clear();
    }
    Ok((hosts, ports, rest))
}

fn parse_parameter(parameter: &str) -> Result<(String, String)> {
    let Some((keyword, value)) = parameter.split_once('=') else {
        return Err(malformed("a parameter after \"?\" has no \"=\""));
    };
    if value.contains('=') {
        return Err(malformed("a parameter after \"?\" has two \"=\"; write %3D"));
    }
    let (keyword, value) = (decode(keyword)?, decode(value)?);
    // What JDBC calls it (source: interfaces/libpq/fe-connect.c, conninfo_uri_parse_params).
    if keyword == "ssl" && value == "true" {
        return Ok(("sslmode".into(), "require".into()));
    }
    Ok((keyword, value))
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte.is_ascii_whitespace() {
            return Err(malformed("there is a space in it; write %20"));
        }
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        match (digit(rest.next()), digit(rest.next())) {
            (Some(0), Some(0)) => return Err(malformed("%00 can stand in no value")),
            (Some(high), Some(low)) => {
                bytes.extend(u8::try_from(high * 16 + low));
            }
            _ => {
                return Err(malformed(
                    "a \"%\" is not followed by two hexadecimal digits; write %25 for the sign itself",
                ));
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| malformed("its percent-encoded bytes are not UTF-8"))
}

/// The URI isn't repeated: its password may stand where none is expected.
fn malformed(words: &str) -> Error {
    Error::usage("reading the connection URI")
        .because(words)
        .hint("write postgresql://user:password@host:port/database?parameter=value; percent-encode what isn't a letter or digit in each part")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(uri: &str) -> String {
        let settings = parse(without_scheme(uri).unwrap()).unwrap();
        let pairs: Vec<String> =
            settings.iter().map(|(keyword, value)| format!("{keyword}={value}")).collect();
        pairs.join(" ")
    }

    #[test]
    fn uris_are_read_as_libpq_reads_them() {
        let table = [
            ("postgresql://", ""),
            ("postgres://localhost", "host=localhost"),
            ("postgresql://localhost:5433", "host=localhost port=5433"),
            ("postgresql://localhost/mydb", "host=localhost dbname=mydb"),
            ("postgresql://user@localhost", "user=user host=localhost"),
            ("postgresql://user:secret@localhost", "user=user password=secret host=localhost"),
            (
                "postgresql://other@localhost/otherdb?connect_timeout=10&application_name=myapp",
                "user=other host=localhost dbname=otherdb connect_timeout=10 application_name=myapp",
            ),
            (
                "postgresql://host1:123,host2:456/somedb?target_session_attrs=any",
                "host=host1,host2 port=123,456 dbname=somedb target_session_attrs=any",
            ),
            ("postgresql://a,b/d", "host=a,b dbname=d"),
            ("postgresql://a,b:6/d", "host=a,b port=,6 dbname=d"),
            ("postgresql:///mydb?host=localhost&port=5433", "dbname=mydb host=localhost port=5433"),
            ("postgresql://[2001:db8::1234]/database", "host=2001:db8::1234 dbname=database"),
            ("postgresql://[::1]:5433,b/d", "host=::1,b port=5433, dbname=d"),
            (
                "postgresql:///dbname?host=/var/lib/postgresql",
                "dbname=dbname host=/var/lib/postgresql",
            ),
            (
                "postgresql://%2Fvar%2Flib%2Fpostgresql/dbname",
                "host=/var/lib/postgresql dbname=dbname",
            ),
            (
                "postgresql://user%40x:p%3Ass%2fw@h/d%20b?ssl=true",
                "user=user@x password=p:ss/w host=h dbname=d b sslmode=require",
            ),
            ("postgresql://:@h", "host=h"),
            ("postgresql://?hostaddr=127.0.0.1&user=u", "hostaddr=127.0.0.1 user=u"),
            ("postgresql://u:a:b@h", "user=u password=a:b host=h"),
        ];
        for (uri, expected) in table {
            assert_eq!(shown(uri), expected, "{uri}");
        }
    }

    #[test]
    fn malformed_uris_are_refused_without_repeating_them() {
        for rest in [
            "[::1",
            "[]:5",
            "[::1]hunter2",
            "u:hunter2%zz@h",
            "u:hunter2%2",
            "h?hunter2",
            "h?a=hunter2=c",
            "h/hunter2%00",
            "h/hunter2 x",
            "h/hunter2%ff",
            "u:hunter2/x@h/d",
            "u:5/hunter2@h/d",
        ] {
            let message = parse(rest).unwrap_err().to_string();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
