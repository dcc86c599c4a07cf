//! `zotferry conform`: any hub, judged by the specification.
//!
//! Not here: the suite (the crate `zotferry-conformance`), which knows nothing of this hub's code.

use clap::Args;
use zotferry_conformance::options::{End, Options};

use super::exit::{Exit, Failure};
use super::output;

#[derive(Args)]
pub(crate) struct Conform {
    #[command(flatten)]
    options: Options,
}

impl Conform {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        match self.options.run(|line| output::line(line)).await {
            End::Held => Ok(Exit::Done),
            End::Failed => Ok(Exit::Failed),
            End::Usage(text) => Err(Failure::new(Exit::Usage, text)),
            End::NoHub(text) => Err(Failure::new(Exit::NoHub, text)),
        }
    }
}
