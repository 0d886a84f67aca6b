//! Elements by their names alone: each service's answers have a namespace of their own.

use roxmltree::Node;

pub(super) fn is(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name() == name
}

/// What a child says.
pub(super) fn text_of<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.children().find(|child| is(*child, name))?.text().map(str::trim)
}

/// The elements of the list that a child is.
pub(super) fn items<'a, 'i>(
    node: Node<'a, 'i>,
    name: &str,
) -> impl Iterator<Item = Node<'a, 'i>> + use<'a, 'i> {
    let list = node.children().find(|child| is(*child, name));
    list.into_iter().flat_map(|list| list.children()).filter(Node::is_element)
}
