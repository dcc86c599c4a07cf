//! A report for build servers: JUnit's XML, a suite for each group.

use std::collections::BTreeMap;

use super::Report;
use crate::runner::{Ended, Verdict};

/// The run as JUnit XML.
pub fn junit(report: &Report, strict: bool) -> String {
    let mut groups: BTreeMap<&str, Vec<&Ended>> = BTreeMap::new();
    for result in &report.results {
        groups.entry(result.case.group()).or_default().push(result);
    }
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml += &format!("<testsuites name=\"{}\">\n", escaped(&report.url));
    for (group, results) in groups {
        let failures = results.iter().filter(|r| r.verdict.counts(strict)).count();
        let skipped = results.iter().filter(|r| is_skipped(&r.verdict, strict)).count();
        let time: f64 = results.iter().map(|result| result.time.as_secs_f64()).sum();
        xml += &format!(
            "  <testsuite name=\"{group}\" tests=\"{}\" failures=\"{failures}\" skipped=\"{skipped}\" \
             time=\"{time:.3}\">\n",
            results.len(),
        );
        for result in results {
            xml += &case(result, strict);
        }
        xml += "  </testsuite>\n";
    }
    xml + "</testsuites>\n"
}

fn is_skipped(verdict: &Verdict, strict: bool) -> bool {
    !matches!(verdict, Verdict::Held | Verdict::Mended { .. }) && !verdict.counts(strict)
}

fn case(result: &Ended, strict: bool) -> String {
    let (case, time) = (&result.case, result.time.as_secs_f64());
    let head = format!(
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{time:.3}\"",
        case.group(),
        case.id,
    );
    let detail = escaped(&result.verdict.detail());
    if result.verdict.counts(strict) {
        let body = format!(
            "{}\nexpected: {}\nrequirements: {}",
            case.sentence,
            case.expectation,
            case.requirements.join(" "),
        );
        let body = escaped(&body);
        format!("{head}>\n      <failure message=\"{detail}\">{body}</failure>\n    </testcase>\n")
    } else if is_skipped(&result.verdict, strict) {
        format!("{head}>\n      <skipped message=\"{detail}\"/>\n    </testcase>\n")
    } else {
        format!("{head}/>\n")
    }
}

/// Text inside XML or HTML; what XML cannot hold becomes `?`.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' | '\t' => out.push(c),
            c if c.is_control() || c == '\u{fffe}' || c == '\u{ffff}' => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a hub says ends up as text, not as markup.
    #[test]
    fn text_is_escaped() {
        assert_eq!(escaped("<b a=\"1\">&\0\u{1b}"), "&lt;b a=&quot;1&quot;&gt;&amp;??");
    }
}
