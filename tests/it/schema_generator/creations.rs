//! What makes objects that may need any of those before them.

use super::{Function, Generator, Pending, ROLES, Relation};

impl Generator {
    pub(super) fn create_enum(&mut self) -> String {
        let name = self.name();
        self.pending = vec![Pending::Type(name.clone()), Pending::Enum(name.clone())];
        format!("CREATE TYPE {name} AS ENUM ('x', 'y ''y''')")
    }

    pub(super) fn create_domain(&mut self) -> String {
        let (name, base) = (self.name(), self.any_type());
        let value = [("VALUE".to_owned(), base.clone())];
        let mut sql = format!("CREATE DOMAIN {name} AS {base}");
        if self.random.below(2) == 0 {
            sql.push_str(&format!(" DEFAULT {}", self.expression(&base, &[])));
        }
        if self.random.below(2) == 0 {
            sql.push_str(&format!(" CHECK {}", self.condition(&value)));
        }
        self.pending = vec![Pending::Type(name.clone()), Pending::Domain(name, base)];
        sql
    }

    pub(super) fn create_composite(&mut self) -> String {
        let name = self.name();
        let columns: Vec<String> = (0..1 + self.random.below(3))
            .map(|number| format!("a{number} {}", self.any_type()))
            .collect();
        self.pending = vec![Pending::Type(name.clone()), Pending::Composite(name.clone())];
        format!("CREATE TYPE {name} AS ({})", columns.join(", "))
    }

    pub(super) fn create_function(&mut self) -> String {
        let name = self.name();
        if self.random.below(5) == 0 {
            self.pending = vec![Pending::Trigger(name.clone())];
            return format!(
                "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS \
                 'BEGIN RETURN NEW; END'"
            );
        }
        let arguments: Vec<String> = (0..self.random.below(3)).map(|_| self.any_type()).collect();
        let result = self.any_type();
        let atomic = self.major >= 14 && self.random.below(2) == 0;
        let function = Function { name, arguments, result, atomic };
        let sql = self.function_text(&function);
        self.pending = vec![Pending::Function(function)];
        format!("CREATE {sql}")
    }

    /// Always the same arguments and result; any body.
    pub(super) fn function_text(&mut self, function: &Function) -> String {
        let Function { name, arguments, result, atomic } = function;
        let relation = self.relation();
        let expression = match relation {
            Some(relation) if self.random.below(2) == 0 => {
                let inner = self.expression(result, &relation.columns);
                format!("(SELECT {inner} FROM {} LIMIT 0)", relation.name)
            }
            _ => self.expression(result, &[]),
        };
        let list: Vec<String> = arguments
            .iter()
            .enumerate()
            .map(|(number, kind)| format!("p{number} {kind}"))
            .collect();
        let head = format!("FUNCTION {name}({}) RETURNS {result} IMMUTABLE", list.join(", "));
        let value = format!("CASE WHEN false THEN {expression} ELSE NULL::{result} END");
        match (atomic, self.random.below(3)) {
            (true, 0) => format!("{head} RETURN {value}"),
            (true, _) => format!("{head} BEGIN ATOMIC SELECT {value}; END"),
            (false, 0) => format!("{head} LANGUAGE sql AS $$ SELECT NULL::{result} $$"),
            // A server may run a function for the sake of a definition that calls it, and nothing
            // says what its body needs: what refers to anything isn't reached.
            (false, _) => format!(
                "{head} LANGUAGE plpgsql AS \
                 $$ BEGIN IF false THEN RETURN {expression}; END IF; RETURN NULL; END $$"
            ),
        }
    }

    pub(super) fn create_table(&mut self) -> String {
        let name = self.name();
        let mut columns = vec![("id".to_owned(), "integer".to_owned())];
        let mut parts = vec!["id integer".to_owned()];
        for number in 0..self.random.below(4) {
            let (column, kind) = (format!("c{number}"), self.any_type());
            let extra = match self.random.below(5) {
                0 => format!(" DEFAULT {}", self.expression(&kind, &[])),
                1 => {
                    let expression = self.expression(&kind, &columns);
                    format!(" GENERATED ALWAYS AS ({expression}) STORED")
                }
                2 => " DEFAULT NULL".to_owned(),
                _ => String::new(),
            };
            parts.push(format!("{column} {kind}{extra}"));
            columns.push((column, kind));
        }
        if self.random.below(3) == 0 {
            let condition = self.condition(&columns);
            parts.push(format!("CONSTRAINT \"check {}\" CHECK {condition}", self.made));
        }
        let mut table = Relation { name: name.clone(), columns, keyed: false, partitioned: false };
        let kind = self.random.below(6);
        if kind == 0
            && let Some(parent) = self.table()
        {
            table.columns.retain(|own| !parent.columns.iter().any(|theirs| theirs.0 == own.0));
            table.columns = [parent.columns.clone(), table.columns].concat();
            self.pending = vec![Pending::Table(table)];
            return format!("CREATE TABLE {name} () INHERITS ({})", parent.name);
        }
        let mut after = "";
        if kind == 1 {
            table.partitioned = true;
            after = " PARTITION BY LIST (id)";
        }
        if self.random.below(3) > 0 {
            table.keyed = true;
            parts.push("PRIMARY KEY (id)".to_owned());
        }
        if table.columns.len() > 1 && self.random.below(6) == 0 {
            parts.push(format!("CONSTRAINT \"unique {}\" UNIQUE (c0)", self.made));
        }
        if self.random.below(6) == 0 {
            parts[0] = "id integer GENERATED BY DEFAULT AS IDENTITY (START WITH 7)".to_owned();
        }
        self.pending = vec![Pending::Table(table)];
        format!("CREATE TABLE {name} ({}){after}", parts.join(", "))
    }

    pub(super) fn create_partition(&mut self) -> Option<String> {
        let parents: Vec<Relation> =
            self.tables.iter().filter(|table| table.partitioned).cloned().collect();
        if parents.is_empty() {
            return None;
        }
        let parent = self.random.one(&parents).clone();
        let (name, value) = (self.name(), self.random.below(20));
        let partitioned = self.random.below(2) == 0;
        let below = if partitioned { " PARTITION BY LIST (id)" } else { "" };
        self.pending =
            vec![Pending::Table(Relation { name: name.clone(), partitioned, ..parent.clone() })];
        Some(format!(
            "CREATE TABLE {name} PARTITION OF {} FOR VALUES IN ({value}, {}){below}",
            parent.name,
            value + 100
        ))
    }

    pub(super) fn create_view(&mut self) -> String {
        let name = self.name();
        let mut columns = Vec::new();
        let query = self.query(&mut columns, &name);
        let kind = if self.random.below(4) == 0 { "MATERIALIZED VIEW" } else { "VIEW" };
        let view = Relation { name: name.clone(), columns, keyed: false, partitioned: false };
        self.pending = match kind {
            "VIEW" => vec![Pending::View(view)],
            // It can't be replaced: as a table it is read, and all else is refused.
            _ => vec![Pending::Table(view)],
        };
        format!("CREATE {kind} {name} AS {query}")
    }

    /// A query with `columns`, and more, which are added to them. It may read any relation but
    /// this: a view that reads itself can't be read.
    pub(super) fn query(&mut self, columns: &mut Vec<(String, String)>, but: &str) -> String {
        let relation = self.relation().filter(|relation| relation.name != but);
        let (mut known, mut from) = (Vec::new(), String::new());
        if let Some(relation) = relation {
            from = format!(" FROM {} r", relation.name);
            known = relation
                .columns
                .iter()
                .map(|(name, kind)| (format!("r.{name}"), kind.clone()))
                .collect();
            if relation.keyed && self.random.below(3) == 0 {
                from.push_str(" GROUP BY r.id");
            }
        }
        let start = columns.len();
        for number in 0..1 + self.random.below(2) {
            let kind = match known.is_empty() {
                true => self.any_type(),
                false => self.random.one(&known).1.clone(),
            };
            columns.push((format!("v{}", start as u64 + number), kind));
        }
        let list: Vec<String> = columns
            .iter()
            .map(|(name, kind)| format!("{} AS {name}", self.expression(kind, &known)))
            .collect();
        let distinct = self.random.of(&["", "", "", "", "DISTINCT "]);
        format!("SELECT {distinct}{}{from}", list.join(", "))
    }

    pub(super) fn create_sequence(&mut self) -> String {
        let name = self.name();
        self.pending = vec![Pending::Sequence(name.clone())];
        format!("CREATE SEQUENCE {name} START WITH {}", 1 + self.random.below(9))
    }

    pub(super) fn create_index(&mut self) -> Option<String> {
        let table = self.table()?;
        let kind = self.random.one(&table.columns).1.clone();
        let expression = self.expression(&kind, &table.columns);
        let unique = self.random.of(&["", "UNIQUE "]);
        self.made += 1;
        let filter = match self.random.below(3) {
            0 => format!(" WHERE {}", self.condition(&table.columns)),
            _ => String::new(),
        };
        let number = self.made;
        let key = match self.random.below(2) {
            0 => "id".to_owned(),
            _ => {
                let of_kind = self.classes.iter().filter(|class| class.1 == kind);
                let class = of_kind.map(|class| format!(" {}", class.0)).next();
                format!("({expression}){}", class.unwrap_or_default())
            }
        };
        Some(format!("CREATE {unique}INDEX i{number} ON {} ({key}){filter}", table.name))
    }

    pub(super) fn create_statistics(&mut self) -> Option<String> {
        let (table, name) = (self.table()?, self.name());
        let columns: Vec<String> = table.columns.iter().take(3).map(|c| c.0.clone()).collect();
        Some(format!("CREATE STATISTICS {name} ON {} FROM {}", columns.join(", "), table.name))
    }

    pub(super) fn create_trigger(&mut self) -> Option<String> {
        let table = self.relation()?;
        if self.triggers.is_empty() {
            return None;
        }
        let function = self.random.one(&self.triggers).clone();
        self.made += 1;
        let columns: Vec<(String, String)> =
            table.columns.iter().map(|(n, k)| (format!("NEW.{n}"), k.clone())).collect();
        let when = match self.random.below(2) {
            0 => format!(" WHEN ({})", self.condition(&columns)),
            _ => String::new(),
        };
        let moment = self.random.of(&["BEFORE INSERT", "AFTER UPDATE", "INSTEAD OF UPDATE"]);
        Some(format!(
            "CREATE TRIGGER t{} {moment} ON {} FOR EACH ROW{when} EXECUTE FUNCTION {function}()",
            self.made, table.name
        ))
    }

    pub(super) fn create_rule(&mut self) -> Option<String> {
        let (relation, other) = (self.relation()?, self.relation()?);
        self.made += 1;
        let event = self.random.of(&["INSERT", "UPDATE", "DELETE"]);
        let number = self.made;
        let condition = self.condition(&[]);
        let action = match self.random.below(2) {
            0 => "NOTHING".to_owned(),
            _ => format!("SELECT {condition} FROM {}", other.name),
        };
        Some(format!("CREATE RULE r{number} AS ON {event} TO {} DO ALSO {action}", relation.name))
    }

    pub(super) fn create_policy(&mut self) -> Option<String> {
        let (table, other) = (self.table()?, self.relation()?);
        self.made += 1;
        let role = self.random.of(&ROLES);
        let condition = self.condition(&table.columns);
        let number = self.made;
        if self.random.below(3) == 0 {
            return Some(format!("ALTER TABLE {} ENABLE ROW LEVEL SECURITY", table.name));
        }
        Some(format!(
            "CREATE POLICY p{number} ON {} TO {role} \
             USING ({condition} OR EXISTS (SELECT FROM {}))",
            table.name, other.name
        ))
    }

    pub(super) fn create_aggregate(&mut self) -> Option<String> {
        let fitting: Vec<Function> = self
            .functions
            .iter()
            .filter(|f| f.arguments.first() == Some(&f.result) && f.arguments.len() == 2)
            .cloned()
            .collect();
        if fitting.is_empty() {
            return None;
        }
        let (function, name) = (self.random.one(&fitting).clone(), self.name());
        Some(format!(
            "CREATE AGGREGATE {name}({}) (SFUNC = {}, STYPE = {})",
            function.arguments[1], function.name, function.result
        ))
    }

    pub(super) fn create_event_trigger(&mut self) -> String {
        let name = self.name();
        let number = self.made;
        let change = self.random.of(&["DISABLE", "ENABLE REPLICA"]);
        format!(
            "CREATE FUNCTION {name}() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; \
             CREATE EVENT TRIGGER e{number} ON ddl_command_end EXECUTE FUNCTION {name}(); \
             ALTER EVENT TRIGGER e{number} {change}"
        )
    }

    pub(super) fn create_publication(&mut self) -> Option<String> {
        let table = self.table()?;
        self.made += 1;
        let number = self.made;
        let what = match self.random.below(4) {
            0 => "FOR ALL TABLES".to_owned(),
            1 if self.major >= 15 => format!("FOR TABLES IN SCHEMA {}", self.schema()),
            2 if self.major >= 15 => format!("FOR TABLE {} (id) WHERE (id > 0)", table.name),
            _ => format!("FOR TABLE ONLY {}", table.name),
        };
        Some(format!("CREATE PUBLICATION p{number} {what}"))
    }
}
