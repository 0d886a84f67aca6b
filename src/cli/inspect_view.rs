//! What an archive holds, for people.

use crate::commands::{Flaw, Inspected, Listed};

use super::page::{Page, Tone};
use super::units;

/// Kinds that are longer push what follows to the right.
const KIND: usize = 20;

/// Shows an archive's header, its entries, and what is wrong with it.
pub(super) fn show(page: &mut Page, inspected: &Inspected) {
    let Inspected { archive, format, version, compression, created, .. } = inspected;
    page.line(0, Tone::Strong, &format!("archive {archive}"));
    let text = format!("{format}, version {version}, compression {compression}");
    page.labelled("format", Tone::Plain, &text);
    let Inspected { database, server_version, dumper_version, .. } = inspected;
    let made = format!("{created}, of database {database} on PostgreSQL {server_version}");
    page.labelled("made", Tone::Plain, &made);
    page.labelled("made by", Tone::Plain, dumper_version);
    let manifest = match &inspected.manifest {
        Some(tool) => format!("of pgconvoy {tool}"),
        None => "none: what was dumped is known of pgconvoy's own archives only".to_owned(),
    };
    page.labelled("manifest", Tone::Plain, &manifest);
    page.gap();
    for entry in &inspected.entries {
        page.line(0, Tone::Plain, &line(entry));
    }
    page.gap();
    let flaws = &inspected.flaws;
    if flaws.is_empty() {
        page.labelled("check", Tone::Good, &sound(inspected));
        return;
    }
    let count = units::counted(flaws.len() as u64, "thing is", "things are");
    page.labelled("check", Tone::Bad, &format!("{count} wrong"));
    for Flaw { message, hint } in flaws {
        page.line(2, Tone::Bad, message);
        if let Some(hint) = hint {
            page.line(4, Tone::Faint, &format!("hint: {hint}"));
        }
    }
}

fn line(entry: &Listed) -> String {
    let Listed { id, kind, schema, name, owner, rows, bytes, .. } = entry;
    let name = match schema {
        Some(schema) => format!("{schema}.{name}"),
        None => name.clone(),
    };
    let mut line = format!("{id:>6}  {kind:KIND$}  {name}");
    if !owner.is_empty() {
        line.push_str(&format!("  owner {owner}"));
    }
    if let Some(rows) = rows {
        let (one, many) = match kind.as_str() {
            "BLOBS" => ("large object", "large objects"),
            _ => ("row", "rows"),
        };
        line.push_str(&format!("  {}", units::counted(*rows, one, many)));
    }
    if let Some(bytes) = bytes {
        line.push_str(&format!("  {}", units::bytes(*bytes)));
    }
    line
}

fn sound(inspected: &Inspected) -> String {
    let bytes = inspected.entries.iter().filter_map(|entry| entry.bytes).sum();
    let entries = units::counted(inspected.entries.len() as u64, "entry", "entries");
    let proof = match inspected.manifest {
        Some(_) => "as its manifest says, to the last row",
        None => "to its end",
    };
    format!(
        "{entries}, {} of data read {proof}; nothing is missing or left over",
        units::bytes(bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(inspected: &Inspected) -> String {
        let mut page = Page::new(false);
        show(&mut page, inspected);
        page.into_text()
    }

    fn inspected() -> Inspected {
        let entry = |id, kind: &str, name: &str| Listed {
            id,
            section: Some("data"),
            kind: kind.into(),
            schema: Some("public".into()),
            name: name.into(),
            owner: "shop".into(),
            depends_on: Vec::new(),
            rows: None,
            bytes: None,
        };
        let rows =
            Listed { rows: Some(1200), bytes: Some(45_300), ..entry(7, "TABLE DATA", "orders") };
        let objects = Listed {
            schema: None,
            owner: String::new(),
            rows: Some(1),
            bytes: Some(3),
            ..entry(8, "BLOBS", "BLOBS")
        };
        Inspected {
            archive: "/backup/shop".into(),
            format: "directory",
            version: "1.14",
            compression: "gzip",
            created: "2026-01-02 03:04:05".into(),
            database: "shop".into(),
            server_version: "15.4".into(),
            dumper_version: "15.4".into(),
            manifest: None,
            entries: vec![entry(1, "TABLE", "orders\n\u{1b}"), rows, objects],
            flaws: Vec::new(),
        }
    }

    #[test]
    fn a_sound_archive_is_listed_in_restoring_order() {
        insta::assert_snapshot!(render(&inspected()), @r"
        archive /backup/shop
          format        directory, version 1.14, compression gzip
          made          2026-01-02 03:04:05, of database shop on PostgreSQL 15.4
          made by       15.4
          manifest      none: what was dumped is known of pgconvoy's own archives only

             1  TABLE                 public.orders\n\u{1b}  owner shop
             7  TABLE DATA            public.orders  owner shop  1,200 rows  45.3 kB
             8  BLOBS                 BLOBS  1 large object  3 B

          check         3 entries, 45.3 kB of data read to its end; nothing is missing or left over
        ");
    }

    #[test]
    fn whatever_is_wrong_is_said_with_what_to_do() {
        let flaw = |message: &str, hint| Flaw { message: message.into(), hint };
        let flaws = vec![
            flaw("reading 7.dat at byte 9: it ends too early", Some("make it anew".into())),
            flaw("no entry refers to the file 9.dat", None),
        ];
        let text = render(&Inspected { flaws, manifest: Some("0.1.0".into()), ..inspected() });
        let (_, check) = text.split_once("\n\n").unwrap().1.split_once("\n\n").unwrap();
        insta::assert_snapshot!(check, @r"
          check         2 things are wrong
          reading 7.dat at byte 9: it ends too early
            hint: make it anew
          no entry refers to the file 9.dat
        ");
    }
}
