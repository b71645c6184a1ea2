//! A view on a screen: 80 columns and 24 lines are enough, and what fails stands on top.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::widgets::{Paragraph, Row, Table};

use super::plain::{FUNCTIONS, INSTANCES, LEGEND, function, headline, instance};
use crate::cli::terminal::printable;
use crate::cli::traffic::View;

/// Shares of failed calls from which a line is red.
const BAD: f64 = 0.05;

/// Draws all that fits.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View, fault: Option<&str>) {
    let [head, functions, instances, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Fill(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(title(view)), head);
    let rows = view.functions.iter().map(|f| {
        let cells = function(f);
        (cells, style(&f.breaker, f.error_rate))
    });
    let widths = [7, 7, 13, 7, 7, 9];
    table(frame, functions, (&FUNCTIONS, &widths), rows.collect());
    let rows = view.instances.iter().map(|i| {
        let cells = instance(i);
        (cells, style(&i.breaker, i.error_rate))
    });
    let widths = [7, 7, 8, 6, 6, 7, 9];
    table(frame, instances, (&INSTANCES, &widths), rows.collect());
    let (text, style) = match fault {
        Some(fault) => {
            let line = fault.lines().next().unwrap_or_default();
            (format!("not current: {line}"), Style::new().fg(Color::Red))
        }
        None => {
            let text = format!("q quits; {LEGEND}");
            (text, Style::new().add_modifier(Modifier::DIM))
        }
    };
    frame.render_widget(Paragraph::new(printable(&text)).style(style), foot);
}

/// Broken where the words of a narrow screen end.
fn title(view: &View) -> String {
    let line = printable(&headline(view));
    format!(
        "sluice top  {}",
        line.replacen("instances  ", "instances\n", 1)
    )
}

fn style(breaker: &str, error_rate: f64) -> Style {
    match breaker {
        "open" => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        "half_open" => Style::new().fg(Color::Yellow),
        _ if error_rate >= BAD => Style::new().fg(Color::Red),
        _ if error_rate > 0.0 => Style::new().fg(Color::Yellow),
        _ => Style::new(),
    }
}

/// Heads and widths of a table; the first column takes what is left.
fn table<const N: usize>(
    frame: &mut Frame<'_>,
    area: Rect,
    (heads, widths): (&[&'static str; N], &[u16]),
    rows: Vec<([String; N], Style)>,
) {
    let widths = widths.iter().copied().map(Constraint::Length);
    let widths: Vec<Constraint> = std::iter::once(Constraint::Min(22)).chain(widths).collect();
    // The line of heads, and an empty one below.
    let room = usize::from(area.height).saturating_sub(2);
    let total = rows.len();
    let shown = if total > room {
        room.saturating_sub(1)
    } else {
        total
    };
    let mut lines: Vec<Row<'_>> = rows
        .into_iter()
        .take(shown)
        .map(|(cells, style)| Row::new(cells.map(|cell| printable(&cell))).style(style))
        .collect();
    if total > shown {
        lines.push(Row::new([format!("… {} more", total - shown)]));
    }
    let heads =
        Row::new(heads.iter().copied()).style(Style::new().add_modifier(Modifier::REVERSED));
    frame.render_widget(Table::new(lines, widths).header(heads), area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::cli::traffic::tests::answers;

    fn screen(view: &View, fault: Option<&str>, size: (u16, u16)) -> String {
        let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
        terminal.draw(|frame| draw(frame, view, fault)).unwrap();
        let buffer = terminal.backend().buffer();
        let lines = buffer.content.chunks(usize::from(size.0));
        let line = |cells: &[ratatui::buffer::Cell]| -> String {
            cells.iter().map(ratatui::buffer::Cell::symbol).collect()
        };
        lines.map(line).collect::<Vec<_>>().join("\n")
    }

    fn line<'a>(screen: &'a str, with: &str) -> &'a str {
        let found = screen.lines().find(|line| line.contains(with));
        found.unwrap_or_else(|| panic!("no {with} on\n{screen}"))
    }

    #[test]
    fn what_fails_is_readable_on_a_small_screen() {
        let mut view = View::of(&answers(40));
        let calm = view.functions.pop().unwrap();
        let many = (0..100).map(|i| crate::cli::traffic::FunctionLine {
            name: format!("calm.f{i}"),
            ..calm.clone()
        });
        view.functions.extend(many);
        let screen = screen(&view, None, (80, 24));
        assert!(
            line(&screen, "demo.echo@1.0.0").contains("50 %"),
            "{screen}"
        );
        let bad = line(&screen, "demo/bad");
        assert!(bad.contains("10 %") && bad.contains("80/200"), "{screen}");
        assert!(bad.contains("drained"), "{screen}");
        assert!(bad.contains("open"), "{screen}");
        assert!(screen.contains("1 breakers not closed"), "{screen}");
        assert!(screen.contains("2 gateways (1 silent)"), "{screen}");
        line(&screen, "… 93 more");
    }

    #[test]
    fn any_size_is_drawn_and_strangers_move_no_cursor() {
        let mut view = View::of(&answers(40));
        view.instances[0].name = "demo/\u{1b}[2J".to_owned();
        for size in [(80, 24), (20, 3), (1, 1), (300, 100)] {
            let screen = screen(&view, Some("the broker\nis away"), size);
            assert!(!screen.contains('\u{1b}'), "{screen}");
        }
        assert!(screen(&view, Some("gone"), (80, 24)).contains("not current: gone"));
    }
}
