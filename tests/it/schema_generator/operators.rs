//! Operators, operator classes, ranges and casts over whatever types there are. Expressions may use
//! them; that they need a cast or a class is recorded nowhere.

use super::{Function, Generator, Operator, Pending};

/// The operators of a B-tree class, in the order of its strategies.
const COMPARISONS: [&str; 5] = ["<", "<=", "=", ">=", ">"];

impl Generator {
    pub(super) fn create_operator(&mut self) -> Option<String> {
        let function = self.function_of(|f| matches!(f.arguments.len(), 1 | 2))?;
        let symbol = self.random.of(&["+", "<#>", "@@", "||", "~~"]);
        let name = format!("{}.{symbol}", self.schema());
        let (left, right) = match &function.arguments[..] {
            [right] => (None, right.clone()),
            [left, right] => (Some(left.clone()), right.clone()),
            _ => return None,
        };
        let mut parts = vec![format!("PROCEDURE = {}", function.name)];
        parts.extend(left.iter().map(|left| format!("LEFTARG = {left}")));
        parts.push(format!("RIGHTARG = {right}"));
        // One that isn't there becomes a shell; a later statement may fill it. Each has but one partner:
        // since 17 the server refuses others.
        if left.is_some() && self.random.below(2) == 0 {
            parts.push(format!("COMMUTATOR = OPERATOR({name})"));
        }
        if left.is_some() && function.result == "boolean" && self.random.below(2) == 0 {
            parts.push(format!("NEGATOR = OPERATOR({}.!{symbol})", schema_of(&name)));
        }
        let sql = format!("CREATE OPERATOR {name} ({})", parts.join(", "));
        self.pending =
            vec![Pending::Operator(Operator { name, left, right, result: function.result })];
        Some(sql)
    }

    /// Functions and operators that compare a type's values, and a class of them.
    pub(super) fn create_operator_class(&mut self) -> String {
        let (kind, class, functions) = (self.any_type(), self.name(), self.name());
        let schema = schema_of(&class).to_owned();
        let mut statements = Vec::new();
        let mut members = Vec::new();
        self.pending = vec![Pending::Class(class.clone(), kind.clone())];
        for (at, symbol) in COMPARISONS.iter().enumerate() {
            let function = self.comparison(&part(&functions, symbol), &kind, "boolean");
            statements.push(format!("CREATE {}", self.function_text(&function)));
            let other = COMPARISONS[COMPARISONS.len() - 1 - at];
            let negator = match *symbol {
                "=" => String::new(),
                _ => {
                    let negated = COMPARISONS[[3, 4, 2, 0, 1][at]];
                    format!(", NEGATOR = OPERATOR({schema}.{negated})")
                }
            };
            statements.push(format!(
                "CREATE OPERATOR {schema}.{symbol} (PROCEDURE = {}, LEFTARG = {kind}, \
                 RIGHTARG = {kind}, COMMUTATOR = OPERATOR({schema}.{other}){negator})",
                function.name
            ));
            members.push(format!("OPERATOR {} {schema}.{symbol}", at + 1));
            self.pending.push(Pending::Operator(Operator {
                name: format!("{schema}.{symbol}"),
                left: Some(kind.clone()),
                right: kind.clone(),
                result: "boolean".to_owned(),
            }));
            self.pending.push(Pending::Function(function));
        }
        let function = self.comparison(&part(&functions, "order"), &kind, "integer");
        statements.push(format!("CREATE {}", self.function_text(&function)));
        members.push(format!("FUNCTION 1 {}({kind}, {kind})", function.name));
        let default = self.random.of(&["DEFAULT ", ""]);
        statements.push(format!(
            "CREATE OPERATOR CLASS {class} {default}FOR TYPE {kind} USING btree AS {}",
            members.join(", ")
        ));
        self.pending.push(Pending::Function(function));
        statements.join("; ")
    }

    fn comparison(&mut self, name: &str, kind: &str, result: &str) -> Function {
        Function {
            name: name.to_owned(),
            arguments: vec![kind.to_owned(), kind.to_owned()],
            result: result.to_owned(),
            atomic: self.major >= 14 && self.random.below(3) == 0,
        }
    }

    /// A range of a type that can be ordered, often by a class of ours, with a difference.
    pub(super) fn create_range(&mut self) -> String {
        let (name, function) = (self.name(), self.name());
        let class = match self.classes.is_empty() || self.random.below(3) == 0 {
            true => None,
            false => Some(self.random.one(&self.classes).clone()),
        };
        let kind = match &class {
            Some((_, kind)) => kind.clone(),
            None => self.any_type(),
        };
        let function = self.comparison(&function, &kind, "double precision");
        let text = self.function_text(&function);
        let class = class.map(|(class, _)| format!(", SUBTYPE_OPCLASS = {class}"));
        self.pending = vec![Pending::Type(name.clone()), Pending::Range(name.clone())];
        format!(
            "CREATE {text}; CREATE TYPE {name} AS RANGE (SUBTYPE = {kind}{}, SUBTYPE_DIFF = {})",
            class.unwrap_or_default(),
            function.name
        )
    }

    pub(super) fn create_cast(&mut self) -> Option<String> {
        let context = self.random.of(&["", " AS ASSIGNMENT"]);
        let (source, target, how) = match self.random.below(3) {
            0 => (self.any_type(), self.any_type(), "WITH INOUT".to_owned()),
            _ => {
                let f = self.function_of(|f| f.arguments.len() == 1)?;
                let how = format!("WITH FUNCTION {}({})", f.name, f.arguments[0]);
                (f.arguments[0].clone(), f.result, how)
            }
        };
        self.pending = vec![Pending::Cast(source.clone(), target.clone())];
        Some(format!("CREATE CAST ({source} AS {target}) {how}{context}"))
    }

    /// Expressions of this type that use operators and casts.
    pub(super) fn operations(&mut self, kind: &str) -> Vec<String> {
        let operators = self.operators.iter().filter(|operator| operator.result == kind);
        let casts = self.casts.iter().filter(|cast| cast.1 == kind);
        operators
            .map(|operator| {
                let (schema, symbol) = operator.name.rsplit_once('.').unwrap();
                let left = operator.left.as_ref().map(|left| format!("NULL::{left} "));
                let left = left.unwrap_or_default();
                format!("({left}OPERATOR({schema}.{symbol}) NULL::{})", operator.right)
            })
            .chain(casts.map(|(source, target)| format!("(NULL::{source})::{target}")))
            .collect()
    }

    fn function_of(&mut self, fits: impl Fn(&Function) -> bool) -> Option<Function> {
        let fitting: Vec<Function> =
            self.functions.iter().filter(|function| fits(function)).cloned().collect();
        (!fitting.is_empty()).then(|| self.random.one(&fitting).clone())
    }
}

/// The schema of a qualified name: no schema's name has a dot.
pub(super) fn schema_of(name: &str) -> &str {
    name.split_once('.').unwrap().0
}

/// A name like this with something behind it.
fn part(name: &str, behind: &str) -> String {
    match name.strip_suffix('"') {
        Some(start) => format!("{start}{behind}\""),
        None => {
            let (schema, name) = name.split_once('.').unwrap();
            format!("{schema}.\"{name}{behind}\"")
        }
    }
}
