//! What Npgsql makes of the same settings in its different versions.
//!
//! Source: Npgsql's NpgsqlConnector.cs (RawOpen, NegotiateEncryption) and its release notes of 6.0 and
//! 8.0.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::error::{Error, Kind, Result as Done};

use super::configuration::{ConnectionString, Keyword};

/// The ways in which versions differ, of what matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NpgsqlVersion {
    /// Up to 5: TLS is off unless it is asked for, and then verified, by `Root Certificate` or the
    /// system's authorities, unless `Trust Server Certificate` is set.
    UpTo5,
    /// 6 and 7: `Require` demands `Trust Server Certificate=true`, as it verifies nothing.
    From6,
    /// From 8: `Require` verifies nothing, and takes no more to say so.
    From8,
}

/// What is verified of a server, in libpq's words, where a connection is made at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tls {
    /// None, whatever the server offers.
    Disable,
    /// Only if the server insists.
    Allow,
    /// If the server offers it.
    Prefer,
    /// Always; any certificate will do.
    Require,
    /// Always; one of an authority that is trusted.
    VerifyCa,
    /// Always; one of an authority that is trusted, for this host.
    VerifyFull,
}

impl Tls {
    /// libpq's `sslmode`.
    pub fn sslmode(self) -> &'static str {
        match self {
            Tls::Disable => "disable",
            Tls::Allow => "allow",
            Tls::Prefer => "prefer",
            Tls::Require => "require",
            Tls::VerifyCa => "verify-ca",
            Tls::VerifyFull => "verify-full",
        }
    }
}

impl NpgsqlVersion {
    /// The version that is said; else that of the `Npgsql.dll` beside a configuration.
    pub fn of(said: Option<&str>, configuration: &Path) -> Done<NpgsqlVersion> {
        if let Some(said) = said {
            let wrong = |why| Error::usage(format!("reading --npgsql-version {said}")).because(why);
            return said.parse().map_err(wrong);
        }
        let library = configuration.with_file_name("Npgsql.dll");
        let doing = format!("reading the version of {}", library.display());
        let hint = "name the services' version: --npgsql-version 8.0.3";
        let bytes = std::fs::read(&library)
            .map_err(|error| Error::new(Kind::Refused, &doing).io(error).hint(hint))?;
        let version = file_version(&bytes).ok_or_else(|| "it holds none".to_owned());
        version
            .and_then(|(major, minor)| format!("{major}.{minor}").parse())
            .map_err(|why| Error::new(Kind::Refused, doing).because(why).hint(hint))
    }

    /// What this version does with a connection string; or why it refuses it.
    pub fn tls(self, string: &ConnectionString) -> Result<Tls, String> {
        let trusts = match string.get(Keyword::TrustServerCertificate) {
            None => false,
            Some(value) if value.eq_ignore_ascii_case("true") => true,
            Some(value) if value.eq_ignore_ascii_case("false") => false,
            Some(_) => return Err("Trust Server Certificate is neither true nor false".to_owned()),
        };
        let mode = string.get(Keyword::SslMode).map(str::to_ascii_lowercase);
        let unknown = || Err(format!("{self} knows no such SSL Mode"));
        match (self, mode.as_deref()) {
            (NpgsqlVersion::UpTo5, None | Some("disable")) => Ok(Tls::Disable),
            (NpgsqlVersion::UpTo5, Some("prefer")) if trusts => Ok(Tls::Prefer),
            (NpgsqlVersion::UpTo5, Some("require")) if trusts => Ok(Tls::Require),
            // Where the server has none, `Prefer` goes on without: a server off loopback has it.
            (NpgsqlVersion::UpTo5, Some("prefer" | "require")) => Ok(Tls::VerifyFull),
            (NpgsqlVersion::UpTo5, Some(_)) => unknown(),
            (_, None | Some("prefer")) => Ok(Tls::Prefer),
            (_, Some("disable")) => Ok(Tls::Disable),
            (_, Some("allow")) => Ok(Tls::Allow),
            (NpgsqlVersion::From6, Some("require")) if !trusts => Err(format!(
                "{self} refuses SSL Mode=Require without Trust Server Certificate=true"
            )),
            (_, Some("require")) => Ok(Tls::Require),
            (_, Some("verifyca" | "verify-ca")) => Ok(Tls::VerifyCa),
            (_, Some("verifyfull" | "verify-full")) => Ok(Tls::VerifyFull),
            _ => unknown(),
        }
    }

    /// The settings by which this version verifies a server by the authorities in a file.
    pub fn verifying(self, root_certificate: &str) -> Vec<(Keyword, Option<String>)> {
        let mode = match self {
            NpgsqlVersion::UpTo5 => "Require",
            NpgsqlVersion::From6 | NpgsqlVersion::From8 => "VerifyFull",
        };
        vec![
            (Keyword::SslMode, Some(mode.to_owned())),
            (Keyword::RootCertificate, Some(root_certificate.to_owned())),
            (Keyword::TrustServerCertificate, None),
        ]
    }

    /// The settings by which this version encrypts, and verifies nothing.
    pub fn encrypting(self) -> Vec<(Keyword, Option<String>)> {
        let trusts = match self {
            NpgsqlVersion::UpTo5 | NpgsqlVersion::From6 => Some("true".to_owned()),
            NpgsqlVersion::From8 => None,
        };
        vec![
            (Keyword::SslMode, Some("Require".to_owned())),
            (Keyword::RootCertificate, None),
            (Keyword::TrustServerCertificate, trusts),
        ]
    }
}

/// The version that Windows shows of a file: major and minor (VS_FIXEDFILEINFO in Windows' API).
fn file_version(bytes: &[u8]) -> Option<(u16, u16)> {
    const SIGNATURE: [u8; 8] = [0xbd, 0x04, 0xef, 0xfe, 0, 0, 1, 0];
    let at = bytes.windows(SIGNATURE.len()).position(|window| window == SIGNATURE)?;
    let [minor_low, minor_high, major_low, major_high] =
        *bytes.get(at + SIGNATURE.len()..)?.first_chunk::<4>()?;
    Some((u16::from_le_bytes([major_low, major_high]), u16::from_le_bytes([minor_low, minor_high])))
}

impl FromStr for NpgsqlVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<NpgsqlVersion, String> {
        let major = text.trim().split('.').next().unwrap_or_default();
        match major.parse::<u32>() {
            Ok(2..=5) => Ok(NpgsqlVersion::UpTo5),
            Ok(6 | 7) => Ok(NpgsqlVersion::From6),
            Ok(8..=99) => Ok(NpgsqlVersion::From8),
            _ => Err("give the version of Npgsql.dll: 8.0.3, or 8".to_owned()),
        }
    }
}

impl fmt::Display for NpgsqlVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NpgsqlVersion::UpTo5 => "Npgsql up to 5",
            NpgsqlVersion::From6 => "Npgsql 6 or 7",
            NpgsqlVersion::From8 => "Npgsql from 8",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(version: NpgsqlVersion, text: &str) -> Result<Tls, String> {
        version.tls(&ConnectionString::parse(text).unwrap())
    }

    #[test]
    fn require_means_something_else_in_each_version() {
        let all = [NpgsqlVersion::UpTo5, NpgsqlVersion::From6, NpgsqlVersion::From8];
        assert_eq!(
            all.map(|v| tls(v, "SSL Mode=Require").ok()),
            [Some(Tls::VerifyFull), None, Some(Tls::Require)]
        );
        let trusting = "SslMode=require;Trust Server Certificate=True";
        assert_eq!(all.map(|v| tls(v, trusting)), [const { Ok(Tls::Require) }; 3]);
        assert_eq!(
            all.map(|v| tls(v, "Host=h").unwrap()),
            [Tls::Disable, Tls::Prefer, Tls::Prefer]
        );
    }

    #[test]
    fn a_librarys_version_is_found_in_its_resources() {
        let mut bytes = vec![7; 100];
        bytes.extend([0xbd, 0x04, 0xef, 0xfe, 0, 0, 1, 0, 3, 0, 8, 0, 1, 0]);
        assert_eq!(file_version(&bytes), Some((8, 3)));
        assert_eq!(file_version(&bytes[..110]), None);
    }

    #[test]
    fn what_we_write_is_what_each_version_takes() {
        for version in [NpgsqlVersion::UpTo5, NpgsqlVersion::From6, NpgsqlVersion::From8] {
            for (settings, expected) in [
                (version.verifying("rds.pem"), Tls::VerifyFull),
                (version.encrypting(), Tls::Require),
            ] {
                let text: String = settings
                    .iter()
                    .filter_map(|(key, value)| Some(format!("{}={};", key.name(), value.as_ref()?)))
                    .collect();
                assert_eq!(tls(version, &text), Ok(expected), "{version}: {text}");
            }
        }
    }
}
