//! Domains and their constraints (documentation: SQL command CREATE DOMAIN).

use std::collections::HashSet;

use crate::error::Result;
use crate::pg::{QualifiedName, class, quote_ident};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::dependencies::Dependencies;
use super::domain_checks::Added;
use super::fragments::{qualified, quoted, stands_alone};
use super::rendered::{rendered, rendered_all};
use super::scope::Scope;
use super::types::also_creates_type;

/// Adds an entry for each of the user's domains, and one for each constraint that has to wait: one
/// that rows needn't meet, and one whose function needs the domain itself. No other may wait, as what
/// contains the domain has to wait for it: those that do are returned.
pub(super) async fn read(
    session: &Session,
    scope: &Scope,
    dependencies: &Dependencies,
    out: &mut Builder,
) -> Result<Vec<Added>> {
    let mut added = Vec::new();
    let sql = query(scope, session.version().major());
    for row in session.query("reading domains", &sql, &[]).await? {
        let oids: Vec<u32> = row.get("check_oids");
        let names: Vec<String> = row.get("check_names");
        let named = || {
            format!("domain {}.{}", row.get::<_, &str>("nspname"), row.get::<_, &str>("typname"))
        };
        let definitions = rendered_all(&row, "check_definitions", named)?;
        let valid: Vec<bool> = row.get("check_valid");
        let object = ObjectId::new(class::PG_TYPE, row.get("oid"));
        let checks = oids
            .into_iter()
            .zip(names)
            .zip(definitions)
            .zip(valid)
            .map(|(((oid, name), definition), valid)| Check {
                valid,
                inline: valid && !comes_back(dependencies, constraint(oid), object),
                oid,
                name,
                definition,
            })
            .collect();
        let domain = Domain {
            name: qualified(&row, "typname"),
            owner: row.get("owner"),
            base: rendered(&row, "base", named)?.to_owned(),
            collation: row.get("collation"),
            default: row.get("expression"),
            lacks_bases_default: row.get("lacks_bases_default"),
            not_null: row.get("typnotnull"),
            not_null_name: row.get("not_null_name"),
            checks,
        };
        let id = out.add(object, domain.entry());
        also_creates_type(out, id, row.get("typarray"));
        if let Some(oid) = row.get::<_, Option<u32>>("not_null_oid") {
            out.also_creates(id, constraint(oid));
        }
        for check in &domain.checks {
            if check.inline {
                out.also_creates(id, constraint(check.oid));
            } else {
                out.add(constraint(check.oid), domain.separate(check));
                if check.valid {
                    added.push(Added { check: constraint(check.oid), domain: object });
                }
            }
        }
    }
    Ok(added)
}

/// A constraint as pg_depend names it.
fn constraint(oid: u32) -> ObjectId {
    ObjectId::new(class::PG_CONSTRAINT, oid)
}

/// Whether what `check` needs, other than `domain`, needs `domain` in turn.
fn comes_back(dependencies: &Dependencies, check: ObjectId, domain: ObjectId) -> bool {
    let needs = |object| dependencies.of(object).iter().map(|edge| edge.to);
    let mut open: Vec<ObjectId> = needs(check).filter(|object| *object != domain).collect();
    let mut seen = HashSet::new();
    while let Some(object) = open.pop() {
        if object == domain {
            return true;
        }
        if seen.insert(object) {
            open.extend(needs(object));
        }
    }
    false
}

/// NOT NULL has a constraint, and with it a name that counts, since 17. A domain that has no default
/// would take its base type's, which may have got one later (source: DefineDomain in
/// commands/typecmds.c).
fn query(scope: &Scope, major: u32) -> String {
    let (not_null, join) = if major >= 17 {
        (
            "nn.conname::text as not_null_name, nn.oid as not_null_oid",
            "left join pg_catalog.pg_constraint nn on nn.contypid = t.oid and nn.contype = 'n'",
        )
    } else {
        ("null::text as not_null_name, null::pg_catalog.oid as not_null_oid", "")
    };
    format!(
        "select t.oid, t.typarray, n.nspname::text, t.typname::text, \
         pg_catalog.pg_get_userbyid(t.typowner)::text as owner, \
         pg_catalog.format_type(t.typbasetype, t.typtypmod) as base, \
         case when t.typcollation <> b.typcollation then {collation} end as collation, \
         coalesce(pg_catalog.pg_get_expr(t.typdefaultbin, \
         'pg_catalog.pg_type'::pg_catalog.regclass), \
         pg_catalog.quote_literal(t.typdefault)) as expression, \
         t.typdefault is null and b.typdefault is not null as lacks_bases_default, \
         t.typnotnull, {not_null}, \
         coalesce(checks.oids, '{{}}') as check_oids, \
         coalesce(checks.names, '{{}}') as check_names, \
         coalesce(checks.definitions, '{{}}') as check_definitions, \
         coalesce(checks.valid, '{{}}') as check_valid \
         from pg_catalog.pg_type t \
         join pg_catalog.pg_namespace n on n.oid = t.typnamespace \
         left join pg_catalog.pg_type b on b.oid = t.typbasetype \
         left join (pg_catalog.pg_collation co \
         join pg_catalog.pg_namespace cn on cn.oid = co.collnamespace) on co.oid = t.typcollation \
         {join} \
         left join lateral (select pg_catalog.array_agg(c.oid order by c.conname) as oids, \
         pg_catalog.array_agg(c.conname::text order by c.conname) as names, \
         pg_catalog.array_agg(pg_catalog.pg_get_constraintdef(c.oid) order by c.conname) \
         as definitions, \
         pg_catalog.array_agg(c.convalidated order by c.conname) as valid \
         from pg_catalog.pg_constraint c where c.contypid = t.oid and c.contype = 'c') \
         checks on true \
         where t.typtype = 'd' and {schema} and {alone} order by n.nspname, t.typname",
        collation = quoted("cn.nspname", "co.collname"),
        schema = scope.schemas("n.nspname"),
        alone = stands_alone("pg_type", "t.oid"),
    )
}

#[derive(Debug)]
struct Domain {
    name: QualifiedName,
    owner: String,
    base: String,
    /// As SQL, where it isn't the base type's own.
    collation: Option<String>,
    default: Option<String>,
    lacks_bases_default: bool,
    not_null: bool,
    not_null_name: Option<String>,
    checks: Vec<Check>,
}

#[derive(Debug)]
struct Check {
    oid: u32,
    name: String,
    /// As the server renders it: `CHECK (…)`, with `NOT VALID` where it is so.
    definition: String,
    valid: bool,
    inline: bool,
}

impl Domain {
    fn entry(&self) -> Entry {
        let name = self.name.sql();
        let mut create = format!("CREATE DOMAIN {name} AS {}", self.base);
        if let Some(collation) = &self.collation {
            create.push_str(&format!(" COLLATE {collation}"));
        }
        if self.not_null {
            // The server makes up the same name, whose mention would only tell versions apart.
            let made_up = format!("{}_not_null", self.name.name);
            if let Some(constraint) = self.not_null_name.as_ref().filter(|n| **n != made_up) {
                create.push_str(&format!(" CONSTRAINT {}", quote_ident(constraint)));
            }
            create.push_str(" NOT NULL");
        }
        if let Some(default) = &self.default {
            create.push_str(&format!(" DEFAULT {default}"));
        }
        for check in self.checks.iter().filter(|check| check.inline) {
            create.push_str(&format!(
                "\n\tCONSTRAINT {} {}",
                quote_ident(&check.name),
                check.definition
            ));
        }
        create.push_str(";\n");
        if self.lacks_bases_default {
            create.push_str(&format!("ALTER DOMAIN {name} DROP DEFAULT;\n"));
        }
        Entry {
            owner: Some(self.owner.clone()),
            create,
            drop: format!("DROP DOMAIN {name};"),
            ..Entry::new(Kind::Domain, Some(&self.name.schema), self.name.name.as_str())
        }
    }

    /// The entry of a constraint that waits; its owner is the domain's.
    fn separate(&self, check: &Check) -> Entry {
        let (domain, constraint) = (self.name.sql(), quote_ident(&check.name));
        Entry {
            owner: Some(self.owner.clone()),
            create: format!(
                "ALTER DOMAIN {domain}\n\tADD CONSTRAINT {constraint} {};\n",
                check.definition
            ),
            drop: format!("ALTER DOMAIN {domain} DROP CONSTRAINT {constraint};"),
            ..Entry::new(
                Kind::CheckConstraint,
                Some(&self.name.schema),
                format!("{} {}", self.name.name, check.name),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dependencies::{Edge, Nature};
    use super::*;

    fn domain() -> Domain {
        Domain {
            name: QualifiedName::new("s", "d"),
            owner: "o".to_owned(),
            base: "character varying(20)".to_owned(),
            collation: Some("\"pg_catalog\".\"C\"".to_owned()),
            default: Some("'x'::character varying".to_owned()),
            lacks_bases_default: false,
            not_null: true,
            not_null_name: Some("d_nn".to_owned()),
            checks: vec![
                Check {
                    oid: 1,
                    name: "short".to_owned(),
                    definition: "CHECK ((length(VALUE) < 9))".to_owned(),
                    valid: true,
                    inline: true,
                },
                Check {
                    oid: 2,
                    name: "later".to_owned(),
                    definition: "CHECK ((s.ok(VALUE)))".to_owned(),
                    valid: true,
                    inline: false,
                },
            ],
        }
    }

    #[test]
    fn a_check_waits_only_if_its_function_needs_the_domain() {
        let object = |class, oid| ObjectId::new(class, oid);
        let edge = |from, to| Edge { from, to, to_column: 0, nature: Nature::Normal };
        let domain = object(class::PG_TYPE, 30_000);
        let array = object(class::PG_TYPE, 30_001);
        let (plain, circular) = (object(class::PG_PROC, 30_002), object(class::PG_PROC, 30_003));
        let dependencies = Dependencies::new([
            edge(constraint(1), domain),
            edge(constraint(1), plain),
            edge(constraint(2), domain),
            edge(constraint(2), circular),
            edge(circular, array),
            edge(array, domain),
        ]);
        assert!(!comes_back(&dependencies, constraint(1), domain));
        assert!(comes_back(&dependencies, constraint(2), domain));
    }

    #[test]
    fn a_domain_has_its_collation_default_and_the_checks_that_need_nothing() {
        assert_eq!(
            domain().entry().create,
            "CREATE DOMAIN \"s\".\"d\" AS character varying(20) COLLATE \"pg_catalog\".\"C\" \
             CONSTRAINT \"d_nn\" NOT NULL DEFAULT 'x'::character varying\n\
             \tCONSTRAINT \"short\" CHECK ((length(VALUE) < 9));\n"
        );
    }

    #[test]
    fn a_made_up_name_of_not_null_is_not_told() {
        let domain = Domain { not_null_name: Some("d_not_null".to_owned()), ..domain() };
        assert!(domain.entry().create.contains("\"C\" NOT NULL DEFAULT"));
    }

    #[test]
    fn a_check_that_waits_is_added_to_the_domain_later() {
        let domain = domain();
        let entry = domain.separate(&domain.checks[1]);
        assert_eq!((entry.kind, entry.name.as_str()), (Kind::CheckConstraint, "d later"));
        assert_eq!(
            entry.create,
            "ALTER DOMAIN \"s\".\"d\"\n\tADD CONSTRAINT \"later\" CHECK ((s.ok(VALUE)));\n"
        );
        assert_eq!(entry.owner_sql("o"), None);
    }
}
