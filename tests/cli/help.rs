//! The command line explains itself.

use crate::harness::Home;

/// Exit codes are documented, every command has examples, and nothing takes a passphrase as an
/// argument.
#[test]
fn help_teaches() {
    let home = Home::new();
    let help = home.run(0, &["--help"]).out;
    for code in 0..=6 {
        assert!(help.lines().any(|line| line.starts_with(&format!("  {code}  "))), "{code}");
    }
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = commands.take_while(|line| !line.is_empty());
    // A description that is wrapped goes on further to the right.
    let names = lines.filter_map(|line| line.strip_prefix("  ").filter(|l| !l.starts_with(' ')));
    let names: Vec<_> = names.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() >= 14, "{names:?}");
    for name in names.iter().filter(|name| **name != "help") {
        let help = home.run(0, &[name, "--help"]).out;
        assert!(help.contains("Example"), "{name}:\n{help}");
        assert!(!help.contains("--passphrase "), "{name}:\n{help}");
    }
}

/// Completions and manual pages come from the commands themselves.
#[test]
fn completions_and_manual_pages_name_every_command() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(home.run(0, &["completions", shell]).out.contains("transfers"));
    }
    assert!(home.run(0, &["man"]).out.contains("zotferry"));
    home.run(0, &["man", "pages"]);
    assert!(home.path("pages/zotferry-channel-import.1").exists());
}

/// A wrong command line has its own exit code.
#[test]
fn a_wrong_command_line_is_told_apart() {
    let home = Home::new();
    home.run(2, &["frobnicate"]);
    home.run(2, &["demo", "--stream", "--blocked"]);
}
