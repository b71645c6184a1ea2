//! `docs/promises.md` names tests that are there.

use std::path::Path;

/// The texts between backticks, two and two: a file and a test in it.
fn named(page: &str) -> Vec<(String, String)> {
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let mut all = Vec::new();
    for row in rows {
        let column = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let words: Vec<&str> = column.split('`').skip(1).step_by(2).collect();
        for pair in words.chunks(2) {
            let [file, test] = pair else {
                panic!("a file and a test: {row}");
            };
            all.push(((*file).to_owned(), (*test).to_owned()));
        }
    }
    all
}

#[test]
fn every_test_that_is_promised_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/promises.md")).unwrap();
    let named = named(&page);
    assert!(named.len() > 50, "{}", named.len());
    let missing = named.iter().filter(|(file, test)| {
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        !text.contains(&format!("fn {test}("))
    });
    let missing: Vec<_> = missing.collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
