//! "Did you mean …".

/// The candidate that `name` was probably meant to be.
pub(crate) fn closest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let name = name.to_lowercase();
    candidates
        .into_iter()
        .filter_map(|candidate| Some((unlikeness(&name, &candidate.to_lowercase())?, candidate)))
        .min_by_key(|(unlikeness, _)| *unlikeness)
        .map(|(_, candidate)| candidate)
}

/// ` (did you mean X?)`, or nothing.
pub(crate) fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> String {
    closest(name, candidates).map_or_else(String::new, |c| format!(" (did you mean {c}?)"))
}

fn unlikeness(name: &str, candidate: &str) -> Option<usize> {
    let edits = edit_distance(name, candidate);
    // A part left off (`header_timeout` for `header_timeout_ms`) is nearer than its edits say.
    let part = name.len() >= 3 && (candidate.starts_with(name) || name.starts_with(candidate));
    if part {
        return Some(1);
    }
    (edits <= (candidate.len() / 3).max(1)).then_some(edits)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b` (optimal
/// string alignment).
fn edit_distance(a: &str, b: &str) -> usize {
    // Names of options are short; a stranger's long key is surely none of them.
    if a.len() > 100 {
        return usize::MAX;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        rows[i][0] = i;
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            rows[i][j] = if swapped {
                best.min(rows[i - 2][j - 2] + 1)
            } else {
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["listen", "max_body_bytes", "header_timeout_ms"];
        for (typed, meant) in [
            ("lisen", Some("listen")),
            ("LISTEN", Some("listen")),
            ("header_timeout", Some("header_timeout_ms")),
            ("max_body_byte", Some("max_body_bytes")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(closest(typed, names), meant, "{typed}");
        }
        assert_eq!(closest(&"x".repeat(10_000), names), None);
    }

    #[test]
    fn distances() {
        for (a, b, edits) in [
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("same", "same", 0),
        ] {
            assert_eq!(edit_distance(a, b), edits);
        }
    }
}
