//! Whether the target encrypts, insists on it, and can be verified: asked from the doorstep, without a
//! password, so that none ever goes over an open connection.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::commands::Finding;
use crate::error::{Error, Result};
use crate::wire::{Conninfo, Environment, PASSWORD_MISSING, Session};

use super::super::connecting::quoted;

/// Where RDS's authorities are to be had (Amazon RDS user guide: "Using SSL/TLS to encrypt a
/// connection").
const BUNDLE: &str = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem";
const TIMEOUT_SECONDS: u32 = 15;

/// What the target says about TLS; none where it couldn't be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Encryption {
    /// Whether it has TLS at all.
    pub offered: Option<bool>,
    /// Whether it refuses connections in the open.
    pub enforced: Option<bool>,
    /// Whether its certificate is this host's, by the authorities of the file that was given.
    pub verified: Option<bool>,
    /// That file.
    pub authorities: Option<PathBuf>,
    /// Why it isn't verified.
    pub why_not: Option<String>,
}

/// What came of knocking.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// It went on to prove who we are.
    LetIn,
    /// Its rules admit no such connection (SQLSTATE 28000).
    NotAdmitted,
    /// It came to no authentication, for this reason.
    Failed(String),
}

/// Knocks in the open, encrypted, and verified.
pub(super) async fn ask(target: &Conninfo, authorities: Option<&Path>) -> Option<Encryption> {
    let (host, port) = target.host_and_port()?;
    let knock = async |how: &str| {
        let text = format!(
            "host={} port={port} user={} dbname=postgres connect_timeout={TIMEOUT_SECONDS} \
             application_name='pgconvoy webstream' {how}",
            quoted(&host),
            quoted(target.user())
        );
        // Neither our PG* variables nor the password file: there is to be no password.
        answer(async { Session::connect(&Conninfo::parse(&text, &Environment::default())?).await })
            .await
    };
    let (open, encrypted) = tokio::join!(knock("sslmode=disable"), knock("sslmode=require"));
    let verified = match authorities {
        Some(file) => {
            let file = quoted(&file.to_string_lossy());
            Some(knock(&format!("sslmode=verify-full sslrootcert={file}")).await)
        }
        None => None,
    };
    Some(Encryption::of(&open, &encrypted, verified, authorities))
}

async fn answer(connecting: impl Future<Output = Result<Session>>) -> Answer {
    match connecting.await {
        Ok(session) => {
            session.close().await;
            Answer::LetIn
        }
        Err(error) => Answer::of(&error),
    }
}

impl Answer {
    fn of(error: &Error) -> Answer {
        match error.server_error() {
            Some(words) if words.sqlstate == "28000" => Answer::NotAdmitted,
            // A database or role that isn't there is told behind the door.
            Some(_) => Answer::LetIn,
            None if error.message().ends_with(PASSWORD_MISSING) => Answer::LetIn,
            None => Answer::Failed(error.message()),
        }
    }
}

impl Encryption {
    fn of(
        open: &Answer,
        encrypted: &Answer,
        verified: Option<Answer>,
        authorities: Option<&Path>,
    ) -> Encryption {
        // What fails in the open as it does encrypted says nothing of TLS.
        let reachable = [open, encrypted].iter().any(|answer| !matches!(answer, Answer::Failed(_)));
        let offered = reachable.then_some(!matches!(encrypted, Answer::Failed(_)));
        let enforced = match (open, offered) {
            (Answer::LetIn, _) => Some(false),
            (Answer::NotAdmitted, _) if *encrypted == Answer::LetIn => Some(true),
            _ => None,
        };
        let (verified, why_not) = match verified {
            Some(Answer::Failed(why)) if offered == Some(true) => (Some(false), Some(why)),
            Some(Answer::Failed(_)) | None => (None, None),
            Some(Answer::LetIn | Answer::NotAdmitted) => (Some(true), None),
        };
        let authorities = authorities.map(Path::to_owned);
        Encryption { offered, enforced, verified, authorities, why_not }
    }

    /// What is wrong with it.
    pub(super) fn judge(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut tell = |finding: Finding, remedy: String| found.push(finding.mend(remedy));
        if self.offered == Some(false) {
            tell(
                Finding::refusal(
                    "TLS",
                    "the target has none, and the services are led to it by it",
                ),
                "turn it on there (ssl = on)".to_owned(),
            );
            return found;
        }
        if self.enforced == Some(false) {
            tell(
                Finding::note("TLS", "isn't enforced: the target lets clients in without it, too"),
                "set rds.force_ssl to 1 in the parameter group".to_owned(),
            );
        }
        match (self.verified, &self.authorities, &self.why_not) {
            (Some(false), Some(file), why) => tell(
                Finding::refusal(
                    "TLS",
                    format!(
                        "the target can't be verified by {}: {}",
                        file.display(),
                        why.as_deref().unwrap_or("it says no more")
                    ),
                ),
                format!("give the provider's authorities with --root-certificate; RDS's: {BUNDLE}"),
            ),
            (None, None, _) => tell(
                Finding::note("TLS", "whether the target can be verified wasn't asked"),
                format!("give the provider's authorities with --root-certificate; RDS's: {BUNDLE}"),
            ),
            _ => {}
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Severity;

    fn severities(encryption: &Encryption) -> Vec<Severity> {
        encryption.judge().iter().map(|finding| finding.severity).collect()
    }

    fn failed() -> Answer {
        Answer::Failed("no".to_owned())
    }

    #[test]
    fn a_server_that_refuses_the_open_way_alone_enforces_tls() {
        let file = Path::new("ca.pem");
        let of =
            |open, encrypted, verified| Encryption::of(&open, &encrypted, verified, Some(file));
        let strict = of(Answer::NotAdmitted, Answer::LetIn, Some(Answer::LetIn));
        assert_eq!(
            (strict.offered, strict.enforced, strict.verified),
            (Some(true), Some(true), Some(true))
        );
        assert!(strict.judge().is_empty());
        let lax = of(Answer::LetIn, Answer::LetIn, Some(failed()));
        assert_eq!((lax.enforced, lax.verified), (Some(false), Some(false)));
        assert_eq!(severities(&lax), [Severity::Note, Severity::Refusal]);
        // One that admits this user neither way doesn't say which.
        assert_eq!(of(Answer::NotAdmitted, Answer::NotAdmitted, None).enforced, None);
    }

    #[test]
    fn a_server_without_tls_is_refused() {
        let bare = Encryption::of(&Answer::LetIn, &failed(), None, None);
        assert_eq!(bare.offered, Some(false));
        assert_eq!(severities(&bare), [Severity::Refusal]);
    }

    #[test]
    fn a_server_out_of_reach_says_nothing() {
        let away = Encryption::of(&failed(), &failed(), Some(failed()), Some(Path::new("ca.pem")));
        assert_eq!((away.offered, away.enforced, away.verified), (None, None, None));
        assert!(away.judge().is_empty());
    }
}
