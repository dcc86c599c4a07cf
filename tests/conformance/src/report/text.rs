//! A report for a terminal.

use super::Report;
use crate::runner::{Ended, Verdict};

/// One case in one line, and a second one where there is something to say.
pub fn line(result: &Ended) -> String {
    let Ended { case, verdict, time } = result;
    let mut line = format!("{:<8}{} ({} ms)", verdict.word(), case.id, time.as_millis());
    if !matches!(verdict, Verdict::Held) {
        line += &format!("\n        {}", verdict.detail());
    }
    line
}

/// The end of a run: what did not hold, in full, and the sums.
pub fn text(report: &Report, strict: bool) -> String {
    let mut text = String::new();
    for result in report.results.iter().filter(|result| result.verdict.counts(strict)) {
        let case = &result.case;
        text += &format!(
            "\n{}: {}\n  requirements  {}\n  done          {}\n  expected      {}\n  found         {}\n",
            result.verdict.word(),
            case.id,
            case.requirements.join(" "),
            case.sentence,
            case.expectation,
            result.verdict.detail(),
        );
    }
    let seen = report.standings().iter().filter(|standing| !standing.results.is_empty()).count();
    text += &format!(
        "\n{} ({}): {} cases, {}; {seen} requirements looked at\n",
        report.url,
        report.software.escape_default(),
        report.results.len(),
        report.sums(),
    );
    if let Some(why) = &report.left_over {
        text += &format!("the test channel could not be cleared: {why}\n");
    }
    text
}
