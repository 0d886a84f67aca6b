//! Arguments as typed become validated requests; events and results are shown; errors become exit
//! codes.

mod args;
mod bench_view;
mod check_view;
mod defect;
mod dump_view;
mod escape;
mod exit;
mod inspect_view;
mod interrupt;
mod json;
mod messages;
mod output;
mod page;
mod plan_view;
mod preflight_view;
mod progress;
mod rehearsal_view;
mod requests;
mod retirement_view;
mod run;
mod services_view;
mod source_view;
mod status_view;
mod summary;
mod units;
mod webstream;
mod webstream_run;
mod webstream_view;

pub use run::run;
