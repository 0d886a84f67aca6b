//! Grants on configuration parameters, since 15: the cluster's, so only those to the roles that move
//! are told (documentation: SQL command GRANT, "ON PARAMETER").

use crate::error::Result;
use crate::pg::quote_ident;
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::Builder;
use super::grants::{self, Grantable, Target};

/// Adds an entry for each parameter that one of `roles` may set, or alter for the system.
pub(super) async fn read(session: &Session, roles: &[String], out: &mut Builder) -> Result<()> {
    let major = session.version().major();
    if major < 15 {
        return Ok(());
    }
    // Parameters belong to the superuser that initdb makes.
    let sql = "select p.parname, pg_catalog.pg_get_userbyid(10)::text as owner, \
         p.paracl::text[] as acl from pg_catalog.pg_parameter_acl p order by p.parname";
    for row in session.query("reading parameters' privileges", sql, &[]).await? {
        let granted =
            Granted { parameter: row.get("parname"), owner: row.get("owner"), acl: row.get("acl") };
        if let Some(entry) = granted.entry(roles) {
            out.add_part(entry);
        }
        if granted.to(|grantee| grantee.is_empty()).next().is_some() {
            out.left_out(
                format!("privileges of PUBLIC on parameter {}", granted.parameter),
                "they would hold in every database of the target: grant them there if they shall",
            );
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Granted {
    parameter: String,
    owner: String,
    acl: Vec<String>,
}

impl Granted {
    /// The items whose grantee is `wanted`.
    fn to(&self, wanted: impl Fn(&String) -> bool) -> impl Iterator<Item = &String> {
        self.acl
            .iter()
            .filter(move |item| grants::grantee(item).is_some_and(|grantee| wanted(&grantee)))
    }

    /// None where none of the roles is granted anything.
    fn entry(&self, roles: &[String]) -> Option<Entry> {
        let acl: Vec<String> = self.to(|grantee| roles.contains(grantee)).cloned().collect();
        let target = Target {
            kind: Grantable::Parameter,
            object: format!("PARAMETER {}", quote_ident(&self.parameter)),
            column: None,
            owner: &self.owner,
            prefix: String::new(),
        };
        let create = grants::statements(&target, &[], &acl)?;
        (!create.is_empty()).then(|| Entry {
            create,
            ..Entry::new(Kind::Acl, None, format!("PARAMETER {}", self.parameter))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_grants_to_the_moved_roles_are_told() {
        let granted = Granted {
            parameter: "log_statement".to_owned(),
            owner: "postgres".to_owned(),
            acl: ["postgres=sA/postgres", "app=s/postgres", "other=sA/postgres"]
                .map(str::to_owned)
                .to_vec(),
        };
        let entry = granted.entry(&["app".to_owned()]).unwrap();
        assert_eq!(entry.create, "GRANT SET ON PARAMETER \"log_statement\" TO \"app\";\n");
        assert_eq!(granted.entry(&[]), None);
    }
}
