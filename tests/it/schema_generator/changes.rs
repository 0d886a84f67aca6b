//! What changes objects, so that older ones may need newer ones.

use super::operators::schema_of;
use super::{Generator, Pending, ROLES, Relation};

/// Undoes a statement after which a materialized view couldn't be refreshed, or rows not be given to
/// the expressions of their table again: nobody can move that, as where a function that is called
/// names a type that is called otherwise by now.
pub(super) const REFRESH: &str = "DO $do$ DECLARE query text; BEGIN \
     FOR query IN SELECT 'REFRESH MATERIALIZED VIEW ' || oid::regclass FROM pg_class \
     WHERE relkind = 'm' ORDER BY oid LOOP EXECUTE query; END LOOP; \
     FOR query IN SELECT format('SELECT count((%s)) FROM ONLY %s', expression, relation::regclass) \
     FROM (SELECT pg_get_expr(conbin, conrelid), conrelid FROM pg_constraint WHERE contype = 'c' \
     UNION ALL SELECT pg_get_expr(adbin, adrelid), adrelid FROM pg_attrdef \
     JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum WHERE attgenerated <> '' \
     UNION ALL SELECT pg_get_expr(indexprs, indrelid), indrelid FROM pg_index \
     UNION ALL SELECT pg_get_expr(indpred, indrelid), indrelid FROM pg_index) e (expression, relation) \
     WHERE relation >= 16384 AND expression IS NOT NULL ORDER BY relation, expression \
     LOOP EXECUTE query; END LOOP; END $do$";

impl Generator {
    pub(super) fn replace_function(&mut self) -> Option<String> {
        if self.functions.is_empty() {
            return None;
        }
        let function = self.random.one(&self.functions).clone();
        Some(format!("CREATE OR REPLACE {}", self.function_text(&function)))
    }

    pub(super) fn replace_view(&mut self) -> Option<String> {
        if self.views.is_empty() {
            return None;
        }
        let mut view = self.random.one(&self.views).clone();
        let query = self.query(&mut view.columns, &view.name);
        let options =
            self.random.of(&["", "", " WITH (security_barrier)", " WITH (check_option='local')"]);
        // Views that read each other can't be read: no such.
        let read = format!("SELECT FROM {} LIMIT 0", view.name);
        let sql = format!("CREATE OR REPLACE VIEW {}{options} AS {query}; {read}", view.name);
        self.pending = vec![Pending::Replaced(view)];
        Some(sql)
    }

    pub(super) fn own_sequence(&mut self) -> Option<String> {
        let table = self.table()?;
        if self.sequences.is_empty() {
            return None;
        }
        let sequence = self.random.one(&self.sequences).clone();
        Some(match self.random.below(2) {
            0 => format!("ALTER SEQUENCE {sequence} OWNED BY {}.id", table.name),
            _ => format!(
                "ALTER TABLE {} ALTER COLUMN id SET DEFAULT nextval('{}'::regclass)",
                table.name,
                sequence.replace('\'', "''")
            ),
        })
    }

    pub(super) fn add_column(&mut self) -> Option<String> {
        let table = self.table()?;
        self.made += 1;
        let (column, kind) = (format!("added{}", self.made), self.any_type());
        let default = match self.random.below(2) {
            0 => format!(" DEFAULT {}", self.expression(&kind, &[])),
            _ => String::new(),
        };
        self.pending = vec![Pending::Column(table.name.clone(), column.clone(), kind.clone())];
        Some(format!("ALTER TABLE {} ADD COLUMN {column} {kind}{default}", table.name))
    }

    pub(super) fn alter_domain(&mut self) -> Option<String> {
        if self.domains.is_empty() {
            return None;
        }
        let (name, base) = self.random.one(&self.domains).clone();
        self.made += 1;
        // PostgreSQL's own restore gives a later default of the base to a domain that has none.
        let is_base = self.domains.iter().any(|(_, base)| *base == name);
        Some(match self.random.below(3) {
            0 if is_base => return None,
            0 => {
                let expression = self.expression(&base, &[]);
                format!("ALTER DOMAIN {name} SET DEFAULT {expression}")
            }
            valid => {
                let condition = self.condition(&[("VALUE".to_owned(), base)]);
                let valid = if valid == 1 { "" } else { " NOT VALID" };
                let number = self.made;
                format!("ALTER DOMAIN {name} ADD CONSTRAINT later{number} CHECK {condition}{valid}")
            }
        })
    }

    pub(super) fn alter_type(&mut self) -> Option<String> {
        self.made += 1;
        let number = self.made;
        if self.random.below(3) == 0 {
            if self.enums.is_empty() {
                return None;
            }
            let name = self.random.one(&self.enums).clone();
            return Some(format!("ALTER TYPE {name} ADD VALUE 'z{number}' BEFORE 'x'"));
        }
        if self.composites.is_empty() {
            return None;
        }
        let (name, kind) = (self.random.one(&self.composites).clone(), self.any_type());
        Some(format!("ALTER TYPE {name} ADD ATTRIBUTE later{number} {kind}"))
    }

    pub(super) fn alter_default(&mut self) -> Option<String> {
        let table = self.relation()?;
        let (column, kind) = self.random.one(&table.columns).clone();
        // A value of another type is cast by what no expression says.
        let from: Vec<String> =
            self.casts.iter().filter(|cast| cast.1 == kind).map(|cast| cast.0.clone()).collect();
        let kind = if from.is_empty() { kind } else { self.random.one(&from).clone() };
        let expression = self.expression(&kind, &[]);
        Some(format!("ALTER TABLE {} ALTER COLUMN {column} SET DEFAULT {expression}", table.name))
    }

    pub(super) fn add_check(&mut self) -> Option<String> {
        let table = self.table()?;
        self.made += 1;
        let condition = self.condition(&table.columns);
        let valid = self.random.of(&["", "", " NOT VALID", " NO INHERIT"]);
        let number = self.made;
        Some(format!(
            "ALTER TABLE {} ADD CONSTRAINT later{number} CHECK {condition}{valid}",
            table.name
        ))
    }

    pub(super) fn add_foreign_key(&mut self) -> Option<String> {
        let keyed: Vec<Relation> = self.tables.iter().filter(|t| t.keyed).cloned().collect();
        if keyed.is_empty() {
            return None;
        }
        let (table, to) = (self.table()?, self.random.one(&keyed).clone());
        let how = self.random.of(&["", " ON DELETE CASCADE", " DEFERRABLE", " NOT VALID"]);
        // Names of its own: those that the server makes up for a partition's part in a key are taken
        // in another order when keys are restored.
        self.made += 1;
        Some(format!(
            "ALTER TABLE {} ADD CONSTRAINT key{} FOREIGN KEY (id) REFERENCES {}{how}",
            table.name, self.made, to.name
        ))
    }

    pub(super) fn grant(&mut self) -> Option<String> {
        let role = self.random.of(&ROLES);
        let option = self.random.of(&["", " WITH GRANT OPTION"]);
        Some(match self.random.below(4) {
            0 if !self.functions.is_empty() => {
                let function = self.random.one(&self.functions).clone();
                let arguments = function.arguments.join(", ");
                match self.random.below(2) {
                    0 => {
                        let name = function.name;
                        format!("REVOKE ALL ON FUNCTION {name}({arguments}) FROM PUBLIC; {REFRESH}")
                    }
                    _ => {
                        let name = function.name;
                        format!("GRANT ALL ON FUNCTION {name}({arguments}) TO {role}{option}")
                    }
                }
            }
            1 => format!("GRANT USAGE, CREATE ON SCHEMA {} TO {role}{option}", self.schema()),
            2 => {
                let relation = self.relation()?;
                let column = self.random.one(&relation.columns).0.clone();
                format!("GRANT SELECT ({column}) ON {} TO {role}{option}", relation.name)
            }
            _ => {
                let relation = self.relation()?;
                let what = self.random.of(&["SELECT", "ALL", "INSERT, UPDATE"]);
                format!("GRANT {what} ON {} TO {role}{option}", relation.name)
            }
        })
    }

    pub(super) fn default_privileges(&mut self) -> String {
        let (owner, role) = (self.random.of(&ROLES), self.random.of(&ROLES));
        let schema = match self.random.below(2) {
            0 => format!(" IN SCHEMA {}", self.schema()),
            _ => String::new(),
        };
        let what = self.random.of(&["SELECT ON TABLES", "ALL ON FUNCTIONS", "USAGE ON TYPES"]);
        format!("ALTER DEFAULT PRIVILEGES FOR ROLE {owner}{schema} GRANT {what} TO {role}")
    }

    /// To an owner who can refresh all materialized views as before.
    pub(super) fn change_owner(&mut self) -> Option<String> {
        let mut all: Vec<String> = Vec::new();
        all.extend(self.functions.iter().map(|function| {
            format!("FUNCTION {}({})", function.name, function.arguments.join(", "))
        }));
        all.extend(self.domains.iter().map(|(name, _)| format!("DOMAIN {name}")));
        let types = self.enums.iter().chain(&self.composites).chain(&self.ranges);
        all.extend(types.map(|name| format!("TYPE {name}")));
        all.extend(self.sequences.iter().map(|name| format!("SEQUENCE {name}")));
        all.extend(self.schemas.iter().map(|name| format!("SCHEMA {name}")));
        let relations = self.tables.iter().chain(&self.views);
        all.extend(relations.map(|relation| format!("TABLE {}", relation.name)));
        all.extend(
            self.classes.iter().map(|(name, _)| format!("OPERATOR CLASS {name} USING btree")),
        );
        all.extend(self.operators.iter().map(|operator| {
            let left = operator.left.as_deref().unwrap_or("NONE");
            format!("OPERATOR {} ({left}, {})", operator.name, operator.right)
        }));
        let what = self.random.one(&all).clone();
        Some(format!("ALTER {what} OWNER TO {}; {REFRESH}", self.random.of(&ROLES)))
    }

    /// A role that holds something by grant grants it to another.
    pub(super) fn pass_grant_on(&mut self) -> Option<String> {
        let (relation, from, to) =
            (self.relation()?, self.random.of(&ROLES), self.random.of(&ROLES));
        let column = self.random.one(&relation.columns).0.clone();
        let right = match self.random.below(2) {
            0 => "SELECT".to_owned(),
            _ => format!("SELECT ({column}), UPDATE ({column})"),
        };
        let (name, schema) = (&relation.name, schema_of(&relation.name));
        Some(format!(
            "GRANT USAGE ON SCHEMA {schema} TO {from}; \
             GRANT {right} ON {name} TO {from} WITH GRANT OPTION; \
             SET ROLE {from}; GRANT {right} ON {name} TO {to}; RESET ROLE"
        ))
    }

    pub(super) fn comment(&mut self) -> Option<String> {
        let relation = self.relation()?;
        let column = self.random.one(&relation.columns).0.clone();
        Some(format!("COMMENT ON COLUMN {}.{column} IS 'it''s {}'", relation.name, self.made))
    }

    pub(super) fn insert(&mut self) -> Option<String> {
        let table = self.table()?;
        let value = self.random.below(20);
        Some(format!("INSERT INTO {} (id) VALUES ({value})", table.name))
    }
}
