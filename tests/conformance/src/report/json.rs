//! A report for programs.

use serde_json::{Value, json};

use super::Report;
use crate::case::Side;

/// The whole run as one JSON object.
pub fn json(report: &Report, strict: bool) -> Value {
    let cases = report.results.iter().map(|result| {
        let case = &result.case;
        json!({
            "id": case.id,
            "side": match case.side { Side::Server => "server", Side::Client => "client" },
            "requirements": case.requirements,
            "level": if case.should { "SHOULD" } else { "MUST" },
            "sentence": case.sentence,
            "expectation": case.expectation,
            "verdict": result.verdict.word(),
            "detail": result.verdict.detail(),
            "ms": u64::try_from(result.time.as_millis()).unwrap_or(u64::MAX),
        })
    });
    let standings = report.standings();
    let requirements = standings.iter().map(|standing| {
        let ids: Vec<&str> = standing.results.iter().map(|r| r.case.id.as_str()).collect();
        let requirement = &standing.requirement;
        json!({
            "id": requirement.id,
            "chapter": requirement.chapter,
            "role": requirement.role,
            "keyword": requirement.keyword,
            "verdict": standing.word(),
            "cases": ids,
        })
    });
    json!({
        "suite": concat!("zotferry-conformance/", env!("CARGO_PKG_VERSION")),
        "url": report.url,
        "software": report.software,
        "strict": strict,
        "failed": report.failed(strict),
        "cases": cases.collect::<Vec<_>>(),
        "requirements": requirements.collect::<Vec<_>>(),
        "left_over": report.left_over,
    })
}
