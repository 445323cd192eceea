//! The page itself.

use super::bars::StackedBars;
use super::chart::Chart;
use super::markup::Markup;
use super::table::Table;

/// One file of results.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// What was done.
    pub title: String,
    /// Under which conditions, in a line.
    pub subtitle: String,
    /// In the order in which they are read.
    pub sections: Vec<Section>,
}

/// One thing to know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// Its name.
    pub heading: String,
    /// What to see in the parts. An empty line begins a new paragraph.
    pub text: Option<String>,
    /// In the order in which they are read. Charts that follow each other stand side by side where there is room.
    pub parts: Vec<Part>,
}

/// Something in a section.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Series over axes.
    Chart(Chart),
    /// Bars made of parts.
    Bars(StackedBars),
    /// Rows of texts.
    Table(Table),
    /// Names with what is said of them, as conditions.
    Facts(Vec<(String, String)>),
}

impl Page {
    /// A page without sections yet.
    pub fn new(title: &str, subtitle: &str) -> Self {
        Self { title: title.to_owned(), subtitle: subtitle.to_owned(), sections: Vec::new() }
    }

    /// The page as a file: HTML with its style and its drawings in it.
    pub fn render(&self) -> String {
        let mut markup = Markup::default();
        markup.element("html", &[("lang", "en")], |markup| {
            markup.element("head", &[], |markup| self.write_head(markup));
            markup.feed();
            markup.element("body", &[], |markup| self.write_body(markup));
        });
        markup.into_document()
    }

    fn write_head(&self, markup: &mut Markup) {
        markup.leaf("meta", &[("charset", "utf-8")]);
        markup.leaf("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
        markup.leaf("meta", &[("name", "color-scheme"), ("content", "light dark")]);
        markup.phrase("title", &[], &self.title);
        markup.feed();
        markup.style(STYLE);
    }

    fn write_body(&self, markup: &mut Markup) {
        markup.element("header", &[], |markup| {
            markup.phrase("h1", &[], &self.title);
            markup.phrase("p", &[], &self.subtitle);
        });
        markup.feed();
        if self.sections.len() >= SECTIONS_LISTED_MIN {
            markup.element("nav", &[], |markup| {
                for (number, section) in (1..).zip(&self.sections) {
                    markup.phrase("a", &[("href", &format!("#{}", anchor(number)))], &section.heading);
                }
            });
        }
        for (number, section) in (1..).zip(&self.sections) {
            markup.feed();
            markup.element("section", &[("id", &anchor(number))], |markup| section.write(markup));
        }
        markup.feed();
    }
}

impl Section {
    /// A section with nothing in it yet.
    pub fn new(heading: &str) -> Self {
        Self { heading: heading.to_owned(), ..Self::default() }
    }

    fn write(&self, markup: &mut Markup) {
        markup.phrase("h2", &[], &self.heading);
        for paragraph in self.text.iter().flat_map(|text| text.split("\n\n")).filter(|text| !text.trim().is_empty()) {
            markup.phrase("p", &[], paragraph);
        }
        markup.feed();
        for parts in self.parts.chunk_by(|a, b| a.is_drawing() && b.is_drawing()) {
            if !parts[0].is_drawing() {
                parts.iter().for_each(|part| part.write(markup));
                continue;
            }
            let class = if parts.len() == 1 { "drawings alone" } else { "drawings" };
            markup.element("div", &[("class", class)], |markup| parts.iter().for_each(|part| part.write(markup)));
            markup.feed();
        }
    }
}

impl Part {
    fn is_drawing(&self) -> bool {
        matches!(self, Self::Chart(_) | Self::Bars(_))
    }

    fn write(&self, markup: &mut Markup) {
        match self {
            Self::Chart(chart) => chart.write(markup),
            Self::Bars(bars) => bars.write(markup),
            Self::Table(table) => table.write(markup),
            Self::Facts(facts) => write_facts(markup, facts),
        }
    }
}

impl From<Chart> for Part {
    fn from(chart: Chart) -> Self {
        Self::Chart(chart)
    }
}

impl From<StackedBars> for Part {
    fn from(bars: StackedBars) -> Self {
        Self::Bars(bars)
    }
}

impl From<Table> for Part {
    fn from(table: Table) -> Self {
        Self::Table(table)
    }
}

fn write_facts(markup: &mut Markup, facts: &[(String, String)]) {
    markup.element("dl", &[], |markup| {
        for (name, text) in facts {
            markup.element("div", &[], |markup| {
                markup.phrase("dt", &[], name);
                markup.phrase("dd", &[], text);
            });
        }
    });
    markup.feed();
}

fn anchor(number: usize) -> String {
    format!("section-{number}")
}

/// How everything looks, by light and in the dark, on a wide screen, a narrow one and paper.
const STYLE: &str = include_str!("style.css");
/// Fewer sections are found without a list of them.
const SECTIONS_LISTED_MIN: usize = 3;
