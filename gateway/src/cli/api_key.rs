//! `sluice api-key`: keys for clients.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::{Exit, Failure, Terminal};

/// Arguments of `sluice api-key`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a key. It is shown once; the configuration gets its hash.
    New {
        /// Names the key in the configuration.
        #[arg(long, default_value = "my-key")]
        id: String,
        /// Whom it speaks for.
        #[arg(long, default_value = "my-user")]
        user: String,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// Makes a key and prints it.
pub(super) fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let Command::New { id, user, json } = &args.command;
    let random: [u8; 32] = rand::random();
    let key = format!("sk_{}", URL_SAFE_NO_PAD.encode(random));
    let hash = hex::encode(Sha256::digest(key.as_bytes()));
    if *json {
        let object = serde_json::json!({ "id": id, "user_id": user, "key": key, "hash": hash });
        writeln!(terminal.out, "{object}")?;
        return Ok(Exit::Ok);
    }
    let quoted = |text: &str| toml::Value::from(text).to_string();
    writeln!(
        terminal.out,
        "key (shown this once; give it to the client): {key}\n"
    )?;
    writeln!(terminal.out, "[[api_key]]")?;
    writeln!(terminal.out, "id = {}", quoted(id))?;
    writeln!(terminal.out, "hash = {}", quoted(&hash))?;
    writeln!(terminal.out, "user_id = {}", quoted(user))?;
    writeln!(terminal.out, "roles = []")?;
    Ok(Exit::Ok)
}
