//! Makes random objects that need each other. Every statement is tried on the server, which refuses
//! some; what it takes is remembered, and later statements refer to it, or change it so that it
//! refers to them. Rows can be copied at any time: no function's result depends on any.

use pgconvoy::wire::Session;

use crate::random::Random;

/// Schemas, one of them with a name that must be quoted.
const SCHEMAS: [&str; 3] = ["one", "\"Two \"\"2\"\"\"", "public"];

/// Roles. They are the cluster's, so each generator finds those of the ones before it.
const ROLES: [&str; 3] = ["random_a", "random_b", "\"Random C\""];

const PLAIN: [&str; 6] = ["integer", "text", "numeric", "date", "integer[]", "text"];

/// What makes the roles.
pub(crate) fn make_roles() -> Vec<String> {
    ROLES.iter().map(|role| format!("CREATE ROLE {role}")).collect()
}

/// What stands in a relation.
#[derive(Clone)]
struct Relation {
    name: String,
    columns: Vec<(String, String)>,
    keyed: bool,
    partitioned: bool,
}

#[derive(Clone)]
struct Function {
    name: String,
    arguments: Vec<String>,
    result: String,
    atomic: bool,
}

pub(crate) struct Generator {
    random: Random,
    major: u32,
    made: u64,
    types: Vec<String>,
    enums: Vec<String>,
    domains: Vec<(String, String)>,
    composites: Vec<String>,
    functions: Vec<Function>,
    triggers: Vec<String>,
    tables: Vec<Relation>,
    views: Vec<Relation>,
    sequences: Vec<String>,
    /// What the statement at hand makes, to be remembered if the server takes it.
    pending: Vec<Pending>,
}

enum Pending {
    Type(String),
    Enum(String),
    Domain(String, String),
    Composite(String),
    Function(Function),
    Trigger(String),
    Table(Relation),
    View(Relation),
    Replaced(Relation),
    Column(String, String, String),
    Sequence(String),
}

impl Generator {
    pub(crate) fn new(random: Random, major: u32) -> Generator {
        Generator {
            random,
            major,
            made: 0,
            types: PLAIN.iter().map(ToString::to_string).collect(),
            enums: Vec::new(),
            domains: Vec::new(),
            composites: Vec::new(),
            functions: Vec::new(),
            triggers: Vec::new(),
            tables: Vec::new(),
            views: Vec::new(),
            sequences: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// Tries so many statements; those that the server took.
    pub(crate) async fn run(&mut self, session: &Session, tries: u64) -> Vec<String> {
        let mut taken = Vec::new();
        let mut start = make_roles();
        start.extend(SCHEMAS.iter().map(|schema| format!("CREATE SCHEMA {schema}")));
        for sql in start {
            // Roles, and public, may be there.
            if session.execute("starting a random schema", &sql).await.is_ok() {
                taken.push(sql);
            }
        }
        for _ in 0..tries {
            self.pending.clear();
            let Some(sql) = self.statement() else { continue };
            if session.execute("making a random schema", &sql).await.is_ok() {
                taken.push(sql);
                self.remember();
            }
        }
        taken
    }

    fn remember(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Type(name) => self.types.push(name),
                Pending::Enum(name) => self.enums.push(name),
                Pending::Domain(name, base) => self.domains.push((name, base)),
                Pending::Composite(name) => self.composites.push(name),
                Pending::Function(function) => self.functions.push(function),
                Pending::Trigger(name) => self.triggers.push(name),
                Pending::Table(table) => {
                    self.types.push(table.name.clone());
                    self.tables.push(table);
                }
                Pending::View(view) => {
                    self.types.push(view.name.clone());
                    self.views.push(view);
                }
                Pending::Replaced(view) => {
                    self.views.retain(|old| old.name != view.name);
                    self.views.push(view);
                }
                Pending::Column(table, column, kind) => {
                    for relation in self.tables.iter_mut().filter(|t| t.name == table) {
                        relation.columns.push((column.clone(), kind.clone()));
                    }
                }
                Pending::Sequence(name) => self.sequences.push(name),
            }
        }
    }

    fn statement(&mut self) -> Option<String> {
        match self.random.below(44) {
            0 => Some(self.create_enum()),
            1 | 2 => Some(self.create_domain()),
            3 | 4 => Some(self.create_composite()),
            5..=8 => Some(self.create_function()),
            9..=14 => Some(self.create_table()),
            15..=18 => Some(self.create_view()),
            19 => Some(self.create_sequence()),
            20 => self.replace_function(),
            21..=25 => self.replace_view(),
            26 | 27 => self.add_column(),
            28 => self.alter_domain(),
            29 => self.alter_type(),
            30 => self.alter_default(),
            31 => self.add_check(),
            32 | 33 => self.add_foreign_key(),
            34 => self.create_index(),
            35 => self.create_trigger(),
            36 => self.create_rule(),
            37 => self.create_policy(),
            38 => self.own_sequence(),
            39 => self.grant(),
            40 => Some(self.default_privileges()),
            41 => self.comment(),
            42 => self.insert(),
            _ => match self.random.below(5) {
                0 => self.create_statistics(),
                1 => self.create_aggregate(),
                2 => self.change_owner(),
                3 => self.move_or_rename(),
                _ => self.create_partition(),
            },
        }
    }

    /// A new name in any schema. One of the letters makes dependencies and names disagree in order.
    fn name(&mut self) -> String {
        self.made += 1;
        let schema = self.random.of(&SCHEMAS);
        let letter = self.random.of(&["a", "m", "z"]);
        match self.random.below(6) {
            0 => format!("{schema}.\"{letter} O'{} \"\"x\"\"\"", self.made),
            _ => format!("{schema}.{letter}{}", self.made),
        }
    }

    fn any_type(&mut self) -> String {
        // The newer ones, half the time: dependencies grow long.
        let from = match self.random.below(2) {
            0 => self.types.len() * 2 / 3,
            _ => 0,
        };
        let kind = self.random.one(&self.types[from..]).clone();
        match self.random.below(6) {
            0 if !kind.ends_with(']') => format!("{kind}[]"),
            _ => kind,
        }
    }

    /// An expression of this type that refers to functions, and to `columns`; always NULL.
    fn expression(&mut self, kind: &str, columns: &[(String, String)]) -> String {
        let mut of_kind: Vec<String> =
            columns.iter().filter(|c| c.1 == kind).map(|c| c.0.clone()).collect();
        let functions: Vec<Function> =
            self.functions.iter().filter(|f| f.result == kind).cloned().collect();
        for function in functions {
            of_kind.push(self.call(&function, columns));
        }
        let inner = match of_kind.is_empty() || self.random.below(6) == 0 {
            true => {
                let any: Vec<Function> = self.functions.clone();
                match any.is_empty() {
                    true => return format!("NULL::{kind}"),
                    false => {
                        let function = self.random.one(&any).clone();
                        let call = self.call(&function, columns);
                        return format!("CASE WHEN {call} IS NULL THEN NULL::{kind} END");
                    }
                }
            }
            false => self.random.one(&of_kind).clone(),
        };
        format!("CASE WHEN false THEN {inner} END")
    }

    fn call(&mut self, function: &Function, columns: &[(String, String)]) -> String {
        let arguments: Vec<String> = function
            .arguments
            .iter()
            .map(|kind| {
                let fitting: Vec<&(String, String)> =
                    columns.iter().filter(|column| column.1 == *kind).collect();
                match fitting.is_empty() {
                    true => format!("NULL::{kind}"),
                    false => self.random.one(&fitting).0.clone(),
                }
            })
            .collect();
        format!("{}({})", function.name, arguments.join(", "))
    }

    /// A condition that is true of every row, and refers to things.
    fn condition(&mut self, columns: &[(String, String)]) -> String {
        let kind = match columns.is_empty() {
            true => self.any_type(),
            false => self.random.one(columns).1.clone(),
        };
        let expression = self.expression(&kind, columns);
        format!("(({expression}) IS NULL OR true)")
    }

    fn relation(&mut self) -> Option<Relation> {
        let all: Vec<&Relation> = self.tables.iter().chain(&self.views).collect();
        if all.is_empty() {
            return None;
        }
        let from = if self.random.below(2) == 0 { all.len() / 2 } else { 0 };
        Some((*self.random.one(&all[from..])).clone())
    }

    fn table(&mut self) -> Option<Relation> {
        (!self.tables.is_empty()).then(|| self.random.one(&self.tables).clone())
    }

    fn create_enum(&mut self) -> String {
        let name = self.name();
        self.pending = vec![Pending::Type(name.clone()), Pending::Enum(name.clone())];
        format!("CREATE TYPE {name} AS ENUM ('x', 'y ''y''')")
    }

    fn create_domain(&mut self) -> String {
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

    fn create_composite(&mut self) -> String {
        let name = self.name();
        let columns: Vec<String> = (0..1 + self.random.below(3))
            .map(|number| format!("a{number} {}", self.any_type()))
            .collect();
        self.pending = vec![Pending::Type(name.clone()), Pending::Composite(name.clone())];
        format!("CREATE TYPE {name} AS ({})", columns.join(", "))
    }

    fn create_function(&mut self) -> String {
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
    fn function_text(&mut self, function: &Function) -> String {
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

    fn replace_function(&mut self) -> Option<String> {
        if self.functions.is_empty() {
            return None;
        }
        let function = self.random.one(&self.functions).clone();
        Some(format!("CREATE OR REPLACE {}", self.function_text(&function)))
    }

    fn create_table(&mut self) -> String {
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
        if self.random.below(6) == 0 {
            parts[0] = "id integer GENERATED BY DEFAULT AS IDENTITY (START WITH 7)".to_owned();
        }
        self.pending = vec![Pending::Table(table)];
        format!("CREATE TABLE {name} ({}){after}", parts.join(", "))
    }

    fn create_partition(&mut self) -> Option<String> {
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

    fn create_view(&mut self) -> String {
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
    fn query(&mut self, columns: &mut Vec<(String, String)>, but: &str) -> String {
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
        format!("SELECT {}{from}", list.join(", "))
    }

    fn replace_view(&mut self) -> Option<String> {
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

    fn create_sequence(&mut self) -> String {
        let name = self.name();
        self.pending = vec![Pending::Sequence(name.clone())];
        format!("CREATE SEQUENCE {name} START WITH {}", 1 + self.random.below(9))
    }

    fn own_sequence(&mut self) -> Option<String> {
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

    fn add_column(&mut self) -> Option<String> {
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

    fn alter_domain(&mut self) -> Option<String> {
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

    fn alter_type(&mut self) -> Option<String> {
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

    fn alter_default(&mut self) -> Option<String> {
        let table = self.relation()?;
        let (column, kind) = self.random.one(&table.columns).clone();
        let expression = self.expression(&kind, &[]);
        Some(format!("ALTER TABLE {} ALTER COLUMN {column} SET DEFAULT {expression}", table.name))
    }

    fn add_check(&mut self) -> Option<String> {
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

    fn add_foreign_key(&mut self) -> Option<String> {
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

    fn create_index(&mut self) -> Option<String> {
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
            _ => format!("({expression})"),
        };
        Some(format!("CREATE {unique}INDEX i{number} ON {} ({key}){filter}", table.name))
    }

    fn create_statistics(&mut self) -> Option<String> {
        let (table, name) = (self.table()?, self.name());
        let columns: Vec<String> = table.columns.iter().take(3).map(|c| c.0.clone()).collect();
        Some(format!("CREATE STATISTICS {name} ON {} FROM {}", columns.join(", "), table.name))
    }

    fn create_trigger(&mut self) -> Option<String> {
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

    fn create_rule(&mut self) -> Option<String> {
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

    fn create_policy(&mut self) -> Option<String> {
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

    fn create_aggregate(&mut self) -> Option<String> {
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

    fn grant(&mut self) -> Option<String> {
        let role = self.random.of(&ROLES);
        let option = self.random.of(&["", " WITH GRANT OPTION"]);
        Some(match self.random.below(4) {
            0 if !self.functions.is_empty() => {
                let function = self.random.one(&self.functions).clone();
                let arguments = function.arguments.join(", ");
                match self.random.below(2) {
                    0 => {
                        let name = function.name;
                        format!("REVOKE ALL ON FUNCTION {name}({arguments}) FROM PUBLIC")
                    }
                    _ => {
                        let name = function.name;
                        format!("GRANT ALL ON FUNCTION {name}({arguments}) TO {role}{option}")
                    }
                }
            }
            1 => format!("GRANT USAGE, CREATE ON SCHEMA {} TO {role}{option}", SCHEMAS[0]),
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

    fn default_privileges(&mut self) -> String {
        let (owner, role) = (self.random.of(&ROLES), self.random.of(&ROLES));
        let schema = match self.random.below(2) {
            0 => format!(" IN SCHEMA {}", self.random.of(&SCHEMAS)),
            _ => String::new(),
        };
        let what = self.random.of(&["SELECT ON TABLES", "ALL ON FUNCTIONS", "USAGE ON TYPES"]);
        format!("ALTER DEFAULT PRIVILEGES FOR ROLE {owner}{schema} GRANT {what} TO {role}")
    }

    fn change_owner(&mut self) -> Option<String> {
        let role = self.random.of(&ROLES);
        Some(match self.random.below(4) {
            0 if !self.functions.is_empty() => {
                let f = self.random.one(&self.functions).clone();
                format!("ALTER FUNCTION {}({}) OWNER TO {role}", f.name, f.arguments.join(", "))
            }
            1 if !self.domains.is_empty() => {
                let name = self.random.one(&self.domains).0.clone();
                format!("ALTER DOMAIN {name} OWNER TO {role}")
            }
            2 => format!("ALTER SCHEMA {} OWNER TO {role}", self.random.of(&SCHEMAS)),
            // A relation's new owner may lack what a materialized view's refresh takes.
            _ if self.sequences.is_empty() => return None,
            _ => {
                let name = self.random.one(&self.sequences).clone();
                format!("ALTER SEQUENCE {name} OWNER TO {role}")
            }
        })
    }

    /// To where and how nothing that was remembered is called: it is lost to later statements.
    fn move_or_rename(&mut self) -> Option<String> {
        let table = self.table()?;
        self.made += 1;
        let column = self.random.one(&table.columns).0.clone();
        Some(format!("ALTER TABLE {} RENAME COLUMN {column} TO renamed{}", table.name, self.made))
    }

    fn comment(&mut self) -> Option<String> {
        let relation = self.relation()?;
        let column = self.random.one(&relation.columns).0.clone();
        Some(format!("COMMENT ON COLUMN {}.{column} IS 'it''s {}'", relation.name, self.made))
    }

    fn insert(&mut self) -> Option<String> {
        let table = self.table()?;
        let value = self.random.below(20);
        Some(format!("INSERT INTO {} (id) VALUES ({value})", table.name))
    }
}
