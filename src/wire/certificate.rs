//! Judging a server's certificate as libpq does.
//!
//! Three things libpq (OpenSSL) accepts and webpki alone doesn't: a certificate that is itself
//! listed in `sslrootcert`, even one that is its own CA, as PostgreSQL's documentation shows how to
//! make it; a host named by the subject's common name where the certificate has no alternative
//! names; and, where it is listed or nothing is verified, the X.509 version 1 that a plain
//! `openssl x509 -req` issues.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use x509_cert::der::asn1::{PrintableStringRef, Utf8StringRef};
use x509_cert::der::oid::db::rfc4519::CN;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::{Certificate, Version};

use super::tls_settings::Verification;

/// Verifies a server's certificate as far as `sslmode` asks for.
#[derive(Debug)]
pub(super) struct ServerCertificate {
    pub(super) verification: Verification,
    pub(super) roots: Arc<RootCertStore>,
    /// Certificates trusted as they are.
    pub(super) listed: Arc<[CertificateDer<'static>]>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ServerCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.verification == Verification::Nothing {
            return Ok(ServerCertVerified::assertion());
        }
        if self.listed.iter().any(|listed| listed == end_entity) {
            check_validity(end_entity, now)?;
        } else {
            self.check_issuer(end_entity, intermediates, now)?;
        }
        if self.verification == Verification::IssuerAndHost {
            check_name(end_entity, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    /// Even where nothing else is verified: without it, channel binding would bind to nothing.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if ParsedCertificate::try_from(certificate).is_ok() {
            return verify_tls13_signature(message, certificate, signature, &self.algorithms);
        }
        let key = parse(certificate)?
            .tbs_certificate
            .subject_public_key_info
            .to_der()
            .map_err(|_| bad_encoding())?;
        let key = SubjectPublicKeyInfoDer::from(key);
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ServerCertificate {
    fn check_issuer(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let parsed = parse(end_entity)?.tbs_certificate;
        if parsed.issuer == parsed.subject {
            return Err(CertificateError::UnknownIssuer.into());
        }
        if parsed.version == Version::V1 {
            return Err(CertificateError::Other(OtherError(Arc::new(WithoutExtensions))).into());
        }
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &self.roots,
            intermediates,
            now,
            self.algorithms.all,
        )
    }
}

/// webpki judges a chain by extensions, which version 1 has none of.
#[derive(Debug)]
struct WithoutExtensions;

impl fmt::Display for WithoutExtensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is an X.509 version 1 certificate, whose issuer can't be verified")
    }
}

impl std::error::Error for WithoutExtensions {}

fn check_validity(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let validity = parse(certificate)?.tbs_certificate.validity;
    let now = Duration::from_secs(now.as_secs());
    if now < validity.not_before.to_unix_duration() {
        Err(CertificateError::NotValidYet.into())
    } else if now > validity.not_after.to_unix_duration() {
        Err(CertificateError::Expired.into())
    } else {
        Ok(())
    }
}

/// Alternative names first; the common name counts only where there are none (source:
/// interfaces/libpq/fe-secure-openssl.c, pgtls_verify_peer_name_matches_certificate_guts).
fn check_name(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
    let by_alternatives = ParsedCertificate::try_from(certificate)
        .and_then(|parsed| verify_server_name(&parsed, name));
    let Err(refusal) = by_alternatives else {
        return Ok(());
    };
    let parsed = parse(certificate)?;
    if has_alternative_names(&parsed)? {
        return Err(refusal);
    }
    match common_name(&parsed) {
        Some(common) if name_fits(common, &name.to_str()) => Ok(()),
        _ => Err(CertificateError::NotValidForName.into()),
    }
}

fn has_alternative_names(certificate: &Certificate) -> Result<bool, Error> {
    let names = certificate.tbs_certificate.get::<SubjectAltName>();
    Ok(match names.map_err(|_| bad_encoding())? {
        Some((_critical, names)) => names
            .0
            .iter()
            .any(|name| matches!(name, GeneralName::DnsName(_) | GeneralName::IpAddress(_))),
        None => false,
    })
}

fn common_name(certificate: &Certificate) -> Option<&str> {
    let subject = &certificate.tbs_certificate.subject;
    let mut attributes = subject.0.iter().flat_map(|part| part.0.iter());
    let value = &attributes.find(|attribute| attribute.oid == CN)?.value;
    if let Ok(text) = value.decode_as::<Utf8StringRef<'_>>() {
        return Some(text.as_str());
    }
    let text = value.decode_as::<PrintableStringRef<'_>>().ok()?;
    Some(text.as_str())
}

/// Whether a common name, which may start with "*.", is the host's. A star stands for one label.
fn name_fits(pattern: &str, host: &str) -> bool {
    let fits = pattern.eq_ignore_ascii_case(host);
    fits || match (pattern.strip_prefix("*."), host.split_once('.')) {
        (Some(parent), Some((label, rest))) => {
            !label.is_empty()
                && host.parse::<std::net::IpAddr>().is_err()
                && parent.eq_ignore_ascii_case(rest)
        }
        _ => false,
    }
}

fn parse(certificate: &CertificateDer<'_>) -> Result<Certificate, Error> {
    Certificate::from_der(certificate).map_err(|_| bad_encoding())
}

fn bad_encoding() -> Error {
    CertificateError::BadEncoding.into()
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
    };
    use rustls::crypto::ring;

    use super::*;

    fn params(names: &[&str], common_name: &str) -> CertificateParams {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params
    }

    fn authority(name: &str) -> (CertificateDer<'static>, Issuer<'static, KeyPair>) {
        let mut params = params(&[], name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        (certificate, Issuer::new(params, key))
    }

    /// What a verifier that lists `listed` says about `certificate` for `host`.
    fn verdict(
        verification: Verification,
        listed: &[CertificateDer<'static>],
        certificate: &CertificateDer<'_>,
        host: &str,
    ) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(listed.iter().cloned());
        let verifier = ServerCertificate {
            verification,
            roots: Arc::new(roots),
            listed: listed.into(),
            algorithms: ring::default_provider().signature_verification_algorithms,
        };
        let host = ServerName::try_from(host).unwrap();
        let verified = verifier.verify_server_cert(certificate, &[], &host, &[], UnixTime::now());
        verified.map(|_| ())
    }

    fn reason(verdict: Result<(), Error>) -> CertificateError {
        match verdict {
            Err(Error::InvalidCertificate(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_listed_authority_vouches_for_the_hosts_in_a_certificate_and_no_others() {
        let (root, issuer) = authority("one");
        let key = KeyPair::generate().unwrap();
        let leaf = params(&["db.example.com", "127.0.0.1"], "other.example.com");
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        let full = |host| {
            verdict(Verification::IssuerAndHost, std::slice::from_ref(&root), leaf.der(), host)
        };
        full("db.example.com").unwrap();
        full("127.0.0.1").unwrap();
        full("127.0.0.2").unwrap_err();
        // There are alternative names, so the common name doesn't count.
        full("other.example.com").unwrap_err();
        verdict(Verification::Issuer, &[root], leaf.der(), "x.example.com").unwrap();

        let (stranger, _) = authority("two");
        let refused = verdict(Verification::Issuer, &[stranger], leaf.der(), "db.example.com");
        assert_eq!(reason(refused), CertificateError::UnknownIssuer);
        verdict(Verification::Nothing, &[], leaf.der(), "x.example.com").unwrap();
    }

    #[test]
    fn a_listed_certificate_is_trusted_even_if_it_is_its_own_authority() {
        let key = KeyPair::generate().unwrap();
        let mut own = params(&[], "db.example.com");
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = own.self_signed(&key).unwrap().der().clone();
        let full = |listed: &[_], host| verdict(Verification::IssuerAndHost, listed, &own, host);
        full(std::slice::from_ref(&own), "db.example.com").unwrap();
        let wrong_host = full(std::slice::from_ref(&own), "x.example.com");
        assert_eq!(reason(wrong_host), CertificateError::NotValidForName);
        let unlisted = full(&[], "db.example.com");
        assert_eq!(reason(unlisted), CertificateError::UnknownIssuer);
    }

    #[test]
    fn a_listed_certificate_counts_only_while_it_is_valid() {
        let key = KeyPair::generate().unwrap();
        let check = |from, until| {
            let mut params = params(&["db"], "db");
            (params.not_before, params.not_after) = (from, until);
            let own = params.self_signed(&key).unwrap().der().clone();
            reason(verdict(Verification::Issuer, std::slice::from_ref(&own), &own, "db"))
        };
        let past = check(date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
        assert_eq!(past, CertificateError::Expired);
        let future = check(date_time_ymd(2901, 1, 1), date_time_ymd(2902, 1, 1));
        assert_eq!(future, CertificateError::NotValidYet);
    }

    #[test]
    fn a_star_in_a_common_name_stands_for_one_label() {
        for (pattern, host, fits) in [
            ("db.example.com", "DB.example.com", true),
            ("*.example.com", "db.example.com", true),
            ("*.example.com", "a.db.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.0.0.1", "127.0.0.1", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("*", "db", false),
            ("", "db", false),
        ] {
            assert_eq!(name_fits(pattern, host), fits, "{pattern} {host}");
        }
    }
}
