//! The requirements of `spec/`, as the text has them.
//!
//! Spec: the form that `spec/README.md` describes under "How to read".

/// The chapters, in the order of `spec/README.md`.
const CHAPTERS: [(&str, &str); 13] = [
    ("packets", include_str!("../../../spec/packets.md")),
    ("signing", include_str!("../../../spec/signing.md")),
    ("identity", include_str!("../../../spec/identity.md")),
    ("files", include_str!("../../../spec/files.md")),
    ("fetching", include_str!("../../../spec/fetching.md")),
    ("streaming", include_str!("../../../spec/streaming.md")),
    ("sync", include_str!("../../../spec/sync.md")),
    ("items", include_str!("../../../spec/items.md")),
    ("photos", include_str!("../../../spec/photos.md")),
    ("queue", include_str!("../../../spec/queue.md")),
    ("audit", include_str!("../../../spec/audit.md")),
    ("backup", include_str!("../../../spec/backup.md")),
    ("refusals", include_str!("../../../spec/refusals.md")),
];

/// One requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirement {
    /// Its id.
    pub id: &'static str,
    /// The chapter's file, without `.md`.
    pub chapter: &'static str,
    /// Who has to keep it.
    pub role: &'static str,
    /// `MUST`, `SHOULD` or `MAY`.
    pub keyword: &'static str,
    /// The sentence.
    pub text: &'static str,
}

/// All of them, in their order.
pub fn all() -> Vec<Requirement> {
    let lines = CHAPTERS
        .iter()
        .flat_map(|(chapter, text)| text.lines().filter_map(|line| requirement(chapter, line)));
    lines.collect()
}

fn requirement(chapter: &'static str, line: &'static str) -> Option<Requirement> {
    let (id, rest) = line.strip_prefix("> **")?.split_once("** (")?;
    let (role, text) = rest.split_once(") ")?;
    let keyword = ["MUST", "SHOULD", "MAY"].into_iter().find(|word| text.contains(word))?;
    Some(Requirement { id, chapter, role, keyword, text })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every case names requirements that the text has.
    #[test]
    fn cases_name_requirements_that_exist() {
        let known: BTreeSet<&str> = all().into_iter().map(|requirement| requirement.id).collect();
        assert!(known.len() > 200, "{} requirements only", known.len());
        for case in crate::case::all() {
            for id in &case.requirements {
                assert!(known.contains(id), "{} names {id}", case.id);
            }
        }
    }
}
