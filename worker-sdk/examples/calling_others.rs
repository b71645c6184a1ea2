//! Functions that call functions: `cargo run -p sluice-worker --example calling_others`.
//!
//! Both services stand in one process here; they could as well run in two.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sluice_worker::{Context, Error, Function, Worker, WorkerError};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct ById {
    id: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
}

#[derive(Debug, Serialize)]
struct Invoice {
    to: String,
    cents: u64,
}

async fn get_user(args: ById) -> Result<User, Error> {
    if args.id == 0 {
        return Err(Error::new("user_not_found", "no such user").status(404));
    }
    let name = format!("user {}", args.id);
    Ok(User { id: args.id, name })
}

/// The callee sees the same caller, and no more time than is left here; its errors pass on by `?`.
async fn invoice(ctx: Context, args: ById) -> Result<Invoice, Error> {
    let user: User = ctx.call("users", "get", &args).version("1.0.0").await?;
    Ok(Invoice {
        to: user.name,
        cents: 100 * user.id,
    })
}

#[tokio::main]
async fn main() -> Result<(), WorkerError> {
    tracing_subscriber::fmt().init();
    Worker::builder("billing")
        .version("1.0.0")
        .function("invoice", invoice)
        .service("users", |users| {
            users.function_with(
                Function::sync("get", get_user)
                    .version("1.0.0")
                    .idempotent()
                    .internal(),
            )
        })
        .run()
        .await
}
