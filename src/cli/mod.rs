//! Arguments as typed become validated requests; events and results are shown; errors become exit
//! codes.

use clap::Parser;

use crate::commands::{self, DemoRequest, Events, Sources, Stop};

#[derive(Parser)]
enum Args {
    /// demo
    Demo {
        #[arg(long, default_value = "200MB")]
        size: String,
        #[arg(long)]
        keep: bool,
        #[arg(short, long)]
        jobs: Option<usize>,
    },
}

/// Runs the program.
#[allow(clippy::print_stdout)]
pub fn run() -> i32 {
    let args = Args::parse();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    runtime.block_on(async {
        let (events, mut heard) = Events::new();
        let listener = tokio::spawn(async move {
            while let Some(event) = heard.recv().await {
                println!("{event:?}");
            }
        });
        let Args::Demo { size, keep, jobs } = args;
        let (_stopper, mut stop) = Stop::new();
        let sources = Sources::from_environment(|line| println!("{line}")).expect("x");
        let request = DemoRequest { size: size.parse().expect("size"), jobs, keep };
        let result = commands::demo(&request, &sources, &events, &mut stop).await;
        drop(events);
        listener.await.expect("x");
        match result {
            Ok(result) => {
                for r in result.reports {
                    println!("{r:#?}");
                }
                for k in result.kept {
                    println!("{k}");
                }
                0
            }
            Err(e) => {
                println!("{e}");
                5
            }
        }
    })
}
