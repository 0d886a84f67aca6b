//! The database's own entries: it may have another name on the target, and an owner whom nobody
//! but a superuser can replace (documentation: ALTER DATABASE).

use crate::pg::quote_ident;
use crate::toc::clauses::rewritten;
use crate::toc::finding::Finding;
use crate::toc::sql::Token;
use crate::toc::target::TargetFacts;
use crate::toc::{Entry, Kind};

/// The entry with the target's name of the database, and with an owner it can have.
pub(super) fn fit(mut entry: Entry, target: &TargetFacts, findings: &mut Vec<Finding>) -> Entry {
    let about_database = entry.kind == Kind::DatabaseProperties
        || (matches!(entry.kind, Kind::Acl | Kind::Comment) && entry.name.starts_with("DATABASE "));
    if !about_database {
        return entry;
    }
    entry.create = renamed(&entry.create, &target.database);
    entry.drop = renamed(&entry.drop, &target.database);
    entry.name = match entry.kind {
        Kind::DatabaseProperties => target.database.clone(),
        _ => format!("DATABASE {}", target.database),
    };
    if entry.kind == Kind::Acl && shuts_out(&entry.create, &target.user) && !target.superuser {
        let user = quote_ident(&target.user);
        let what = format!(
            "PUBLIC may not connect, as on the source: once the job is done {} may not either, \
             unless it owns the database",
            target.user
        );
        findings.push(Finding::note(format!("DATABASE {}", target.database), what).mend(format!(
            "as the owner: GRANT CONNECT ON DATABASE {} TO {user};",
            quote_ident(&target.database)
        )));
    }
    let Some(owner) = entry.owner.as_deref().filter(|owner| *owner != target.database_owner) else {
        return entry;
    };
    let may =
        target.superuser || (target.create_database && target.acts_as(&target.database_owner));
    if !may {
        if entry.kind == Kind::DatabaseProperties {
            let what = format!(
                "stays {}'s: {} may not give it to {owner}",
                target.database_owner, target.user
            );
            findings.push(Finding::change(entry.title(), what).mend(format!(
                "as an administrator of the target: ALTER DATABASE {} OWNER TO {};",
                quote_ident(&target.database),
                quote_ident(owner)
            )));
        }
        entry.owner = Some(target.database_owner.clone());
    }
    entry
}

/// Whether these grants on a database leave `user` no way in but by its roles.
fn shuts_out(grants: &str, user: &str) -> bool {
    grants.contains("FROM PUBLIC;") && !grants.contains(&format!("TO {}", quote_ident(user)))
}

/// The statements about another database: its name is the quoted one after DATABASE.
fn renamed(sql: &str, name: &str) -> String {
    let mut named_next = false;
    rewritten(sql, |token| {
        let is_named = named_next && matches!(token, Token::Quoted(_));
        named_next = token.is_word("DATABASE");
        is_named.then(|| quote_ident(name))
    })
}

#[cfg(test)]
mod tests {
    use super::renamed;

    #[test]
    fn only_the_databases_name_changes() {
        let sql = "ALTER DATABASE \"a\" SET \"a\" TO 'DATABASE \"a\"';\n\
                   ALTER ROLE \"a\" IN DATABASE \"a\" SET \"x\" TO 'y';\n";
        assert_eq!(
            renamed(sql, "b\"c"),
            "ALTER DATABASE \"b\"\"c\" SET \"a\" TO 'DATABASE \"a\"';\n\
             ALTER ROLE \"a\" IN DATABASE \"b\"\"c\" SET \"x\" TO 'y';\n"
        );
    }
}
