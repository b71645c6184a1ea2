//! `docs/errors.md` says of each error code what the code says.

use sluice_protocol::ErrorCode;

const PAGE: &str = include_str!("../../docs/errors.md");

fn sections() -> Vec<(&'static str, &'static str)> {
    PAGE.split("\n## ")
        .skip(1)
        .map(|section| section.split_once('\n').unwrap_or_default())
        .collect()
}

#[test]
fn every_code_has_its_section_in_order() {
    let headings: Vec<&str> = sections().into_iter().map(|(heading, _)| heading).collect();
    let codes: Vec<String> = ErrorCode::ALL
        .iter()
        .map(|code| format!("`{}`", code.as_str()))
        .collect();
    assert_eq!(headings, codes);
}

#[test]
fn each_section_has_the_facts_and_the_advice() {
    for (code, (heading, body)) in ErrorCode::ALL.iter().zip(sections()) {
        let may_pass = if code.is_transient() { "yes" } else { "no" };
        let facts = format!(
            "Status {} · source {} · may pass: {may_pass}",
            code.http_status(),
            code.source().as_str()
        );
        let lines: Vec<&str> = body.lines().filter(|l| !l.is_empty()).collect();
        assert_eq!(lines[0], facts, "{heading}");
        assert_eq!(lines.len(), 3, "{heading}: facts, meaning, advice");
        assert!(lines[2].starts_with("*What to do:* "), "{heading}");
    }
}
