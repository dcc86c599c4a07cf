//! Failures that are known: a file with a reason for each.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// Ids of cases, each with the reason why it is known to fail.
pub type Known = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    reason: String,
}

/// Reads a file of known failures: TOML, a table for each case, with a `reason`.
pub fn read(path: &Path) -> Result<Known, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    parse(&text).map_err(|e| format!("{}: {e}", path.display()))
}

/// The same out of a text.
pub fn parse(text: &str) -> Result<Known, String> {
    let entries: BTreeMap<String, Entry> = toml::from_str(text).map_err(|e| e.to_string())?;
    let cases = crate::case::all();
    for (id, entry) in &entries {
        if !cases.iter().any(|case| case.id == *id) {
            return Err(format!("there is no case {id}"));
        }
        if entry.reason.trim().len() < 10 {
            return Err(format!("{id} needs a reason"));
        }
    }
    Ok(entries.into_iter().map(|(id, entry)| (id, entry.reason)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A known failure without a reason, or of no case, is a mistake.
    #[test]
    fn every_known_failure_is_a_case_with_a_reason() {
        let good = "[\"envelope.version-2\"]\nreason = \"it takes any version; to be mended\"\n";
        assert_eq!(parse(good).map(|known| known.len()), Ok(1));
        assert!(parse(&good.replace("envelope.version-2", "envelope.version-x")).is_err());
        assert!(parse("[\"envelope.version-2\"]\nreason = \"so\"\n").is_err());
        assert!(parse("[\"envelope.version-2\"]\n").is_err());
    }
}
