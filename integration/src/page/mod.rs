//! Pages of results: what was measured, as one HTML file that needs nothing else.
//!
//! Data in, text out: a [`Page`] of [`Section`]s of charts, tables and facts is rendered to a `String`. No script, no font, no
//! picture is fetched, so a page can be kept beside the figures it shows and opened in ten years. It follows the reader's choice
//! of light or dark, fits a telephone, and prints.
//!
//! What a reader may rely on: each axis names its unit; solid lines are measured and dashed lines are bounds; series differ
//! by marker as well as by colour; whatever is left out of a drawing is counted beneath it.
//!
//! ```
//! use integration::page::{Axis, Chart, Line, Page, Section, Series};
//!
//! let mut chart = Chart::new("Throughput", Axis::linear("Receivers", "streams"), Axis::linear("Delivered", "envelopes/s"));
//! chart.series.push(Series::line("1 KiB", vec![(1.0, 9_000.0), (32.0, 7_100.0)]));
//! chart.bounds.push(Line::horizontal("equation 6.1", 10_000.0));
//! let mut section = Section::new("Receivers");
//! section.parts.push(chart.into());
//! let mut page = Page::new("Experiments", "four nodes, one machine");
//! page.sections.push(section);
//! assert!(page.render().contains("Delivered (envelopes/s)"));
//! ```

mod axis;
mod bars;
mod canvas;
mod chart;
mod document;
mod figure;
mod marker;
mod markup;
mod number;
mod span;
mod table;
#[cfg(test)]
mod tests;
mod thin;

pub use axis::{Axis, Scale};
pub use bars::{BarPart, StackedBars};
pub use chart::{Chart, Course, Line, Mark, Series, Shape};
pub use document::{Page, Part, Section};
pub use table::Table;
