//! The members of operator families: operators and support functions, which belong to an operator
//! class of the family or, loosely, to the family alone. pg_depend says which
//! (documentation: chapters "pg_amop" and "pg_amproc").

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::pg::{Oid, class};
use crate::wire::Session;

use super::builder::ObjectId;
use super::fragments::quoted;

/// An operator or a support function of an index.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// Its row in pg_amop or pg_amproc.
    pub(super) row: ObjectId,
    /// The operator or function itself, and the types it is for.
    pub(super) parts: [ObjectId; 3],
    /// As CREATE OPERATOR CLASS and ALTER OPERATOR FAMILY take it: `OPERATOR 1 =(integer,integer)`.
    pub(super) sql: String,
}

/// The members that users added, by whom they belong to.
#[derive(Debug, Default)]
pub(super) struct Members {
    of_class: BTreeMap<u32, Vec<Member>>,
    loose: BTreeMap<u32, Vec<Member>>,
}

impl Members {
    pub(super) async fn read(session: &Session) -> Result<Members> {
        let mut members = Members::default();
        for row in session.query("reading operator families' members", &query(), &[]).await? {
            let member = Member {
                row: ObjectId::new(Oid(row.get("class")), row.get("oid")),
                parts: [
                    ObjectId::new(Oid(row.get("object_class")), row.get("object")),
                    ObjectId::new(class::PG_TYPE, row.get("left")),
                    ObjectId::new(class::PG_TYPE, row.get("right")),
                ],
                sql: row.get("sql"),
            };
            let place = match row.get::<_, Option<u32>>("opclass") {
                Some(class) => members.of_class.entry(class),
                None => members.loose.entry(row.get("family")),
            };
            place.or_default().push(member);
        }
        Ok(members)
    }

    /// Those of the operator class `oid`.
    pub(super) fn of_class(&self, oid: u32) -> &[Member] {
        self.of_class.get(&oid).map_or(&[], Vec::as_slice)
    }

    /// Those that are the family's alone.
    pub(super) fn loose(&self, family: u32) -> &[Member] {
        self.loose.get(&family).map_or(&[], Vec::as_slice)
    }

    /// The families that have any of their own.
    pub(super) fn families_with_loose(&self) -> BTreeSet<u32> {
        self.loose.keys().copied().collect()
    }
}

/// Operators first, then functions, each in the order of their numbers.
fn query() -> String {
    let operators = format!(
        "select {amop}::pg_catalog.oid as class, o.oid, {operator}::pg_catalog.oid as object_class, \
         o.amopopr as object, o.amoplefttype as left, o.amoprighttype as right, o.amopfamily as family, {class} as opclass, \
         o.amopstrategy as number, pg_catalog.format('OPERATOR %s %s%s', o.amopstrategy, \
         o.amopopr::pg_catalog.regoperator, case when o.amoppurpose = 'o' \
         then ' FOR ORDER BY ' || {sort_family} end) as sql \
         from pg_catalog.pg_amop o \
         left join (pg_catalog.pg_opfamily sf join pg_catalog.pg_namespace sn \
         on sn.oid = sf.opfnamespace) on sf.oid = o.amopsortfamily \
         where o.oid >= {first}",
        amop = class::PG_AMOP,
        operator = class::PG_OPERATOR,
        class = owning_class("pg_amop"),
        sort_family = quoted("sn.nspname", "sf.opfname"),
        first = Oid::FIRST_NORMAL,
    );
    let functions = format!(
        "select {amproc}::pg_catalog.oid, o.oid, {proc}::pg_catalog.oid, o.amproc::pg_catalog.oid, \
         o.amproclefttype, o.amprocrighttype, o.amprocfamily, {class}, o.amprocnum, \
         pg_catalog.format('FUNCTION %s (%s, %s) %s', o.amprocnum, \
         pg_catalog.format_type(o.amproclefttype, null), \
         pg_catalog.format_type(o.amprocrighttype, null), \
         o.amproc::pg_catalog.oid::pg_catalog.regprocedure) \
         from pg_catalog.pg_amproc o where o.oid >= {first}",
        amproc = class::PG_AMPROC,
        proc = class::PG_PROC,
        class = owning_class("pg_amproc"),
        first = Oid::FIRST_NORMAL,
    );
    format!("{operators} union all {functions} order by class, number, sql")
}

/// The expression for the operator class that the row belongs to.
fn owning_class(catalog: &str) -> String {
    format!(
        "(select d.refobjid from pg_catalog.pg_depend d \
         where d.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass and d.objid = o.oid \
         and d.refclassid = 'pg_catalog.pg_opclass'::pg_catalog.regclass limit 1)"
    )
}
