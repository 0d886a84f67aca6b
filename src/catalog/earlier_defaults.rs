//! What was made before a type got an operator class of its own. A primary or unique key's text
//! names none, nor does what a view sorts and groups by: they take the type's default (source:
//! GetDefaultOpClass in indexcmds.c, get_sort_group_operators in parse_oper.c), and till then that was
//! the one of all arrays, rows, enums or ranges. So the class comes after them. pg_dump creates it
//! first, and they come to compare otherwise.

use crate::error::Result;
use crate::pg::{Oid, class};
use crate::toc::Kind;
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::unrecorded::closure;

/// Lets such classes come after what doesn't use them, and reports where they can't. The entries'
/// dependencies are resolved before.
pub(super) async fn precede(session: &Session, out: &mut Builder) -> Result<()> {
    for row in session.query("reading what is older than operator classes", SQL, &[]).await? {
        let older = out.creator(ObjectId::new(Oid(row.get("class")), row.get("oid")));
        let Some(older) = older else { continue };
        let later = out.creator(ObjectId::new(class::PG_OPCLASS, row.get("later")));
        let later = later.filter(|id| out.entries[id.0 as usize].kind == Kind::OperatorClass);
        match later.filter(|later| !closure(&out.entries, older).contains(later)) {
            Some(later) => out.entries[later.0 as usize].depends_on.push(older),
            None => {
                let why = "it was made before its type had that as its default operator class, \
                           which comes first on the target: it will compare by that";
                let named: &str = row.get("named");
                let title = out.entries[older.0 as usize].title();
                out.left_out(format!("{title}, as older than operator class {named}"), why);
            }
        }
    }
    Ok(())
}

const SQL: &str = "
    with recursive domain (type, base) as (
        select oid, typbasetype from pg_catalog.pg_type where typtype = 'd'
        union all select d.type, t.typbasetype
        from domain d join pg_catalog.pg_type t on t.oid = d.base where t.typtype = 'd'
    ), later as (
        select c.*, t.typtype, t.typcategory, n.nspname || '.' || c.opcname as named
        from pg_catalog.pg_opclass c join pg_catalog.pg_type t on t.oid = c.opcintype
        join pg_catalog.pg_namespace n on n.oid = c.opcnamespace
        where c.opcdefault and c.oid >= 16384
    )
    select 'pg_catalog.pg_constraint'::pg_catalog.regclass::pg_catalog.oid as class, k.oid,
        later.oid as later, later.named
    from later
    join pg_catalog.pg_attribute a on a.atttypid = later.opcintype
        or exists (select from domain d where d.type = a.atttypid and d.base = later.opcintype)
    join pg_catalog.pg_index x on x.indrelid = a.attrelid
    join pg_catalog.pg_constraint k on k.conindid = x.indexrelid and k.contype in ('p', 'u')
    cross join lateral rows from (
        pg_catalog.unnest(x.indkey::int2[]), pg_catalog.unnest(x.indclass::oid[])
    ) with ordinality key (attnum, opclass, place)
    join pg_catalog.pg_opclass used on used.oid = key.opclass
    where key.attnum = a.attnum and key.place <= x.indnkeyatts and used.oid <> later.oid
        and used.opcmethod = later.opcmethod
    union
    select 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid, r.oid, later.oid, later.named
    from later join pg_catalog.pg_rewrite r on r.ev_action::text like case
        when later.typtype = 'e' then '%:eqop 3516 %' when later.typtype = 'c' then '%:eqop 2988 %'
        when later.typtype = 'r' then '%:eqop 3882 %' when later.typcategory = 'A' then '%:eqop 1070 %'
        end
    where r.oid >= 16384 and not exists (
        select from pg_catalog.pg_depend d join pg_catalog.pg_amop o on o.amopopr = d.refobjid
        where d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = r.oid
            and d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass
            and o.amopfamily = later.opcfamily)
    order by 3, 1, 2";
