//! A certificate authority of a minute's life, and the certificate of one server.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::error::{Error, Result};

/// All in PEM.
pub(super) struct Certificates {
    /// The authority, for clients' `sslrootcert`.
    pub(super) authority: String,
    /// The server's certificate, for `localhost` and `127.0.0.1`.
    pub(super) server: String,
    /// The server's private key.
    pub(super) server_key: String,
}

impl Certificates {
    /// Makes an authority and has it sign a server.
    pub(super) fn generate() -> Result<Certificates> {
        try_generate().map_err(|error| {
            Error::step("making a server's certificate").because(error.to_string())
        })
    }
}

fn try_generate() -> Result<Certificates, rcgen::Error> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "pgconvoy throw-away authority");
    let authority_pem = authority.self_signed(&authority_key)?.pem();

    let server_key = KeyPair::generate()?;
    let mut server = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    server.use_authority_key_identifier_extension = true;
    server.distinguished_name.push(DnType::CommonName, "localhost");
    let server_pem =
        server.signed_by(&server_key, &Issuer::from_params(&authority, &authority_key))?.pem();
    Ok(Certificates {
        authority: authority_pem,
        server: server_pem,
        server_key: server_key.serialize_pem(),
    })
}
