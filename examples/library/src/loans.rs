//! `/loans/{book}`: functions with routes. They answer bare results; their errors become problems.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sluice_worker::{Error, Function};

use crate::store::{NotLent, Store};

/// Which book.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Which {
    /// Its number.
    pub book: u64,
}

/// Who wants which book.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Lend {
    /// Its number.
    pub book: u64,
    /// Who takes it.
    pub reader: String,
}

/// A book and who has it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Loan {
    book: u64,
    title: String,
    reader: Option<String>,
}

/// The functions.
pub fn functions(store: &Store) -> Vec<Function> {
    let (show, lend, back) = (store.clone(), store.clone(), store.clone());
    vec![
        Function::sync("loan", move |args: Which| {
            let found = show.get(args.book);
            async move {
                let stored = found.ok_or_else(|| not_lent(args.book, &NotLent::Unknown))?;
                Ok::<_, Error>(Loan {
                    book: args.book,
                    title: stored.book.title,
                    reader: stored.reader,
                })
            }
        })
        .description("who has a book")
        .idempotent()
        .route("GET /loans/{book}"),
        Function::sync("lend", move |args: Lend| {
            let lent = lend.lend(args.book, &args.reader);
            async move {
                let book = lent.map_err(|e| not_lent(args.book, &e))?;
                Ok::<_, Error>(Loan {
                    book: args.book,
                    title: book.title,
                    reader: Some(args.reader),
                })
            }
        })
        .description("lends a book")
        .route("POST /loans/{book}"),
        Function::sync("take_back", move |args: Which| {
            let taken = back.take_back(args.book);
            async move {
                taken.map_err(|e| not_lent(args.book, &e))?;
                Ok::<_, Error>(json!({ "book": args.book, "reader": null }))
            }
        })
        .description("takes a book back")
        .route("DELETE /loans/{book}"),
    ]
}

fn not_lent(book: u64, why: &NotLent) -> Error {
    match why {
        NotLent::Unknown => {
            Error::new("no_such_book", format!("there is no book {book}")).status(404)
        }
        NotLent::Lent(_) => Error::new("lent", format!("somebody has book {book}")).status(409),
        NotLent::Here => Error::new("not_lent", format!("nobody has book {book}")).status(409),
    }
}
