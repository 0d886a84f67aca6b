//! A plan, for people; `--json` has it whole.

use crate::commands::{Action, Chunk, ChunkRange, Phase, Plan, Planned, Step};

use super::page::{Page, Tone};
use super::summary::findings;
use super::units;

/// Shows a database's plan: each phase in a line, then every step.
pub(super) fn show(page: &mut Page, planned: &Planned) {
    let plan = &planned.plan;
    let (steps, tables) = (plan.steps.len() as u64, plan.count_tables() as u64);
    let title = format!(
        "database {}: {}, {}, about {} of rows",
        planned.database,
        units::counted(steps, "step", "steps"),
        units::counted(tables, "table", "tables"),
        units::bytes(plan.copies().map(|(_, _, chunk)| chunk.bytes).sum())
    );
    page.line(0, Tone::Strong, &title);
    for phase in Phase::ALL {
        let of_phase: Vec<&Step> = plan.steps.iter().filter(|step| step.phase == phase).collect();
        if !of_phase.is_empty() {
            page.labelled(&phase.to_string(), Tone::Plain, &cost_of(&of_phase));
        }
    }
    page.gap();
    for step in &plan.steps {
        show_step(page, plan, step);
    }
    if !planned.findings.is_empty() {
        page.gap();
        page.line(2, Tone::Plain, "changed or left out, and worth knowing");
        findings(page, 4, &planned.findings);
    }
    page.gap();
}

fn cost_of(steps: &[&Step]) -> String {
    let cost = steps.iter().map(|step| step.cost).sum();
    format!("{}, cost {}", units::counted(steps.len() as u64, "step", "steps"), units::bytes(cost))
}

fn show_step(page: &mut Page, plan: &Plan, step: &Step) {
    let needs = match step.needs.len() {
        0 => String::new(),
        n => format!(", needs {n}"),
    };
    let (id, phase, title) = (step.id.0, step.phase.to_string(), &step.title);
    let cost = units::bytes(step.cost);
    page.line(2, Tone::Plain, &format!("{id:>5} {phase:12} {title} (cost {cost}{needs})"));
    match &step.action {
        Action::Copy { chunks } => {
            for chunk in chunks {
                page.line(21, Tone::Faint, &describe(plan, chunk));
            }
        }
        Action::Apply { statements } | Action::TakeBack { statements } if statements.len() > 1 => {
            for statement in statements {
                page.line(21, Tone::Faint, &statement.title);
            }
        }
        _ => {}
    }
}

fn describe(plan: &Plan, chunk: &Chunk) -> String {
    let name = &plan.table(chunk.table).relation;
    let range = match &chunk.range {
        ChunkRange::Whole => "whole".to_owned(),
        ChunkRange::Archived { from, to } => format!("parts {from} to {}", to.saturating_sub(1)),
        ChunkRange::Pages { from, to: Some(to) } => format!("pages {from} to {}", to - 1),
        ChunkRange::Pages { from, to: None } => format!("pages from {from} on"),
        ChunkRange::Keys { column, from, to } => match (from, to) {
            (None, None) => format!("all {column}"),
            (Some(from), None) => format!("{column} from {from} on"),
            (None, Some(to)) => format!("{column} below {to}"),
            (Some(from), Some(to)) => format!("{column} from {from} to below {to}"),
        },
    };
    format!("{name}: {range}, {}", units::bytes(chunk.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{StepId, TableId, test_table};

    #[test]
    fn phases_are_counted_and_chunks_shown_with_their_ranges() {
        let step = |id, phase, title: &str, action, cost| Step {
            id: StepId(id),
            phase,
            title: title.into(),
            action,
            needs: (0..id).map(StepId).collect(),
            cost,
            locks: Vec::new(),
        };
        let chunk = |range| Chunk { table: TableId(0), range, bytes: 1_000_000 };
        let keys = |from: Option<&str>, to: Option<&str>| ChunkRange::Keys {
            column: "id".into(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
        };
        let chunks = vec![
            chunk(ChunkRange::Pages { from: 0, to: Some(10) }),
            chunk(ChunkRange::Pages { from: 10, to: None }),
            chunk(keys(Some("1"), Some("5"))),
            chunk(keys(None, Some("1"))),
        ];
        let applied = Action::Apply { statements: Vec::new() };
        let plan = Plan {
            tables: vec![test_table("t")],
            steps: vec![
                step(0, Phase::Definitions, "definitions", applied, 0),
                step(1, Phase::Data, "public.t", Action::Copy { chunks }, 4_000_000),
            ],
        };
        let planned =
            Planned { database: "shop".into(), terms: Vec::new(), findings: Vec::new(), plan };
        let mut page = Page::new(false);
        show(&mut page, &planned);
        insta::assert_snapshot!(page.into_text(), @r#"
        database shop: 2 steps, 1 table, about 4.00 MB of rows
          definitions   1 step, cost 0 B
          data          1 step, cost 4.00 MB

              0 definitions  definitions (cost 0 B)
              1 data         public.t (cost 4.00 MB, needs 1)
                             public.t: pages 0 to 9, 1.00 MB
                             public.t: pages from 10 on, 1.00 MB
                             public.t: id from 1 to below 5, 1.00 MB
                             public.t: id below 1, 1.00 MB
        "#);
    }
}
