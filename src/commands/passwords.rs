//! Passwords of roles that the job creates: they are never in the plan, the ledger or a log.

use crate::catalog;
use crate::engine::failpoint::{self, Act, Point};
use crate::error::Result;
use crate::pg::{quote_ident, quote_literal};
use crate::toc::{Kind, Toc};
use crate::wire::Session;

use super::databases::Pair;

/// The login roles that these entries create.
pub(super) fn login_roles(toc: &Toc) -> Vec<String> {
    let roles = toc.entries.iter().filter(|entry| entry.kind == Kind::Role);
    let login = roles.filter(|entry| entry.create.split_whitespace().any(|word| word == "LOGIN"));
    login.map(|entry| entry.name.clone()).collect()
}

/// Gives roles the verifiers that the source keeps of their passwords. Returns the roles that have
/// none to give: an MD5 hash isn't carried.
pub(super) async fn carry(
    pair: &Pair,
    target: &Session,
    mut roles: Vec<String>,
) -> Result<Vec<String>> {
    if roles.is_empty() {
        return Ok(roles);
    }
    let session = Session::connect(&pair.source).await?;
    let behind = roles.iter().flat_map(|role| pair.roles.behind(role)).map(str::to_owned);
    let verifiers = catalog::passwords(&session, &behind.collect::<Vec<_>>()).await?;
    for role in roles.clone() {
        let mut behind = pair.roles.behind(&role).into_iter();
        let verifier = behind.find_map(|old| verifiers.iter().find(|(name, _)| name == old));
        let Some((_, verifier)) = verifier else { continue };
        let doing = format!("setting the password of role {role}");
        let sql = format!("ALTER ROLE {} PASSWORD {}", quote_ident(&role), quote_literal(verifier));
        failpoint::pass(Point::Before(Act::CarryPassword));
        target.execute(&doing, &sql).await?;
        failpoint::pass(Point::After(Act::CarryPassword));
        roles.retain(|left| *left != role);
    }
    Ok(roles)
}
