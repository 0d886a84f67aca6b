//! What the entry of a routine is called, for queries that find routines on a server.

/// The expression for the name of the routine `p`, of pg_proc, without its schema.
pub(super) const NAME: &str = "p.proname || '(' || coalesce((SELECT pg_catalog.string_agg( \
     pg_catalog.format_type(a.type, null), ', ' ORDER BY a.place) \
     FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY a(type, place)), '') || ')'";
