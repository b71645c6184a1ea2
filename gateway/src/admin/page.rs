//! Long lists, a part at a time.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// As many as a list has without `limit`.
const USUAL: usize = 1000;
/// As many as it has at most.
const MOST: usize = 10_000;

/// Which part of a list.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Page {
    /// How many.
    #[serde(default)]
    limit: Option<usize>,
    /// How many are left out before.
    #[serde(default)]
    offset: Option<usize>,
}

impl Page {
    /// How many entries the part has at most.
    pub(super) fn limit(self) -> usize {
        self.limit.unwrap_or(USUAL).min(MOST)
    }

    /// `{"<name>": […], "total": n, "next_offset": n | null}`.
    pub(super) fn cut<T: Serialize>(self, name: &str, all: &[T]) -> Value {
        let from = self.offset.unwrap_or(0).min(all.len());
        let to = from.saturating_add(self.limit()).min(all.len());
        json!({
            (name): &all[from..to],
            "total": all.len(),
            "next_offset": (to < all.len()).then_some(to),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_join_to_the_whole() {
        let all: Vec<u32> = (0..25).collect();
        let (mut seen, mut offset) = (Vec::new(), Some(0));
        while let Some(at) = offset {
            let page = Page {
                limit: Some(10),
                offset: Some(at),
            };
            let part = page.cut("n", &all);
            assert_eq!(part["total"], 25);
            seen.extend(
                part["n"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|n| n.as_u64().unwrap()),
            );
            offset = part["next_offset"].as_u64().map(|n| n as usize);
        }
        assert_eq!(seen, (0..25).collect::<Vec<u64>>());
        let beyond = Page {
            limit: None,
            offset: Some(usize::MAX),
        };
        assert_eq!(beyond.cut("n", &all)["n"], json!([]));
        assert_eq!(
            Page {
                limit: Some(usize::MAX),
                offset: Some(3)
            }
            .limit(),
            MOST
        );
    }
}
