//! Which step comes next, by what is on record.

use serde::{Deserialize, Serialize};

use crate::error::Result;

use super::clock;
use super::recipe::Recipe;
use super::report::renew;

/// A step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// What would stop the move, or spoil what comes after it.
    Check,
    /// Roles and databases on the target.
    Provision,
    /// An archive of each database.
    Backup,
    /// The move behind a fence.
    Migrate,
    /// Both sides compared.
    Verify,
    /// The configurations led to the target.
    Repoint,
    /// What the services find there.
    Status,
    /// A person signs in to the admin console.
    SignIn,
    /// The bundled databases closed for good.
    Retire,
}

/// A person's word that the admin console lets them in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIn {
    /// When it was given.
    pub at: String,
    /// Who gave it.
    pub who: String,
}

impl Next {
    /// The step's name.
    pub fn name(self) -> &'static str {
        match self {
            Next::Check => "check",
            Next::Provision => "provision",
            Next::Backup => "backup",
            Next::Migrate => "migrate",
            Next::Verify => "verify",
            Next::Repoint => "repoint",
            Next::Status => "status",
            Next::SignIn => "the sign-in to the admin console",
            Next::Retire => "retire",
        }
    }

    /// What is asked before it, if it changes anything.
    pub fn question(self) -> Option<&'static str> {
        match self {
            Next::Provision => Some(
                "make the services' roles and databases on the target, and keep their passwords in \
                 the secrets file?",
            ),
            Next::Backup => Some("dump the bundled databases into archives?"),
            Next::Migrate => Some(
                "stop the services on every host now; when they are: lock them out of the bundled \
                 instance and move all databases?",
            ),
            Next::Repoint => Some("write these configurations?"),
            Next::Retire => Some("close the bundled databases for good?"),
            Next::Check | Next::Verify | Next::Status | Next::SignIn => None,
        }
    }
}

impl Recipe {
    /// The step that isn't done yet; none once all are.
    pub fn next(&self) -> Result<Option<Next>> {
        let done = &self.record.done;
        let databases = self.databases()?;
        let provisioned = databases.iter().all(|n| done.provisioned.contains_key(&n.database));
        let backed_up = databases.iter().all(|n| done.backed_up.contains_key(&n.database));
        let is_closed = done.retired.as_ref().is_some_and(|retired| retired.is_closed);
        let is_repointed =
            || -> Result<bool> { Ok(self.led_to_target()?.len() == self.configurations.len()) };
        Ok(match () {
            () if done.provisioned.is_empty() && done.checked.is_none() => Some(Next::Check),
            () if !provisioned => Some(Next::Provision),
            () if !backed_up => Some(Next::Backup),
            () if done.migrated.is_none() => Some(Next::Migrate),
            () if done.verified.is_none() => Some(Next::Verify),
            () if !is_repointed()? => Some(Next::Repoint),
            () if done.reached.is_none() => Some(Next::Status),
            () if done.signed_in.is_none() => Some(Next::SignIn),
            () if !is_closed => Some(Next::Retire),
            () => None,
        })
    }

    /// Remembers that somebody has signed in to the admin console.
    pub fn signed_in(&mut self, who: &str) -> Result<()> {
        let who = who.chars().filter(|c| !c.is_control()).collect();
        self.record.done.signed_in = Some(SignedIn { at: clock::now(), who });
        self.keep()?;
        renew(self)?;
        Ok(())
    }
}
