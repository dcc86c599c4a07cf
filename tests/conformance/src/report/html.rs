//! A report to be read: one page that needs nothing else, with a row for every requirement.

use super::junit::escaped;
use super::{Report, Standing};
use crate::runner::Ended;

const STYLE: &str = "
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 78rem; padding: 0 1rem; color: #222; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; text-transform: capitalize; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid #ddd; }
th { white-space: nowrap; } td.text { width: 55%; } code { font-size: 13px; }
.word { display: inline-block; min-width: 4.5rem; border-radius: 3px; padding: 0 .4rem; text-align: center; }
.held { background: #d7f0d7; } .failed { background: #f6c9c9; } .noted, .known, .mended { background: #fbe9b7; }
.skipped, .unseen { background: #e8e8e8; } .why { color: #8a1f1f; margin: .2rem 0 0; }
details { margin: .1rem 0; } summary { cursor: pointer; } .sums span { margin-right: .6rem; }
@media (max-width: 50rem) {
  table, tbody, tr { display: block; } tr { border-bottom: 1px solid #ddd; padding: .4rem 0; }
  th, td { display: inline-block; border: 0; padding: .1rem .3rem; } td.text, td:last-child { display: block; width: auto; }
}
";

/// The page.
pub fn html(report: &Report, strict: bool) -> String {
    let standings = report.standings();
    let title = format!("Zot file protocol: {}", escaped(&report.url));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<h1>{title}</h1>\n"
    );
    let verdict = if report.failed(strict) { "failed" } else { "held" };
    page += &format!(
        "<p>{} <b>{}</b>, judged by zotferry-conformance {}.</p>\n<p class=\"sums\">{}</p>\n",
        word(verdict),
        escaped(&report.software),
        env!("CARGO_PKG_VERSION"),
        escaped(&report.sums()),
    );
    page += "<p>A requirement is <i>unseen</i> where no case that was run looks at it: most of these are about what a \
             hub does inside, and are proven by its own tests.</p>\n";
    let mut chapter = "";
    for standing in &standings {
        if standing.requirement.chapter != chapter {
            page += if chapter.is_empty() { "" } else { "</table>\n" };
            chapter = standing.requirement.chapter;
            page += &format!("<h2>{chapter}</h2>\n<table>\n");
        }
        page += &row(standing);
    }
    page + "</table>\n</body>\n</html>\n"
}

fn word(word: &str) -> String {
    format!("<span class=\"word {word}\">{word}</span>")
}

fn row(standing: &Standing<'_>) -> String {
    let requirement = &standing.requirement;
    let cases: String = standing.results.iter().map(|result| case(result)).collect();
    format!(
        "<tr id=\"{id}\"><th>{id}</th><td>{word}</td><td class=\"text\">({role}) {text}</td><td>{cases}</td></tr>\n",
        id = requirement.id,
        word = word(standing.word()),
        role = requirement.role,
        text = marked(requirement.text),
    )
}

fn case(result: &Ended) -> String {
    let case = &result.case;
    let detail = match result.verdict.detail() {
        detail if detail.is_empty() => String::new(),
        detail => format!("<p class=\"why\">{}</p>", escaped(&detail)),
    };
    format!(
        "<details><summary>{} <code>{}</code></summary>{}<br>Expected: {}.{detail}</details>",
        word(result.verdict.word()),
        escaped(&case.id),
        marked(&case.sentence),
        marked(&case.expectation),
    )
}

/// Text with what stands between backticks as code.
fn marked(text: &str) -> String {
    let escaped = escaped(text);
    let parts = escaped.split('`').enumerate();
    let part = |(n, part): (usize, &str)| match n % 2 {
        0 => part.to_owned(),
        _ => format!("<code>{part}</code>"),
    };
    parts.map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of fields and codes are set as such, and nothing that stands between backticks is markup.
    #[test]
    fn what_stands_between_backticks_is_code() {
        let text = "refused with `bad-field` <b> unless `<v>` is 1";
        let page =
            "refused with <code>bad-field</code> &lt;b&gt; unless <code>&lt;v&gt;</code> is 1";
        assert_eq!(marked(text), page);
    }
}
