//! What became of the source, for people.

use crate::commands::{DatabaseReport, Sequel, SourceSince, Unfenced};

use super::page::{Page, Tone};

/// Where a list of changes is cut: `--json` has them all.
const SHOWN: usize = 50;

/// Shows whether the source was written to since, and the fence that stands around it.
pub(super) fn since(page: &mut Page, report: &DatabaseReport, sequel: Sequel) {
    if let Some(since) = &report.source_since {
        source_since(page, since, sequel.compares);
    }
    // A run that found differences has lifted its fence.
    if let Some(fence) = report.fence.as_ref().filter(|_| report.verification.is_clean()) {
        let text = format!(
            "the copy was made behind it; `{}` lets {} log in to the source again",
            sequel.lifts_fence,
            fence.roles.join(", ")
        );
        page.labelled("fence", Tone::Notable, &text);
    }
}

/// Whether the source was written to since its rows were copied.
fn source_since(page: &mut Page, since: &SourceSince, compares: &str) {
    let see = format!("`{compares}` compares what is there now");
    let (tone, text) = match since {
        SourceSince::Unchanged => {
            (Tone::Good, "wasn't written to since its rows were copied".to_owned())
        }
        SourceSince::Changed { .. } => {
            (Tone::Bad, format!("was written to since its rows were copied; {see}"))
        }
        SourceSince::Perhaps { because } => (
            Tone::Notable,
            format!("may have been written to since its rows were copied: {because}; {see}"),
        ),
        SourceSince::Unknown { because } => {
            (Tone::Notable, format!("didn't say whether it was written to since: {because}; {see}"))
        }
    };
    page.labelled("source", tone, &text);
    if let SourceSince::Changed { what } = since {
        for what in what.iter().take(SHOWN) {
            page.line(4, Tone::Bad, what);
        }
        if let Some(more @ 1..) = what.len().checked_sub(SHOWN) {
            page.line(4, Tone::Bad, &format!("and {more} more; --json has them all"));
        }
    }
}

/// Shows what lifting a fence came to.
pub(super) fn unfenced(page: &mut Page, unfenced: &Unfenced) {
    let text = match unfenced.roles.as_slice() {
        [] => "there is no fence on this server: nothing to do".to_owned(),
        roles => format!("may log in again: {}", roles.join(", ")),
    };
    page.line(0, Tone::Strong, &text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(write: impl FnOnce(&mut Page)) -> String {
        let mut page = Page::new(false);
        write(&mut page);
        page.into_text()
    }

    #[test]
    fn whether_the_source_was_written_to_since_is_said() {
        let what = vec!["SEQUENCE public.s".into(), "rows of public.a".into()];
        let all = [
            SourceSince::Unchanged,
            SourceSince::Changed { what },
            SourceSince::Perhaps { because: "it is a standby".into() },
            SourceSince::Unknown { because: "connecting to a: refused".into() },
        ];
        let compares = Sequel::OF_MIGRATE.compares;
        let render =
            render(|page| all.iter().for_each(|since| source_since(page, since, compares)));
        insta::assert_snapshot!(render, @r"
        source        wasn't written to since its rows were copied
        source        was written to since its rows were copied; `pgconvoy verify` compares what is there
                      now
          SEQUENCE public.s
          rows of public.a
        source        may have been written to since its rows were copied: it is a standby; `pgconvoy
                      verify` compares what is there now
        source        didn't say whether it was written to since: connecting to a: refused; `pgconvoy
                      verify` compares what is there now
        ");
    }
}
