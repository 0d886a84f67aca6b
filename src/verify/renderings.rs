//! What a server renders otherwise once it has read its own rendering. A definition that was
//! written by hand and its restored copy, pg_dump's too, then mean the same in other words.

use crate::toc::{Token, tokens};

/// The tokens of a definition in the words that it keeps however often it is moved. White space
/// isn't among them: `(VALUES` in a UNION comes back as `( VALUES` (source: ruleutils.c,
/// get_setop_query and get_values_def).
pub(super) fn settled(sql: &str) -> Vec<Token<'_>> {
    let all: Vec<Token<'_>> = tokens(sql).map(|(_, token)| token).collect();
    let mut kept = Vec::with_capacity(all.len());
    settle(&all, &mut kept);
    kept
}

/// The tokens of a procedure, and of what names one, as every major renders them: from 14 on its
/// arguments say IN. That word is reserved, and begins no operand.
pub(super) fn settled_without_in(sql: &str) -> Vec<Token<'_>> {
    let mut before = None;
    let mut kept = settled(sql);
    kept.retain(|token| {
        let begins = matches!(before.replace(*token), Some(Token::Mark('(' | ',')));
        !(begins && token.is_word("IN"))
    });
    kept
}

/// The tokens of extended statistics, their columns and expressions in one order: they are listed
/// as columns stand in their table, and what a table inherits comes first in a copy (source:
/// pg_get_statisticsobj_worker in ruleutils.c).
pub(super) fn settled_statistics(sql: &str) -> Vec<Token<'_>> {
    let all = settled(sql);
    let listed = outside(&all, "ON").and_then(|on| {
        let length = outside(&all[on + 1..], "FROM")?;
        Some((on + 1, on + 1 + length))
    });
    let Some((start, end)) = listed else { return all };
    let mut items = split(&all[start..end]);
    items.sort_by_cached_key(|item| format!("{item:?}"));
    let comma = [Token::Mark(',')];
    [&all[..start], &items.join(&comma[..]), &all[end..]].concat()
}

/// Where a word stands outside of all brackets.
fn outside(tokens: &[Token<'_>], word: &str) -> Option<usize> {
    let mut depth = 0usize;
    tokens.iter().position(|token| {
        depth = depth_after(depth, *token);
        depth == 0 && token.is_word(word)
    })
}

fn settle<'a>(mut rest: &[Token<'a>], kept: &mut Vec<Token<'a>>) {
    while let [first, after @ ..] = rest {
        if let Some(array) = CastArray::at(rest) {
            array.cast_each(kept);
            rest = array.rest;
        } else if let Some((cast, after)) = named_cast(rest) {
            kept.extend(cast);
            rest = after;
        } else if let Some((terms, after)) = first_terms(kept, rest) {
            settle(terms, kept);
            rest = after;
        } else if let Some((merged, after)) = merge(rest) {
            kept.extend(merged);
            rest = after;
        } else if let Some(after) = on_true(rest) {
            kept.extend([*first, Token::Mark('('), Token::Word("true"), Token::Mark(')')]);
            rest = after;
        } else {
            kept.push(*first);
            rest = after;
        }
    }
}

/// The terms of `(a AND b)` in `((a AND b) AND c)`, as `BETWEEN` is rendered before another AND, and
/// what follows their bracket. It is read as `(a AND b AND c)` (source: gram.y, makeAndExpr and
/// makeOrExpr).
fn first_terms<'r, 'a>(
    before: &[Token<'a>],
    rest: &'r [Token<'a>],
) -> Option<(&'r [Token<'a>], &'r [Token<'a>])> {
    let (Some(Token::Mark('(')), [Token::Mark('('), inner @ ..]) = (before.last(), rest) else {
        return None;
    };
    let mut depth = 1usize;
    let end = inner.iter().position(|token| {
        depth = depth_after(depth, *token);
        depth == 0
    })?;
    let (terms, after) = (&inner[..end], &inner[end + 1..]);
    let word = ["AND", "OR"]
        .into_iter()
        .find(|word| after[..].first().is_some_and(|t| t.is_word(word)))?;
    let query = ["SELECT", "VALUES", "WITH"].iter().any(|word| outside(terms, word).is_some());
    (outside(terms, word).is_some() && !query).then_some((terms, after))
}

/// `MERGE INTO t` of `MERGE INTO t AS x`, and what follows AS: from 16 on it is rendered without
/// (source: ruleutils.c, get_merge_query_def).
fn merge<'r, 'a>(rest: &'r [Token<'a>]) -> Option<(&'r [Token<'a>], &'r [Token<'a>])> {
    let [merge, into, table @ ..] = rest else { return None };
    if !(merge.is_word("MERGE") && into.is_word("INTO")) {
        return None;
    }
    let end = table.iter().position(|token| token.is_word("AS") || token.is_word("USING"))?;
    table[end].is_word("AS").then(|| (&rest[..2 + end], &table[end + 1..]))
}

/// What follows `ON TRUE`, which is how a join that nothing restricts is rendered. It is read as a
/// constant, `ON (true)` (source: ruleutils.c, get_from_clause_item).
fn on_true<'r, 'a>(rest: &'r [Token<'a>]) -> Option<&'r [Token<'a>]> {
    let [on, word, after @ ..] = rest else { return None };
    (on.is_word("ON") && word.is_word("TRUE")).then_some(after)
}

/// `(ARRAY[a, b])::t[]`, which is how `v IN ('x', 'y')` is rendered for a varchar. It is read as
/// `ARRAY[(a)::t, (b)::t]`, and as `ARRAY[(a)::t[], (b)::t[]]` where the elements are arrays
/// themselves (source: parse_expr.c, transformTypeCast and transformArrayExpr). Elements that don't
/// show what they are, as columns don't, count as no arrays.
struct CastArray<'r, 'a> {
    elements: &'r [Token<'a>],
    cast: &'r [Token<'a>],
    rest: &'r [Token<'a>],
}

impl<'r, 'a> CastArray<'r, 'a> {
    fn at(rest: &'r [Token<'a>]) -> Option<CastArray<'r, 'a>> {
        let [Token::Mark('('), inner @ ..] = rest else { return None };
        let (elements, after) = array(inner)?;
        let [Token::Mark(')'), after @ ..] = after else { return None };
        let length = cast_length(after)?;
        let (cast, after) = after.split_at(length);
        let [Token::Mark('['), Token::Mark(']'), rest @ ..] = after else { return None };
        Some(CastArray { elements, cast, rest })
    }

    fn cast_each(&self, kept: &mut Vec<Token<'a>>) {
        cast_each(self.elements, self.cast, kept);
    }
}

fn cast_each<'a>(elements: &[Token<'a>], cast: &[Token<'a>], kept: &mut Vec<Token<'a>>) {
    kept.extend([Token::Word("ARRAY"), Token::Mark('[')]);
    let elements = split(elements);
    // All are, or none is.
    let are_arrays = elements.iter().any(|element| shows_array(element));
    for (at, element) in elements.into_iter().enumerate() {
        if at > 0 {
            kept.push(Token::Mark(','));
        }
        match array(element) {
            Some((inner, [])) => cast_each(inner, cast, kept),
            _ => {
                kept.push(Token::Mark('('));
                settle(element, kept);
                kept.push(Token::Mark(')'));
                kept.extend(cast);
                if are_arrays {
                    kept.extend([Token::Mark('['), Token::Mark(']')]);
                }
            }
        }
    }
    kept.push(Token::Mark(']'));
}

/// Whether an element is an array by its own words: one cast to such a type, or `ARRAY( SELECT …)`.
fn shows_array(element: &[Token<'_>]) -> bool {
    match element {
        [.., Token::Mark('['), Token::Mark(']')] => true,
        [word, Token::Mark('('), ..] => word.is_word("ARRAY"),
        _ => false,
    }
}

/// The elements of an array's constructor, and what follows it.
fn array<'r, 'a>(tokens: &'r [Token<'a>]) -> Option<(&'r [Token<'a>], &'r [Token<'a>])> {
    let [word, Token::Mark('['), inner @ ..] = tokens else { return None };
    if !word.is_word("ARRAY") {
        return None;
    }
    let mut depth = 1usize;
    let end = inner.iter().position(|token| {
        depth = depth_after(depth, *token);
        depth == 0
    })?;
    (end > 0).then(|| (&inner[..end], &inner[end + 1..]))
}

/// What commas separate, those in brackets aside.
fn split<'r, 'a>(tokens: &'r [Token<'a>]) -> Vec<&'r [Token<'a>]> {
    let mut depth = 0usize;
    tokens
        .split(|token| {
            depth = depth_after(depth, *token);
            depth == 0 && *token == Token::Mark(',')
        })
        .collect()
}

fn depth_after(depth: usize, token: Token<'_>) -> usize {
    match token {
        Token::Mark('(' | '[') => depth + 1,
        Token::Mark(')' | ']') => depth.saturating_sub(1),
        _ => depth,
    }
}

/// `::t AS n`, where `n` is what the server calls a column that is cast to `t`, without its name.
/// In the later parts of a UNION a column that had no name gets this one, as a constant was cast
/// to the type of the first part's column (source: parse_target.c, FigureColnameInternal). Where
/// names count, the server renders each.
fn named_cast<'r, 'a>(rest: &'r [Token<'a>]) -> Option<(&'r [Token<'a>], &'r [Token<'a>])> {
    let mut length = cast_length(rest)?;
    // Words of the type end where AS begins.
    if let Some(at) = rest[..length].iter().position(|token| token.is_word("AS")) {
        length = at;
    }
    let (cast, mut after) = rest.split_at(length);
    let mut brackets = 0;
    if let [Token::Mark('['), Token::Mark(']'), more @ ..] = after {
        (brackets, after) = (2, more);
    }
    let [word, name, after @ ..] = after else { return None };
    let named = word.is_word("AS") && name.name().is_some_and(|name| column_name(cast) == name);
    named.then(|| (&rest[..length + brackets], after))
}

/// How many tokens `::t` takes, where they begin with one, without the brackets of an array.
fn cast_length(tokens: &[Token<'_>]) -> Option<usize> {
    let [Token::Mark(':'), Token::Mark(':'), name, ..] = tokens else { return None };
    name.name()?;
    let mut depth = 0usize;
    let length = tokens[2..].iter().take_while(|token| {
        let within = depth > 0;
        depth = depth_after(depth, **token);
        match token {
            Token::Word(_) | Token::Quoted(_) | Token::Mark('.' | '(') => true,
            Token::Mark(',' | ')') => within,
            _ => false,
        }
    });
    Some(2 + length.count())
}

/// What the server calls a column that is cast so: the type's own name.
fn column_name(cast: &[Token<'_>]) -> String {
    let mut depth = 0usize;
    let outside = cast[2..].iter().filter(|token| {
        let within = depth > 0;
        depth = depth_after(depth, **token);
        !within && depth == 0
    });
    let names: Vec<String> = outside.filter_map(|token| token.name()).collect();
    let words: Vec<&str> = names.iter().map(String::as_str).collect();
    let own = match words[..] {
        ["smallint"] => "int2",
        ["integer"] => "int4",
        ["bigint"] => "int8",
        ["real"] => "float4",
        ["double", "precision"] => "float8",
        ["boolean"] => "bool",
        ["character"] => "bpchar",
        ["character", "varying"] => "varchar",
        ["bit", "varying"] => "varbit",
        ["time", "without", ..] => "time",
        ["time", "with", ..] => "timetz",
        ["timestamp", "without", ..] => "timestamp",
        ["timestamp", "with", ..] => "timestamptz",
        ["interval", ..] => "interval",
        [.., last] => last,
        [] => "",
    };
    own.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(ours: &str, theirs: &str) -> bool {
        settled(ours) == settled(theirs)
    }

    #[test]
    fn an_array_that_is_cast_is_one_of_cast_elements() {
        let read =
            "(v)::text = ANY ((ARRAY['a'::character varying, 'b,'::character varying])::text[])";
        let again = "(v)::text = ANY (ARRAY[('a'::character varying)::text, \
                     ('b,'::character varying)::text])";
        assert!(same(read, again));
        assert!(!same(read, &again.replace("'a'", "'c'")));
        assert!(!same(read, &again.replace(")::text, ", ")::varchar, ")));
        assert!(same("(ARRAY[f(a, b)])::numeric(3,1)[]", "ARRAY[(f(a, b))::numeric(3,1)]"));
        assert!(same("(ARRAY[ARRAY[1, 2]])::bigint[]", "ARRAY[ARRAY[(1)::bigint, (2)::bigint]]"));
        assert!(same("(ARRAY[a])::\"S\".\"d\"[]", "ARRAY[(a)::\"S\".\"d\"]"));
        assert!(!same("(ARRAY[a])::text", "ARRAY[(a)::text]"));
    }

    #[test]
    fn an_array_of_arrays_is_cast_as_an_array_of_cast_arrays() {
        for element in ["'{a}'::character varying[]", "ARRAY( SELECT v)", "(w)::varchar(3)[]"] {
            let whole = format!("(ARRAY[w, {element}])::text[]");
            assert!(same(&whole, &format!("ARRAY[(w)::text[], ({element})::text[]]")));
            assert!(!same(&whole, &format!("ARRAY[(w)::text, ({element})::text]")));
        }
    }

    #[test]
    fn terms_that_begin_a_chain_are_links_of_it() {
        assert!(same(
            "WHERE (((a >= b) AND (a <= c)) AND (d))",
            "WHERE ((a >= b) AND (a <= c) AND (d))"
        ));
        assert!(same("((((a) OR (b)) OR (c)) OR (d))", "((a) OR (b) OR (c) OR (d))"));
        assert!(!same("(((a) OR (b)) AND (c))", "((a) OR (b) AND (c))"));
        assert!(!same("((a) AND ((b) AND (c)))", "((a) AND (b) AND (c))"));
        assert!(!same("(f((a) AND (b)) AND (c))", "(f(a) AND (b) AND (c))"));
        assert!(!same(
            "((SELECT a WHERE (b) AND (c)) AND (d))",
            "(SELECT a WHERE (b) AND (c) AND (d))"
        ));
    }

    #[test]
    fn a_merge_says_as_before_its_tables_alias_or_not() {
        assert!(same("MERGE INTO s.t AS x USING u AS y", "MERGE INTO s.t x USING u AS y"));
        assert!(!same("MERGE INTO s.t AS x USING u AS y", "MERGE INTO s.t y USING u AS y"));
        assert!(!same("MERGE INTO s.t USING u AS y", "MERGE INTO s.t USING u y"));
    }

    #[test]
    fn a_join_on_nothing_is_one_on_a_constant() {
        assert!(same("a LEFT JOIN b ON TRUE)", "a LEFT JOIN b ON (true))"));
        assert!(!same("a LEFT JOIN b ON TRUE)", "a LEFT JOIN b ON (false))"));
    }

    #[test]
    fn the_name_of_a_cast_is_none() {
        assert!(same("NULL::integer FROM t", "NULL::integer AS int4 FROM t"));
        assert!(same("NULL::text[], a", "NULL::text[] AS text, a"));
        assert!(same(
            "x::timestamp(3) with time zone",
            "x::timestamp(3) with time zone AS timestamptz"
        ));
        assert!(same("(0)::numeric", "(0)::numeric AS \"numeric\""));
        assert!(same("NULL::s.\"E\"", "NULL::s.\"E\" AS \"E\""));
        assert!(!same("NULL::integer", "NULL::integer AS a"));
        assert!(!same("NULL::integer AS a", "NULL::integer AS int4"));
    }

    #[test]
    fn a_procedures_arguments_say_in_or_not_and_its_body_is_as_it_is() {
        let same =
            |ours: &str, theirs: &str| settled_without_in(ours) == settled_without_in(theirs);
        let old = "CREATE PROCEDURE s.p(a integer, \"IN b\" text) AS $$ x(IN y, IN z) $$";
        let new = old.replacen("(a", "(IN a", 1).replacen(", \"IN", ", IN \"IN", 1);
        assert!(same(old, &new));
        assert!(!same(old, &old.replace("x(IN y", "x(y")));
        assert!(!same(old, &new.replace("y, IN z", "y, z")));
        assert!(!same(old, &old.replace("(a", "(INOUT a")));
        assert!(!same("RETURN (a IN (1, 2))", "RETURN (a (1, 2))"));
    }

    #[test]
    fn statistics_list_their_columns_in_any_order_and_their_expressions_as_they_are() {
        let same =
            |ours: &str, theirs: &str| settled_statistics(ours) == settled_statistics(theirs);
        let sql = "CREATE STATISTICS s.x (ndistinct) ON a, b, ((c - d)), EXTRACT(year FROM e) \
                   FROM s.t; ALTER STATISTICS s.x SET STATISTICS 7;";
        assert!(same(sql, &sql.replace("a, b", "b, a")));
        assert!(same(sql, &sql.replace("a, b, ((c - d))", "((c - d)), b, a")));
        for (ours, theirs) in [("c - d", "d - c"), (", b", ""), ("year", "day"), ("s.t", "t.s")] {
            assert!(!same(sql, &sql.replace(ours, theirs)), "{ours} is no {theirs}");
        }
        let two = "CREATE STATISTICS s.x ON ((a - b)), ((c / d)) FROM s.t";
        assert!(!same(two, "CREATE STATISTICS s.x ON ((b - a)), ((c / d)) FROM s.t"));
        assert!(!same(two, "CREATE STATISTICS s.x ON ((a / b)), ((c - d)) FROM s.t"));
    }

    #[test]
    fn white_space_counts_in_strings_only() {
        assert!(same("FROM (VALUES (2,'y'))", "FROM ( VALUES (2,'y'))"));
        assert!(!same("FROM (VALUES (2,'y'))", "FROM ( VALUES (2,'y '))"));
    }
}
