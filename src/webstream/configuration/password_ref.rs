//! Where a service finds its password.

use std::fmt;
use std::str::FromStr;

/// A `passwordRef`.
#[derive(Clone, PartialEq, Eq)]
pub enum PasswordRef {
    /// In an environment variable.
    Env(String),
    /// In the configuration itself, encrypted for the Windows host: a token in Base64.
    Dpapi(String),
}

impl FromStr for PasswordRef {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<PasswordRef, &'static str> {
        match text.split_once(':') {
            Some(("env", name)) if is_name(name) => Ok(PasswordRef::Env(name.to_owned())),
            Some(("env", _)) => Err("a passwordRef's env: has no name that a variable can have"),
            Some(("dpapi", token)) if is_base64(token) => Ok(PasswordRef::Dpapi(token.to_owned())),
            Some(("dpapi", _)) => Err("a passwordRef's dpapi: isn't followed by Base64"),
            _ => Err("a passwordRef begins with neither env: nor dpapi:"),
        }
    }
}

impl fmt::Display for PasswordRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PasswordRef::Env(name) => write!(f, "env:{name}"),
            PasswordRef::Dpapi(token) => write!(f, "dpapi:{token}"),
        }
    }
}

/// A token isn't shown where somebody looks for what went wrong.
impl fmt::Debug for PasswordRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PasswordRef::Env(name) => write!(f, "env:{name}"),
            PasswordRef::Dpapi(_) => f.write_str("dpapi:…"),
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c == '=' || c.is_control() || c.is_whitespace())
}

fn is_base64(token: &str) -> bool {
    let digits = token.trim_end_matches('=');
    !digits.is_empty()
        && token.len().is_multiple_of(4)
        && token.len() - digits.len() <= 2
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
}
