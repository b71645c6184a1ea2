//! `sluice disable` and `sluice enable`: `versions disable` and `versions enable` by their short
//! names.

use super::steer::Common;
use super::versions::{Which, switch};
use super::{Exit, Failure, Terminal};

/// Arguments of `sluice disable` and `sluice enable`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    common: Common,
}

/// Switches it and says so.
pub(super) async fn run(
    args: &Args,
    disabled: bool,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Failure> {
    switch(&args.common, &args.which, disabled, terminal).await
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::testing::{Answer, Output, Server};
    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(server: &Server, words: &[&str]) -> Args {
        let url = server.url();
        let line = ["disable", "--admin", &url, "--token", "t"];
        Line::parse_from(line.iter().chain(words)).args
    }

    #[tokio::test]
    async fn names_travel_escaped_and_refusals_are_told() {
        let server = Server::answering(vec![
            Answer::new(200, r#"{"disabled":true,"known":true}"#),
            Answer::new(
                401,
                r#"{"error_code":"unauthenticated","error":"this token is not known here"}"#,
            ),
        ])
        .await;
        let mut output = Output::default();
        let args = args(&server, &["demo", "a/b", "1.2.0"]);
        let exit = run(&args, true, &mut output.terminal()).await.unwrap();
        assert_eq!(exit, Exit::Ok);
        assert_eq!(output.out(), "demo.a/b 1.2.0: disabled at all gateways\n");
        assert_eq!(
            server.seen()[0].path,
            "/v1/functions/demo/a%2Fb/disabled?version=1.2.0"
        );
        let failure = run(&args, false, &mut output.terminal()).await.unwrap_err();
        assert!(failure.to_string().contains("--token"), "{failure}");
        assert!(matches!(failure, Failure::NotAllowed(_)), "{failure:?}");
    }

    #[tokio::test]
    async fn a_version_that_nobody_has_is_said_to_be_so_with_those_that_there_are() {
        for (words, answer, says) in [
            (
                &["demo", "add"][..],
                r#"{"disabled":true,"known":false,"versions":["1.0.0","2.0.0"]}"#,
                "it has the versions 1.0.0, 2.0.0",
            ),
            (
                &["demo", "add", "9"],
                r#"{"disabled":true,"known":false,"versions":[null]}"#,
                "it has one version, without a name",
            ),
            (
                &["demo", "ad"],
                r#"{"disabled":true,"known":false,"versions":[]}"#,
                "this gateway knows no such function",
            ),
        ] {
            for json in [false, true] {
                let server = Server::answering(vec![Answer::new(200, answer)]).await;
                let mut output = Output::default();
                let mut args = args(&server, words);
                args.common.json = json;
                let exit = run(&args, true, &mut output.terminal()).await.unwrap();
                assert_eq!(exit, Exit::Between, "{answer} {json}");
                assert_eq!(output.err().contains(says), !json, "{output:?}");
            }
        }
    }
}
