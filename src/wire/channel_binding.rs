//! What ties SCRAM to a TLS connection: tls-server-end-point, a hash of the server's certificate
//! (RFC 5929, section 4.1).

use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use x509_cert::Certificate;
use x509_cert::der::asn1::{ContextSpecific, ObjectIdentifier};
use x509_cert::der::oid::db::rfc5912 as algorithm;
use x509_cert::der::{self, Decode, Reader, TagNumber};
use x509_cert::spki::{AlgorithmIdentifierOwned, AlgorithmIdentifierRef};

/// The hash, made with the function that the certificate's own signature uses; SHA-256 where that
/// is MD5 or SHA-1. None where the signature uses none that is known (Ed25519): then there is
/// nothing to bind to.
pub(super) fn server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let parsed = Certificate::from_der(certificate).ok()?;
    let hash = match hash_of_signature(&parsed.signature_algorithm)? {
        Hash::Sha224 => Sha224::digest(certificate).to_vec(),
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    };
    Some(hash)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// ecdsa-with-SHA1 (RFC 3279), which the table of names leaves out.
const ECDSA_WITH_SHA_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.1");

fn hash_of_signature(signature: &AlgorithmIdentifierOwned) -> Option<Hash> {
    match signature.oid {
        algorithm::MD_5_WITH_RSA_ENCRYPTION
        | algorithm::SHA_1_WITH_RSA_ENCRYPTION
        | ECDSA_WITH_SHA_1
        | algorithm::SHA_256_WITH_RSA_ENCRYPTION
        | algorithm::ECDSA_WITH_SHA_256 => Some(Hash::Sha256),
        algorithm::SHA_224_WITH_RSA_ENCRYPTION | algorithm::ECDSA_WITH_SHA_224 => {
            Some(Hash::Sha224)
        }
        algorithm::SHA_384_WITH_RSA_ENCRYPTION | algorithm::ECDSA_WITH_SHA_384 => {
            Some(Hash::Sha384)
        }
        algorithm::SHA_512_WITH_RSA_ENCRYPTION | algorithm::ECDSA_WITH_SHA_512 => {
            Some(Hash::Sha512)
        }
        algorithm::ID_RSASSA_PSS => hash_of_pss(signature),
        _ => None,
    }
}

/// RSASSA-PSS names its hash in the first of its parameters (RFC 4055, section 3.1).
fn hash_of_pss(signature: &AlgorithmIdentifierOwned) -> Option<Hash> {
    let parameters = signature.parameters.as_ref()?;
    let named = parameters.sequence(|reader| {
        let hash =
            ContextSpecific::<AlgorithmIdentifierRef<'_>>::decode_explicit(reader, TagNumber::N0)?;
        let rest = reader.remaining_len();
        reader.read_slice(rest)?;
        Ok::<_, der::Error>(hash.map(|hash| hash.value.oid))
    });
    match named.ok()? {
        None | Some(algorithm::ID_SHA_1 | algorithm::ID_SHA_256) => Some(Hash::Sha256),
        Some(algorithm::ID_SHA_224) => Some(Hash::Sha224),
        Some(algorithm::ID_SHA_384) => Some(Hash::Sha384),
        Some(algorithm::ID_SHA_512) => Some(Hash::Sha512),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm};

    use super::*;

    fn certificate(algorithm: &'static SignatureAlgorithm) -> Vec<u8> {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let params = CertificateParams::new(vec!["db".to_owned()]).unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_hash_is_that_of_the_certificate_s_signature() {
        let p256 = certificate(&rcgen::PKCS_ECDSA_P256_SHA256);
        let expected = Sha256::digest(&p256).to_vec();
        assert_eq!(server_end_point(&p256), Some(expected));
        let p384 = certificate(&rcgen::PKCS_ECDSA_P384_SHA384);
        let expected = Sha384::digest(&p384).to_vec();
        assert_eq!(server_end_point(&p384), Some(expected));
    }

    #[test]
    fn sha_1_and_md5_give_way_to_sha_256_and_a_signature_without_a_hash_binds_nothing() {
        let named = |oid| hash_of_signature(&AlgorithmIdentifierOwned { oid, parameters: None });
        for weak in [
            algorithm::MD_5_WITH_RSA_ENCRYPTION,
            algorithm::SHA_1_WITH_RSA_ENCRYPTION,
            ECDSA_WITH_SHA_1,
        ] {
            assert_eq!(named(weak), Some(Hash::Sha256));
        }
        assert_eq!(server_end_point(&certificate(&rcgen::PKCS_ED25519)), None);
    }
}
