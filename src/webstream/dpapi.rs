//! Tokens of `dpapi:`: passwords that Windows encrypts for a host (CryptProtectData), in Base64. What
//! is encrypted is the password's UTF-8, as .NET's ProtectedData is given it, with no further entropy.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::error::{Error, Kind, Result};

#[cfg(windows)]
use super::windows::{protect, unprotect};

/// Whether this system makes and decrypts tokens.
pub(super) const IS_HERE: bool = cfg!(windows);

/// The password in a token.
pub(super) fn decrypted(token: &str) -> Result<String> {
    let refused = |because: String| {
        Error::new(Kind::Refused, "decrypting a dpapi: token").because(because).hint(
            "only the host that it was made on decrypts it, and only its user if it was made for \
             one: run this there, as the services' account, or make another by `pgconvoy webstream \
             repoint --password-ref dpapi`",
        )
    };
    let bytes = BASE64_STANDARD.decode(token).map_err(|error| refused(error.to_string()))?;
    let plain = unprotect(&bytes).map_err(|error| refused(error.to_string()))?;
    match String::from_utf8(plain) {
        // Text in UTF-16 has zeros, and no password of PostgreSQL's has any.
        Ok(password) if !password.is_empty() && !password.contains('\0') => Ok(password),
        _ => Err(refused("what is in it is no password in UTF-8".to_owned())),
    }
}

/// A token in which every account of this host finds a password, a service's too. It is proven by
/// decrypting it.
pub(super) fn token(password: &str) -> Result<String> {
    let failed = Error::new(Kind::Refused, "making a dpapi: token")
        .hint("run this on the Windows host whose configuration it is, or use --password-ref env");
    let bytes = match protect(password.as_bytes()) {
        Ok(bytes) => bytes,
        Err(error) => return Err(failed.io(error)),
    };
    let token = BASE64_STANDARD.encode(bytes);
    match decrypted(&token)? == password {
        true => Ok(token),
        false => Err(failed.because("decrypted, it isn't the password")),
    }
}

#[cfg(not(windows))]
fn protect(_: &[u8]) -> std::io::Result<Vec<u8>> {
    Err(std::io::Error::other("only Windows has such tokens"))
}

#[cfg(not(windows))]
fn unprotect(_: &[u8]) -> std::io::Result<Vec<u8>> {
    protect(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(windows)]
    #[test]
    fn a_token_holds_the_password_that_it_was_made_of() {
        let made = token("it's a päss").unwrap();
        assert_eq!(decrypted(&made).unwrap(), "it's a päss");
        assert_ne!(token("it's a päss").unwrap(), made);
    }

    #[cfg(windows)]
    #[test]
    fn text_in_utf_16_is_no_password() {
        let plain: Vec<u8> = "pass".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let made = BASE64_STANDARD.encode(protect(&plain).unwrap());
        assert!(decrypted(&made).unwrap_err().message().contains("no password in UTF-8"));
    }

    #[test]
    fn what_this_host_cannot_decrypt_is_refused_and_not_shown() {
        for token in ["AQAAANCMnd8=", "AQAA", "="] {
            let error = decrypted(token).unwrap_err();
            assert_eq!(error.kind(), Kind::Refused);
            assert!(!error.message().contains(token), "{error}");
            assert!(error.hint_text().unwrap().contains("--password-ref dpapi"), "{error}");
        }
    }

    #[cfg(not(windows))]
    #[test]
    fn other_systems_make_no_tokens() {
        let error = token("hush").unwrap_err().to_string();
        assert!(error.contains("only Windows") && error.contains("--password-ref env"), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
}
