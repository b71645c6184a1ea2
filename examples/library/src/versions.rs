//! The older versions, and all that is said of them: which changes led to today's.
//!
//! | | a book | a loan |
//! |---|---|---|
//! | 1 | `{"name", "writer", "year"}` | `{"book", "name", "who"}` |
//! | 2 | `{"name", "author", "year"}` | `{"book", "name", "reader"}` |
//! | 3 | `{"title", "author", "year"}` | `{"book", "title", "reader"}` |

use sluice_worker::change::{Declared, Operation, Versions};

const BOOKS: [&str; 3] = ["book", "shelf", "browse"];
const LOANS: [&str; 3] = ["loan", "lend", "take_back"];

/// The versions, oldest first.
pub fn all(versions: Versions) -> Versions {
    versions
        .version("1", |v| {
            v.declare(
                Declared::new("a writer is an author", BOOKS)
                    .request([Operation::rename("writer", "author")])
                    // One book, a line or an item; or each of a list.
                    .reverse_at(["", "/*"]),
            )
            .declare(
                Declared::new("who borrows is a reader", LOANS)
                    .request([Operation::rename("who", "reader")])
                    .reverse_at([""]),
            )
        })
        .version("2", |v| {
            v.declare(
                Declared::new("a book's name is its title", BOOKS)
                    .request([Operation::rename("name", "title")])
                    .reverse_at(["", "/*"]),
            )
            .declare(
                Declared::new("so it is in loans", LOANS)
                    .response([Operation::rename("title", "name")]),
            )
        })
        .version("3", |v| v)
}
