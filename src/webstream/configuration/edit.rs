//! Changes of a text, by place.

use std::ops::Range;

/// What stands at a place gives way to something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The bytes that go.
    pub range: Range<usize>,
    /// What comes.
    pub text: String,
}

impl Edit {
    pub(super) fn new(range: Range<usize>, text: String) -> Edit {
        Edit { range, text }
    }
}

/// The text after the edits, which are in order and don't overlap.
pub(super) fn applied(text: &str, edits: &[Edit]) -> String {
    let mut changed = String::with_capacity(text.len());
    let mut at = 0;
    for edit in edits {
        changed += &text[at..edit.range.start];
        changed += &edit.text;
        at = edit.range.end;
    }
    changed + &text[at..]
}
