//! Renames, other schemas, other parents: what others need changes its name or its place.

use super::changes::REFRESH;
use super::operators::schema_of;
use super::{Generator, Pending};

impl Generator {
    /// What was remembered is called otherwise from then on.
    pub(super) fn rename(&mut self) -> Option<String> {
        self.made += 1;
        let number = self.made;
        match self.random.below(10) {
            0 => {
                let from = self.schema();
                let to = format!("{}{number}\"", self.random.of(&["\"A s", "\"z"]));
                self.pending = vec![Pending::RenamedSchema(from.clone(), to.clone())];
                Some(format!("ALTER SCHEMA {from} RENAME TO {to}; {REFRESH}"))
            }
            1 | 2 => {
                let table = self.table()?;
                let column = self.random.one(&table.columns).0.clone();
                let to = format!("renamed{number}");
                let sql = format!("ALTER TABLE {} RENAME COLUMN {column} TO {to}", table.name);
                self.pending = vec![Pending::RenamedColumn(table.name, column, to)];
                Some(sql)
            }
            3..=6 => self.rename_object(),
            _ => Some(self.rename_part()),
        }
    }

    fn rename_object(&mut self) -> Option<String> {
        let mut all: Vec<(&str, String, String)> = Vec::new();
        let plain = |what, name: &String| (what, name.clone(), name.clone());
        all.extend(self.tables.iter().map(|table| plain("TABLE", &table.name)));
        all.extend(self.views.iter().map(|view| plain("TABLE", &view.name)));
        let types = self.enums.iter().chain(&self.composites).chain(&self.ranges);
        all.extend(types.map(|name| plain("TYPE", name)));
        all.extend(self.domains.iter().map(|(name, _)| plain("DOMAIN", name)));
        all.extend(self.sequences.iter().map(|name| plain("SEQUENCE", name)));
        all.extend(self.functions.iter().map(|f| {
            let signature = format!("{}({})", f.name, f.arguments.join(", "));
            ("FUNCTION", f.name.clone(), signature)
        }));
        all.extend(
            self.triggers.iter().map(|name| ("FUNCTION", name.clone(), format!("{name}()"))),
        );
        if all.is_empty() {
            return None;
        }
        let (what, old, signature) = self.random.one(&all).clone();
        let (schema, local) = old.split_once('.')?;
        let (new, change) = match self.random.below(2) {
            0 => {
                let schema = self.schema();
                (format!("{schema}.{local}"), format!("SET SCHEMA {schema}"))
            }
            _ => {
                let other = self.name();
                let to = &other[schema_of(&other).len() + 1..];
                (format!("{schema}.{to}"), format!("RENAME TO {to}"))
            }
        };
        self.pending = vec![Pending::Renamed(old.clone(), new)];
        Some(format!("ALTER {what} {signature} {change}; {REFRESH}"))
    }

    /// Any of the objects that are remembered nowhere.
    fn rename_part(&mut self) -> String {
        let query = self.random.of(&[
            "'ALTER TABLE %s RENAME CONSTRAINT %I TO #', conrelid::regclass, conname) \
             FROM pg_constraint WHERE conparentid = 0 AND conrelid",
            "'ALTER DOMAIN %s RENAME CONSTRAINT %I TO #', contypid::regtype, conname) \
             FROM pg_constraint WHERE contypid",
            "'ALTER INDEX %s RENAME TO #', indexrelid::regclass) FROM pg_index WHERE indrelid",
            "'ALTER TRIGGER %I ON %s RENAME TO #', tgname, tgrelid::regclass) \
             FROM pg_trigger WHERE NOT tgisinternal AND tgrelid",
            "'ALTER POLICY %I ON %s RENAME TO #', polname, polrelid::regclass) \
             FROM pg_policy WHERE polrelid",
            "'ALTER TYPE %s RENAME ATTRIBUTE %I TO #', attrelid::regclass, attname) \
             FROM pg_attribute JOIN pg_class c ON c.oid = attrelid \
             WHERE relkind = 'c' AND attnum > 0 AND NOT attisdropped AND attrelid",
            "'ALTER TYPE %s RENAME VALUE %L TO ''#''', enumtypid::regtype, enumlabel) \
             FROM pg_enum WHERE enumlabel <> 'x' AND enumtypid",
        ]);
        self.change_any(&query).replace('#', &format!("renamed{}", self.made))
    }

    /// Takes a child from its parent, or anything's index or function along with an extension; but no
    /// function that is a part of a range, of which no dump says that.
    pub(super) fn part(&mut self) -> String {
        self.made += 1;
        let query = self.random.of(&[
            "'ALTER TABLE %s %s %s', inhparent::regclass, \
             CASE WHEN c.relispartition THEN 'DETACH PARTITION' ELSE 'NO INHERIT' END, \
             inhrelid::regclass) FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid \
             WHERE c.relispartition AND c.relkind IN ('r', 'p') AND inhrelid",
            "'ALTER TABLE %s NO INHERIT %s', inhrelid::regclass, inhparent::regclass) \
             FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid \
             WHERE NOT c.relispartition AND c.relkind IN ('r', 'p') AND inhrelid",
            "'ALTER INDEX %s DEPENDS ON EXTENSION plpgsql', indexrelid::regclass) \
             FROM pg_index WHERE indrelid",
            "'ALTER FUNCTION %s DEPENDS ON EXTENSION plpgsql', oid::regprocedure) \
             FROM pg_proc p WHERE prokind = 'f' AND NOT EXISTS (SELECT FROM pg_depend d \
             WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i') \
             AND oid",
            "'ALTER TRIGGER %I ON %s DEPENDS ON EXTENSION plpgsql', tgname, tgrelid::regclass) \
             FROM pg_trigger WHERE NOT tgisinternal AND tgrelid",
            "'ALTER TABLE %s FORCE ROW LEVEL SECURITY', oid::regclass) \
             FROM pg_class WHERE relkind = 'r' AND oid",
            "'ALTER TABLE %s DISABLE TRIGGER %I', tgrelid::regclass, tgname) \
             FROM pg_trigger WHERE NOT tgisinternal AND tgrelid",
        ]);
        self.change_any(&query)
    }

    /// Changes any of the objects that a query finds, the same one for the same seed. The query
    /// begins with the arguments of format(), and ends with an OID that tells users' objects.
    fn change_any(&self, query: &str) -> String {
        let number = self.made;
        format!(
            "DO $do$ DECLARE change text; BEGIN \
             SELECT q.change INTO STRICT change FROM (SELECT format({query} >= 16384) q(change) \
             ORDER BY md5(q.change || '{number}') LIMIT 1; \
             EXECUTE change; END $do$"
        )
    }

    /// A table with another order of the columns, and a dropped one among them, becomes a child.
    pub(super) fn attach(&mut self) -> Option<String> {
        let (parent, name) = (self.table()?, self.name());
        let mut columns: Vec<String> =
            parent.columns.iter().map(|(column, kind)| format!("{column} {kind}")).collect();
        columns.reverse();
        columns.insert(self.random.below(columns.len() as u64 + 1) as usize, "gone text".into());
        let mut table = parent.clone();
        table.name.clone_from(&name);
        table.columns.reverse();
        (table.keyed, table.partitioned) = (false, false);
        self.pending = vec![Pending::Table(table)];
        let value = self.random.below(60);
        let change = match parent.partitioned {
            true => format!("{} ATTACH PARTITION {name} FOR VALUES IN ({value})", parent.name),
            false => format!("{name} INHERIT {}", parent.name),
        };
        Some(format!(
            "CREATE TABLE {name} ({}); ALTER TABLE {name} DROP COLUMN gone; ALTER TABLE {change}",
            columns.join(", ")
        ))
    }

    pub(super) fn change_column(&mut self) -> Option<String> {
        let table = self.table()?;
        let column = self.random.one(&table.columns).0.clone();
        if column == "id" {
            return None;
        }
        if self.random.below(2) == 0 && table.columns.len() > 1 {
            let sql = format!("ALTER TABLE {} DROP COLUMN {column}", table.name);
            self.pending = vec![Pending::Dropped(table.name, column)];
            return Some(sql);
        }
        let kind = self.any_type();
        let sql =
            format!("ALTER TABLE {} ALTER COLUMN {column} TYPE {kind} USING NULL", table.name);
        self.pending = vec![Pending::Retyped(table.name, column, kind)];
        Some(sql)
    }
}
