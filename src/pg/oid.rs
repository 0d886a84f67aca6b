//! Object identifiers, and those of the system catalogs that pg_depend names.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An object identifier.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub struct Oid(pub u32);

impl Oid {
    /// The first OID that initdb doesn't hand out (source: access/transam.h, FirstNormalObjectId).
    pub const FIRST_NORMAL: Oid = Oid(16384);
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The system catalogs' own OIDs, as `classid` in pg_depend (source: catalog/pg_*.h).
pub mod class {
    #![allow(missing_docs, reason = "each constant is the catalog's own name")]
    use super::Oid;

    pub const PG_DEFAULT_ACL: Oid = Oid(826);
    pub const PG_TYPE: Oid = Oid(1247);
    pub const PG_PROC: Oid = Oid(1255);
    pub const PG_CLASS: Oid = Oid(1259);
    pub const PG_AUTHID: Oid = Oid(1260);
    pub const PG_DATABASE: Oid = Oid(1262);
    pub const PG_FOREIGN_SERVER: Oid = Oid(1417);
    pub const PG_USER_MAPPING: Oid = Oid(1418);
    pub const PG_FOREIGN_DATA_WRAPPER: Oid = Oid(2328);
    pub const PG_AM: Oid = Oid(2601);
    pub const PG_AMOP: Oid = Oid(2602);
    pub const PG_AMPROC: Oid = Oid(2603);
    pub const PG_ATTRDEF: Oid = Oid(2604);
    pub const PG_CAST: Oid = Oid(2605);
    pub const PG_CONSTRAINT: Oid = Oid(2606);
    pub const PG_CONVERSION: Oid = Oid(2607);
    pub const PG_LANGUAGE: Oid = Oid(2612);
    pub const PG_NAMESPACE: Oid = Oid(2615);
    pub const PG_OPCLASS: Oid = Oid(2616);
    pub const PG_OPERATOR: Oid = Oid(2617);
    pub const PG_REWRITE: Oid = Oid(2618);
    pub const PG_TRIGGER: Oid = Oid(2620);
    pub const PG_OPFAMILY: Oid = Oid(2753);
    pub const PG_EXTENSION: Oid = Oid(3079);
    pub const PG_POLICY: Oid = Oid(3256);
    pub const PG_COLLATION: Oid = Oid(3456);
    pub const PG_EVENT_TRIGGER: Oid = Oid(3466);
    pub const PG_TRANSFORM: Oid = Oid(3576);
    pub const PG_TS_DICT: Oid = Oid(3600);
    pub const PG_TS_PARSER: Oid = Oid(3601);
    pub const PG_TS_CONFIG: Oid = Oid(3602);
    pub const PG_TS_TEMPLATE: Oid = Oid(3764);
    pub const PG_SUBSCRIPTION: Oid = Oid(6100);
    pub const PG_PUBLICATION: Oid = Oid(6104);
    pub const PG_PUBLICATION_REL: Oid = Oid(6106);
    pub const PG_PUBLICATION_NAMESPACE: Oid = Oid(6237);
}
