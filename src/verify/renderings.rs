//! What a server renders otherwise once it has read its own rendering. A definition that was
//! written by hand and its restored copy, pg_dump's too, then mean the same in other words.

mod casts;

use crate::toc::{Token, tokens};

use casts::{CastArray, named_cast};

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
    let (terms, after) = bracketed(inner)?;
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

/// What follows an opening bracket, up to its closing one and from there on.
fn bracketed<'r, 'a>(inner: &'r [Token<'a>]) -> Option<(&'r [Token<'a>], &'r [Token<'a>])> {
    let mut depth = 1usize;
    let end = inner.iter().position(|token| {
        depth = depth_after(depth, *token);
        depth == 0
    })?;
    Some((&inner[..end], &inner[end + 1..]))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn same(ours: &str, theirs: &str) -> bool {
        settled(ours) == settled(theirs)
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
