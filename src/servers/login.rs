//! Who logs in, and how a URI says so.

use std::fmt;

use crate::error::{Error, Result};

/// A role and its password.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) name: String,
    pub(super) password: String,
}

impl Login {
    pub(super) fn new(name: &str, password: &str) -> Login {
        Login { name: name.to_owned(), password: password.to_owned() }
    }

    /// The part of a URI before the `@`.
    pub(super) fn uri_part(&self) -> String {
        let (name, password) = (uri_escaped(&self.name), uri_escaped(&self.password));
        format!("{name}:{password}")
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({})", self.name)
    }
}

/// 128 random bits in letters that no quoting changes.
pub(super) fn random_password() -> Result<String> {
    let mut bytes = [0; 16];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| Error::step("making a password").because("there is no randomness"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Percent-encodes what isn't plain in every part of a URI.
pub(super) fn uri_escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_./~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_uri_are_percent_encoded_and_debug_hides_the_password() {
        let login = Login::new("a b@c:é", "secret");
        assert_eq!(login.uri_part(), "a%20b%40c%3A%C3%A9:secret");
        assert!(!format!("{login:?}").contains("secret"));
    }

    #[test]
    fn no_two_passwords_are_the_same() {
        assert_ne!(random_password().unwrap(), random_password().unwrap());
    }
}
