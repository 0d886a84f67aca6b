//! Makes random objects that need each other. Every statement is tried on the server, which refuses
//! some; what it takes is remembered, and later statements refer to it, or change it so that it
//! refers to them. Rows can be copied at any time: no function's result depends on any.

mod changes;
mod creations;
mod moves;
mod operators;

use pgconvoy::wire::Session;

use crate::random::Random;

/// Schemas at first, one of them with a name that must be quoted.
const SCHEMAS: [&str; 3] = ["one", "\"Two \"\"2\"\"\"", "public"];

/// Roles. They are the cluster's, so each generator finds those of the ones before it.
const ROLES: [&str; 3] = ["random_a", "random_b", "\"Random C\""];

const PLAIN: [&str; 6] = ["integer", "text", "numeric", "date", "integer[]", "boolean"];

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

#[derive(Clone)]
struct Operator {
    name: String,
    left: Option<String>,
    right: String,
    result: String,
}

pub(crate) struct Generator {
    random: Random,
    major: u32,
    made: u64,
    schemas: Vec<String>,
    types: Vec<String>,
    enums: Vec<String>,
    domains: Vec<(String, String)>,
    composites: Vec<String>,
    functions: Vec<Function>,
    triggers: Vec<String>,
    tables: Vec<Relation>,
    views: Vec<Relation>,
    sequences: Vec<String>,
    ranges: Vec<String>,
    operators: Vec<Operator>,
    /// Classes of operators, and of which type.
    classes: Vec<(String, String)>,
    /// From and to which type.
    casts: Vec<(String, String)>,
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
    Range(String),
    Operator(Operator),
    Class(String, String),
    Cast(String, String),
    Renamed(String, String),
    RenamedSchema(String, String),
    RenamedColumn(String, String, String),
    Dropped(String, String),
    Retyped(String, String, String),
}

impl Generator {
    pub(crate) fn new(random: Random, major: u32) -> Generator {
        Generator {
            random,
            major,
            made: 0,
            schemas: SCHEMAS.iter().map(ToString::to_string).collect(),
            types: PLAIN.iter().map(ToString::to_string).collect(),
            enums: Vec::new(),
            domains: Vec::new(),
            composites: Vec::new(),
            functions: Vec::new(),
            triggers: Vec::new(),
            tables: Vec::new(),
            views: Vec::new(),
            sequences: Vec::new(),
            ranges: Vec::new(),
            operators: Vec::new(),
            classes: Vec::new(),
            casts: Vec::new(),
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
                Pending::Range(name) => self.ranges.push(name),
                Pending::Operator(operator) => self.operators.push(operator),
                Pending::Class(class, kind) => self.classes.push((class, kind)),
                Pending::Cast(from, to) => self.casts.push((from, to)),
                Pending::Renamed(old, new) => self.rename_all(|name| {
                    if let Some(end @ ("" | "[]")) = name.strip_prefix(&old) {
                        *name = format!("{new}{end}");
                    }
                }),
                Pending::RenamedSchema(old, new) => {
                    self.schemas.iter_mut().filter(|s| **s == old).for_each(|s| s.clone_from(&new));
                    self.rename_all(|name| {
                        if let Some((schema, local)) = name.split_once('.')
                            && schema == old
                        {
                            *name = format!("{new}.{local}");
                        }
                    });
                }
                Pending::RenamedColumn(table, old, new) => {
                    self.columns(&table, |columns| {
                        columns.iter_mut().filter(|c| c.0 == old).for_each(|c| c.0.clone_from(&new))
                    });
                }
                Pending::Dropped(table, column) => {
                    self.columns(&table, |columns| columns.retain(|c| c.0 != column));
                }
                Pending::Retyped(table, column, kind) => {
                    self.columns(&table, |columns| {
                        columns
                            .iter_mut()
                            .filter(|c| c.0 == column)
                            .for_each(|c| c.1.clone_from(&kind))
                    });
                }
            }
        }
    }

    fn columns(&mut self, table: &str, mut change: impl FnMut(&mut Vec<(String, String)>)) {
        let tables = self.tables.iter_mut().filter(|t| t.name == table);
        tables.for_each(|t| change(&mut t.columns));
    }

    /// Changes what every remembered name is.
    fn rename_all(&mut self, change: impl Fn(&mut String)) {
        let lists = [&mut self.types, &mut self.enums, &mut self.composites, &mut self.triggers];
        lists.into_iter().for_each(|list| list.iter_mut().for_each(&change));
        self.sequences.iter_mut().chain(&mut self.ranges).for_each(&change);
        for pairs in [&mut self.domains, &mut self.classes, &mut self.casts] {
            pairs.iter_mut().for_each(|(a, b)| {
                change(a);
                change(b);
            });
        }
        for function in &mut self.functions {
            change(&mut function.name);
            function.arguments.iter_mut().for_each(&change);
            change(&mut function.result);
        }
        for operator in &mut self.operators {
            change(&mut operator.name);
            operator.left.iter_mut().for_each(&change);
            change(&mut operator.right);
            change(&mut operator.result);
        }
        for relation in self.tables.iter_mut().chain(&mut self.views) {
            change(&mut relation.name);
            relation.columns.iter_mut().for_each(|column| change(&mut column.1));
        }
    }

    fn statement(&mut self) -> Option<String> {
        match self.random.below(64) {
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
            43 => self.create_statistics(),
            44 => self.create_aggregate(),
            45 | 46 => self.change_owner(),
            47..=49 => self.rename(),
            50 => Some(self.part()),
            51 | 52 => self.attach(),
            53 | 54 => self.change_column(),
            55 | 56 => self.create_operator(),
            57 | 58 => Some(self.create_operator_class()),
            59 => Some(self.create_range()),
            60 | 61 => self.create_cast(),
            62 => match self.random.below(3) {
                0 => self.pass_grant_on(),
                1 => Some(self.create_event_trigger()),
                _ => self.create_publication(),
            },
            _ => self.create_partition(),
        }
    }

    fn schema(&mut self) -> String {
        self.random.one(&self.schemas).clone()
    }

    /// A new name in any schema. One of the letters makes dependencies and names disagree in order.
    fn name(&mut self) -> String {
        self.made += 1;
        let schema = self.schema();
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
        of_kind.extend(self.operations(kind));
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
}
