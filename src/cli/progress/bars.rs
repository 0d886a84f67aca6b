//! Bars on a terminal: one for the database, what moved, and a line for each worker.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::commands::Event;

use super::super::escape;
use super::super::messages::Messages;
use super::super::units;
use super::Show;
use super::lines::{amounts, announcement, times};
use super::standing::Standing;

/// A worker that is busy for less than this doesn't say for how long.
const BRIEF: Duration = Duration::from_secs(2);

/// The bars, drawn below the messages.
pub(super) struct Bars {
    all: MultiProgress,
    messages: Messages,
    /// The database's bar, and what moved.
    total: Option<(ProgressBar, ProgressBar)>,
    workers: BTreeMap<usize, ProgressBar>,
    last_said: Instant,
}

impl Bars {
    pub(super) fn new(all: MultiProgress, messages: Messages) -> Bars {
        Bars { all, messages, total: None, workers: BTreeMap::new(), last_said: Instant::now() }
    }

    fn clear(&mut self) {
        let total = self.total.take().into_iter().flat_map(|(bar, moved)| [bar, moved]);
        for bar in total.chain(std::mem::take(&mut self.workers).into_values()) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }

    fn draw(&mut self, standing: &Standing) {
        if standing.is_through() {
            // What is left is looking at what came of it, or the next database.
            return self.clear();
        }
        let all = &self.all;
        let (total, moved) = self
            .total
            .get_or_insert_with(|| (all.add(bar("{wide_msg}")), all.add(bar("  {wide_msg}"))));
        let mut parts: Vec<String> = standing.share().map(gauge).into_iter().collect();
        parts.extend(times(standing));
        if parts.is_empty() {
            parts.push(format!("… {}", units::duration(self.last_said.elapsed())));
        }
        let database = standing.database.as_deref().unwrap_or_default();
        let text = format!("{database} {}", parts.join(" · "));
        total.set_message(escape::line(text.trim_start()).into_owned());
        moved.set_message(amounts(standing).join(" · "));

        for worker in standing.tasks.keys() {
            // Workers are hired from 0 on, but may begin in any order.
            for number in self.workers.len()..=*worker {
                self.workers.insert(number, all.add(bar("  {wide_msg}")));
            }
        }
        for (number, bar) in &self.workers {
            bar.set_message(match standing.tasks.get(number) {
                None => format!("{}: waiting", number + 1),
                Some(task) => {
                    let time = task.since.elapsed();
                    let long = (time >= BRIEF).then(|| format!(" ({})", units::duration(time)));
                    let (phase, title) = (task.phase, escape::line(&task.title));
                    format!("{}: {phase}: {title}{}", number + 1, long.unwrap_or_default())
                }
            });
        }
    }
}

impl Show for Bars {
    fn pace(&self) -> Duration {
        Duration::from_millis(200)
    }

    fn event(&mut self, event: &Event, _: &Standing) {
        match event {
            Event::StepStarted { .. } | Event::StepFinished { .. } => return,
            Event::Database { .. } => self.clear(),
            _ => {}
        }
        self.messages.say(&announcement(event));
        self.last_said = Instant::now();
    }

    fn tick(&mut self, standing: &Standing) {
        self.draw(standing);
    }

    fn end(&mut self) {
        self.clear();
    }
}

fn bar(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("the template is one of those above");
    ProgressBar::no_length().with_style(style)
}

/// `[#####-----] 50 %`.
fn gauge(share: f64) -> String {
    const WIDTH: usize = 20;
    let full = ((share * WIDTH as f64) as usize).min(WIDTH);
    format!("[{}{}] {}", "#".repeat(full), "-".repeat(WIDTH - full), units::percent(share))
}
