//! The command line: one file for each subcommand.
//!
//! Subcommands write to a [`Terminal`], so that tests see what people see, and end with an
//! [`Exit`] or a [`Failure`]: the one place that turns both into exit codes is [`run`].

mod api_key;
mod audit;
mod breakers;
mod broker;
mod call;
mod check;
mod client;
mod cluster;
mod completion;
mod connections;
#[cfg(test)]
mod covered;
mod dev;
mod disable;
pub mod docs;
mod everybody;
mod explain;
mod export;
mod flow;
mod graph;
mod health;
mod instances;
mod json;
mod limits;
mod log;
mod logging;
mod new;
mod operator;
mod refused;
mod revoke;
mod running;
mod serve;
mod services;
mod stats;
mod steer;
mod sticky;
mod terminal;
#[cfg(test)]
mod testing;
mod top;
mod trace;
mod traffic;
mod verify;
mod versions;
mod versions_diff;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::Environment;

pub use self::terminal::Terminal;

/// Sluice: an API gateway that dispatches client requests over NATS to workers.
#[derive(Debug, Parser)]
#[command(
    name = "sluice",
    version,
    term_width = 100,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// All subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a gateway.
    Serve(serve::Args),
    /// Report every mistake of a configuration, each with its place.
    Check(check::Args),
    /// Run everything in one process: broker, gateway, demo worker. For development.
    Dev(dev::Args),
    /// Run the embedded broker alone. For development.
    Broker(broker::Args),
    /// Make keys for clients.
    ApiKey(api_key::Args),
    /// Call a function through a gateway.
    Call(call::Args),
    /// List services, functions and instances.
    Services(services::Args),
    /// Switch a function off: its calls are refused.
    Disable(disable::Args),
    /// Switch a function on again.
    Enable(disable::Args),
    /// Versions of functions: list, disable, delete, deprecate, pin; for all gateways.
    Versions(versions::Args),
    /// Instances: list, drain.
    Instances(instances::Args),
    /// Circuit breakers of all gateways: list, reset.
    Breakers(breakers::Args),
    /// Sockets that are open at a gateway: list, close.
    Sockets(connections::Args),
    /// Streams that are open at a gateway: list, close.
    Streams(connections::Args),
    /// Let a user, a token or an API key in no more, at all gateways.
    Revoke(revoke::Args),
    /// Show or change the levels of the gateways' logs, while they run.
    Log(log::Args),
    /// What would happen to calls of a function, stage by stage, at all gateways.
    Flow(flow::Args),
    /// What would happen to this request, without sending it.
    Explain(explain::Args),
    /// All gateways and workers, and who sees whom.
    Cluster(cluster::Args),
    /// What all gateways have served, and their breakers.
    Stats(stats::Args),
    /// Rates, errors, latencies, instances and breakers, live.
    Top(top::Args),
    /// Follow live calls of a user, a function or a request id, at all gateways.
    Trace(trace::Args),
    /// Whether all gateways and workers have a version of a service.
    Verify(verify::Args),
    /// Rate limits: list, look, set, remove, count one call by hand, reset.
    Limits(limits::Args),
    /// Which instance a sticky key is bound to: look, forget.
    Sticky(sticky::Args),
    /// Configs of workers that were refused, with every reason.
    Refused(refused::Args),
    /// Who changed what, and who was refused.
    Audit(audit::Args),
    /// The configuration of a gateway as it runs, secrets masked.
    Config(running::Args),
    /// Write functions as example requests, or as a configuration file.
    Export(export::Args),
    /// Make a project to start from.
    New(new::Args),
    /// Print what a shell needs to complete command lines.
    Completion(completion::Args),
    /// Print the graph that resources decide by.
    Graph(graph::Args),
    /// Ask a gateway whether it is ready, or how each part of all gateways is.
    Health(health::Args),
    /// Print generated documentation.
    #[command(hide = true)]
    Docs(docs::Args),
}

/// How a command ended that did what it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Ok,
    /// The answer is no: a call that failed, a gateway that is not ready.
    Failed,
    /// Neither: a gateway that is degraded, a version that nobody knows.
    Between,
    /// A configuration with mistakes, already reported.
    Usage,
}

/// Why a command could not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// Nobody answers at the gateway's address.
    #[error("{0}")]
    Unreachable(String),
    /// What was named does not exist.
    #[error("{0}")]
    Unknown(String),
    /// The token is missing or wrong, or does not allow it.
    #[error("{0}")]
    NotAllowed(String),
    /// Something else.
    #[error("{0}")]
    Failed(String),
    /// The terminal or pipe is gone.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
}

/// Exit codes; `docs/cli.md` lists them.
mod code {
    pub(super) const OK: u8 = 0;
    pub(super) const FAILED: u8 = 1;
    pub(super) const UNREACHABLE: u8 = 2;
    pub(super) const BETWEEN: u8 = 3;
    pub(super) const NOT_ALLOWED: u8 = 4;
    /// `EX_USAGE` of sysexits.h.
    pub(super) const USAGE: u8 = 64;
}

/// Runs the process's command line.
pub fn main() -> ExitCode {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let mut terminal = Terminal::new(&mut out, &mut err);
    let env = Environment::of_process();
    ExitCode::from(run(std::env::args_os(), &env, &mut terminal))
}

/// Runs a command line, the program's name first, and returns the exit code.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    env: &Environment,
    terminal: &mut Terminal<'_>,
) -> u8 {
    let ended = match Cli::try_parse_from(arguments) {
        Ok(cli) => execute(cli.command, env, terminal),
        Err(error) => explain(&error, terminal),
    };
    match ended {
        Ok(Exit::Ok) => code::OK,
        Ok(Exit::Failed) => code::FAILED,
        Ok(Exit::Between) => code::BETWEEN,
        Ok(Exit::Usage) => code::USAGE,
        // `sluice … | head` has read enough: that is no failure.
        Err(Failure::Output(e)) if e.kind() == std::io::ErrorKind::BrokenPipe => code::OK,
        Err(failure) => {
            // Nothing is left to tell if this cannot be written either.
            let _ = terminal.error(&failure.to_string());
            match failure {
                Failure::Usage(_) => code::USAGE,
                Failure::Unreachable(_) => code::UNREACHABLE,
                Failure::Unknown(_) => code::BETWEEN,
                Failure::NotAllowed(_) => code::NOT_ALLOWED,
                Failure::Failed(_) | Failure::Output(_) => code::FAILED,
            }
        }
    }
}

fn execute(
    command: Command,
    env: &Environment,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Failure> {
    match command {
        Command::Serve(args) => serve::run(&args, env, terminal),
        Command::Check(args) => check::run(&args, env, terminal),
        Command::Dev(args) => dev::run(args, env, terminal),
        Command::Broker(args) => broker::run(&args),
        Command::ApiKey(args) => api_key::run(&args, terminal),
        Command::Call(args) => wait_for(call::run(&args, terminal)),
        Command::Services(args) => wait_for(services::run(&args, terminal)),
        Command::Disable(args) => wait_for(disable::run(&args, true, terminal)),
        Command::Enable(args) => wait_for(disable::run(&args, false, terminal)),
        Command::Graph(args) => graph::run(&args, terminal),
        Command::Versions(args) => wait_for(versions::run(&args, terminal)),
        Command::Instances(args) => wait_for(instances::run(&args, terminal)),
        Command::Breakers(args) => wait_for(breakers::run(&args, terminal)),
        Command::Sockets(args) => wait_for(connections::run(
            &args,
            connections::What::Sockets,
            terminal,
        )),
        Command::Streams(args) => wait_for(connections::run(
            &args,
            connections::What::Streams,
            terminal,
        )),
        Command::Revoke(args) => wait_for(revoke::run(&args, terminal)),
        Command::Log(args) => wait_for(log::run(&args, terminal)),
        Command::Flow(args) => wait_for(flow::run(&args, terminal)),
        Command::Explain(args) => wait_for(explain::run(&args, terminal)),
        Command::Cluster(args) => wait_for(cluster::run(&args, terminal)),
        Command::Stats(args) => wait_for(stats::run(&args, terminal)),
        Command::Top(args) => wait_for(top::run(&args, terminal)),
        Command::Trace(args) => wait_for(trace::run(&args, terminal)),
        Command::Verify(args) => wait_for(verify::run(&args, terminal)),
        Command::Limits(args) => wait_for(limits::run(&args, terminal)),
        Command::Sticky(args) => wait_for(sticky::run(&args, terminal)),
        Command::Refused(args) => wait_for(refused::run(&args, terminal)),
        Command::Audit(args) => wait_for(audit::run(&args, terminal)),
        Command::Config(args) => wait_for(running::run(&args, terminal)),
        Command::Export(args) => wait_for(export::run(&args, terminal)),
        Command::New(args) => new::run(&args, terminal),
        Command::Completion(args) => completion::run(&args, terminal),
        Command::Health(args) => wait_for(health::run(&args, terminal)),
        Command::Docs(args) => docs::run(&args, terminal),
    }
}

/// Help and version go to standard output and are no failure; all else is wrong usage.
fn explain(error: &clap::Error, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let text = error.render();
    if error.use_stderr() {
        write!(terminal.err, "{text}")?;
        return Ok(Exit::Usage);
    }
    write!(terminal.out, "{text}")?;
    Ok(Exit::Ok)
}

fn wait_for(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::Failed(format!("cannot start: {e}")))?
        .block_on(command)
}

/// A line of a long-running command for its operator, on standard output.
fn announce(line: &str) {
    use std::io::Write as _;
    // Whoever closed the output does not want to know; the gateway goes on.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The command line's description, for `docs/cli.md`.
#[must_use]
pub fn description() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::testing::Output;
    use super::*;

    fn exit_of(line: &str) -> (u8, Output) {
        let mut output = Output::default();
        let arguments = line.split_whitespace().map(OsString::from);
        let code = run(arguments, &Environment::default(), &mut output.terminal());
        (code, output)
    }

    #[test]
    fn the_description_is_sound() {
        description().debug_assert();
    }

    #[test]
    fn wrong_usage_is_64_and_help_is_0() {
        for (line, code) in [
            ("sluice --help", 0),
            ("sluice --version", 0),
            ("sluice call --help", 0),
            ("sluice", 64),
            ("sluice nonsense", 64),
            ("sluice call", 64),
            ("sluice call demo", 64),
            ("sluice call demo echo --timeout-ms soon", 64),
            ("sluice call demo echo nonsense", 64),
            ("sluice call demo echo --url localhost:4000", 64),
            ("sluice dev --http localhost", 64),
            ("sluice broker", 64),
            ("sluice check --config /no/such/file", 64),
            ("sluice serve --config /no/such/file", 64),
            ("sluice docs nonsense", 64),
        ] {
            let (got, output) = exit_of(line);
            assert_eq!(got, code, "{line}: {output:?}");
            let said = if code == 0 {
                output.out()
            } else {
                output.err()
            };
            assert!(!said.is_empty(), "{line}");
        }
    }

    #[test]
    fn each_variable_of_the_command_line_is_known_to_the_configuration() {
        fn of(command: &clap::Command, into: &mut std::collections::BTreeSet<String>) {
            let named = command.get_arguments().filter_map(clap::Arg::get_env);
            into.extend(named.map(|name| name.to_string_lossy().into_owned()));
            command.get_subcommands().for_each(|sub| of(sub, into));
        }
        let mut all = std::collections::BTreeSet::new();
        of(&description(), &mut all);
        let env: Environment = all.iter().map(|name| (name.as_str(), "info")).collect();
        assert!(all.contains("SLUICE_ADMIN_TOKEN"), "{all:?}");
        let arguments = ["sluice", "check", "--json"].map(OsString::from);
        let mut output = Output::default();
        run(arguments, &env, &mut output.terminal());
        let report: serde_json::Value = serde_json::from_str(&output.out()).unwrap();
        assert_eq!(report["warnings"], serde_json::json!([]), "{report}");
    }

    #[test]
    fn a_wrong_token_for_dev_is_told_and_not_repeated() {
        let env = [("SLUICE_ADMIN_TOKENS", "me hunter2 *")]
            .into_iter()
            .collect();
        let mut output = Output::default();
        let arguments = ["sluice", "dev"].map(OsString::from);
        assert_eq!(run(arguments, &env, &mut output.terminal()), 64);
        assert!(output.err().contains("at least 16"), "{output:?}");
        assert!(!output.err().contains("hunter2"), "{output:?}");
    }

    #[test]
    fn a_misspelt_command_gets_a_hint() {
        let (_, output) = exit_of("sluice servce");
        assert!(output.err().contains("'serve'"), "{output:?}");
    }

    #[test]
    fn options_are_parsed() {
        let line = "sluice dev --http 127.0.0.1:1 --admin [::1]:2 --nats 127.0.0.1:3 --no-demo";
        let Command::Dev(args) = Cli::parse_from(line.split(' ')).command else {
            panic!("not dev");
        };
        assert_eq!(
            args.options(Vec::new()),
            crate::app::DevOptions {
                operators: Vec::new(),
                http: "127.0.0.1:1".parse().unwrap(),
                admin: "[::1]:2".parse().unwrap(),
                nats: "127.0.0.1:3".parse().unwrap(),
                demo: false,
            }
        );
        let Command::Dev(args) = Cli::parse_from(["sluice", "dev"]).command else {
            panic!("not dev");
        };
        assert!(args.options(Vec::new()).demo);
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        struct Closed;
        impl std::io::Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut err = Vec::new();
        let mut out = Closed;
        let mut terminal = Terminal::new(&mut out, &mut err);
        let arguments = ["sluice", "docs", "config"].map(OsString::from);
        assert_eq!(run(arguments, &Environment::default(), &mut terminal), 0);
        assert!(err.is_empty());
    }
}

/// Reads `ADDR`: `127.0.0.1:4000`, `:0` for a free port on loopback, or a name that stands for one
/// address.
fn address(text: &str) -> Result<SocketAddr, String> {
    use std::net::ToSocketAddrs as _;
    let named = match text.strip_prefix(':') {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    let found = named
        .to_socket_addrs()
        .ok()
        .and_then(|mut all| all.find(SocketAddr::is_ipv4).or_else(|| named.parse().ok()));
    found.ok_or_else(|| {
        format!("{text:?} is no address; write for example 127.0.0.1:4000, or :0 for any free port")
    })
}

#[cfg(test)]
mod address_tests {
    use super::address;

    #[test]
    fn addresses() {
        assert_eq!(address(":0").unwrap().to_string(), "127.0.0.1:0");
        assert_eq!(
            address("localhost:5000").unwrap().to_string(),
            "127.0.0.1:5000"
        );
        assert_eq!(address("[::1]:5000").unwrap().to_string(), "[::1]:5000");
        for bad in ["", "x", "4000", ":x", "127.0.0.1:70000"] {
            assert!(address(bad).unwrap_err().contains("for example"), "{bad}");
        }
    }
}
