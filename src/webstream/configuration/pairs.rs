//! The pairs of a connection string and a password's reference in a configuration, wherever they
//! stand.

use roxmltree::{Node, NodeId};

use super::npgsql::{ConnectionString, Keyword};
use super::value::Value;

/// A connection string and what says where its password is.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) string: Value,
    pub(super) parsed: ConnectionString,
    pub(super) password_ref: Value,
    /// A `maxPoolSize` beside them.
    pub(super) pool: Option<String>,
}

/// What isn't understood: where in the text, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) at: usize,
    pub(super) why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    ConnectionString,
    PasswordRef,
    Pool,
}

impl Role {
    fn of(name: &str) -> Option<Role> {
        let is = |spelling: &str| name.eq_ignore_ascii_case(spelling);
        match () {
            () if is("connectionString") => Some(Role::ConnectionString),
            () if is("passwordRef") => Some(Role::PasswordRef),
            () if is("maxPoolSize") => Some(Role::Pool),
            () => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Role::ConnectionString => "connectionString",
            Role::PasswordRef => "passwordRef",
            Role::Pool => "maxPoolSize",
        }
    }
}

/// An attribute or an element that has one of the names.
struct Slot {
    role: Role,
    /// The element that it says something about: the one that has the attribute, or the parent.
    about: NodeId,
    /// The element itself, if it is one.
    element: Option<NodeId>,
    value: Result<Value, Problem>,
}

/// Finds all pairs; or all that isn't understood.
pub(super) fn find(document: &roxmltree::Document<'_>) -> Result<Vec<Pair>, Vec<Problem>> {
    let slots: Vec<Slot> =
        document.descendants().filter(Node::is_element).flat_map(slots_of).collect();
    let (mut pairs, mut problems) = (Vec::new(), Vec::new());
    let mut used = vec![false; slots.len()];
    for (index, slot) in slots.iter().enumerate() {
        if slot.role != Role::ConnectionString {
            continue;
        }
        let partner = match partner(&slots, index) {
            Ok(partner) => partner,
            Err(why) => {
                problems.push(Problem { at: place(&slot.value), why: why.to_owned() });
                continue;
            }
        };
        used[partner] = true;
        let pool = slots.iter().find(|s| s.role == Role::Pool && s.about == slots[partner].about);
        match pair(slot, &slots[partner], pool) {
            Ok(pair) => pairs.push(pair),
            Err(problem) => problems.push(problem),
        }
    }
    let alone = slots.iter().zip(used).filter(|(s, used)| s.role == Role::PasswordRef && !used);
    problems.extend(alone.map(|(slot, _)| Problem {
        at: place(&slot.value),
        why: "a passwordRef belongs to no connectionString".to_owned(),
    }));
    problems.extend(under_other_names(document, &pairs));
    problems.sort_by_key(|problem| problem.at);
    match problems.is_empty() {
        true => Ok(pairs),
        false => Err(problems),
    }
}

/// What reads as a connection string to a server of the pairs, and isn't called one: it would go on
/// leading to the old place.
fn under_other_names(document: &roxmltree::Document<'_>, pairs: &[Pair]) -> Vec<Problem> {
    let is_theirs = |said: &str| {
        let Ok(string) = ConnectionString::parse(said.trim()) else { return false };
        let host = string.get(Keyword::Host);
        let is_host = |pair: &Pair| {
            let known = pair.parsed.get(Keyword::Host);
            known.zip(host).is_some_and(|(known, host)| known.eq_ignore_ascii_case(host))
        };
        string.get(Keyword::Database).is_some() && pairs.iter().any(is_host)
    };
    let mut places = Vec::new();
    for node in document.descendants() {
        let attributes = node.attributes().filter(|attribute| is_theirs(attribute.value()));
        places.extend(attributes.map(|attribute| attribute.range_value().start));
        places.extend(node.text().filter(|said| node.is_text() && is_theirs(said)).map(|_| {
            let range = node.range();
            let text = &document.input_text()[range.clone()];
            range.start + text.len() - text.trim_start().len()
        }));
    }
    let is_found = |at: &usize| pairs.iter().any(|pair| pair.string.all.contains(at));
    let unknown = places.into_iter().filter(|at| !is_found(at));
    unknown
        .map(|at| Problem {
            at,
            why: "a connection string to the same server, which isn't called connectionString"
                .to_owned(),
        })
        .collect()
}

/// The password's reference that belongs to a connection string: the only one beside it or in its
/// own attributes, or the next one where strings and references take turns.
fn partner(slots: &[Slot], of: usize) -> Result<usize, &'static str> {
    let string = &slots[of];
    let own = |slot: &Slot| string.element.is_some_and(|element| slot.about == element);
    let refs = || slots.iter().enumerate().filter(|(_, slot)| slot.role == Role::PasswordRef);
    if let Some((index, _)) = refs().find(|(_, slot)| own(slot)) {
        return Ok(index);
    }
    let beside: Vec<usize> =
        refs().filter(|(_, slot)| slot.about == string.about).map(|(index, _)| index).collect();
    let strings: Vec<usize> = slots
        .iter()
        .enumerate()
        .filter(|(_, s)| s.role == Role::ConnectionString && s.about == string.about)
        .map(|(index, _)| index)
        .collect();
    let mut in_turns = strings.iter().zip(&beside).map(|(string, beside)| beside > string);
    let first = in_turns.next();
    let take_turns = strings.len() == beside.len()
        && in_turns.all(|follows| Some(follows) == first)
        && alternate(&strings, &beside);
    match (strings.iter().position(|index| *index == of), take_turns) {
        (Some(position), true) => Ok(beside[position]),
        _ if beside.is_empty() => Err("a connectionString has no passwordRef"),
        _ => Err("it isn't clear which passwordRef belongs to this connectionString"),
    }
}

/// Whether no two of either come one after the other.
fn alternate(one: &[usize], other: &[usize]) -> bool {
    let mut all: Vec<(usize, bool)> =
        one.iter().map(|i| (*i, true)).chain(other.iter().map(|i| (*i, false))).collect();
    all.sort_unstable();
    all.windows(2).all(|two| two[0].1 != two[1].1)
}

fn pair(string: &Slot, password_ref: &Slot, pool: Option<&Slot>) -> Result<Pair, Problem> {
    let value = string.value.clone()?;
    let password_ref = password_ref.value.clone()?;
    let pool = pool.map(|pool| pool.value.clone()).transpose()?.map(|value| value.said);
    let wrong = |why: &str| Problem {
        at: value.at,
        why: format!("a connectionString isn't understood: {why}"),
    };
    let parsed = ConnectionString::parse(&value.said).map_err(|malformed| wrong(malformed.why))?;
    for keyword in [Keyword::Host, Keyword::Database, Keyword::Username] {
        if parsed.get(keyword).is_none() {
            return Err(wrong(&format!("it has no {}", keyword.name())));
        }
    }
    Ok(Pair { string: value, parsed, password_ref, pool })
}

fn slots_of<'i>(node: Node<'_, 'i>) -> Vec<Slot> {
    let text = node.document().input_text();
    let attributes = node.attributes().filter_map(|attribute| {
        let role = Role::of(attribute.name())?;
        let range = attribute.range_value();
        let at = range.start;
        let value = Value::attribute(text, range).ok_or_else(|| unreadable(role, at));
        Some(Slot { role, about: node.id(), element: None, value })
    });
    let mut slots: Vec<Slot> = attributes.collect();
    if let (Some(role), Some(parent)) = (Role::of(node.tag_name().name()), node.parent_element()) {
        let value = inner(&node).and_then(|range| Value::element(text, range));
        let value = value.ok_or_else(|| unreadable(role, node.range().start));
        // It comes before its own attributes.
        slots.insert(0, Slot { role, about: parent.id(), element: Some(node.id()), value });
    }
    slots
}

/// What stands between an element's tags.
fn inner(node: &Node<'_, '_>) -> Option<std::ops::Range<usize>> {
    let text = node.document().input_text();
    let range = node.range();
    let behind = node.attributes().map(|attribute| attribute.range().end).max();
    let from = behind.unwrap_or(range.start);
    let start = from + text[from..range.end].find('>')? + 1;
    let end = range.start + text[range.clone()].rfind("</")?;
    (start <= end).then_some(start..end)
}

fn unreadable(role: Role, at: usize) -> Problem {
    Problem { at, why: format!("a {} holds something else than text", role.name()) }
}

fn place(value: &Result<Value, Problem>) -> usize {
    match value {
        Ok(value) => value.at,
        Err(problem) => problem.at,
    }
}
