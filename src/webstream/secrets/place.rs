//! Where the services' passwords are kept, as `--secrets` says: `file:PATH` or `aws:PREFIX`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

#[cfg(feature = "aws")]
use super::super::aws::Passwords;
use super::SecretsFile;

/// A place that passwords are kept in, and taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secrets {
    /// A file of lines that a shell can source.
    File(PathBuf),
    /// AWS Secrets Manager: a secret for each variable, called by the prefix and the variable's name.
    #[cfg(feature = "aws")]
    Aws {
        /// What their names begin with.
        prefix: String,
        /// Where they are, if AWS's tools are set to no region: where the target is.
        region: Option<String>,
    },
}

impl Secrets {
    /// Reads `--secrets`. `region` is the target's, if its name tells.
    pub(in crate::webstream) fn parse(text: &str, region: Option<String>) -> Result<Secrets> {
        let refused = || Error::usage(format!("reading --secrets {text}"));
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => {
                let path = std::path::absolute(Path::new(path));
                // The plan file is read from other folders, too.
                Ok(Secrets::File(path.map_err(|error| refused().io(error))?))
            }
            #[cfg(feature = "aws")]
            Some(("aws", prefix)) if is_part_of_a_name(prefix) => {
                Ok(Secrets::Aws { prefix: prefix.to_owned(), region })
            }
            #[cfg(not(feature = "aws"))]
            Some(("aws", _)) => {
                let _ = region;
                Err(refused()
                    .because("this pgconvoy was built without AWS")
                    .hint("use one that `cargo install --features aws` made, or give file:PATH"))
            }
            #[cfg(feature = "aws")]
            Some(("aws", _)) => Err(refused()
                .because("names of secrets have letters, digits and /_+=.@- in them")
                .hint("give aws:PREFIX, such as aws:webstream/")),
            _ => Err(refused().hint("give file:PATH or aws:PREFIX")),
        }
    }

    /// What holds a variable, for people.
    pub fn holder(&self, variable: &str) -> String {
        match self {
            Secrets::File(path) => format!("{variable} in {}", path.display()),
            #[cfg(feature = "aws")]
            Secrets::Aws { prefix, .. } => {
                format!("the secret {prefix}{variable} in AWS Secrets Manager")
            }
        }
    }

    /// Opens it.
    pub(in crate::webstream) async fn open(&self) -> Result<Opened> {
        Ok(match self {
            Secrets::File(path) => Opened::File(SecretsFile::open(path)?),
            #[cfg(feature = "aws")]
            Secrets::Aws { prefix, region } => {
                Opened::Aws(Box::new(Passwords::open(prefix, region.as_deref()).await?))
            }
        })
    }
}

/// As `--secrets` takes it.
impl fmt::Display for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secrets::File(path) => write!(f, "file:{}", path.display()),
            #[cfg(feature = "aws")]
            Secrets::Aws { prefix, .. } => write!(f, "aws:{prefix}"),
        }
    }
}

/// A place that is at hand.
pub(in crate::webstream) enum Opened {
    File(SecretsFile),
    #[cfg(feature = "aws")]
    Aws(Box<Passwords>),
}

impl Opened {
    /// What those of these variables hold that are kept there.
    pub(in crate::webstream) async fn read(
        &self,
        variables: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, String>> {
        match self {
            Opened::File(file) => {
                let mut all = file.variables()?;
                all.retain(|name, _| variables.contains(name));
                Ok(all)
            }
            #[cfg(feature = "aws")]
            Opened::Aws(passwords) => passwords.read(variables).await,
        }
    }

    /// Adds a password, unless the very same is there already.
    pub(in crate::webstream) async fn keep(&mut self, name: &str, password: &str) -> Result<()> {
        match self {
            Opened::File(file) => file.keep(name, password),
            #[cfg(feature = "aws")]
            Opened::Aws(passwords) => passwords.keep(name, password).await,
        }
    }
}

#[cfg(feature = "aws")]
fn is_part_of_a_name(prefix: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c);
    !prefix.is_empty() && prefix.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn what_names_no_place_is_refused() {
        for text in ["", "webstream.env", "file:", "vault:x", "aws"] {
            assert_eq!(Secrets::parse(text, None).unwrap_err().kind(), Kind::Usage, "{text}");
        }
        let file = Secrets::parse("file:a:b.env", None).unwrap();
        assert!(
            matches!(&file, Secrets::File(path) if path.is_absolute() && path.ends_with("a:b.env"))
        );
    }

    #[cfg(feature = "aws")]
    #[test]
    fn a_prefix_is_the_beginning_of_a_name() {
        let aws = Secrets::parse("aws:prod/webstream/", None).unwrap();
        assert_eq!(aws.to_string(), "aws:prod/webstream/");
        assert!(aws.holder("X_PASSWORD").starts_with("the secret prod/webstream/X_PASSWORD "));
        for text in ["aws:", "aws:a b", "aws:$(x)", "aws:é"] {
            assert!(Secrets::parse(text, None).is_err(), "{text}");
        }
    }

    #[cfg(not(feature = "aws"))]
    #[test]
    fn aws_takes_a_build_with_the_feature() {
        let error = Secrets::parse("aws:webstream/", None).unwrap_err();
        assert!(error.to_string().contains("--features aws"), "{error}");
    }
}
