//! "Did you mean": the known name that is closest to one that is not known.

/// Longer names are not compared: strangers choose them.
const MAX_CHARS: usize = 32;

/// `, did you mean "name"?` with the closest known name, or nothing.
///
/// ```
/// use sluice_protocol::suggest::did_you_mean;
/// assert_eq!(did_you_mean("timout", ["timeout", "retry"]), ", did you mean \"timeout\"?");
/// assert_eq!(did_you_mean("colour", ["timeout", "retry"]), "");
/// ```
#[must_use]
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    closest(name, known).map_or_else(String::new, |k| format!(", did you mean {k:?}?"))
}

/// The known name that takes the fewest edits, if it takes at most one edit in three letters.
#[must_use]
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = letters(name)?;
    let most = (letters.len() / 3).max(1);
    known
        .into_iter()
        .filter(|k| k.len().abs_diff(name.len()) <= 4 * most)
        .filter_map(|k| Some((edits_between(&letters, &self::letters(k)?), k)))
        .filter(|(count, _)| *count <= most)
        .min_by_key(|(count, _)| *count)
        .map(|(_, k)| k)
}

fn letters(name: &str) -> Option<Vec<char>> {
    let letters: Vec<char> = name.chars().take(MAX_CHARS + 1).collect();
    let lower = |c: &char| c.to_ascii_lowercase();
    (letters.len() <= MAX_CHARS).then(|| letters.iter().map(lower).collect())
}

/// How many insertions, deletions and replacements turn one text into the other (Levenshtein).
/// The work grows with the product of their lengths: not for texts of any length.
#[must_use]
pub fn edits(a: &str, b: &str) -> usize {
    let chars = |text: &str| text.chars().collect::<Vec<char>>();
    edits_between(&chars(a), &chars(b))
}

/// One row of the table at a time.
fn edits_between(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replace = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, d) in [
            ("", "", 0),
            ("echo", "echo", 0),
            ("ehco", "echo", 2),
            ("ecko", "echo", 1),
            ("", "abc", 3),
        ] {
            assert_eq!(edits(a, b), d, "{a} {b}");
        }
    }

    #[test]
    fn the_closest_name_wins_if_it_is_close() {
        let known = ["user_id", "user_ids", "name"];
        assert_eq!(closest("userid", known), Some("user_id"));
        assert_eq!(closest("USER_IDS", known), Some("user_ids"));
        assert_eq!(closest("nam", known), Some("name"));
        assert_eq!(closest("address", known), None);
        assert_eq!(closest("", known), None);
        assert_eq!(closest(&"n".repeat(10_000), known), None);
    }
}
