//! `zotferry conform` as a person runs it.

use std::process::Command;

use crate::harness::{TestHub, free_port};

/// The command judges a hub, writes its three reports, and ends with 0; a known failure that passes is told, and
/// counts in strict mode; a misspelt case and a hub that is not there have codes of their own.
#[test]
fn the_command_reports_in_every_form() {
    let address = free_port();
    let hub = TestHub::start(address, address);
    let (guid, key) = hub.channel();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let conform = |url: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zotferry"));
        command.args(["conform", url, "--guid", &guid, "--key", key.to_str().unwrap()]).args(more);
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let url = format!("http://{address}");
    let (json, junit, html) = (file("r.json"), file("r.xml"), file("r.html"));
    let reports = ["--json", &json, "--junit", &junit, "--html", &html];
    let (code, text) = conform(&url, &[&["--only", "envelope,SIGN-13"][..], &reports].concat());
    assert_eq!(code, Some(0), "{text}");
    let read: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(read["failed"], false);
    let cases = read["cases"].as_array().unwrap();
    assert!(cases.len() > 20 && cases.iter().all(|case| case["verdict"] == "held"), "{text}");
    let xml = std::fs::read_to_string(&junit).unwrap();
    assert!(
        xml.contains("<testcase classname=\"signing\" name=\"signing.from-another-hub\""),
        "{xml}"
    );
    assert!(!xml.contains("<failure"), "{xml}");
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.contains("<tr id=\"SIGN-13\"><th>SIGN-13</th>"), "no row for the requirement");
    assert!(!page.contains("src=") && !page.contains("href="), "the page needs something else");

    let known = file("known.toml");
    std::fs::write(&known, "[\"envelope.cut\"]\nreason = \"only to see that this is told\"\n")
        .unwrap();
    let only = ["--only", "envelope.cut", "--known", &known];
    let (code, text) = conform(&url, &only);
    assert!(code == Some(0) && text.contains("mended  envelope.cut"), "{code:?} {text}");
    let (code, text) = conform(&url, &[&only[..], &["--strict"]].concat());
    assert_eq!(code, Some(1), "{text}");
    let (code, text) = conform(&url, &["--only", "envelope.cutt"]);
    assert!(code == Some(2) && text.contains("envelope.cutt"), "{code:?} {text}");
    // Before anything is asked.
    let nowhere = file("no folder/r.html");
    let (code, text) = conform(&format!("http://{}", free_port()), &["--html", &nowhere]);
    assert!(code == Some(2) && text.contains("no folder"), "{code:?} {text}");
    let (code, text) = conform(&format!("http://{}", free_port()), &["--only", "envelope.cut"]);
    assert_eq!(code, Some(3), "{text}");
}
