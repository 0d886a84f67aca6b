//! Casts, which a server renders otherwise once it has read them: of arrays, and of columns that are
//! named after them.

use crate::toc::Token;

use super::{bracketed, depth_after, settle, split};

/// `(ARRAY[a, b])::t[]`, which is how `v IN ('x', 'y')` is rendered for a varchar. It is read as
/// `ARRAY[(a)::t, (b)::t]`, and as `ARRAY[(a)::t[], (b)::t[]]` where the elements are arrays
/// themselves (source: parse_expr.c, transformTypeCast and transformArrayExpr). Elements that don't
/// show what they are, as columns don't, count as no arrays.
pub(super) struct CastArray<'r, 'a> {
    elements: &'r [Token<'a>],
    cast: &'r [Token<'a>],
    pub(super) rest: &'r [Token<'a>],
}

impl<'r, 'a> CastArray<'r, 'a> {
    pub(super) fn at(rest: &'r [Token<'a>]) -> Option<CastArray<'r, 'a>> {
        let [Token::Mark('('), inner @ ..] = rest else { return None };
        let (elements, after) = array(inner)?;
        let [Token::Mark(')'), after @ ..] = after else { return None };
        let length = cast_length(after)?;
        let (cast, after) = after.split_at(length);
        let [Token::Mark('['), Token::Mark(']'), rest @ ..] = after else { return None };
        Some(CastArray { elements, cast, rest })
    }

    pub(super) fn cast_each(&self, kept: &mut Vec<Token<'a>>) {
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
    bracketed(inner).filter(|(elements, _)| !elements.is_empty())
}

/// `::t AS n`, where `n` is what the server calls a column that is cast to `t`, without its name.
/// In the later parts of a UNION a column that had no name gets this one, as a constant was cast
/// to the type of the first part's column (source: parse_target.c, FigureColnameInternal). Where
/// names count, the server renders each.
pub(super) fn named_cast<'r, 'a>(
    rest: &'r [Token<'a>],
) -> Option<(&'r [Token<'a>], &'r [Token<'a>])> {
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
    use crate::verify::renderings::settled;

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
}
