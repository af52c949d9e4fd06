//! A chart of what work costs beside nginx, narrow enough for a phone, and readable on light and dark paper.

use std::fmt::Write as _;

use super::cases::CASES;
use super::figure::{CADDY, Figure, HAPROXY, PRUMO};

const WIDTH: f64 = 400.0;
/// Where the bars begin and where the scale ends.
const LEFT: f64 = 8.0;
const RIGHT: f64 = WIDTH - 46.0;
/// Longer bars are cut; their number says how long they are.
const SCALE_MAX: f64 = 2.0;
const BARS: [(&str, &str, f64); 3] = [(PRUMO, "ours", 12.0), (HAPROXY, "second", 7.0), (CADDY, "third", 7.0)];
const TOP: f64 = 66.0;
const BETWEEN: f64 = 12.0;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#1f2328;paint-order:stroke;stroke:#fff;stroke-width:3px}.small{font-size:11px;fill:#59636e}.bold{font-weight:600}\
.ours{fill:#0969da}.second{fill:#8c959f}.third{fill:#c4cad1}.one{stroke:#cf222e;stroke-width:1.5;stroke-dasharray:4 3}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3;stroke:#0d1117}.small{fill:#9198a1}.ours{fill:#4493f8}.second{fill:#7d8590}.third{fill:#444c56}.one{stroke:#f85149}}";

/// The costs among the figures, as an SVG.
pub(super) fn draw(figures: &[Figure]) -> String {
    let costs: Vec<&Figure> = figures.iter().filter(|figure| is_cost(figure)).collect();
    let mut bars = String::new();
    let mut y = TOP;
    for figure in costs {
        y += BETWEEN;
        let _ = writeln!(bars, r#"<text x="{LEFT}" y="{y:.0}">{}</text>"#, figure.about);
        y += 5.0;
        for (proxy, class, height) in BARS {
            let Some(times) = figure.times_nginx(proxy).filter(|times| times.is_finite()) else { continue };
            let (end, middle) = (x(times), y + height / 2.0 + 4.0);
            let words = if proxy == PRUMO { "bold" } else { "small" };
            let width = end - LEFT;
            let _ = writeln!(
                bars,
                r#"<rect class="{class}" x="{LEFT}" y="{y:.0}" width="{width:.0}" height="{height}" rx="1.5"/>"#
            );
            let _ = writeln!(bars, r#"<text class="{words}" x="{:.0}" y="{middle:.0}">{times:.2}</text>"#, end + 5.0);
            y += height + 3.0;
        }
        y += 5.0;
    }
    let one = x(1.0);
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" width="{WIDTH}" height="{height:.0}" role="img" aria-label="CPU time as a multiple of nginx's">
<style>{STYLE}</style>
<text class="bold" x="{LEFT}" y="18">CPU time as a multiple of nginx's: shorter is better</text>
<rect class="ours" x="{LEFT}" y="30" width="10" height="10"/><text x="22" y="39">prumo</text>
<rect class="second" x="82" y="30" width="10" height="10"/><text x="96" y="39">HAProxy</text>
<rect class="third" x="168" y="30" width="10" height="10"/><text x="182" y="39">Caddy (bars end at 2)</text>
<text class="small" x="{one:.0}" y="56" text-anchor="middle">nginx</text>
<line class="one" x1="{one:.0}" y1="60" x2="{one:.0}" y2="{y:.0}"/>
{bars}</svg>
"#,
        height = y + 8.0,
    )
}

fn is_cost(figure: &Figure) -> bool {
    CASES.iter().any(|case| case.is_cost() && case.about == figure.about)
}

fn x(times: f64) -> f64 {
    LEFT + times.clamp(0.0, SCALE_MAX) / SCALE_MAX * (RIGHT - LEFT)
}

#[cfg(test)]
mod tests;
