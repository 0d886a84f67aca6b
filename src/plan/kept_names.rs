//! Names that the server must not give away. To the shares of a foreign key that partitions have, it
//! gives the first name that no constraint of the schema has, and so might take a later key's
//! (source: addFkRecurseReferenced in commands/tablecmds.c, ChooseConstraintName in
//! catalog/pg_constraint.c).

use std::collections::{BTreeMap, BTreeSet};

use crate::pg::QualifiedName;
use crate::toc::{Entry, EntryId, Token, tokens};

/// What holds the names while a key is added.
const HOLDER: &str = "names kept by pgconvoy";

/// The names of foreign keys that the server might come upon by itself, quoted, by their schema.
pub(super) struct KeptNames<'t>(BTreeMap<&'t str, BTreeSet<&'t str>>);

impl<'t> KeptNames<'t> {
    /// Those of `keys`: it numbers what it names.
    pub(super) fn of(keys: impl Iterator<Item = &'t Entry>) -> KeptNames<'t> {
        let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for key in keys {
            let (Some(schema), Some(name)) = (&key.schema, constraint(&key.create)) else {
                continue;
            };
            if name.trim_end_matches('"').ends_with(|last: char| last.is_ascii_digit()) {
                names.entry(schema).or_default().insert(name);
            }
        }
        KeptNames(names)
    }

    /// `sql`, which adds `key`, with the names of all others out of the server's reach.
    pub(super) fn around(&self, key: &Entry, sql: String) -> String {
        let own = constraint(&key.create);
        let schema = key.schema.as_deref().unwrap_or_default();
        let others = self.0.get(schema).into_iter().flatten().filter(|name| Some(**name) != own);
        let checks: Vec<String> =
            others.map(|name| format!("CONSTRAINT {name} CHECK (true)")).collect();
        if checks.is_empty() {
            return sql;
        }
        let holder = QualifiedName::new(schema, HOLDER).sql();
        format!("CREATE TABLE {holder} ({});\n{sql}DROP TABLE {holder};\n", checks.join(", "))
    }
}

/// Puts keys that have the name of a partitioned table's key before all others: on a partition such a
/// one was there before the parent's, whose share has that name unless it is taken.
pub(super) fn before_shares(keys: &mut [(EntryId, &Entry)]) {
    let goes_down = |key: &Entry| !tokens(&key.create).any(|(_, token)| token.is_word("ONLY"));
    let of_parents: BTreeSet<_> = keys
        .iter()
        .filter(|(_, key)| goes_down(key))
        .filter_map(|(_, key)| constraint(&key.create))
        .collect();
    let is_namesake = |key: &Entry| {
        !goes_down(key) && constraint(&key.create).is_some_and(|name| of_parents.contains(name))
    };
    keys.sort_by_key(|(_, key)| !is_namesake(key));
}

/// The name that `ALTER TABLE … ADD CONSTRAINT` gives, as its text has it.
fn constraint(create: &str) -> Option<&str> {
    let mut rest = tokens(create).map(|(_, token)| token);
    rest.find(|token| token.is_word("ADD"))?;
    match (rest.next()?.is_word("CONSTRAINT"), rest.next()?) {
        (true, Token::Quoted(name)) => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::pg::quote_ident;
    use crate::toc::Kind;

    use super::*;

    #[test]
    fn a_key_is_added_while_the_numbered_names_of_others_are_taken() {
        let key = |table: &str, name: &str| Entry {
            create: format!(
                "ALTER TABLE \"s\".{} ADD CONSTRAINT {} FOREIGN KEY (a) REFERENCES s.r(a);\n",
                quote_ident(table),
                quote_ident(name)
            ),
            ..Entry::new(Kind::FkConstraint, Some("s"), format!("{table} {name}"))
        };
        let keys = [key("t", "t_a_fkey"), key("t", "t_a_fkey1"), key("t ADD", "named")];
        let kept = KeptNames::of(keys.iter());
        let sql = kept.around(&keys[0], keys[0].create.clone());
        let (before, after) = sql.split_once(&keys[0].create).unwrap();
        assert_eq!(
            before,
            "CREATE TABLE \"s\".\"names kept by pgconvoy\" (CONSTRAINT \"t_a_fkey1\" CHECK (true));\n"
        );
        assert_eq!(after, "DROP TABLE \"s\".\"names kept by pgconvoy\";\n");
        assert_eq!(kept.around(&keys[1], keys[1].create.clone()), keys[1].create);
    }
}
