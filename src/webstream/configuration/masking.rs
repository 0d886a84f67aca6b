//! What is shown of a file besides its pairs: names, and nothing that is said under them. Anything may
//! be a secret, and all of a file may stand on one line.

use std::ops::Range;

use roxmltree::{Document, NodeType};

use super::edit::Edit;

/// The edits that leave out every attribute's value, text and comment that isn't at one of the places.
pub(super) fn others(document: &Document<'_>, shown: &[usize]) -> Vec<Edit> {
    let text = document.input_text();
    let is_shown = |range: &Range<usize>| shown.iter().any(|at| range.contains(at));
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for node in document.descendants() {
        ranges.extend(node.attributes().map(|attribute| attribute.range_value()));
        match node.node_type() {
            NodeType::Text | NodeType::Comment | NodeType::PI => ranges.push(node.range()),
            NodeType::Root | NodeType::Element => {}
        }
    }
    let hidden = ranges.into_iter().filter(|range| !text[range.clone()].trim().is_empty());
    hidden.filter(|range| !is_shown(range)).map(|range| left_out(text, range)).collect()
}

/// Lines keep their numbers.
fn left_out(text: &str, range: Range<usize>) -> Edit {
    let ends = text[range.clone()].matches('\n').count();
    Edit::new(range, format!("…{}", "\n".repeat(ends)))
}
