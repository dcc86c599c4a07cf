//! The `zotferry` command.

mod cli;

use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("zotferry: no threads to run on: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli::run());
    // What still blocks a thread (reading a file for a put that was given up) has no say any more.
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}
