//! refusals.json: the table, both ways.

use std::collections::BTreeSet;

use zotferry_protocol::refusal::{Code, CodeNumber, Retry};

use super::support::{Case, File, read};

pub(crate) const FILES: &[File] = &[("refusals", &[("table", row), ("unknown", unknown)])];

fn again(retry: Retry) -> &'static str {
    match retry {
        Retry::Never => "never",
        Retry::Later => "later",
        Retry::Elsewhere => "elsewhere",
    }
}

fn row(case: Case<'_>) {
    let number = u16::try_from(case.u64("code")).expect("16 bits");
    let code = Code::from_number(number).expect("a known code");
    assert_eq!(code.word(), case.text("name"));
    assert_eq!(code.requirement(), case.text("requirement"));
    assert_eq!(u64::from(code.http()), case.u64("http"));
    assert_eq!(again(code.retry()), case.text("again"));
    assert_eq!(code.sentence(), case.text("sentence"));
}

fn unknown(case: Case<'_>) {
    let number = u16::try_from(case.u64("code")).expect("16 bits");
    assert_eq!(Code::from_number(number), None);
    assert_eq!(again(CodeNumber(number).retry()), case.text("again"));
}

/// REF-1: no code of ours is missing from the table.
#[test]
fn the_table_has_every_code() {
    let file = read("refusals");
    let table: BTreeSet<u64> = Case(&file).list("table").map(|row| row.u64("code")).collect();
    let ours: BTreeSet<u64> = Code::ALL.iter().map(|code| u64::from(code.number())).collect();
    assert_eq!(table, ours);
}
