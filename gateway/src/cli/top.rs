//! `sluice top`: services, rates, errors, instances and breakers, live.

pub(super) mod plain;
mod screen;

use std::io::IsTerminal as _;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::everybody::{ask, get};
use super::steer::Common;
use super::traffic::{Traffic, View};
use super::{Exit, Failure, Terminal};

/// How long a key may wait until it is noticed that the screen is left.
const KEYS: Duration = Duration::from_millis(100);

/// Arguments of `sluice top`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one view and end. So it does by itself where the output is no terminal.
    #[arg(long)]
    once: bool,
    /// Seconds between two views.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=60))]
    interval: u64,
    #[command(flatten)]
    common: Common,
}

/// Shows views until `q`, or one.
pub(super) async fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let interval = Duration::from_secs(args.interval);
    // The first question tells what is wrong, before any screen.
    let view = look(&args.common).await?;
    if args.once || args.common.json || !std::io::stdout().is_terminal() {
        if args.common.json {
            let json = serde_json::to_string(&view).map_err(|e| Failure::Failed(e.to_string()))?;
            writeln!(terminal.out, "{json}")?;
        } else {
            plain::print(&view, terminal)?;
        }
        return Ok(Exit::Ok);
    }
    let mut screen = ratatui::try_init()?;
    let shown = show(&mut screen, view, args, interval).await;
    ratatui::try_restore()?;
    shown?;
    Ok(Exit::Ok)
}

async fn show(
    screen: &mut ratatui::DefaultTerminal,
    mut view: View,
    args: &Args,
    interval: Duration,
) -> Result<(), Failure> {
    let mut keys = keys();
    let mut fault = None;
    let mut due = Instant::now() + interval;
    loop {
        if Instant::now() >= due {
            match look(&args.common).await {
                Ok(now) => (view, fault) = (now, None),
                // It may come back; what was seen last stays.
                Err(failure) => fault = Some(failure.to_string()),
            }
            due = Instant::now() + interval;
        }
        screen.draw(|frame| screen::draw(frame, &view, fault.as_deref()))?;
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            key = keys.recv() => match key {
                Some(Key::Quit) | None => return Ok(()),
                Some(Key::Redraw) => {}
            },
        }
    }
}

enum Key {
    Quit,
    Redraw,
}

/// Keys, read on a thread of its own that ends with its receiver.
fn keys() -> mpsc::Receiver<Key> {
    let (sender, receiver) = mpsc::channel(8);
    std::thread::spawn(move || {
        while !sender.is_closed() {
            match event::poll(KEYS) {
                Ok(false) => continue,
                Ok(true) => {}
                Err(_) => return,
            }
            let Ok(event) = event::read() else { return };
            let key = match event {
                Event::Key(key) if key.kind == KeyEventKind::Press => match key.code {
                    KeyCode::Char('q') | KeyCode::Esc => Key::Quit,
                    KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                        Key::Quit
                    }
                    _ => continue,
                },
                Event::Resize(..) => Key::Redraw,
                _ => continue,
            };
            if sender.blocking_send(key).is_err() {
                return;
            }
        }
    });
    receiver
}

async fn look(common: &Common) -> Result<View, Failure> {
    let (_, answers) = ask::<Traffic>(common, &get(["cluster", "stats"])).await?;
    Ok(View::of(&answers))
}
