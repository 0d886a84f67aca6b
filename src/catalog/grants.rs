//! Access privileges as the catalogs store them, back as GRANT and REVOKE
//! (documentation: chapter "Privileges"; source: buildACLCommands in pg_dump's dumputils.c).

use crate::pg::quote_ident;

/// What GRANT calls the objects whose privileges are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grantable {
    Table,
    Column,
    Sequence,
    Function,
    Procedure,
    Schema,
    Type,
    Language,
    ForeignDataWrapper,
    ForeignServer,
    Database,
    LargeObject,
    Parameter,
}

impl Grantable {
    /// The word before the object's name.
    pub(super) fn word(self) -> &'static str {
        match self {
            Grantable::Table | Grantable::Column => "TABLE",
            Grantable::Sequence => "SEQUENCE",
            Grantable::Function => "FUNCTION",
            Grantable::Procedure => "PROCEDURE",
            Grantable::Schema => "SCHEMA",
            Grantable::Type => "TYPE",
            Grantable::Language => "LANGUAGE",
            Grantable::ForeignDataWrapper => "FOREIGN DATA WRAPPER",
            Grantable::ForeignServer => "FOREIGN SERVER",
            Grantable::Database => "DATABASE",
            Grantable::LargeObject => "LARGE OBJECT",
            Grantable::Parameter => "PARAMETER",
        }
    }

    /// The privileges it can have, as aclitem's letters, in the order pg_dump names them. MAINTAIN
    /// came with 17: what was ALL before is a list, lest a newer server grants more than there was.
    fn letters(self) -> &'static str {
        match self {
            Grantable::Table => "rawdDxtm",
            Grantable::Column => "rawx",
            Grantable::Sequence => "rUw",
            Grantable::Function | Grantable::Procedure => "X",
            Grantable::Schema => "CU",
            Grantable::Type | Grantable::Language => "U",
            Grantable::ForeignDataWrapper | Grantable::ForeignServer => "U",
            Grantable::Database => "CcT",
            Grantable::LargeObject => "rw",
            Grantable::Parameter => "sA",
        }
    }
}

/// Whose privileges are told: how the statements name the object.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) kind: Grantable,
    /// What follows ON: `TABLE "s"."t"`.
    pub(super) object: String,
    /// The column, unquoted, of a column's privileges.
    pub(super) column: Option<&'a str>,
    pub(super) owner: &'a str,
    /// What each statement begins with: `ALTER DEFAULT PRIVILEGES FOR ROLE "r" `.
    pub(super) prefix: String,
}

/// The statements that lead from the privileges `base` to `acl`, empty where they are the same;
/// none where an item can't be read.
///
/// Items keep their order, since a grant may rest on the grant option an earlier one gave; what
/// the owner gives itself comes first. A grant by another than the owner is made as that role.
pub(super) fn statements(target: &Target<'_>, base: &[String], acl: &[String]) -> Option<String> {
    let base = Item::parse_all(base)?;
    let acl = Item::parse_all(acl)?;
    let mut first = String::new();
    let mut then = String::new();
    for item in base.iter().filter(|item| !acl.contains(item)) {
        if let Some(privileges) = target.privileges(&target.with_newer(item.all())) {
            first.push_str(&format!(
                "{}REVOKE {privileges} ON {} FROM {};\n",
                target.prefix,
                target.object,
                item.grantee_sql()
            ));
        }
    }
    for item in acl.iter().filter(|item| !base.contains(item)) {
        let grants: String = [(&item.plain, ""), (&item.grantable, " WITH GRANT OPTION")]
            .into_iter()
            .filter_map(|(letters, option)| {
                let privileges = target.privileges(letters)?;
                Some(format!(
                    "{}GRANT {privileges} ON {} TO {}{option};\n",
                    target.prefix,
                    target.object,
                    item.grantee_sql()
                ))
            })
            .collect();
        if grants.is_empty() {
            continue;
        }
        let by_owner = item.grantor == target.owner;
        if by_owner && item.grantee == target.owner {
            first.push_str(&grants);
        } else if by_owner {
            then.push_str(&grants);
        } else {
            then.push_str(&format!(
                "SET ROLE {};\n{grants}RESET ROLE;\n",
                quote_ident(&item.grantor)
            ));
        }
    }
    Some(first + &then)
}

/// Whom an item grants something, empty for PUBLIC; none where it can't be read.
pub(super) fn grantee(item: &str) -> Option<String> {
    Item::parse(item).map(|item| item.grantee)
}

impl Target<'_> {
    /// The letters to revoke: who loses all that an older server knows loses MAINTAIN as well.
    fn with_newer(&self, mut letters: String) -> String {
        let older = "rawdDxt";
        if self.kind == Grantable::Table && older.chars().all(|letter| letters.contains(letter)) {
            letters.push('m');
        }
        letters
    }

    /// The privileges of these letters as GRANT lists them, or none where there are none.
    fn privileges(&self, letters: &str) -> Option<String> {
        let possible = self.kind.letters();
        let column = match self.column {
            Some(column) => format!("({})", quote_ident(column)),
            None => String::new(),
        };
        let named: Vec<String> = possible
            .chars()
            .filter(|letter| letters.contains(*letter))
            .map(|letter| format!("{}{column}", name(letter)))
            .collect();
        match named.len() {
            0 => None,
            n if n == possible.len() => Some(format!("ALL{column}")),
            _ => Some(named.join(",")),
        }
    }
}

/// A privilege's name by its letter in aclitem.
fn name(letter: char) -> &'static str {
    match letter {
        'r' => "SELECT",
        'a' => "INSERT",
        'w' => "UPDATE",
        'd' => "DELETE",
        'D' => "TRUNCATE",
        'x' => "REFERENCES",
        't' => "TRIGGER",
        'm' => "MAINTAIN",
        'U' => "USAGE",
        'X' => "EXECUTE",
        'C' => "CREATE",
        'c' => "CONNECT",
        's' => "SET",
        'A' => "ALTER SYSTEM",
        _ => "TEMPORARY",
    }
}

/// An aclitem: `grantee=letters/grantor`, where `*` after a letter is its grant option.
#[derive(Debug, PartialEq, Eq)]
struct Item {
    /// Empty for PUBLIC.
    grantee: String,
    grantor: String,
    plain: String,
    grantable: String,
}

impl Item {
    fn parse_all(items: &[String]) -> Option<Vec<Item>> {
        items.iter().map(|item| Item::parse(item)).collect()
    }

    fn parse(text: &str) -> Option<Item> {
        let (grantee, rest) = role(text, '=')?;
        let (letters, rest) = rest.split_once('/')?;
        let (grantor, _) = role(rest, '\0')?;
        let mut item = Item { grantee, grantor, plain: String::new(), grantable: String::new() };
        let mut letters = letters.chars().peekable();
        while let Some(letter) = letters.next() {
            match letters.next_if_eq(&'*') {
                Some(_) => item.grantable.push(letter),
                None => item.plain.push(letter),
            }
        }
        Some(item)
    }

    fn all(&self) -> String {
        format!("{}{}", self.plain, self.grantable)
    }

    fn grantee_sql(&self) -> String {
        match self.grantee.as_str() {
            "" => "PUBLIC".to_owned(),
            role => quote_ident(role),
        }
    }
}

/// A role's name up to `end`, or to the text's end; within quotes a doubled quote is one.
fn role(text: &str, end: char) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut quoted = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if quoted && chars.next_if(|&(_, next)| next == '"').is_some() => name.push('"'),
            '"' => quoted = !quoted,
            c if c == end && !quoted => return Some((name, &text[at + c.len_utf8()..])),
            c => name.push(c),
        }
    }
    (end == '\0' && !quoted).then_some((name, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(owner: &str) -> Target<'_> {
        Target {
            kind: Grantable::Table,
            object: "TABLE \"s\".\"t\"".to_owned(),
            column: None,
            owner,
            prefix: String::new(),
        }
    }

    fn told(target: &Target<'_>, base: &[&str], acl: &[&str]) -> String {
        let list = |items: &[&str]| items.iter().map(|i| (*i).to_owned()).collect::<Vec<_>>();
        statements(target, &list(base), &list(acl)).unwrap()
    }

    #[test]
    fn privileges_like_the_base_need_no_statement() {
        let acl = ["o=arwdDxt/o"];
        assert_eq!(told(&table("o"), &acl, &acl), "");
    }

    #[test]
    fn an_empty_list_takes_the_owners_own_privileges_away() {
        assert_eq!(
            told(&table("o"), &["o=arwdDxt/o"], &[]),
            "REVOKE ALL ON TABLE \"s\".\"t\" FROM \"o\";\n"
        );
    }

    #[test]
    fn the_owners_own_grants_come_first_and_the_rest_keeps_its_order() {
        assert_eq!(
            told(&table("o"), &["o=arwdDxt/o"], &["=r/o", "z=r*w/o", "a=r/z", "o=r/o"]),
            "REVOKE ALL ON TABLE \"s\".\"t\" FROM \"o\";\n\
             GRANT SELECT ON TABLE \"s\".\"t\" TO \"o\";\n\
             GRANT SELECT ON TABLE \"s\".\"t\" TO PUBLIC;\n\
             GRANT UPDATE ON TABLE \"s\".\"t\" TO \"z\";\n\
             GRANT SELECT ON TABLE \"s\".\"t\" TO \"z\" WITH GRANT OPTION;\n\
             SET ROLE \"z\";\n\
             GRANT SELECT ON TABLE \"s\".\"t\" TO \"a\";\n\
             RESET ROLE;\n"
        );
    }

    #[test]
    fn all_means_what_the_newest_server_calls_all() {
        assert_eq!(
            told(&table("o"), &[], &["a=arwdDxtm/o", "b=arwdDxt/o"]),
            "GRANT ALL ON TABLE \"s\".\"t\" TO \"a\";\n\
             GRANT SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER \
             ON TABLE \"s\".\"t\" TO \"b\";\n"
        );
    }

    #[test]
    fn a_columns_privileges_name_the_column_each_time() {
        let target = Target { kind: Grantable::Column, column: Some("c\""), ..table("o") };
        assert_eq!(
            told(&target, &[], &["a=rw/o", "b=arwx/o"]),
            "GRANT SELECT(\"c\"\"\"),UPDATE(\"c\"\"\") ON TABLE \"s\".\"t\" TO \"a\";\n\
             GRANT ALL(\"c\"\"\") ON TABLE \"s\".\"t\" TO \"b\";\n"
        );
    }

    #[test]
    fn odd_role_names_are_read_back_whole() {
        assert_eq!(
            Item::parse("\"a=b/\"\"c\"=r*/\"o/x\""),
            Some(Item {
                grantee: "a=b/\"c".to_owned(),
                grantor: "o/x".to_owned(),
                plain: String::new(),
                grantable: "r".to_owned(),
            })
        );
        assert_eq!(Item::parse("nonsense"), None);
    }
}
