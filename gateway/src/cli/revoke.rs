//! `sluice revoke`: lets a user, a token or an API key in no more.

use super::operator::Admin;
use super::{Exit, Failure, Terminal};

/// What can be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// All tokens of a user that were issued until now.
    User,
    /// One token, by its `jti`.
    Token,
    /// One API key, by its id.
    ApiKey,
}

impl Kind {
    fn field(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Token => "token",
            Self::ApiKey => "api_key",
        }
    }
}

/// Arguments of `sluice revoke`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to revoke.
    kind: Kind,
    /// The user's id, the token's jti, or the API key's id.
    value: String,
    /// Take the revocation back: let it in again.
    #[arg(long)]
    undo: bool,
    /// Print the answer of the admin API.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

/// Revokes it and says so.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let gateway = args.admin.gateway()?;
    let url = gateway.url("/v1/revocations")?;
    let body = serde_json::json!({ (args.kind.field()): args.value });
    let request = match args.undo {
        true => gateway.delete(url, body.to_string()),
        false => gateway.post(url, body.to_string()),
    };
    let answer = args.admin.send(&gateway, request).await?;
    if args.json {
        writeln!(terminal.out, "{}", answer.text().trim())?;
    } else {
        let (kind, value) = (args.kind.field().replace('_', " "), &args.value);
        let done = match args.undo {
            true => "let in again",
            false => "revoked",
        };
        writeln!(
            terminal.out,
            "{kind} {value}: {done}, other gateways are told"
        )?;
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Answer, Output, Server};
    use super::*;

    #[tokio::test]
    async fn it_is_revoked_and_said() {
        let server = Server::answering(vec![Answer::new(200, r#"{"api_key":"k","at":1}"#)]).await;
        let mut output = Output::default();
        let args = Args {
            kind: Kind::ApiKey,
            value: "k".to_owned(),
            undo: false,
            json: false,
            admin: Admin {
                admin: server.url(),
                token: Some("t".to_owned()),
            },
        };
        let exit = run(&args, &mut output.terminal()).await.unwrap();
        assert_eq!(exit, Exit::Ok);
        assert_eq!(
            output.out(),
            "api key k: revoked, other gateways are told\n"
        );
        assert_eq!(server.seen()[0].path, "/v1/revocations");
    }
}
