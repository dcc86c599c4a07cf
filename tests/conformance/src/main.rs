//! The suite's own runner: the same as `zotferry conform`, without a hub around it.

use std::process::ExitCode;

use clap::Parser;
use zotferry_conformance::options::{End, Options};

#[derive(Parser)]
#[command(name = "zotferry-conformance", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("zotferry-conformance: no threads to run on: {error}");
            return ExitCode::FAILURE;
        }
    };
    let end = runtime.block_on(Cli::parse().options.run(|line| println!("{line}")));
    let (code, text) = match end {
        End::Held => return ExitCode::SUCCESS,
        End::Failed => return ExitCode::FAILURE,
        End::Usage(text) => (2, text),
        End::NoHub(text) => (3, text),
    };
    eprintln!("zotferry-conformance: {text}");
    ExitCode::from(code)
}
