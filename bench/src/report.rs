//! The table, the JSON, the plots.

use std::path::Path;

use plotters::prelude::*;

use crate::Result;
use crate::compare::Row;

/// A Markdown table: medians, the range of the rate, ratios to the floor.
#[expect(clippy::print_stdout, reason = "this is the command's output")]
pub(crate) fn table(rows: &[Row]) {
    println!("| variant | req/s (range) | p50 µs | p99 µs | CPU µs | rate | CPU | p50 | p99 |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        let (rate, low, high) = row.median(|s| s.per_second);
        let figures = [row.median(|s| s.p50_us).0, row.median(|s| s.p99_us).0];
        let cpu = row.median(|s| s.cpu_us).0;
        let ratios = match row.ratios {
            Some(r) => [r.rate, r.cpu, r.p50, r.p99].map(ratio).join(" | "),
            None => "1 | 1 | 1 | 1".to_owned(),
        };
        println!(
            "| {} | {rate:.0} ({low:.0}-{high:.0}) | {:.0} | {:.0} | {cpu:.1} | {ratios} |",
            row.name, figures[0], figures[1]
        );
    }
}

/// Items of streams have no time of their own.
fn ratio(value: f64) -> String {
    if value.is_nan() {
        return "-".to_owned();
    }
    format!("{value:.2}")
}

/// Every sample.
#[expect(clippy::print_stdout, reason = "this is the command's output")]
pub(crate) fn json(rows: &[Row]) -> Result {
    println!("{}", serde_json::to_string_pretty(rows)?);
    Ok(())
}

/// `rate.svg` and `cpu.svg`: ratios to the floors.
pub(crate) fn plots(rows: &[Row], folder: &Path) -> Result {
    std::fs::create_dir_all(folder)?;
    let bars = |of: fn(&crate::compare::Ratios) -> f64| -> Vec<(String, f64)> {
        let compared = rows.iter().filter_map(|row| Some((row, row.ratios?)));
        compared
            .map(|(row, ratios)| (row.name.clone(), of(&ratios)))
            .collect()
    };
    let draw =
        |file: &str, title: &str, bars: &[(String, f64)]| draw(&folder.join(file), title, bars);
    draw(
        "rate.svg",
        "requests per second, floor = 1 (higher is better)",
        &bars(|r| r.rate),
    )?;
    draw(
        "cpu.svg",
        "gateway CPU per request, floor = 1 (lower is better)",
        &bars(|r| r.cpu),
    )
}

fn draw(path: &Path, title: &str, bars: &[(String, f64)]) -> Result {
    const ROW: u32 = 26;
    let height = u32::try_from(bars.len())? * ROW + 90;
    let most = bars.iter().map(|(_, v)| *v).fold(1.2, f64::max) * 1.1;
    let root = SVGBackend::new(path, (900, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let rows = bars.len();
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .y_label_area_size(280)
        .x_label_area_size(28)
        .build_cartesian_2d(0.0..most, 0.0..rows as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .x_label_formatter(&|x| format!("{x:.1}"))
        .draw()?;
    for (index, (name, value)) in bars.iter().enumerate() {
        let top = (rows - index) as f64;
        let bar = [(0.0, top - 0.2), (*value, top - 0.8)];
        chart.draw_series([Rectangle::new(bar, BLUE.mix(0.6).filled())])?;
        chart.draw_series([Text::new(
            format!("{value:.2}"),
            (*value, top - 0.3),
            ("sans-serif", 13),
        )])?;
        let y = 46 + i32::try_from(index)? * i32::try_from((height - 90) / u32::try_from(rows)?)?;
        root.draw(&Text::new(name.clone(), (14, y), ("sans-serif", 13)))?;
    }
    chart.draw_series([PathElement::new([(1.0, 0.0), (1.0, rows as f64)], RED)])?;
    root.present()?;
    Ok(())
}
