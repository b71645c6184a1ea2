//! A small library: books that can be read, written and lent, over HTTP and as plain calls.
//!
//! | at | is | shows |
//! |---|---|---|
//! | `/books` | a resource ([`shelf`]) | a collection: GET streams it, POST adds with 201 and `Location` |
//! | `/books/{id}` | a resource ([`book`]) | conditional requests, negotiation, 404, 409, 412, 415 |
//! | `/covers/{*path}` | a resource in pipeline style ([`cover`]) | a wildcard, filters in their order |
//! | `GET /loans/{book}`, `POST /loans/{book}`, `DELETE /loans/{book}` | functions ([`loans`]) | routes of functions, bare results, problems |
//! | the function `browse` | a stream ([`browse`]) | items one by one, over sockets, as SSE and as lines |
//!
//! Clients of versions 1 and 2 are served by the same code: [`versions`] lists what has changed.
//!
//! Everything is in memory; a real one would ask a database in the same places.

pub mod book;
pub mod browse;
pub mod cover;
pub mod loans;
pub mod shelf;
pub mod store;
pub mod versions;

use sluice_worker::resource::BuildError;
use sluice_worker::{Function, Worker, WorkerBuilder};

pub use store::Store;

/// The service's name.
pub const SERVICE: &str = "library";

/// The worker, over `store`. With `trace`, responses of resources tell their decisions.
///
/// # Errors
/// When a resource is put together wrongly.
pub fn worker(store: &Store, trace: bool) -> Result<WorkerBuilder, BuildError> {
    let worker = Worker::builder(SERVICE)
        .version("3")
        .versions(versions::all)
        .function_with(
            Function::resource("book", "/books/{id}", book::resource(store, trace)?)
                .description("one book"),
        )
        .function_with(
            Function::streaming_resource("shelf", "/books", shelf::resource(store, trace)?)
                .description("all books"),
        )
        .function_with(
            Function::resource("cover", "/covers/{*path}", cover::resource(trace)?)
                .description("the pictures of covers"),
        )
        .function_with(browse::function(store));
    Ok(loans::functions(store)
        .into_iter()
        .fold(worker, WorkerBuilder::function_with))
}
