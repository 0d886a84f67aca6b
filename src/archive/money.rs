//! The locale in which an archive's amounts of money are to be read. They are text there, as the
//! session of its maker rendered them, and another locale may read another amount.

use crate::toc::{Token, statements, tokens};

use super::contents::Item;
use super::spelling::last_string;

/// The locale; none for that of the target database, which is pg_restore's way as well.
pub(super) fn locale(items: &[Item]) -> Option<String> {
    let of = |desc: &'static str| items.iter().filter(move |item| item.desc == desc);
    let is_told = of("SEARCHPATH").any(|item| item.create.contains(IN_C));
    let types = ["TABLE", "TYPE", "DOMAIN"].into_iter().flat_map(of);
    let has_money = types.flat_map(|item| tokens(&item.create)).any(|(_, token)| is_money(token));
    if is_told || !has_money {
        return Some("C".to_owned());
    }
    // pg_dump's session had what is set on its database, and pg_restore's sets that first.
    of("DATABASE PROPERTIES").find_map(|item| {
        let all = statements(&item.create).into_iter();
        let mut set = all.filter(|set| set.starts_with("ALTER DATABASE ") && set.contains(SET));
        last_string(set.next()?)
    })
}

/// How our own archives tell it.
pub(super) const IN_C: &str = "SET lc_monetary = 'C';";

const SET: &str = " SET lc_monetary TO '";

fn is_money(token: Token<'_>) -> bool {
    matches!(token, Token::Word("money"))
}

#[cfg(test)]
mod tests {
    use super::super::contents::{ItemId, ItemSection};
    use super::*;

    fn item(desc: &str, create: &str) -> Item {
        Item {
            create: create.into(),
            owner: "app".into(),
            ..Item::new(ItemId(1), desc, "x", ItemSection::PreData)
        }
    }

    #[test]
    fn amounts_are_read_as_the_archive_says_or_else_as_its_database_or_the_targets_does() {
        let table = item("TABLE", "CREATE TABLE s.t (\n    amount money[]\n);\n");
        let other = item("TABLE", "CREATE TABLE s.t (\n    \"money\" text\n);\n");
        let told = item("SEARCHPATH", &format!("SELECT 1;\n{IN_C}\n"));
        let set = item(
            "DATABASE PROPERTIES",
            "ALTER DATABASE d SET work_mem TO '1';\nALTER DATABASE d SET lc_monetary TO 'de_DE';\n",
        );
        let c = Some("C".to_owned());
        assert_eq!(locale(std::slice::from_ref(&table)), None);
        assert_eq!(locale(&[table.clone(), set.clone()]).as_deref(), Some("de_DE"));
        assert_eq!(locale(&[table, set.clone(), told]), c);
        assert_eq!(locale(&[other, set]), c);
    }
}
