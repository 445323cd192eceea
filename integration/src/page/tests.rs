//! A whole page, judged as a document.

use super::{Axis, BarPart, Chart, Line, Mark, Page, Part, Section, Series, StackedBars, Table};

/// The names of a document's elements in the order in which they begin, and its texts. Panics at a tag that is not closed,
/// at a bare `&` or `<`, and at an attribute without quotes.
fn read(document: &str) -> (Vec<String>, String) {
    let mut rest = document.strip_prefix("<!DOCTYPE html>").expect("a document type");
    let (mut open, mut names, mut texts) = (Vec::new(), Vec::new(), String::new());
    while let Some(at) = rest.find('<') {
        check_references(&rest[..at]);
        texts.push_str(&rest[..at]);
        let end = at + rest[at..].find('>').expect("a tag that ends");
        let tag = &rest[at + 1..end];
        assert!(!tag.contains('<'), "a bare < before {tag}");
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closed in another order");
            continue;
        }
        let (name, attributes) = tag.trim_end_matches('/').split_once(' ').unwrap_or((tag.trim_end_matches('/'), ""));
        check_attributes(attributes);
        names.push(name.to_owned());
        if name == "style" {
            rest = rest.split_once("</style>").expect("a style sheet that ends").1;
        } else if !tag.ends_with('/') {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    (names, texts)
}

fn check_attributes(attributes: &str) {
    check_references(attributes);
    let pieces: Vec<&str> = attributes.split('"').collect();
    assert!(pieces.len() % 2 == 1, "quotes: {attributes}");
    for name in pieces.iter().step_by(2).filter(|piece| !piece.is_empty()) {
        let name = name.trim().strip_suffix('=').unwrap_or_else(|| panic!("attribute {name}"));
        assert!(
            name.chars().all(|character| character.is_ascii_alphanumeric() || character == '-'),
            "attribute {name}"
        );
    }
}

fn check_references(text: &str) {
    for piece in text.split('&').skip(1) {
        let name = piece.split(';').next().unwrap_or_default();
        assert!(["amp", "lt", "gt", "quot", "#39"].contains(&name), "a bare &: {piece}");
    }
}

fn chart(series: Vec<Series>) -> Chart {
    let mut chart = Chart::new("Chart", Axis::linear("Time", "s"), Axis::linear("Delivered", "envelopes/s"));
    chart.series = series;
    chart
}

fn page(parts: Vec<Part>) -> Page {
    let mut section = Section::new("Section");
    section.parts = parts;
    Page { sections: vec![section], ..Page::new("Page", "conditions") }
}

fn rendered(part: impl Into<Part>) -> String {
    let document = page(vec![part.into()]).render();
    read(&document);
    document
}

/// Every kind of part, with texts that want to be elements.
fn everything() -> Page {
    let wild = "<script>alert(\"1\" & '2')</script>\u{7}";
    let mut timeline = chart(vec![Series::line(wild, vec![(0.0, 1.0), (1.0, 3.0), (2.0, 2.0)])]);
    timeline.title = wild.to_owned();
    timeline.marks.push(Mark { x: 1.5, text: wild.to_owned() });
    timeline.bounds.push(Line::horizontal(wild, 2.5));
    timeline.bounds.push(Line::through(wild, vec![(0.0, 1.0), (2.0, 4.0)]).of(wild));
    let mut latency = Chart::new("Latency", Axis::log10(wild, wild), Axis::linear("Share", "of envelopes"));
    latency.series.push(Series::distribution("all", vec![3.0, 1.0, 2.0]));
    latency.series.push(Series::points("some", vec![(1.0, 0.5)]));
    let mut bars = StackedBars::new(wild, Axis::linear(wild, wild), vec![wild.to_owned(), "follower".to_owned()]);
    bars.parts.push(BarPart::new(wild, vec![1.0, 2.0]));
    let mut table = Table::new(&[wild, "us"]);
    table.caption = Some(wild.to_owned());
    table.rows.push(vec![wild.to_owned(), "7.5".to_owned(), wild.to_owned()]);
    table.rows.push(Vec::new());
    table.rows_flagged.push(0);
    let facts = Part::Facts(vec![(wild.to_owned(), wild.to_owned())]);
    let parts = vec![timeline.into(), latency.into(), table.into(), bars.into(), facts];
    let section = Section { heading: wild.to_owned(), text: Some(format!("{wild}\n\n{wild}")), parts };
    Page { title: wild.to_owned(), subtitle: wild.to_owned(), sections: vec![section; 3] }
}

#[test]
fn a_page_with_everything_in_it_is_one_well_formed_document() {
    let document = everything().render();
    let (names, texts) = read(&document);
    for name in ["h1", "nav", "figure", "svg", "path", "table", "dl", "ol", "ul"] {
        assert!(names.iter().any(|found| found == name), "no {name}");
    }
    assert!(texts.contains("&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;\u{fffd}"));
}

#[test]
fn a_text_that_wants_to_be_an_element_stays_a_text() {
    let document = everything().render();
    assert!(!document.contains("<script"), "a text became an element");
    assert!(!document.chars().any(|character| character.is_control() && character != '\n'));
}

#[test]
fn a_page_fetches_nothing_and_runs_nothing() {
    let (names, _) = read(&everything().render());
    let foreign = ["script", "link", "img", "iframe", "object", "image", "use"];
    assert!(names.iter().all(|name| !foreign.contains(&&**name)));
    let document = page(vec![chart(Vec::new()).into()]).render();
    assert!(!document.contains("http") && !document.contains("url(") && !document.contains("@import"));
}

#[test]
fn every_axis_names_its_unit() {
    let mut drawing = chart(vec![Series::line("a", vec![(1.0, 2.0)])]);
    drawing.x = Axis::log10("Receivers", "streams");
    let document = rendered(drawing);
    assert!(document.contains(">Receivers (streams, logarithmic)</text>"));
    assert!(document.contains(">Delivered (envelopes/s)</text>"));
    let mut bars = StackedBars::new("Cost", Axis::linear("Processor time", "us"), vec!["leader".to_owned()]);
    bars.parts.push(BarPart::new("verify", vec![49.0]));
    let document = rendered(bars);
    assert!(document.contains(">Processor time (us)</text>") && document.contains(">49 us</text>"));
}

#[test]
fn nothing_at_all_is_still_a_page() {
    read(&Page::default().render());
    assert!(rendered(chart(Vec::new())).contains("no values"));
    assert!(rendered(chart(vec![Series::line("a", Vec::new())])).contains("no values"));
    assert!(rendered(chart(vec![Series::distribution("a", vec![f64::NAN])])).contains("no values"));
    assert!(rendered(StackedBars::new("Cost", Axis::linear("Time", "us"), Vec::new())).contains("no values"));
    rendered(Table::default());
}

#[test]
fn a_series_of_one_point_is_seen() {
    let document = rendered(chart(vec![Series::line("a", vec![(5.0, 5.0)])]));
    assert!(document.contains("class=\"mark c0\" d=\"M"), "no mark");
}

#[test]
fn what_has_no_place_is_left_out_and_counted() {
    let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, 0.0, -1.0, 2.0];
    let mut drawing = chart(vec![Series::line("a", values.map(|value| (value, 1.0)).to_vec())]);
    let document = rendered(drawing.clone());
    assert!(document.contains("Left out: 4 ") && !document.contains("NaN") && !document.contains("inf"));
    drawing.x = Axis::log10("Latency", "ms");
    assert!(rendered(drawing).contains("Left out: 6 "));
    let mut bars = StackedBars::new("Cost", Axis::linear("Time", "us"), vec!["a".to_owned(), "b".to_owned()]);
    bars.parts.push(BarPart::new("verify", vec![-1.0]));
    let document = rendered(bars);
    assert!(document.contains("Left out: 2 ") && !document.contains("<rect class=\"part c0\" x="));
}

#[test]
fn a_long_series_stays_a_small_file_and_keeps_its_peak() {
    let points = |peak: f64| (0..1_000_000).map(|i| (f64::from(i), if i == 654_321 { peak } else { 10.0 })).collect();
    let document = rendered(chart(vec![Series::line("a", points(900.0))]));
    assert!(document.len() < 60_000, "{} bytes", document.len());
    assert!(document.contains("up to 1,000,000 points"));
    // The axis ends at 1,000, so the peak is a tenth of the height from the top.
    assert!(document.contains(" 25.0L"), "no peak");
}

#[test]
fn events_are_numbered_and_explained() {
    let mut drawing = chart(vec![Series::line("a", vec![(0.0, 1.0), (60.0, 1.0)])]);
    for (x, text) in [(12.0, "node 2 killed"), (31.5, "node 2 back")] {
        drawing.marks.push(Mark { x, text: text.to_owned() });
    }
    let document = rendered(drawing);
    assert!(document.contains("<li>12 s: node 2 killed</li><li>31.5 s: node 2 back</li>"));
    assert!(document.contains(">1</text>") && document.contains(">2</text>"));
}

#[test]
fn a_bound_is_dashed_and_never_presses_the_values_flat() {
    let with_bound = |height: f64| {
        let mut drawing = chart(vec![Series::line("a", vec![(0.0, 80.0), (1.0, 90.0)])]);
        drawing.bounds.push(Line::horizontal("equation 6.1", height).of("a"));
        rendered(drawing)
    };
    let document = with_bound(150.0);
    assert!(document.contains("bound d0 c0") && document.contains("<span>equation 6.1</span>"));
    assert!(document.contains(">150</text>") || document.contains(">200</text>"), "the axis reaches the bound");
    let document = with_bound(100_000.0);
    assert!(document.contains("equation 6.1 (above the drawing, from 100,000 envelopes/s)"));
    assert!(document.contains(">100</text>") && !document.contains(">200</text>"));
}

#[test]
fn more_series_than_colours_are_still_told_apart() {
    let series = (0..11).map(|i| Series::points("a", vec![(f64::from(i), 1.0)])).collect();
    let document = rendered(chart(series));
    let shapes: Vec<&str> = document.split("class=\"mark c0\" d=\"").skip(1).collect();
    // In the legend and in the area, of the first and of the eleventh.
    assert_eq!(shapes.len(), 4);
    assert!(shapes.iter().filter(|shape| shape.split('"').next().is_some_and(|path| path.contains('a'))).count() == 2);
}

#[test]
fn a_column_of_numbers_stands_to_the_right() {
    let mut table = Table::new(&["stage", "us", "share"]);
    for row in [["verify", "49", "<= 90 %"], ["hash", "\u{2013}", "?"]] {
        table.rows.push(row.map(str::to_owned).to_vec());
    }
    let document = rendered(table);
    assert!(document.contains("<th>stage</th><th class=\"number\">us</th><th class=\"number\">share</th>"));
}
