//! Text search: parsers, templates, dictionaries and configurations (documentation: chapter "Full
//! Text Search").

use std::collections::HashMap;

use crate::error::Result;
use crate::pg::{QualifiedName, class, quote_ident};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::{function_name, qualified, quoted, stands_alone};
use super::scope::Scope;

/// Adds an entry for each of the user's text search objects.
pub(super) async fn read(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    read_parsers(session, scope, out).await?;
    read_templates(session, scope, out).await?;
    read_dictionaries(session, scope, out).await?;
    read_configurations(session, scope, out).await
}

/// A query for the objects of `catalog`, whose columns begin with `prefix`; those with an owner
/// have one in `{prefix}owner`.
fn query(scope: &Scope, catalog: &str, prefix: &str, owned: bool, columns: &str) -> String {
    let owner = match owned {
        true => format!("pg_catalog.pg_get_userbyid(o.{prefix}owner)::text"),
        false => "null::text".to_owned(),
    };
    format!(
        "select o.oid, n.nspname::text, o.{prefix}name::text as name, {owner} as owner, {columns} \
         from pg_catalog.{catalog} o \
         join pg_catalog.pg_namespace n on n.oid = o.{prefix}namespace \
         where {} and {} order by n.nspname, name",
        scope.schemas("n.nspname"),
        stands_alone(catalog, "o.oid")
    )
}

/// The entry of a `word` (`PARSER`, say), created with what stands in the parentheses.
fn entry(
    kind: Kind,
    word: &str,
    name: &QualifiedName,
    owner: Option<String>,
    items: &[String],
) -> Entry {
    let sql = name.sql();
    Entry {
        owner,
        create: format!("CREATE TEXT SEARCH {word} {sql} ({});\n", items.join(", ")),
        drop: format!("DROP TEXT SEARCH {word} {sql};\n"),
        ..Entry::new(kind, Some(&name.schema), name.name.as_str())
    }
}

/// `WORD = function` of each function that there is.
fn functions(row: &tokio_postgres::Row, words: &[(&str, &str)]) -> Vec<String> {
    words
        .iter()
        .filter_map(|(word, column)| {
            let function: Option<String> = row.get(*column);
            Some(format!("{word} = {}", function?))
        })
        .collect()
}

async fn read_parsers(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    let words = [
        ("START", "prsstart"),
        ("GETTOKEN", "prstoken"),
        ("END", "prsend"),
        ("HEADLINE", "prsheadline"),
        ("LEXTYPES", "prslextype"),
    ];
    let columns =
        words.map(|(_, column)| format!("{} as {column}", function_name(&format!("o.{column}"))));
    let sql = query(scope, "pg_ts_parser", "prs", false, &columns.join(", "));
    for row in session.query("reading text search parsers", &sql, &[]).await? {
        let items = functions(&row, &words);
        let entry = entry(Kind::TsParser, "PARSER", &qualified(&row, "name"), None, &items);
        out.add(ObjectId::new(class::PG_TS_PARSER, row.get("oid")), entry);
    }
    Ok(())
}

async fn read_templates(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    let words = [("INIT", "tmplinit"), ("LEXIZE", "tmpllexize")];
    let columns =
        words.map(|(_, column)| format!("{} as {column}", function_name(&format!("o.{column}"))));
    let sql = query(scope, "pg_ts_template", "tmpl", false, &columns.join(", "));
    for row in session.query("reading text search templates", &sql, &[]).await? {
        let items = functions(&row, &words);
        let entry = entry(Kind::TsTemplate, "TEMPLATE", &qualified(&row, "name"), None, &items);
        out.add(ObjectId::new(class::PG_TS_TEMPLATE, row.get("oid")), entry);
    }
    Ok(())
}

/// The options are kept as the text that CREATE takes (source: serialize_deflist in tsearchcmds.c).
async fn read_dictionaries(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    let columns = format!(
        "(select {} from pg_catalog.pg_ts_template t \
         join pg_catalog.pg_namespace tn on tn.oid = t.tmplnamespace \
         where t.oid = o.dicttemplate) as template, o.dictinitoption",
        quoted("tn.nspname", "t.tmplname")
    );
    let sql = query(scope, "pg_ts_dict", "dict", true, &columns);
    for row in session.query("reading text search dictionaries", &sql, &[]).await? {
        let mut items = vec![format!("TEMPLATE = {}", row.get::<_, &str>("template"))];
        items.extend(row.get::<_, Option<String>>("dictinitoption"));
        let entry = entry(
            Kind::TsDictionary,
            "DICTIONARY",
            &qualified(&row, "name"),
            row.get("owner"),
            &items,
        );
        out.add(ObjectId::new(class::PG_TS_DICT, row.get("oid")), entry);
    }
    Ok(())
}

async fn read_configurations(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    let sql = format!(
        "select o.oid, t.alias::text, pg_catalog.array_agg({} order by m.mapseqno) as dictionaries \
         from pg_catalog.pg_ts_config o \
         join pg_catalog.pg_namespace n on n.oid = o.cfgnamespace \
         cross join lateral pg_catalog.ts_token_type(o.cfgparser) t \
         join pg_catalog.pg_ts_config_map m on m.mapcfg = o.oid and m.maptokentype = t.tokid \
         join pg_catalog.pg_ts_dict d on d.oid = m.mapdict \
         join pg_catalog.pg_namespace dn on dn.oid = d.dictnamespace \
         where {} and {} group by o.oid, t.tokid, t.alias order by o.oid, t.tokid",
        quoted("dn.nspname", "d.dictname"),
        scope.schemas("n.nspname"),
        stands_alone("pg_ts_config", "o.oid")
    );
    let mut mappings: HashMap<u32, Vec<Mapping>> = HashMap::new();
    for row in session.query("reading text search mappings", &sql, &[]).await? {
        let mapping = Mapping { token: row.get("alias"), dictionaries: row.get("dictionaries") };
        mappings.entry(row.get("oid")).or_default().push(mapping);
    }
    let columns = format!(
        "(select {} from pg_catalog.pg_ts_parser p \
         join pg_catalog.pg_namespace pn on pn.oid = p.prsnamespace \
         where p.oid = o.cfgparser) as parser",
        quoted("pn.nspname", "p.prsname")
    );
    let sql = query(scope, "pg_ts_config", "cfg", true, &columns);
    for row in session.query("reading text search configurations", &sql, &[]).await? {
        let oid: u32 = row.get("oid");
        let name = qualified(&row, "name");
        let items = [format!("PARSER = {}", row.get::<_, &str>("parser"))];
        let mut entry =
            entry(Kind::TsConfiguration, "CONFIGURATION", &name, row.get("owner"), &items);
        for mapping in mappings.get(&oid).into_iter().flatten() {
            entry.create.push_str(&mapping.sql(&name));
        }
        out.add(ObjectId::new(class::PG_TS_CONFIG, oid), entry);
    }
    Ok(())
}

/// The dictionaries that a type of token is looked up in, one after another.
#[derive(Debug)]
struct Mapping {
    token: String,
    /// As SQL reads them.
    dictionaries: Vec<String>,
}

impl Mapping {
    fn sql(&self, configuration: &QualifiedName) -> String {
        format!(
            "ALTER TEXT SEARCH CONFIGURATION {} ADD MAPPING FOR {} WITH {};\n",
            configuration.sql(),
            quote_ident(&self.token),
            self.dictionaries.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_can_be_given_an_owner_and_a_template_cannot() {
        let name = QualifiedName::new("s", "d");
        let items = ["TEMPLATE = \"pg_catalog\".\"simple\"".to_owned(), "accept = 'false'".into()];
        let dictionary =
            entry(Kind::TsDictionary, "DICTIONARY", &name, Some("o".to_owned()), &items);
        assert_eq!(
            dictionary.create,
            "CREATE TEXT SEARCH DICTIONARY \"s\".\"d\" \
             (TEMPLATE = \"pg_catalog\".\"simple\", accept = 'false');\n"
        );
        assert_eq!(
            dictionary.owner_sql("x").as_deref(),
            Some("ALTER TEXT SEARCH DICTIONARY \"s\".\"d\" OWNER TO \"x\";\n")
        );
        let template = entry(Kind::TsTemplate, "TEMPLATE", &name, None, &[]);
        assert_eq!(template.owner_sql("x"), None);
    }

    #[test]
    fn a_token_is_looked_up_in_the_dictionaries_in_order() {
        let mapping = Mapping {
            token: "asciiword".to_owned(),
            dictionaries: vec!["\"s\".\"b\"".to_owned(), "\"s\".\"a\"".to_owned()],
        };
        assert_eq!(
            mapping.sql(&QualifiedName::new("s", "c")),
            "ALTER TEXT SEARCH CONFIGURATION \"s\".\"c\" ADD MAPPING FOR \"asciiword\" \
             WITH \"s\".\"b\", \"s\".\"a\";\n"
        );
    }
}
